// LSTM, GRU and RNN, and a single step of each, with PyTorch's interface and parameter names.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <tern/core/ops/recurrent.h>
#include <tern/nn/module.h>

// The forwards of these layers hide Module's, as they are called in another way.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverloaded-virtual"

namespace tern::nn {

/// States between two calls of an LSTM. Both or neither defined: layers that get none start from zeros.
struct LSTMState {
  Tensor h = {};
  Tensor c = {};
};

/// What a call of an LSTM gives. The members' shapes are those of the class.
struct LSTMOutput {
  Tensor output;
  LSTMState state;
};

/// What a call of a GRU or RNN gives.
struct RecurrentOutput {
  Tensor output;
  Tensor h;
};

/// What may stand where an LSTM stands.
struct LSTMInterface {
  virtual ~LSTMInterface() = default;
  virtual LSTMOutput forward(const Tensor& x, const LSTMState& state = {}) = 0;
};

/// What may stand where a GRU or RNN stands.
struct RecurrentInterface {
  virtual ~RecurrentInterface() = default;
  virtual RecurrentOutput forward(const Tensor& x, const Tensor& h = {}) = 0;
};

/// Settings of LSTM and GRU.
struct RecurrentOptions {
  int64_t input_size = 0;      ///< required, at least 1
  int64_t hidden_size = 0;     ///< required, at least 1
  int64_t num_layers = 1;      ///< each takes the output of the one before
  bool bias = true;            ///< with bias_ih and bias_hh
  bool batch_first = false;    ///< x and output are [N, T, width] in place of [T, N, width]; states are not concerned
  double dropout = 0;          ///< in [0, 1]; in training, of every layer's output but the last one's
  bool bidirectional = false;  ///< a second set of weights reads the sequence from its end
};

/// What LSTM, GRU and RNN share: the stack of layers. Parameters are named as PyTorch's and in its order: for each
/// layer k weight_ih_lk [gates hidden_size, width of its input], weight_hh_lk [gates hidden_size, hidden_size],
/// bias_ih_lk and bias_hh_lk [gates hidden_size], then the same with "_reverse" if bidirectional. All start uniform in
/// +-1 / sqrt(hidden_size). Formulas and the order of gates: tern/core/ops/recurrent.h.
///
/// x: [T, N, input_size], N first with batch_first, or [T, input_size] without a batch; T is at least 1. The output
/// has directions * hidden_size in place of input_size: forward states, then backward ones. States are
/// [num_layers * directions, N, hidden_size] (no N without a batch), layer by layer, forward before backward; those
/// that come back are the states after each layer's last step.
///
/// Making one throws ValueError for options out of range; calling one throws ShapeError for sizes that disagree,
/// StateError for half of a state, and what lstm_layer, gru_layer and rnn_layer throw.
class Recurrent : public Module {
 public:
  using Options = RecurrentOptions;

  bool has_forward() const override { return false; }
  std::string extra_text() const override;
  /// Of all steps, layers and directions: both products of each.
  int64_t macs(const Shape& input, const Shape& output) const override;
  /// Draws all parameters again.
  void reset_parameters();

  int64_t num_directions() const { return common_.bidirectional ? 2 : 1; }
  /// The parameters of a layer in a direction (1: reverse); the biases may be absent.
  Parameter& weight_ih(int64_t layer, int64_t direction = 0) const { return parameter(layer, direction, 0); }
  Parameter& weight_hh(int64_t layer, int64_t direction = 0) const { return parameter(layer, direction, 1); }
  Parameter& bias_ih(int64_t layer, int64_t direction = 0) const { return parameter(layer, direction, 2); }
  Parameter& bias_hh(int64_t layer, int64_t direction = 0) const { return parameter(layer, direction, 3); }

 protected:
  Recurrent(const Options& options, const char* type, int64_t gates);
  const Options& common() const { return common_; }
  /// One layer, in one direction.
  virtual RecurrentSequence run(const Tensor& x, const RecurrentWeights& weights, const Tensor& h, const Tensor& c,
                                bool reverse) const = 0;
  struct Result {
    Tensor output, h, c;
  };
  /// The whole stack; h and c as the class has them, or undefined.
  Result forward_all(const Tensor& x, const Tensor& h, const Tensor& c);

 private:
  Parameter& parameter(int64_t layer, int64_t direction, int64_t which) const;
  Tensor checked_state(const char* name, const Tensor& state, int64_t batch, bool batched) const;
  Options common_;
  const char* type_;
  int64_t gates_;
  std::vector<std::unique_ptr<Parameter>> all_;
};

/// Long short-term memory. Calling it gives output and state {h, c}:
///
///   nn::Child<nn::LSTM> lstm{this, "lstm", {.input_size = 64, .hidden_size = 512, .num_layers = 2}};
///   const auto [y, state] = lstm(x);
class LSTM : public Recurrent, public LSTMInterface {
 public:
  using Interface = LSTMInterface;
  using Options = RecurrentOptions;
  explicit LSTM(const Options& options) : Recurrent(options, "LSTM", 4) {}
  const Options& options() const { return common(); }
  LSTMOutput forward(const Tensor& x, const LSTMState& state = {}) override;

 private:
  RecurrentSequence run(const Tensor& x, const RecurrentWeights& weights, const Tensor& h, const Tensor& c,
                        bool reverse) const override;
};

/// Gated recurrent units. Calling it gives output and h.
class GRU : public Recurrent, public RecurrentInterface {
 public:
  using Interface = RecurrentInterface;
  using Options = RecurrentOptions;
  explicit GRU(const Options& options) : Recurrent(options, "GRU", 3) {}
  const Options& options() const { return common(); }
  RecurrentOutput forward(const Tensor& x, const Tensor& h = {}) override;

 private:
  RecurrentSequence run(const Tensor& x, const RecurrentWeights& weights, const Tensor& h, const Tensor& c,
                        bool reverse) const override;
};

/// Elman's network. Calling it gives output and h.
class RNN : public Recurrent, public RecurrentInterface {
 public:
  using Interface = RecurrentInterface;
  struct Options {  ///< as RecurrentOptions
    int64_t input_size = 0;
    int64_t hidden_size = 0;
    int64_t num_layers = 1;
    RnnNonlinearity nonlinearity = RnnNonlinearity::kTanh;
    bool bias = true;
    bool batch_first = false;
    double dropout = 0;
    bool bidirectional = false;
  };
  explicit RNN(const Options& options);
  const Options& options() const { return options_; }
  std::string extra_text() const override;
  RecurrentOutput forward(const Tensor& x, const Tensor& h = {}) override;

 private:
  RecurrentSequence run(const Tensor& x, const RecurrentWeights& weights, const Tensor& h, const Tensor& c,
                        bool reverse) const override;
  Options options_;
};

/// What LSTMCell, GRUCell and RNNCell share: parameters weight_ih [gates hidden_size, input_size], weight_hh [gates
/// hidden_size, hidden_size], bias_ih and bias_hh [gates hidden_size], uniform in +-1 / sqrt(hidden_size). x:
/// [N, input_size], or [input_size] without a batch; states: [N, hidden_size] or [hidden_size], zeros if left out.
/// Errors as for Recurrent.
class RecurrentCell : public Module {
 public:
  struct Options {
    int64_t input_size = 0;   ///< required, at least 1
    int64_t hidden_size = 0;  ///< required, at least 1
    bool bias = true;
  };
  bool has_forward() const override { return false; }
  std::string extra_text() const override;
  int64_t macs(const Shape& input, const Shape& output) const override;
  /// Draws all parameters again.
  void reset_parameters();

 protected:
  RecurrentCell(const Options& options, const char* type, int64_t gates);
  const Options& common() const { return common_; }
  RecurrentWeights weights() const;
  /// x as a sequence of one step, and a state with a batch; both checked.
  Tensor one_step(const Tensor& x) const;
  Tensor checked_state(const char* name, const Tensor& state, const Tensor& x) const;
  /// A state of a step, without a batch if x has none.
  static Tensor like(const Tensor& state, const Tensor& x);

 private:
  Options common_;
  const char* type_;
  int64_t gates_;

 public:
  Parameter weight_ih;
  Parameter weight_hh;
  Parameter bias_ih;
  Parameter bias_hh;
};

/// One step of an LSTM. Calling it gives the state after it; `output` is its h.
class LSTMCell : public RecurrentCell, public LSTMInterface {
 public:
  using Interface = LSTMInterface;
  using Options = RecurrentCell::Options;
  explicit LSTMCell(const Options& options) : RecurrentCell(options, "LSTMCell", 4) {}
  const Options& options() const { return common(); }
  LSTMOutput forward(const Tensor& x, const LSTMState& state = {}) override;
};

/// One step of a GRU. Calling it gives h, as `output` and as `h`.
class GRUCell : public RecurrentCell, public RecurrentInterface {
 public:
  using Interface = RecurrentInterface;
  using Options = RecurrentCell::Options;
  explicit GRUCell(const Options& options) : RecurrentCell(options, "GRUCell", 3) {}
  const Options& options() const { return common(); }
  RecurrentOutput forward(const Tensor& x, const Tensor& h = {}) override;
};

/// One step of an RNN. Calling it gives h, as `output` and as `h`.
class RNNCell : public RecurrentCell, public RecurrentInterface {
 public:
  using Interface = RecurrentInterface;
  struct Options {
    int64_t input_size = 0;   ///< required, at least 1
    int64_t hidden_size = 0;  ///< required, at least 1
    bool bias = true;
    RnnNonlinearity nonlinearity = RnnNonlinearity::kTanh;
  };
  explicit RNNCell(const Options& options);
  const Options& options() const { return options_; }
  std::string extra_text() const override;
  RecurrentOutput forward(const Tensor& x, const Tensor& h = {}) override;

 private:
  Options options_;
};

}  // namespace tern::nn

#pragma GCC diagnostic pop
