#include <cmath>

#include <tern/core/ops/recurrent.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

using Layer =
    std::function<RecurrentSequence(const Tensor& x, const RecurrentWeights& w, const Tensor& h, const Tensor& c)>;

// Inputs of an entry: x, two weights, two biases, h, c; the last ones may be missing, or undefined.
Tensor input(const Inputs& in, size_t i) {
  return i < in.size() ? in[i] : Tensor();
}

OpFunction caller(const Layer& layer) {
  return [layer](const Inputs& in) {
    const RecurrentSequence y = layer(in[0], {in[1], in[2], input(in, 3), input(in, 4)}, input(in, 5), input(in, 6));
    std::vector<Tensor> all{y.output, y.h};
    if (y.c.defined()) all.push_back(y.c);
    return all;
  };
}

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

enum class Cell { kLstm, kGru, kTanh, kRelu };

int64_t gates_of(Cell cell) {
  return cell == Cell::kLstm ? 4 : cell == Cell::kGru ? 3 : 1;
}

// One step after the other, one sum after the other.
Arrays naive(const Arrays& in, Cell cell, bool reverse) {
  const Array &x = in[0], &w = in[1], &u = in[2];
  const auto optional = [&](size_t i) { return i < in.size() ? in[i] : Array(); };
  const Array b = optional(3), d = optional(4);
  const int64_t steps = x.shape[0], batch = x.shape[1], inputs = x.shape[2], hidden = u.shape[1];
  Array h = optional(5), c = optional(6), output(Shape{steps, batch, hidden});
  if (!h.defined) h = Array(Shape{batch, hidden});
  if (!c.defined) c = Array(Shape{batch, hidden});
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t t = reverse ? steps - 1 - step : step;
    Array next_h = h, next_c = c;
    for (int64_t n = 0; n < batch; ++n)
      for (int64_t j = 0; j < hidden; ++j) {
        const auto from_input = [&](int64_t gate) {
          double sum = b.defined ? b(gate * hidden + j) : 0;
          const double *row = w.v.data() + (gate * hidden + j) * inputs, *value = x.v.data() + (t * batch + n) * inputs;
          for (int64_t l = 0; l < inputs; ++l) sum += value[l] * row[l];
          return sum;
        };
        const auto from_state = [&](int64_t gate) {
          double sum = d.defined ? d(gate * hidden + j) : 0;
          const double *row = u.v.data() + (gate * hidden + j) * hidden, *value = h.v.data() + n * hidden;
          for (int64_t l = 0; l < hidden; ++l) sum += value[l] * row[l];
          return sum;
        };
        const auto both = [&](int64_t gate) { return from_input(gate) + from_state(gate); };
        if (cell == Cell::kLstm) {
          next_c(n, j) = sigmoid(both(1)) * c(n, j) + sigmoid(both(0)) * std::tanh(both(2));
          next_h(n, j) = sigmoid(both(3)) * std::tanh(next_c(n, j));
        } else if (cell == Cell::kGru) {
          const double z = sigmoid(both(1)), fresh = std::tanh(from_input(2) + sigmoid(both(0)) * from_state(2));
          next_h(n, j) = (1 - z) * fresh + z * h(n, j);
        } else {
          next_h(n, j) = cell == Cell::kTanh ? std::tanh(both(0)) : std::max(both(0), 0.0);
        }
        output(t, n, j) = next_h(n, j);
      }
    h = next_h, c = next_c;
  }
  if (cell == Cell::kLstm) return {output, h, c};
  return {output, h};
}

// Weights are small enough that no gate saturates.
Inputs sample(Cell cell, int64_t steps, int64_t batch, int64_t inputs, int64_t hidden, bool bias = true,
              bool state = true) {
  const int64_t rows = gates_of(cell) * hidden;
  const double range = 1 / std::sqrt(static_cast<double>(hidden));
  Inputs in{uniform({steps, batch, inputs}), uniform({rows, inputs}, -range, range),
            uniform({rows, hidden}, -range, range), Tensor(), Tensor()};
  if (bias) in[3] = uniform({rows}, -range, range), in[4] = uniform({rows}, -range, range);
  if (!state) return in;
  in.push_back(uniform({batch, hidden}));
  if (cell == Cell::kLstm) in.push_back(uniform({batch, hidden}));
  return in;
}

// Among the large samples: several blocks of rows and of hidden units, and sizes whose rows are padded, in f32 and f64.
OpEntry entry(const char* name, const char* variant, Cell cell, bool reverse, const Layer& layer) {
  const auto some = [&](auto... sizes) { return sample(cell, sizes...); };
  OpEntry e{
      .name = name,
      .variant = variant,
      .call = caller(layer),
      .samples = {some(3, 2, 3, 4), some(1, 2, 3, 2), some(2, 1, 1, 1), some(4, 3, 2, 5, false, false),
                  some(2, 0, 3, 2), some(2, 2, 0, 3), some(1, 1, 2, 3, true, false)},
      .large = {some(5, 7, 19, 40), some(2, 130, 6, 33), some(2, 1, 1, 512), some(2, 3, 2, 256)},
      .reference = [=](const Arrays& in) { return naive(in, cell, reverse); },
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  };
  Inputs one_bias = some(2, 2, 3, 2);
  one_bias[3] = Tensor();
  e.samples.push_back(one_bias);
  return e;
}

}  // namespace

TERN_OP_FAMILY(recurrent) {
  for (const bool reverse : {false, true}) {
    const char* direction = reverse ? "reverse" : "";
    OpEntry lstm = entry("lstm_layer", direction, Cell::kLstm, reverse,
                         [=](const Tensor& x, const RecurrentWeights& w, const Tensor& h, const Tensor& c) {
                           return lstm_layer(x, w, h, c, reverse);
                         });
    OpEntry gru = entry("gru_layer", direction, Cell::kGru, reverse,
                        [=](const Tensor& x, const RecurrentWeights& w, const Tensor& h, const Tensor&) {
                          return gru_layer(x, w, h, reverse);
                        });
    if (!reverse) {
      const auto with = [](Inputs in, size_t i, const Tensor& other) {
        in[i] = other;
        return in;
      };
      const Inputs good = sample(Cell::kLstm, 2, 3, 5, 4);
      lstm.rejects = {
          {with(good, 0, uniform({3, 5})), "[lstm_layer] expected x [T, N, inputs] with at least one step, got [3, 5]"},
          {with(good, 0, uniform({0, 3, 5})),
           "[lstm_layer] expected x [T, N, inputs] with at least one step, got [0, 3, 5]"},
          {with(good, 0, int_range({2, 3, 5})), "[lstm_layer] expected f32 or f64, got i64"},
          {with(good, 2, uniform({12, 4})), "[lstm_layer] expected a hidden weight [4 * hidden, hidden], got [12, 4]"},
          {with(good, 1, uniform({16, 6})),
           "[lstm_layer] expected an input weight [16, 5] for x [2, 3, 5] and a hidden weight [16, 4], got [16, 6]"},
          {with(good, 1, uniform({16, 5}).to(DType::kF32)), "[lstm_layer] expected an input weight of f64, got f32"},
          {with(good, 4, uniform({15})),
           "[lstm_layer] expected a hidden bias [16] for x [2, 3, 5] and a hidden weight [16, 4], got [15]"},
          {with(good, 5, uniform({3, 5})),
           "[lstm_layer] expected h [3, 4] for x [2, 3, 5] and a hidden weight [16, 4], got [3, 5]"},
          {with(good, 6, uniform({4})),
           "[lstm_layer] expected c [3, 4] for x [2, 3, 5] and a hidden weight [16, 4], got [4]"}};
      gru.rejects = {{with(sample(Cell::kGru, 2, 3, 5, 4), 2, uniform({16, 4})),
                      "[gru_layer] expected a hidden weight [3 * hidden, hidden], got [16, 4]"}};
    }
    table.add(lstm);
    table.add(gru);
    OpEntry rnn = entry("rnn_layer", reverse ? "tanh, reverse" : "tanh", Cell::kTanh, reverse,
                        [=](const Tensor& x, const RecurrentWeights& w, const Tensor& h, const Tensor&) {
                          return rnn_layer(x, w, h, RnnNonlinearity::kTanh, reverse);
                        });
    if (!reverse)
      rnn.rejects = {{{uniform({2, 3, 5}), uniform({4, 5}), uniform({8, 4})},
                      "[rnn_layer] expected a hidden weight [1 * hidden, hidden], got [8, 4]"}};
    table.add(rnn);
  }
  // Sums that start at least 0.1 from the kink and stay there.
  const Layer relu = [](const Tensor& x, const RecurrentWeights& w, const Tensor& h, const Tensor&) {
    return rnn_layer(x, w, h, RnnNonlinearity::kRelu);
  };
  OpEntry elman = entry("rnn_layer", "relu", Cell::kRelu, false, relu);
  elman.large.clear();
  elman.samples = {{uniform({3, 2, 2}, 0.1, 1), uniform({3, 2}, 0.2, 1), uniform({3, 3}, 0.1, 0.5)},
                   {uniform({2, 2, 2}, 0.1, 1), uniform({3, 2}, -1, -0.2), uniform({3, 3}, -0.5, -0.1)}};
  elman.samples.push_back({uniform({2, 2, 2}, 0.1, 1), values({2, 2}, {0.5, 0.25, -0.5, -0.25}),
                           values({2, 2}, {0.5, 0.25, -0.5, -0.25}), values({2}, {0.25, -0.125}),
                           values({2}, {0.25, -0.125}), uniform({2, 2}, 0.1, 1)});
  table.add(elman);

  const auto golden = [&](const char* op, const std::function<Layer(const Json&)>& layer) {
    table.golden(op, [layer](const Json& a, const Inputs& in) {
      const bool bias = a.at("bias"), state = a.at("state");
      size_t next = 3;
      const auto take = [&](bool given) { return given ? in[next++] : Tensor(); };
      const RecurrentWeights w{in[1], in[2], take(bias), take(bias)};
      const Tensor h = take(state), c = take(state && next < in.size());
      const RecurrentSequence y = layer(a)(in[0], w, h, c);
      std::vector<Tensor> all{y.output, y.h};
      if (y.c.defined()) all.push_back(y.c);
      return GoldenRun(all);
    });
  };
  golden("lstm_layer", [](const Json& a) -> Layer {
    return [reverse = a.at("reverse").get<bool>()](const Tensor& x, const RecurrentWeights& w, const Tensor& h,
                                                   const Tensor& c) { return lstm_layer(x, w, h, c, reverse); };
  });
  golden("gru_layer", [](const Json& a) -> Layer {
    return [reverse = a.at("reverse").get<bool>()](const Tensor& x, const RecurrentWeights& w, const Tensor& h,
                                                   const Tensor&) { return gru_layer(x, w, h, reverse); };
  });
  golden("rnn_layer", [](const Json& a) -> Layer {
    const bool is_relu = a.at("nonlinearity").get<std::string>() == "relu";
    return [reverse = a.at("reverse").get<bool>(), kind = is_relu ? RnnNonlinearity::kRelu : RnnNonlinearity::kTanh](
               const Tensor& x, const RecurrentWeights& w, const Tensor& h, const Tensor&) {
      return rnn_layer(x, w, h, kind, reverse);
    };
  });
}

}  // namespace tern::test
