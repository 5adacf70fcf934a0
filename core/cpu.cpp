#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include <tern/core/cpu.h>
#include <tern/core/error.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace tern {
namespace {

constexpr std::pair<Isa, std::string_view> kNames[] = {{Isa::kPortable, "portable"},
                                                       {Isa::kAvx2, "avx2"},
                                                       {Isa::kAvx2Vnni, "avx2_vnni"},
                                                       {Isa::kAvx512Vnni, "avx512_vnni"},
                                                       {Isa::kAvx512, "avx512"}};

#if defined(__x86_64__)
// Neither compiler's __builtin_cpu_supports knows it in all versions that Tern is built with.
bool has_avx_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1U << 4)) != 0;
}
#endif

// AVX-VNNI's kernels are few, so that every build that has AVX2 has them or does well without.
bool built(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return true;
    case Isa::kAvx2:
    case Isa::kAvx2Vnni:
#ifdef TERN_HAVE_AVX2
      return true;
#else
      return false;
#endif
    default:
#ifdef TERN_HAVE_AVX512_VNNI
      return true;
#else
      return false;
#endif
  }
}

Isa best_isa() {
  Isa best = Isa::kAvx512;
  if (const char* text = std::getenv("TERN_MAX_ISA"); text != nullptr && *text != '\0') {
    const auto* const named =
        std::find_if(std::begin(kNames), std::end(kNames), [&](const auto& name) { return name.second == text; });
    TERN_CHECK(named != std::end(kNames), ValueError,
               "[cpu] expected TERN_MAX_ISA to be portable, avx2, avx2_vnni, avx512_vnni or avx512, got ", text);
    best = named->first;
  }
  while (!built(best) || !cpu_has(best)) best = static_cast<Isa>(static_cast<int>(best) - 1);
  return best;
}

}  // namespace

bool cpu_has(Isa isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  switch (isa) {
    case Isa::kPortable:
      return true;
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::kAvx2Vnni:
      return cpu_has(Isa::kAvx2) && has_avx_vnni();
    case Isa::kAvx512Vnni:
      return cpu_has(Isa::kAvx2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512vnni");
    case Isa::kAvx512:
      return cpu_has(Isa::kAvx512Vnni) && __builtin_cpu_supports("avx512bf16");
  }
#endif
  return isa == Isa::kPortable;
}

Isa isa() {
  static const Isa chosen = best_isa();
  return chosen;
}

std::string_view name_of(Isa isa) {
  return kNames[static_cast<size_t>(isa)].second;
}

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  return "unknown";
}

}  // namespace tern
