#include <cmath>

#include <tern/core/ops/loss.h>

#include "op_table/op_table.h"
#include "op_table/reductions.h"

namespace tern::test {
namespace {

struct ClassSetting {
  double smoothing = 0;
  int64_t ignore_index = -100;
  Reduction reduction = Reduction::kMean;
  bool soft = false;
  bool log_probabilities = false;  // the input is logarithms already: nll_loss
};

// Cross-entropy from its definition, class by class: in = logits, target, weight (may be absent).
Array class_loss(const Arrays& in, const ClassSetting& s) {
  const Array& x = in[0];
  const int64_t axis = x.dim() == 1 ? 0 : 1, classes = x.shape[axis];
  Shape shape = x.shape;
  shape.erase(axis);
  Array losses(shape);
  double total = 0;
  for_each_index(shape, [&](const Dims& row) {
    Dims at = row;
    at.insert(axis, 0);
    const double top = x.at(at);
    double sum = 0;
    for (at[axis] = 0; at[axis] < classes; ++at[axis]) sum += std::exp(x.at(at) - top);
    const double log_sum = s.log_probabilities ? 0 : top + std::log(sum);
    const auto weight = [&](int64_t c) { return in.size() > 2 ? in[2].v[static_cast<size_t>(c)] : 1.0; };
    if (!s.soft && static_cast<int64_t>(in[1].at(row)) == s.ignore_index) return;
    for (at[axis] = 0; at[axis] < classes; ++at[axis]) {
      const int64_t c = at[axis];
      const double target = s.soft ? in[1].at(at) : static_cast<double>(static_cast<int64_t>(in[1].at(row)) == c);
      const double smooth = (1 - s.smoothing) * target + s.smoothing / static_cast<double>(classes);
      losses.at(row) += smooth * weight(c) * (log_sum - x.at(at));
    }
    total += s.soft ? 1 : weight(static_cast<int64_t>(in[1].at(row)));
  });
  return reduced(losses, s.reduction, total);
}

void add_cross_entropy(OpTable& table) {
  const std::vector<Inputs> samples = {
      {uniform({4, 5}, -2, 2), integers({4}, 0, 5)},
      {uniform({3, 37}, -2, 2), integers({3}, 0, 37)},
      {uniform({2, 4, 3}, -2, 2), integers({2, 3}, 0, 4)},
      {channels_last(uniform({2, 3, 2, 2}, -2, 2)), integers({2, 2, 2}, 0, 3)},
      {uniform({6}, -1, 1), integers({}, 0, 6)},
      {strided(uniform({3, 5})), strided(integers({3}, 0, 5))},
  };
  const std::vector<Inputs> large = {{uniform({300, 110}, -20, 20), integers({300}, 0, 110)},
                                     {uniform({5, 9000}, -20, 20), integers({5}, 0, 9000)}};
  for (const Reduction reduction : {Reduction::kMean, Reduction::kSum, Reduction::kNone}) {
    for (const double smoothing : {0.0, 0.1}) {
      const ClassSetting setting{.smoothing = smoothing, .ignore_index = 1, .reduction = reduction};
      const auto call = [=](const Inputs& in) {
        return cross_entropy(in[0], in[1],
                             {.weight = in.size() > 2 ? in[2] : Tensor(),
                              .ignore_index = setting.ignore_index,
                              .label_smoothing = setting.smoothing,
                              .reduction = setting.reduction});
      };
      const std::string variant = concat(name_of(reduction), ", smoothing ", smoothing);
      table.add({
          .name = "cross_entropy",
          .variant = variant,
          .call = call,
          .samples = samples,
          .large = large,
          .reference = [=](const Arrays& in) { return class_loss(in, setting); },
          .f64 = tol::kF64Sum,
          .f32 = tol::kF32Sum,
      });
      table.add({
          .name = "cross_entropy",
          .variant = variant + ", weights",
          .call = call,
          .samples = {{uniform({4, 5}, -2, 2), integers({4}, 0, 5), uniform({5}, 0.2, 2)},
                      {uniform({2, 13, 3}, -2, 2), integers({2, 3}, 0, 13), strided(uniform({13}, 0.2, 2))}},
          .reference = [=](const Arrays& in) { return class_loss(in, setting); },
          .differentiable = {{0}},
          .f64 = tol::kF64Sum,
          .f32 = tol::kF32Sum,
      });
      ClassSetting soft = setting;
      soft.soft = true;
      table.add({
          .name = "cross_entropy",
          .variant = variant + ", probabilities",
          .call = call,
          .samples = {{uniform({4, 5}, -2, 2), uniform({4, 5}, 0, 1)},
                      {uniform({2, 13, 3}, -2, 2), uniform({2, 13, 3}, 0, 1)},
                      {uniform({5}, -2, 2), uniform({5}, 0, 1)},
                      {channels_last(uniform({2, 3, 2, 2}, -2, 2)), uniform({2, 3, 2, 2}, 0, 1)}},
          .large = {{uniform({300, 110}, -20, 20), uniform({300, 110}, 0, 1)}},
          .reference = [=](const Arrays& in) { return class_loss(in, soft); },
          .f64 = tol::kF64Sum,
          .f32 = tol::kF32Sum,
      });
      table.add({
          .name = "cross_entropy",
          .variant = variant + ", probabilities, weights",
          .call = call,
          .samples = {{uniform({4, 5}, -2, 2), uniform({4, 5}, 0, 1), uniform({5}, 0.2, 2)}},
          .reference = [=](const Arrays& in) { return class_loss(in, soft); },
          .differentiable = {{0, 1}},
          .f64 = tol::kF64Sum,
          .f32 = tol::kF32Sum,
      });
    }
    ClassSetting nll{.ignore_index = 1, .reduction = reduction, .log_probabilities = true};
    table.add({
        .name = "nll_loss",
        .variant = name_of(reduction),
        .call =
            [=](const Inputs& in) {
              return nll_loss(in[0], in[1],
                              {.weight = in.size() > 2 ? in[2] : Tensor(), .ignore_index = 1, .reduction = reduction});
            },
        .samples = {{uniform({4, 5}, -4, 0), integers({4}, 0, 5)},
                    {uniform({2, 4, 3}, -4, 0), integers({2, 3}, 0, 4), uniform({4}, 0.2, 2)},
                    {uniform({6}, -4, 0), integers({}, 2, 6)}},
        .reference = [=](const Arrays& in) { return class_loss(in, nll); },
        .differentiable = {{0}},
        .f64 = tol::kF64Sum,
        .f32 = tol::kF32Sum,
    });
  }
  const auto plain = [](const Inputs& in) { return cross_entropy(in[0], in[1]); };
  table.add({
      .name = "cross_entropy",
      .variant = "defaults",
      .call = plain,
      .samples = {{uniform({2, 3}), integers({2}, 0, 3)}, {uniform({4, 1}, -2, 2), integers({4}, 0, 1)}},
      .reference = [](const Arrays& in) { return class_loss(in, {}); },
      .rejects = {{{uniform({2, 3}), values({2}, {0, 3}).to(DType::kI64)},
                   "[cross_entropy] expected labels in [0, 3) or -100 (ignored), got 3 at position 1"},
                  {{uniform({2, 3}), values({2}, {-1, 0}).to(DType::kI64)},
                   "[cross_entropy] expected labels in [0, 3) or -100 (ignored), got -1 at position 0"},
                  {{uniform({2, 3}), int_range({3})}, "[cross_entropy] expected labels of shape [2], got [3]"},
                  {{uniform({2, 3}), mask({2})}, "[cross_entropy] expected labels of i64, got u8"},
                  {{uniform({2, 3}), uniform({2})},
                   "[cross_entropy] expected class probabilities f64 [2, 3] or labels i64 [2], got f64 [2]"},
                  {{uniform({2, 3}), uniform({2, 3}).to(DType::kF32)},
                   "[cross_entropy] expected class probabilities of f64, got f32"},
                  {{int_range({2, 3}), int_range({2})}, "[cross_entropy] expected f32 or f64, got i64"},
                  {{uniform({2, 0}), int_range({2})}, "[cross_entropy] expected at least one class, got input [2, 0]"},
                  {{uniform({}), int_range({})}, "[cross_entropy] expected input [N, C], [N, C, ...] or [C], got []"},
                  {{uniform({2, 3}), int_range({2})},
                   "[cross_entropy] expected label_smoothing in [0, 1], got 1.5",
                   [](const Inputs& in) { return cross_entropy(in[0], in[1], {.label_smoothing = 1.5}); }},
                  {{uniform({2, 3}), int_range({2}), uniform({2})},
                   "[cross_entropy] expected a weight for each class, [3], got [2]",
                   [](const Inputs& in) { return cross_entropy(in[0], in[1], {.weight = in[2]}); }},
                  {{uniform({2, 3}), int_range({2}), uniform({3}).to(DType::kF32)},
                   "[nll_loss] expected a weight of f64, got f32",
                   [](const Inputs& in) { return nll_loss(in[0], in[1], {.weight = in[2]}); }},
                  {{uniform({2, 3}), int_range({2})},
                   "[cross_entropy] expected the reduction kMean, kSum or kNone, got kBatchMean",
                   [](const Inputs& in) { return cross_entropy(in[0], in[1], {.reduction = Reduction::kBatchMean}); }},
                  {{uniform({2, 3}), values({2}, {0, 7}).to(DType::kI64)},
                   "[nll_loss] expected labels in [0, 3) or -100 (ignored), got 7 at position 1",
                   [](const Inputs& in) { return nll_loss(in[0], in[1]); }}},
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  });
}

}  // namespace

TERN_OP_FAMILY(loss) {
  add_cross_entropy(table);
  table.golden("cross_entropy", [](const Json& a, const Inputs& in) {
    return cross_entropy(in[0], in[1],
                         {.weight = argument(a, in, "weight"),
                          .ignore_index = a.value("ignore_index", int64_t{-100}),
                          .label_smoothing = a.at("label_smoothing"),
                          .reduction = reduction_of(a)});
  });
  table.golden("nll_loss", [](const Json& a, const Inputs& in) {
    return nll_loss(
        in[0], in[1],
        {.weight = argument(a, in, "weight"), .ignore_index = a.at("ignore_index"), .reduction = reduction_of(a)});
  });
}

}  // namespace tern::test
