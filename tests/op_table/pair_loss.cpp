#include <cmath>

#include <tern/core/ops/pair_loss.h>

#include "op_table/op_table.h"
#include "op_table/reductions.h"

namespace tern::test {
namespace {

Array pairwise(const Array& x, const Array& t, Reduction reduction, const std::function<double(double, double)>& f) {
  const double rows = x.dim() == 0 ? 1 : static_cast<double>(x.shape[0]);
  return reduced(zip(x, t, f), reduction, reduction == Reduction::kBatchMean ? rows : static_cast<double>(x.numel()));
}

void add_pair_losses(OpTable& table) {
  struct Pair {
    const char* name;
    std::function<Tensor(const Tensor&, const Tensor&, Reduction)> call;
    std::function<double(double, double)> value;
    double low, high;  // of the target
    std::function<bool(double, double)> kink;
  };
  const auto smooth = [](double, double) { return false; };
  const std::vector<Pair> pairs = {
      {"mse_loss", [](const Tensor& x, const Tensor& t, Reduction r) { return mse_loss(x, t, r); },
       [](double x, double t) { return (x - t) * (x - t); }, -1, 1, smooth},
      {"l1_loss", [](const Tensor& x, const Tensor& t, Reduction r) { return l1_loss(x, t, r); },
       [](double x, double t) { return std::abs(x - t); }, -1, 1,
       [](double x, double t) { return std::abs(x - t) < 1e-3; }},
      {"smooth_l1_loss", [](const Tensor& x, const Tensor& t, Reduction r) { return smooth_l1_loss(x, t, 0.7, r); },
       [](double x, double t) {
         const double d = std::abs(x - t);
         return d < 0.7 ? d * d / 1.4 : d - 0.35;
       },
       -1, 1, smooth},
      {"huber_loss", [](const Tensor& x, const Tensor& t, Reduction r) { return huber_loss(x, t, 0.7, r); },
       [](double x, double t) {
         const double d = std::abs(x - t);
         return d < 0.7 ? d * d / 2 : 0.7 * (d - 0.35);
       },
       -1, 1, smooth},
      {"bce_with_logits",
       [](const Tensor& x, const Tensor& t, Reduction r) { return bce_with_logits(x, t, {.reduction = r}); },
       [](double x, double t) { return t * std::log1p(std::exp(-x)) + (1 - t) * std::log1p(std::exp(x)); }, 0, 1,
       smooth},
      {"soft_margin_loss", [](const Tensor& x, const Tensor& t, Reduction r) { return soft_margin_loss(x, t, r); },
       [](double x, double t) { return std::log1p(std::exp(-t * x)); }, -1, 1, smooth},
      {"kl_div", [](const Tensor& x, const Tensor& t, Reduction r) { return kl_div(x, t, {.reduction = r}); },
       [](double x, double t) { return t * (std::log(t) - x); }, 0.05, 1, smooth},
  };
  for (const Pair& pair : pairs) {
    std::vector<Reduction> reductions = {Reduction::kMean, Reduction::kSum, Reduction::kNone};
    if (pair.name == std::string("kl_div")) reductions.push_back(Reduction::kBatchMean);
    for (const Reduction reduction : reductions) {
      const auto call = pair.call;
      const auto value = pair.value;
      const auto kink = pair.kink;
      std::vector<Reject> rejects = {
          {{uniform({2, 3}), uniform({3})},
           concat("[", pair.name, "] expected input and target of one shape, got [2, 3] and [3]")},
          {{uniform({3}), uniform({3}).to(DType::kF32)},
           concat("[", pair.name, "] expected input and target of one dtype, got f64 and f32")},
          {{int_range({2}), int_range({2})}, concat("[", pair.name, "] expected f32 or f64, got i64")}};
      if (reductions.size() == 3)
        rejects.push_back({{uniform({2}), uniform({2})},
                           concat("[", pair.name, "] expected the reduction kMean, kSum or kNone, got kBatchMean"),
                           [=](const Inputs& in) { return call(in[0], in[1], Reduction::kBatchMean); }});
      table.add({
          .name = pair.name,
          .variant = name_of(reduction),
          .call = [=](const Inputs& in) { return call(in[0], in[1], reduction); },
          .samples = {{uniform({3, 4}, -2, 2), uniform({3, 4}, pair.low, pair.high)},
                      {strided(uniform({5}, -2, 2)), permuted(uniform({5}, pair.low, pair.high))},
                      {channels_last(uniform({2, 3, 2, 2}, -2, 2)), uniform({2, 3, 2, 2}, pair.low, pair.high)},
                      {uniform({1}, -2, 2), uniform({1}, pair.low, pair.high)}},
          .large = {{uniform({40000}, -20, 20), uniform({40000}, pair.low, pair.high)}},
          .reference = [=](const Arrays& in) { return pairwise(in[0], in[1], reduction, value); },
          .avoid =
              [=](const Arrays& in) {
                const Array at = zip(in[0], in[1], [=](double x, double t) { return kink(x, t); });
                return Arrays{at, at};
              },
          .rejects = rejects,
          .f64 = tol::kF64Sum,
          .f32 = tol::kF32Sum,
      });
    }
  }
  table.add({
      .name = "kl_div",
      .variant = "log target",
      .call =
          [](const Inputs& in) {
            return kl_div(in[0], in[1], {.log_target = true, .reduction = Reduction::kBatchMean});
          },
      .samples = {{uniform({3, 4}, -3, 0), uniform({3, 4}, -3, 0)}},
      .reference =
          [](const Arrays& in) {
            return pairwise(in[0], in[1], Reduction::kBatchMean,
                            [](double x, double t) { return std::exp(t) * (t - x); });
          },
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  });
  table.add({
      .name = "bce_with_logits",
      .variant = "weights",
      .call =
          [](const Inputs& in) {
            return bce_with_logits(in[0], in[1], {.weight = in[2], .pos_weight = in[3], .reduction = Reduction::kSum});
          },
      .samples = {{uniform({3, 4}, -4, 4), uniform({3, 4}, 0, 1), uniform({3, 1}, 0, 2), uniform({4}, 0.5, 3)},
                  {channels_last(uniform({2, 3, 2, 2}, -2, 2)), uniform({2, 3, 2, 2}, 0, 1), uniform({1}, 0, 2),
                   uniform({3, 1, 1}, 0.5, 3)}},
      .reference =
          [](const Arrays& in) {
            const Array w = broadcast(in[2], in[0].shape), p = broadcast(in[3], in[0].shape);
            Array out(Shape{});
            for (size_t i = 0; i < in[0].v.size(); ++i) {
              const double x = in[0].v[i], t = in[1].v[i];
              out.v[0] += w.v[i] * (p.v[i] * t * std::log1p(std::exp(-x)) + (1 - t) * std::log1p(std::exp(x)));
            }
            return out;
          },
      .rejects = {{{uniform({2, 3}), uniform({2, 3}), uniform({2}), uniform({3})},
                   "[bce_with_logits] expected shapes that broadcast together, got [2] and [2, 3]"}},
      .differentiable = {{0, 1}},
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  });
}

void add_probability_losses(OpTable& table) {
  const auto cross_entropy_of = [](double x, double t) {
    return -(t * std::max(std::log(x), -100.0) + (1 - t) * std::max(std::log1p(-x), -100.0));
  };
  for (const Reduction reduction : {Reduction::kMean, Reduction::kSum, Reduction::kNone}) {
    table.add({
        .name = "binary_cross_entropy",
        .variant = name_of(reduction),
        .call =
            [=](const Inputs& in) {
              return binary_cross_entropy(in[0], in[1],
                                          {.weight = in.size() > 2 ? in[2] : Tensor(), .reduction = reduction});
            },
        .samples = {{uniform({3, 4}, 0.05, 0.95), uniform({3, 4}, 0, 1)},
                    {strided(uniform({5}, 0.05, 0.95)), permuted(uniform({5}, 0, 1))},
                    {channels_last(uniform({2, 3, 2, 2}, 0.05, 0.95)), uniform({2, 3, 2, 2}, 0, 1)},
                    {uniform({3, 4}, 0.05, 0.95), uniform({3, 4}, 0, 1), uniform({4}, 0.2, 2)}},
        .large = {{uniform({40000}, 0.01, 0.99), uniform({40000}, 0, 1)}},
        .reference =
            [=](const Arrays& in) {
              Array losses = zip(in[0], in[1], cross_entropy_of);
              if (in.size() > 2) losses = zip(losses, in[2], [](double l, double w) { return l * w; });
              return reduced(losses, reduction, static_cast<double>(losses.numel()));
            },
        .rejects = {{{values({2}, {0.5, 1.5}), uniform({2}, 0, 1)},
                     "[binary_cross_entropy] expected probabilities in [0, 1], got 1.5"},
                    {{values({1}, {kNan}), uniform({1}, 0, 1)},
                     "[binary_cross_entropy] expected probabilities in [0, 1], got nan"},
                    {{uniform({2}, 0, 1), uniform({3})},
                     "[binary_cross_entropy] expected input and target of one shape, got [2] and [3]"},
                    {{uniform({2}, 0, 1), uniform({2}).to(DType::kF32)},
                     "[binary_cross_entropy] expected input and target of one dtype, got f64 and f32"},
                    {{int_range({2}), int_range({2})}, "[binary_cross_entropy] expected f32 or f64, got i64"},
                    {{uniform({2}, 0, 1), uniform({2}), uniform({2})},
                     "[binary_cross_entropy] expected the reduction kMean, kSum or kNone, got kBatchMean",
                     [](const Inputs& in) {
                       return binary_cross_entropy(in[0], in[1], {.reduction = Reduction::kBatchMean});
                     }},
                    {{uniform({2, 3}, 0, 1), uniform({2, 3}), uniform({2})},
                     "[binary_cross_entropy] expected shapes that broadcast together, got [2] and [2, 3]"}},
        .differentiable = {{0, 1}},
        .f64 = tol::kF64Sum,
        .f32 = tol::kF32Sum,
    });
    table.add({
        .name = "hinge_embedding_loss",
        .variant = name_of(reduction),
        .call = [=](const Inputs& in) { return hinge_embedding_loss(in[0], in[1], 0.8, reduction); },
        .samples = {{uniform({7}, -2, 2), values({7}, {1, -1, -1, 0, 1, -1, 0.5})},
                    {channels_last(uniform({1, 3, 2, 2}, -2, 2)), ones_and_minus_ones(12).reshape({1, 3, 2, 2})},
                    {strided(uniform({2, 3}, -2, 2)), strided(ones_and_minus_ones(6).reshape({2, 3}))}},
        .large = {{uniform({40000}, -20, 20), ones_and_minus_ones(40000)}},
        .reference =
            [=](const Arrays& in) {
              return pairwise(in[0], in[1], reduction, [](double x, double t) {
                return (t != -1 ? x : 0) + (t != 1 ? std::max(0.8 - x, 0.0) : 0);
              });
            },
        .avoid =
            [](const Arrays& in) {
              return Arrays{map(in[0], [](double x) { return std::abs(x - 0.8) < 1e-4 ? 1.0 : 0.0; })};
            },
        .rejects = {{{uniform({2, 3}), uniform({3})},
                     "[hinge_embedding_loss] expected input and target of one shape, got [2, 3] and [3]"},
                    {{uniform({3}), int_range({3})},
                     "[hinge_embedding_loss] expected input and target of one dtype, got f64 and i64"},
                    {{uniform({2}), uniform({2})},
                     "[hinge_embedding_loss] expected the reduction kMean, kSum or kNone, got kBatchMean",
                     [](const Inputs& in) { return hinge_embedding_loss(in[0], in[1], 1, Reduction::kBatchMean); }}},
        .differentiable = {{0}},
        .f64 = tol::kF64Sum,
        .f32 = tol::kF32Sum,
    });
  }
  table.add({
      .name = "binary_cross_entropy",
      .variant = "limits",
      .call = [](const Inputs& in) { return binary_cross_entropy(in[0], in[1], {.reduction = Reduction::kNone}); },
      .samples = {{values({5}, {0, 1, 0, 1, 0}), values({5}, {0, 1, 1, 0, 0.25})}},
      .reference = [=](const Arrays& in) { return zip(in[0], in[1], cross_entropy_of); },
      .differentiable = std::vector<size_t>{},
      .f32 = tol::kF32Function,
  });
}

}  // namespace

TERN_OP_FAMILY(pair_loss) {
  add_pair_losses(table);
  add_probability_losses(table);
  table.golden("binary_cross_entropy", [](const Json& a, const Inputs& in) {
    return binary_cross_entropy(in[0], in[1], {.weight = argument(a, in, "weight"), .reduction = reduction_of(a)});
  });
  table.golden("soft_margin_loss",
               [](const Json& a, const Inputs& in) { return soft_margin_loss(in[0], in[1], reduction_of(a)); });
  table.golden("hinge_embedding_loss", [](const Json& a, const Inputs& in) {
    return hinge_embedding_loss(in[0], in[1], 0.8, reduction_of(a));
  });
  table.golden("smooth_l1_loss",
               [](const Json& a, const Inputs& in) { return smooth_l1_loss(in[0], in[1], 0.7, reduction_of(a)); });
  table.golden("huber_loss",
               [](const Json& a, const Inputs& in) { return huber_loss(in[0], in[1], 0.7, reduction_of(a)); });
  table.golden("mse_loss", [](const Json& a, const Inputs& in) { return mse_loss(in[0], in[1], reduction_of(a)); });
  table.golden("l1_loss", [](const Json& a, const Inputs& in) { return l1_loss(in[0], in[1], reduction_of(a)); });
  table.golden("smooth_l1_loss", [](const Json& a, const Inputs& in) {
    return smooth_l1_loss(in[0], in[1], a.at("beta").get<double>(), reduction_of(a));
  });
  table.golden("huber_loss", [](const Json& a, const Inputs& in) {
    return huber_loss(in[0], in[1], a.at("delta").get<double>(), reduction_of(a));
  });
  table.golden("binary_cross_entropy_with_logits", [](const Json& a, const Inputs& in) {
    return bce_with_logits(in[0], in[1],
                           {.weight = argument(a, in, "weight"),
                            .pos_weight = argument(a, in, "pos_weight"),
                            .reduction = reduction_of(a)});
  });
  table.golden("kl_div", [](const Json& a, const Inputs& in) {
    return kl_div(in[0], in[1], {.log_target = a.at("log_target"), .reduction = reduction_of(a)});
  });
}

}  // namespace tern::test
