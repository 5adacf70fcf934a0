// Recurrent layers: a whole sequence through one layer in one direction. nn/recurrent.h stacks them.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// Weights of a layer with G gates, as PyTorch's weight_ih_l0, weight_hh_l0, bias_ih_l0 and bias_hh_l0.
struct RecurrentWeights {
  Tensor input;             ///< [G hidden, inputs]
  Tensor hidden;            ///< [G hidden, hidden]
  Tensor input_bias = {};   ///< [G hidden], or left out
  Tensor hidden_bias = {};  ///< [G hidden], or left out
};

/// What a recurrent layer gives.
struct RecurrentSequence {
  Tensor output;  ///< [T, N, hidden]: h of every step, where its input stands
  Tensor h;       ///< [N, hidden]: h after the last step
  Tensor c = {};  ///< LSTM: the same of c
};

// All three functions: x [T, N, inputs] with T of at least 1; h and c, the state before the first step, [N, hidden] or
// left out (zeros); with `reverse` the last input is the first step. Everything f32, or everything f64. Differentiable
// in every tensor. Throw ShapeError for shapes that do not fit together, DTypeError for other or mixed dtypes. Sums are
// cut by shape, so that results do not depend on the number of threads.

/// Long short-term memory (Hochreiter and Schmidhuber, 1997; with forget gate), gates in the order i, f, g, o:
///   i, f, o = sigmoid(W x_t + b + U h_(t-1) + d), g = tanh(the same of its rows),
///   c_t = f c_(t-1) + i g, h_t = o tanh(c_t).
[[nodiscard]] RecurrentSequence lstm_layer(const Tensor& x, const RecurrentWeights& weights, const Tensor& h = {},
                                           const Tensor& c = {}, bool reverse = false);

/// Gated recurrent unit (Cho et al., 2014), gates in the order r, z, n, in the variant of PyTorch and cuDNN:
///   r, z = sigmoid(W x_t + b + U h_(t-1) + d), n = tanh(W x_t + b + r (U h_(t-1) + d)),
///   h_t = (1 - z) n + z h_(t-1).
[[nodiscard]] RecurrentSequence gru_layer(const Tensor& x, const RecurrentWeights& weights, const Tensor& h = {},
                                          bool reverse = false);

/// What an Elman network applies to its sums.
enum class RnnNonlinearity { kTanh, kRelu };

/// Elman's network (1990): h_t = tanh(W x_t + b + U h_(t-1) + d), or relu.
[[nodiscard]] RecurrentSequence rnn_layer(const Tensor& x, const RecurrentWeights& weights, const Tensor& h = {},
                                          RnnNonlinearity nonlinearity = RnnNonlinearity::kTanh, bool reverse = false);

}  // namespace tern
