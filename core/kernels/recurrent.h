// The element-wise part of a step of a recurrent layer: gates and states, forward and backward.
#pragma once

#include <tern/core/kernels/kernel.h>

namespace tern {

enum class RecurrentKind { kLstm, kGru, kTanh, kRelu };

/// A block of one step: some rows of the batch by some hidden units. All pointers are at the block's first element.
///
/// Gates lie in slots of `hidden` columns, rows `gates_row` apart:
///   kLstm         input, forget, cell, output;
///   kGru          reset, update, the recurrent part of "new", "new";
///   kTanh, kRelu  the state itself.
template <class T>
struct CellBlock {
  int64_t rows = 0, cols = 0;
  int64_t hidden = 0, gates_row = 0;
  int64_t state_row = 0;  ///< of h_previous
  const T* h_previous = nullptr;
  const T* c_previous = nullptr;  ///< this and all the other states: rows `hidden` apart
};

template <class T>
struct CellForward {
  CellBlock<T> block;
  T* gates = nullptr;           ///< sums of products and biases in, values after their functions out
  const T* new_bias = nullptr;  ///< kGru: added to the recurrent part of "new"; may be null
  T* c = nullptr;               ///< kLstm
  T* h = nullptr;
  T* next = nullptr;  ///< h once more, rows block.state_row apart
};

template <class T>
struct CellBackward {
  CellBlock<T> block;
  const T* gates = nullptr;   ///< what the forward left
  T* grad_gates = nullptr;    ///< of the sums that came in, in the same slots, rows block.gates_row apart
  const T* c = nullptr;       ///< kLstm
  const T* grad_h = nullptr;  ///< from the layer's output; may be null
  T* carry_h = nullptr;       ///< from the later step in; kGru: what reaches h_previous past the gates out
  T* carry_c = nullptr;       ///< kLstm: of c in, of c_previous out
};

}  // namespace tern

TERN_DECLARE_KERNELS(
    /// h (and c) of a step, on the calling thread.
    ///   LSTM: c = forget * c_previous + input * cell, h = output * tanh(c)
    ///   GRU:  new = tanh(x part + reset * recurrent part), h = (1 - update) * new + update * h_previous
    template <class T> void cell_forward(RecurrentKind kind, const CellForward<T>& step);
    /// The gradients of the same, on the calling thread.
    template <class T> void cell_backward(RecurrentKind kind, const CellBackward<T>& step);)
