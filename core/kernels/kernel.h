// How kernels are declared, compiled and called.
//
// A kernel is a loop on pointers and sizes. Its header (kernels/NAME.h) wraps the declarations in TERN_DECLARE_KERNELS;
// its source (kernels/NAME.cpp) is compiled once per instruction set, each time into a namespace of its own:
//
//   namespace tern::kernels::TERN_ISA { template <class T> void relu(const T* x, T* y, int64_t n) {...} }
//
// and an op calls TERN_KERNEL(relu<T>)(x, y, n), which picks the version for the processor at run time.
// Kernel sources use no standard-library templates: an inline function compiled for AVX-512 must not become the copy
// that the linker keeps for everybody.
#pragma once

#include <cstdint>

#include <tern/core/cpu.h>
#include <tern/core/parallel.h>

#define TERN_DECLARE_KERNELS(...)        \
  namespace tern::kernels::portable {    \
  __VA_ARGS__                            \
  }                                      \
  namespace tern::kernels::avx2 {        \
  __VA_ARGS__                            \
  }                                      \
  namespace tern::kernels::avx512_vnni { \
  __VA_ARGS__                            \
  }

// Of kernels on integers, which gain from AVX-VNNI: compiled for it as well (tern_room_kernels), called by
// TERN_INT_KERNEL.
#define TERN_DECLARE_INT_KERNELS(...)  \
  TERN_DECLARE_KERNELS(__VA_ARGS__)    \
  namespace tern::kernels::avx2_vnni { \
  __VA_ARGS__                          \
  }

// Versions that a build leaves out (TERN_ISAS) fall back to the next lower one, so that every name still links.
#ifdef TERN_HAVE_AVX2
#define TERN_AVX2_OR_LOWER avx2
#else
#define TERN_AVX2_OR_LOWER portable
#endif
#ifdef TERN_HAVE_AVX2_VNNI
#define TERN_AVX2_VNNI_OR_LOWER avx2_vnni
#else
#define TERN_AVX2_VNNI_OR_LOWER TERN_AVX2_OR_LOWER
#endif
#ifdef TERN_HAVE_AVX512_VNNI
#define TERN_AVX512_VNNI_OR_LOWER avx512_vnni
#else
#define TERN_AVX512_VNNI_OR_LOWER TERN_AVX2_OR_LOWER
#endif

#define TERN_SELECT_KERNEL(vnni, ...)                                                                                 \
  ::tern::kernels::select(&::tern::kernels::portable::__VA_ARGS__, &::tern::kernels::TERN_AVX2_OR_LOWER::__VA_ARGS__, \
                          &::tern::kernels::vnni::__VA_ARGS__,                                                        \
                          &::tern::kernels::TERN_AVX512_VNNI_OR_LOWER::__VA_ARGS__)
#define TERN_KERNEL(...) TERN_SELECT_KERNEL(TERN_AVX2_OR_LOWER, __VA_ARGS__)
#define TERN_INT_KERNEL(...) TERN_SELECT_KERNEL(TERN_AVX2_VNNI_OR_LOWER, __VA_ARGS__)

namespace tern::kernels {

template <class F>
F* select(F* portable, F* avx2, F* avx2_vnni, F* avx512_vnni) {
  switch (isa()) {
    case Isa::kAvx512:  // BF16, which no kernel uses yet
    case Isa::kAvx512Vnni:
      return avx512_vnni;
    case Isa::kAvx2Vnni:
      return avx2_vnni;
    case Isa::kAvx2:
      return avx2;
    default:
      return portable;
  }
}

}  // namespace tern::kernels
