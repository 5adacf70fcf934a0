#include <tern/core/kernels/detail/walk.h>
#include <tern/core/kernels/index.h>

namespace tern::kernels::TERN_ISA {
namespace {

// Calls body(offsets) for each line; a line is never shared between threads.
template <class Body>
void for_lines(const IndexLines& in, const Body& body) {
  const int64_t work = in.count > 0 ? in.count : 1;
  parallel_for(in.lines.numel, chunk_items(work), [&](int64_t begin, int64_t end) {
    Walk<3> walk{in.lines.axes, in.lines.size, {in.lines.stride[0], in.lines.stride[1], in.lines.stride[2]}};
    walk.seek(begin);
    for (int64_t line = begin; line < end; ++line, walk.next()) body(walk.at);
  });
}

constexpr int64_t kColumns = 64;  // of index_add, for one thread at a time

}  // namespace

template <class T>
void gather(const IndexLines& in, const T* x, const int64_t* index, T* y) {
  const int64_t sx = in.step[0], si = in.step[1], sy = in.step[2];
  for_lines(in, [=](const int64_t* at) {
    for (int64_t k = 0; k < in.count; ++k) y[at[2] + k * sy] = x[at[0] + index[at[1] + k * si] * sx];
  });
}

template <class T>
void scatter(const IndexLines& in, T* x, const int64_t* index, const T* y) {
  const int64_t sx = in.step[0], si = in.step[1], sy = in.step[2];
  for_lines(in, [=](const int64_t* at) {
    for (int64_t k = 0; k < in.count; ++k) x[at[0] + index[at[1] + k * si] * sx] = y[at[2] + k * sy];
  });
}

template <class T>
void scatter_add(const IndexLines& in, T* x, const int64_t* index, const T* y) {
  const int64_t sx = in.step[0], si = in.step[1], sy = in.step[2];
  for_lines(in, [=](const int64_t* at) {
    for (int64_t k = 0; k < in.count; ++k) {
      T& to = x[at[0] + index[at[1] + k * si] * sx];
      to = static_cast<T>(to + y[at[2] + k * sy]);
    }
  });
}

template <class T>
void index_add(T* x, const int64_t* index, const T* y, int64_t outer, int64_t n, int64_t count, int64_t inner,
               int64_t skip) {
  const int64_t blocks = (inner + kColumns - 1) / kColumns;
  const int64_t work = count * (inner < kColumns ? inner : kColumns);
  parallel_for(outer * blocks, chunk_items(work + 1), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t o = i / blocks, first = i % blocks * kColumns;
      const int64_t width = inner - first < kColumns ? inner - first : kColumns;
      for (int64_t k = 0; k < count; ++k) {
        if (index[k] == skip) continue;
        T* to = x + (o * n + index[k]) * inner + first;
        const T* from = y + (o * count + k) * inner + first;
        for (int64_t c = 0; c < width; ++c) to[c] = static_cast<T>(to[c] + from[c]);
      }
    }
  });
}

#define INSTANTIATE(T)                                                        \
  template void gather(const IndexLines&, const T*, const int64_t*, T*);      \
  template void scatter(const IndexLines&, T*, const int64_t*, const T*);     \
  template void scatter_add(const IndexLines&, T*, const int64_t*, const T*); \
  template void index_add(T*, const int64_t*, const T*, int64_t, int64_t, int64_t, int64_t, int64_t);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(int64_t)
INSTANTIATE(int32_t)
INSTANTIATE(int8_t)
INSTANTIATE(uint8_t)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
