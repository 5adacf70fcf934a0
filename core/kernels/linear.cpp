#include <tern/core/kernels/detail/activation_math.h>
#include <tern/core/kernels/linear.h>

namespace tern::kernels::TERN_ISA {

namespace {

// The value or slope at z, a function of its own a kind so that loops over it become vector code.
template <LinearAct kAct, class T>
[[gnu::always_inline]] inline T value_of(T z) {
  if constexpr (kAct == LinearAct::kRelu) return z < T(0) ? T(0) : z;
  if constexpr (kAct == LinearAct::kGeluErf) return vec::gelu_erf(z);
  if constexpr (kAct == LinearAct::kGeluTanh) return vec::gelu_tanh(z);
  if constexpr (kAct == LinearAct::kSilu) return vec::silu(z);
  return z;
}
template <LinearAct kAct, class T>
[[gnu::always_inline]] inline T times_slope(T g, T saved) {
  if constexpr (kAct == LinearAct::kRelu) return saved <= T(0) ? T(0) : g;
  if constexpr (kAct == LinearAct::kGeluErf) return g * vec::gelu_erf_slope(saved);
  if constexpr (kAct == LinearAct::kGeluTanh) return g * vec::gelu_tanh_slope(saved);
  if constexpr (kAct == LinearAct::kSilu) return g * vec::silu_slope(saved);
  return g;
}

template <LinearAct kAct, class T>
void bias_act_rows(T* z, T* y, int64_t ld, const T* bias, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i) {
    T *z_row = z + i * ld, *y_row = y + i * ld;
    if (bias != nullptr)
      for (int64_t j = 0; j < cols; ++j) z_row[j] += bias[j];
    if constexpr (kAct == LinearAct::kNone) continue;
    if (y == z)
      for (int64_t j = 0; j < cols; ++j) z_row[j] = value_of<kAct>(z_row[j]);
    else
      for (int64_t j = 0; j < cols; ++j) y_row[j] = value_of<kAct>(z_row[j]);
  }
}

template <class T>
void add_blocks(const T* partials, int64_t blocks, int64_t cols, T* sums) {
  for (int64_t j = 0; j < cols; ++j) sums[j] = T(0);
  for (int64_t b = 0; b < blocks; ++b)
    for (int64_t j = 0; j < cols; ++j) sums[j] += partials[b * cols + j];
}

template <LinearAct kAct, class T>
void act_backward_few(const T* grad_y, const T* saved, T* grad_z, int64_t rows, int64_t cols, T* sums) {
  for (int64_t j = 0; j < cols && sums != nullptr; ++j) sums[j] = T(0);
  for (int64_t i = 0; i < rows; ++i) {
    const T *g = grad_y + i * cols, *s = saved + i * cols;
    T* z = grad_z + i * cols;
    if (z == g)
      for (int64_t j = 0; j < cols; ++j) z[j] = times_slope<kAct>(z[j], s[j]);
    else
      for (int64_t j = 0; j < cols; ++j) z[j] = times_slope<kAct>(g[j], s[j]);
    for (int64_t j = 0; j < cols && sums != nullptr; ++j) sums[j] += z[j];
  }
}

}  // namespace

template <class T>
void bias_act(LinearAct act, T* z, T* y, int64_t ld, const T* bias, int64_t rows, int64_t cols) {
  switch (act) {
    case LinearAct::kNone:
      return bias_act_rows<LinearAct::kNone>(z, y, ld, bias, rows, cols);
    case LinearAct::kRelu:
      return bias_act_rows<LinearAct::kRelu>(z, y, ld, bias, rows, cols);
    case LinearAct::kGeluErf:
      return bias_act_rows<LinearAct::kGeluErf>(z, y, ld, bias, rows, cols);
    case LinearAct::kGeluTanh:
      return bias_act_rows<LinearAct::kGeluTanh>(z, y, ld, bias, rows, cols);
    case LinearAct::kSilu:
      return bias_act_rows<LinearAct::kSilu>(z, y, ld, bias, rows, cols);
  }
}

template <class T>
void act_backward_block(LinearAct act, const T* grad_y, const T* saved, T* grad_z, int64_t rows, int64_t cols,
                        T* sums) {
  switch (act) {
    case LinearAct::kNone:
      return act_backward_few<LinearAct::kNone>(grad_y, saved, grad_z, rows, cols, sums);
    case LinearAct::kRelu:
      return act_backward_few<LinearAct::kRelu>(grad_y, saved, grad_z, rows, cols, sums);
    case LinearAct::kGeluErf:
      return act_backward_few<LinearAct::kGeluErf>(grad_y, saved, grad_z, rows, cols, sums);
    case LinearAct::kGeluTanh:
      return act_backward_few<LinearAct::kGeluTanh>(grad_y, saved, grad_z, rows, cols, sums);
    case LinearAct::kSilu:
      return act_backward_few<LinearAct::kSilu>(grad_y, saved, grad_z, rows, cols, sums);
  }
}

template <class T>
void act_backward(LinearAct act, const T* grad_y, const T* saved, T* grad_z, int64_t rows, int64_t cols, T* partials,
                  T* sums) {
  const int64_t block = column_sum_rows(rows, cols), blocks = column_sum_blocks(rows, cols);
  parallel_for(blocks, 1, [=](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) {
      const int64_t begin = b * block, end = begin + block < rows ? begin + block : rows;
      act_backward_block(act, grad_y + begin * cols, saved + begin * cols, grad_z + begin * cols, end - begin, cols,
                         partials != nullptr ? partials + b * cols : nullptr);
    }
  });
  if (partials != nullptr) add_blocks(partials, blocks, cols, sums);
}

template <class T>
void column_sums_block(const T* x, int64_t rows, int64_t cols, T* sums) {
  for (int64_t j = 0; j < cols; ++j) sums[j] = T(0);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) sums[j] += x[i * cols + j];
}

template <class T>
void column_sums(const T* x, int64_t rows, int64_t cols, T* partials, T* sums) {
  const int64_t block = column_sum_rows(rows, cols), blocks = column_sum_blocks(rows, cols);
  parallel_for(blocks, 1, [=](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) {
      const int64_t begin = b * block, end = begin + block < rows ? begin + block : rows;
      column_sums_block(x + begin * cols, end - begin, cols, partials + b * cols);
    }
  });
  add_blocks(partials, blocks, cols, sums);
}

template <class T>
void add_partial_sums(const T* partials, int64_t blocks, int64_t cols, T* sums) {
  add_blocks(partials, blocks, cols, sums);
}

#define INSTANTIATE(T)                                                                       \
  template void bias_act(LinearAct, T*, T*, int64_t, const T*, int64_t, int64_t);            \
  template void act_backward(LinearAct, const T*, const T*, T*, int64_t, int64_t, T*, T*);   \
  template void act_backward_block(LinearAct, const T*, const T*, T*, int64_t, int64_t, T*); \
  template void column_sums_block(const T*, int64_t, int64_t, T*);                           \
  template void add_partial_sums(const T*, int64_t, int64_t, T*);                            \
  template void column_sums(const T*, int64_t, int64_t, T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
