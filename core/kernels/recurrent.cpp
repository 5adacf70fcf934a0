// Each row of a block is one loop over its hidden units: the gates of a unit lie `hidden` columns apart, so every slot
// is a dense stream of its own and the loop becomes vector code.
#include <tern/core/kernels/detail/vec_math.h>
#include <tern/core/kernels/recurrent.h>

namespace tern::kernels::TERN_ISA {
namespace {

template <class T>
void lstm_row(const CellForward<T>& s, int64_t row) {
  const CellBlock<T>& b = s.block;
  T *input = s.gates + row * b.gates_row, *forget = input + b.hidden, *cell = forget + b.hidden,
    *output = cell + b.hidden;
  const T* c_previous = b.c_previous + row * b.hidden;
  T *c = s.c + row * b.hidden, *h = s.h + row * b.hidden, *next = s.next + row * b.state_row;
#pragma GCC ivdep
  for (int64_t j = 0; j < b.cols; ++j) {
    const T i = vec::sigmoid(input[j]), f = vec::sigmoid(forget[j]), g = vec::tanh(cell[j]),
            o = vec::sigmoid(output[j]);
    const T state = f * c_previous[j] + i * g, result = o * vec::tanh(state);
    input[j] = i, forget[j] = f, cell[j] = g, output[j] = o;
    c[j] = state;
    h[j] = result, next[j] = result;
  }
}

template <class T>
void lstm_row_backward(const CellBackward<T>& s, int64_t row) {
  const CellBlock<T>& b = s.block;
  const T *input = s.gates + row * b.gates_row, *forget = input + b.hidden, *cell = forget + b.hidden,
          *output = cell + b.hidden;
  T *grad_input = s.grad_gates + row * b.gates_row, *grad_forget = grad_input + b.hidden,
    *grad_cell = grad_forget + b.hidden, *grad_output = grad_cell + b.hidden;
  const T *c = s.c + row * b.hidden, *c_previous = b.c_previous + row * b.hidden;
  const T* carry_h = s.carry_h + row * b.hidden;
  const T* grad_h = s.grad_h != nullptr ? s.grad_h + row * b.hidden : nullptr;
  T* carry_c = s.carry_c + row * b.hidden;
#pragma GCC ivdep
  for (int64_t j = 0; j < b.cols; ++j) {
    const T i = input[j], f = forget[j], g = cell[j], o = output[j], squashed = vec::tanh(c[j]);
    const T dh = grad_h != nullptr ? carry_h[j] + grad_h[j] : carry_h[j];
    const T dc = carry_c[j] + dh * o * (T(1) - squashed * squashed);
    grad_input[j] = dc * g * i * (T(1) - i);
    grad_forget[j] = dc * c_previous[j] * f * (T(1) - f);
    grad_cell[j] = dc * i * (T(1) - g * g);
    grad_output[j] = dh * squashed * o * (T(1) - o);
    carry_c[j] = dc * f;
  }
}

template <class T>
void gru_row(const CellForward<T>& s, int64_t row) {
  const CellBlock<T>& b = s.block;
  T *reset = s.gates + row * b.gates_row, *update = reset + b.hidden, *recurrent = update + b.hidden,
    *fresh = recurrent + b.hidden;
  const T* h_previous = b.h_previous + row * b.state_row;
  T *h = s.h + row * b.hidden, *next = s.next + row * b.state_row;
#pragma GCC ivdep
  for (int64_t j = 0; j < b.cols; ++j) {
    const T r = vec::sigmoid(reset[j]), z = vec::sigmoid(update[j]);
    const T part = s.new_bias != nullptr ? recurrent[j] + s.new_bias[j] : recurrent[j];
    const T n = vec::tanh(fresh[j] + r * part);
    const T result = n + z * (h_previous[j] - n);
    reset[j] = r, update[j] = z, recurrent[j] = part, fresh[j] = n;
    h[j] = result, next[j] = result;
  }
}

template <class T>
void gru_row_backward(const CellBackward<T>& s, int64_t row) {
  const CellBlock<T>& b = s.block;
  const T *reset = s.gates + row * b.gates_row, *update = reset + b.hidden, *recurrent = update + b.hidden,
          *fresh = recurrent + b.hidden;
  T *grad_reset = s.grad_gates + row * b.gates_row, *grad_update = grad_reset + b.hidden,
    *grad_recurrent = grad_update + b.hidden, *grad_fresh = grad_recurrent + b.hidden;
  const T* h_previous = b.h_previous + row * b.state_row;
  const T* grad_h = s.grad_h != nullptr ? s.grad_h + row * b.hidden : nullptr;
  T* carry_h = s.carry_h + row * b.hidden;
#pragma GCC ivdep
  for (int64_t j = 0; j < b.cols; ++j) {
    const T r = reset[j], z = update[j], n = fresh[j];
    const T dh = grad_h != nullptr ? carry_h[j] + grad_h[j] : carry_h[j];
    const T dn = dh * (T(1) - z) * (T(1) - n * n);
    grad_fresh[j] = dn;
    grad_recurrent[j] = dn * r;
    grad_reset[j] = dn * recurrent[j] * r * (T(1) - r);
    grad_update[j] = dh * (h_previous[j] - n) * z * (T(1) - z);
    carry_h[j] = dh * z;
  }
}

template <bool kRelu, class T>
void plain_row(const CellForward<T>& s, int64_t row) {
  const CellBlock<T>& b = s.block;
  T *sum = s.gates + row * b.gates_row, *h = s.h + row * b.hidden, *next = s.next + row * b.state_row;
#pragma GCC ivdep
  for (int64_t j = 0; j < b.cols; ++j) {
    const T result = kRelu ? (sum[j] < T(0) ? T(0) : sum[j]) : vec::tanh(sum[j]);
    sum[j] = result, h[j] = result, next[j] = result;
  }
}

template <bool kRelu, class T>
void plain_row_backward(const CellBackward<T>& s, int64_t row) {
  const CellBlock<T>& b = s.block;
  const T *h = s.gates + row * b.gates_row, *carry_h = s.carry_h + row * b.hidden;
  const T* grad_h = s.grad_h != nullptr ? s.grad_h + row * b.hidden : nullptr;
  T* grad_sum = s.grad_gates + row * b.gates_row;
#pragma GCC ivdep
  for (int64_t j = 0; j < b.cols; ++j) {
    const T dh = grad_h != nullptr ? carry_h[j] + grad_h[j] : carry_h[j];
    grad_sum[j] = kRelu ? (h[j] <= T(0) ? T(0) : dh) : dh * (T(1) - h[j] * h[j]);
  }
}

}  // namespace

template <class T>
void cell_forward(RecurrentKind kind, const CellForward<T>& step) {
  for (int64_t row = 0; row < step.block.rows; ++row) {
    if (kind == RecurrentKind::kLstm) lstm_row(step, row);
    if (kind == RecurrentKind::kGru) gru_row(step, row);
    if (kind == RecurrentKind::kTanh) plain_row<false>(step, row);
    if (kind == RecurrentKind::kRelu) plain_row<true>(step, row);
  }
}

template <class T>
void cell_backward(RecurrentKind kind, const CellBackward<T>& step) {
  for (int64_t row = 0; row < step.block.rows; ++row) {
    if (kind == RecurrentKind::kLstm) lstm_row_backward(step, row);
    if (kind == RecurrentKind::kGru) gru_row_backward(step, row);
    if (kind == RecurrentKind::kTanh) plain_row_backward<false>(step, row);
    if (kind == RecurrentKind::kRelu) plain_row_backward<true>(step, row);
  }
}

#define INSTANTIATE(T)                                                   \
  template void cell_forward(RecurrentKind kind, const CellForward<T>&); \
  template void cell_backward(RecurrentKind kind, const CellBackward<T>&);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
