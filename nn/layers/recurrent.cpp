#include <cmath>

#include <tern/core/error.h>
#include <tern/core/ops/dropout.h>
#include <tern/core/ops/join.h>
#include <tern/core/ops/shape.h>
#include <tern/nn/init.h>
#include <tern/nn/layers/recurrent.h>

namespace tern::nn {
namespace {

constexpr int64_t kOfALayer = 4;  // parameters

void check_sizes(const char* type, int64_t input_size, int64_t hidden_size) {
  TERN_CHECK(input_size >= 1 && hidden_size >= 1, ValueError, "[", type,
             "] expected input_size and hidden_size of at least 1, got ", input_size, " and ", hidden_size);
}

const RecurrentOptions& checked(const RecurrentOptions& o, const char* type) {
  check_sizes(type, o.input_size, o.hidden_size);
  TERN_CHECK(o.num_layers >= 1, ValueError, "[", type, "] expected num_layers of at least 1, got ", o.num_layers);
  TERN_CHECK(o.dropout >= 0 && o.dropout <= 1, ValueError, "[", type, "] expected dropout in [0, 1], got ", o.dropout);
  return o;
}

const RecurrentCell::Options& checked(const RecurrentCell::Options& o, const char* type) {
  check_sizes(type, o.input_size, o.hidden_size);
  return o;
}

RecurrentOptions common_of(const RNN::Options& o) {
  return {.input_size = o.input_size,
          .hidden_size = o.hidden_size,
          .num_layers = o.num_layers,
          .bias = o.bias,
          .batch_first = o.batch_first,
          .dropout = o.dropout,
          .bidirectional = o.bidirectional};
}

Tensor empty_if(bool wanted, const Shape& shape) {
  return wanted ? empty(shape) : Tensor();
}

void draw(Parameter& parameter, int64_t hidden_size) {
  Tensor value = parameter.latent();
  const double bound = 1 / std::sqrt(static_cast<double>(hidden_size));
  if (value.defined()) init::uniform_(value, -bound, bound);
}

void check_whole(const char* type, const LSTMState& state) {
  TERN_CHECK(state.h.defined() == state.c.defined(), StateError, "[", type, "] expected both h and c or neither, got ",
             state.h.defined() ? "h" : "c", " alone");
}

}  // namespace

// -- layers

Recurrent::Recurrent(const Options& options, const char* type, int64_t gates)
    : common_(checked(options, type)), type_(type), gates_(gates) {
  const int64_t rows = gates * options.hidden_size;
  for (int64_t layer = 0; layer < options.num_layers; ++layer)
    for (int64_t direction = 0; direction < num_directions(); ++direction) {
      const int64_t width = layer == 0 ? options.input_size : num_directions() * options.hidden_size;
      const std::string end = concat("_l", layer, direction == 0 ? "" : "_reverse");
      const auto add = [&](const char* name, const Tensor& value) {
        all_.push_back(std::make_unique<Parameter>(this, name + end, value));
      };
      add("weight_ih", empty({rows, width}));
      add("weight_hh", empty({rows, options.hidden_size}));
      add("bias_ih", empty_if(options.bias, {rows}));
      add("bias_hh", empty_if(options.bias, {rows}));
    }
  reset_parameters();
}

void Recurrent::reset_parameters() {
  for (const auto& parameter : all_) draw(*parameter, common_.hidden_size);
}

Parameter& Recurrent::parameter(int64_t layer, int64_t direction, int64_t which) const {
  TERN_CHECK(layer >= 0 && layer < common_.num_layers && direction >= 0 && direction < num_directions(), ValueError,
             "[", type_, "] expected a layer below ", common_.num_layers, " and a direction below ", num_directions(),
             ", got ", layer, " and ", direction);
  return *all_[static_cast<size_t>((layer * num_directions() + direction) * kOfALayer + which)];
}

// [num_layers * directions, N, hidden_size], or undefined.
Tensor Recurrent::checked_state(const char* name, const Tensor& state, int64_t batch, bool batched) const {
  if (!state.defined()) return state;
  const int64_t depth = common_.num_layers * num_directions(), width = common_.hidden_size;
  const Shape wanted = batched ? Shape{depth, batch, width} : Shape{depth, width};
  TERN_CHECK(state.shape() == wanted, ShapeError, "[", type_, "] expected ", name, " ", wanted, ", got ",
             state.shape());
  return batched ? state : state.unsqueeze(1);
}

Recurrent::Result Recurrent::forward_all(const Tensor& input, const Tensor& h, const Tensor& c) {
  check_defined(type_, input);
  const bool batched = input.dim() == 3;
  TERN_CHECK((batched || input.dim() == 2) && input.size(-1) == common_.input_size, ShapeError, "[", type_,
             "] expected input ", common_.batch_first ? "[N, T, " : "[T, N, ", common_.input_size, "] or [T, ",
             common_.input_size, "], got ", input.shape());
  Tensor x = !batched ? input.unsqueeze(1) : common_.batch_first ? input.transpose(0, 1) : input;
  const Tensor all_h = checked_state("h", h, x.size(1), batched), all_c = checked_state("c", c, x.size(1), batched);

  std::vector<Tensor> last_h, last_c;
  for (int64_t layer = 0; layer < common_.num_layers; ++layer) {
    std::vector<Tensor> outputs;
    for (int64_t direction = 0; direction < num_directions(); ++direction) {
      const int64_t place = layer * num_directions() + direction;
      const auto state = [&](const Tensor& all) { return all.defined() ? all.select(0, place) : Tensor(); };
      const RecurrentWeights weights{weight_ih(layer, direction)(), weight_hh(layer, direction)(),
                                     bias_ih(layer, direction)(), bias_hh(layer, direction)()};
      RecurrentSequence y = run(x, weights, state(all_h), state(all_c), direction == 1);
      outputs.push_back(y.output);
      last_h.push_back(y.h);
      if (y.c.defined()) last_c.push_back(y.c);
    }
    x = outputs.size() == 1 ? outputs[0] : cat(outputs, -1);
    if (layer + 1 < common_.num_layers) x = dropout(x, common_.dropout, is_training());
  }
  const auto joined = [&](const std::vector<Tensor>& states) {
    if (states.empty()) return Tensor();
    const Tensor all = stack(states, 0);
    return batched ? all : all.squeeze(1);
  };
  return {!batched ? x.squeeze(1) : common_.batch_first ? x.transpose(0, 1) : x, joined(last_h), joined(last_c)};
}

std::string Recurrent::extra_text() const {
  const Options& o = common_;
  std::string text = concat(o.input_size, ", ", o.hidden_size);
  if (o.num_layers != 1) text += concat(", num_layers=", o.num_layers);
  if (!o.bias) text += ", bias=false";
  if (o.batch_first) text += ", batch_first=true";
  if (o.dropout != 0) text += concat(", dropout=", o.dropout);
  if (o.bidirectional) text += ", bidirectional=true";
  return text;
}

int64_t Recurrent::macs(const Shape& input, const Shape&) const {
  const int64_t hidden = common_.hidden_size, directions = num_directions();
  const int64_t widths = common_.input_size + (common_.num_layers - 1) * directions * hidden;
  const int64_t rows = numel_of(input) / common_.input_size;
  return rows * directions * gates_ * hidden * (widths + common_.num_layers * hidden);
}

LSTMOutput LSTM::forward(const Tensor& x, const LSTMState& state) {
  check_whole("LSTM", state);
  Result all = forward_all(x, state.h, state.c);
  return {all.output, {all.h, all.c}};
}

RecurrentSequence LSTM::run(const Tensor& x, const RecurrentWeights& weights, const Tensor& h, const Tensor& c,
                            bool reverse) const {
  return lstm_layer(x, weights, h, c, reverse);
}

RecurrentOutput GRU::forward(const Tensor& x, const Tensor& h) {
  Result all = forward_all(x, h, {});
  return {all.output, all.h};
}

RecurrentSequence GRU::run(const Tensor& x, const RecurrentWeights& weights, const Tensor& h, const Tensor&,
                           bool reverse) const {
  return gru_layer(x, weights, h, reverse);
}

RNN::RNN(const Options& options) : Recurrent(common_of(options), "RNN", 1), options_(options) {}

std::string RNN::extra_text() const {
  return Recurrent::extra_text() + (options_.nonlinearity == RnnNonlinearity::kRelu ? ", nonlinearity=relu" : "");
}

RecurrentOutput RNN::forward(const Tensor& x, const Tensor& h) {
  Result all = forward_all(x, h, {});
  return {all.output, all.h};
}

RecurrentSequence RNN::run(const Tensor& x, const RecurrentWeights& weights, const Tensor& h, const Tensor&,
                           bool reverse) const {
  return rnn_layer(x, weights, h, options_.nonlinearity, reverse);
}

// -- cells

RecurrentCell::RecurrentCell(const Options& options, const char* type, int64_t gates)
    : common_(checked(options, type)),
      type_(type),
      gates_(gates),
      weight_ih(this, "weight_ih", empty({gates * options.hidden_size, options.input_size})),
      weight_hh(this, "weight_hh", empty({gates * options.hidden_size, options.hidden_size})),
      bias_ih(this, "bias_ih", empty_if(options.bias, {gates * options.hidden_size})),
      bias_hh(this, "bias_hh", empty_if(options.bias, {gates * options.hidden_size})) {
  reset_parameters();
}

void RecurrentCell::reset_parameters() {
  for (Parameter* parameter : own_parameters()) draw(*parameter, common_.hidden_size);
}

RecurrentWeights RecurrentCell::weights() const {
  return {weight_ih(), weight_hh(), bias_ih(), bias_hh()};
}

Tensor RecurrentCell::one_step(const Tensor& x) const {
  check_defined(type_, x);
  TERN_CHECK((x.dim() == 1 || x.dim() == 2) && x.size(-1) == common_.input_size, ShapeError, "[", type_,
             "] expected input [N, ", common_.input_size, "] or [", common_.input_size, "], got ", x.shape());
  return x.reshape({1, x.numel() / common_.input_size, common_.input_size});
}

Tensor RecurrentCell::checked_state(const char* name, const Tensor& state, const Tensor& x) const {
  if (!state.defined()) return state;
  Shape wanted = x.shape();
  wanted.back() = common_.hidden_size;
  TERN_CHECK(state.shape() == wanted, ShapeError, "[", type_, "] expected ", name, " ", wanted, ", got ",
             state.shape());
  return x.dim() == 2 ? state : state.unsqueeze(0);
}

Tensor RecurrentCell::like(const Tensor& state, const Tensor& x) {
  return x.dim() == 2 ? state : state.squeeze(0);
}

std::string RecurrentCell::extra_text() const {
  return concat(common_.input_size, ", ", common_.hidden_size, common_.bias ? "" : ", bias=false");
}

int64_t RecurrentCell::macs(const Shape&, const Shape& output) const {
  return numel_of(output) * gates_ * (common_.input_size + common_.hidden_size);
}

LSTMOutput LSTMCell::forward(const Tensor& x, const LSTMState& state) {
  check_whole("LSTMCell", state);
  const Tensor sequence = one_step(x), h = checked_state("h", state.h, x), c = checked_state("c", state.c, x);
  const RecurrentSequence y = lstm_layer(sequence, weights(), h, c);
  const Tensor next = like(y.h, x);
  return {next, {next, like(y.c, x)}};
}

RecurrentOutput GRUCell::forward(const Tensor& x, const Tensor& h) {
  const Tensor sequence = one_step(x);
  const Tensor next = like(gru_layer(sequence, weights(), checked_state("h", h, x)).h, x);
  return {next, next};
}

RNNCell::RNNCell(const Options& options)
    : RecurrentCell({.input_size = options.input_size, .hidden_size = options.hidden_size, .bias = options.bias},
                    "RNNCell", 1),
      options_(options) {}

std::string RNNCell::extra_text() const {
  return RecurrentCell::extra_text() + (options_.nonlinearity == RnnNonlinearity::kRelu ? ", nonlinearity=relu" : "");
}

RecurrentOutput RNNCell::forward(const Tensor& x, const Tensor& h) {
  const Tensor sequence = one_step(x);
  const Tensor next = like(rnn_layer(sequence, weights(), checked_state("h", h, x), options_.nonlinearity).h, x);
  return {next, next};
}

}  // namespace tern::nn
