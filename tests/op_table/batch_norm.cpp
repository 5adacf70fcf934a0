#include <algorithm>
#include <cmath>

#include <tern/core/ops/batch_norm.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

// in: x, running_mean, running_var, weight, bias, and perhaps a residual
Array normalised(const Arrays& in, const BnActOptions& o) {
  const Array& x = in[0];
  Array y(x.shape);
  for (int64_t c = 0; c < x.shape[1]; ++c) {
    double count = 0, mean = 0, var = 0;
    const auto over_channel = [&](const std::function<void(const Dims&)>& body) {
      for_each_index(x.shape, [&](const Dims& at) {
        if (at[1] == c) body(at);
      });
    };
    if (o.training) {
      over_channel([&](const Dims& at) { mean += x.at(at), ++count; });
      mean /= count;
      over_channel([&](const Dims& at) { var += (x.at(at) - mean) * (x.at(at) - mean); });
      var /= count;
    } else {
      mean = in[1](c);
      var = in[2](c);
    }
    over_channel([&](const Dims& at) {
      double v = (x.at(at) - mean) / std::sqrt(var + o.eps);
      v = v * (in[3].defined ? in[3](c) : 1) + (in[4].defined ? in[4](c) : 0);
      if (in.size() > 5 && in[5].defined) v += in[5].at(at);
      y.at(at) = o.relu ? std::max(v, 0.0) : v;
    });
  }
  return y;
}

Inputs sample(const Tensor& x, bool residual = false) {
  const int64_t c = x.shape()[1];
  Inputs in{x, uniform({c}), uniform({c}, 0.5, 2), uniform({c}), uniform({c})};
  if (residual) in.push_back(uniform(x.shape()));
  return in;
}

Inputs without_affine(const Tensor& x) {
  Inputs in = sample(x);
  in[3] = in[4] = Tensor();
  return in;
}

OpEntry norm(const char* variant, const BatchNormOptions& o, std::vector<Inputs> samples,
             std::vector<Inputs> large = {}) {
  return {
      .name = "batch_norm",
      .variant = variant,
      .call = [o](const Inputs& in) { return batch_norm(in[0], in[1], in[2], in[3], in[4], o); },
      .samples = std::move(samples),
      .large = std::move(large),
      .reference =
          [o](const Arrays& in) {
            return normalised(in, {.training = o.training, .momentum = o.momentum, .eps = o.eps, .relu = false});
          },
      .differentiable = {{0, 3, 4}},
      .mutates = o.training ? std::vector<size_t>{1, 2} : std::vector<size_t>{},
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  };
}

OpEntry fused(const char* variant, const BnActOptions& o, std::vector<Inputs> samples, std::vector<Inputs> large = {}) {
  return {
      .name = "bn_act",
      .variant = variant,
      .call =
          [o](const Inputs& in) {
            return bn_act(in[0], in[1], in[2], in[3], in[4], in.size() > 5 ? in[5] : Tensor(), o);
          },
      .samples = std::move(samples),
      .large = std::move(large),
      .reference = [o](const Arrays& in) { return normalised(in, o); },
      .differentiable = {{0, 3, 4, 5}},
      .mutates = o.training ? std::vector<size_t>{1, 2} : std::vector<size_t>{},
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  };
}

}  // namespace

TERN_OP_FAMILY(batch_norm) {
  OpEntry train =
      norm("training", {.training = true},
           {sample(uniform({2, 3, 4, 3})), sample(channels_last({2, 5, 3, 2})), sample(uniform({6, 3})),
            sample(uniform({2, 3, 4})), without_affine(uniform({3, 2, 2, 1})), sample(uniform({4, 3, 1, 1})),
            sample(strided(uniform({2, 2, 3, 2}))), sample(uniform({0, 2, 3, 3}))},
           {sample(channels_last({12, 16, 20, 20})), sample(uniform({12, 16, 20, 20})),
            sample(channels_last({30, 3, 17, 16})), sample(uniform({700, 300}))});
  train.rejects = {
      {sample(uniform({1, 3})), "[batch_norm] expected more than one value a channel in training, got input [1, 3]"},
      {{uniform({3}), {}, {}, {}, {}},
       "[batch_norm] expected an input of shape [N, C], [N, C, L] or [N, C, H, W], got [3]"},
      {{int_range({2, 3}), {}, {}, {}, {}}, "[batch_norm] expected f32 or f64, got i64"},
      {{uniform({2, 0}), {}, {}, {}, {}}, "[batch_norm] expected at least one channel, got input [2, 0]"},
      {{uniform({2, 3}), uniform({4}), uniform({3}), {}, {}},
       "[batch_norm] expected running_mean of shape [3] for input [2, 3], got [4]"},
      {{uniform({2, 3}), uniform({3}), uniform({3, 1}), {}, {}},
       "[batch_norm] expected running_var of shape [3] for input [2, 3], got [3, 1]"},
      {{uniform({2, 3}), {}, {}, uniform({2}), {}},
       "[batch_norm] expected weight of shape [3] for input [2, 3], got [2]"},
      {{uniform({2, 3}), {}, {}, {}, uniform({3}).to(DType::kF32)},
       "[batch_norm] expected bias of the input's dtype f64, got f32"},
      {{uniform({2, 3}), uniform({3}), {}, {}, {}},
       "[batch_norm] expected running_mean and running_var both or neither, got only one of them"},
      {{uniform({2, 3}), {}, {}, {}, {}},
       "[batch_norm] expected running statistics outside of training, got none",
       [](const Inputs& in) { return batch_norm(in[0], in[1], in[2]); }},
      {{uniform({2, 3}), {}, {}, {}, {}},
       "[batch_norm] expected an eps above 0, got 0",
       [](const Inputs& in) { return batch_norm(in[0], in[1], in[2], {}, {}, {.training = true, .eps = 0}); }},
      {{uniform({2, 3}), {}, {}, {}, {}},
       "[batch_norm] expected a momentum in [0, 1], got 1.5",
       [](const Inputs& in) { return batch_norm(in[0], in[1], in[2], {}, {}, {.training = true, .momentum = 1.5}); }},
  };
  table.add(train);
  table.add(norm("no running statistics", {.training = true, .eps = 0.1},
                 {{uniform({4, 3, 2, 2}), {}, {}, uniform({3}), {}}, {uniform({4, 3}), {}, {}, {}, uniform({3})}}));
  table.add(norm("evaluation", {},
                 {sample(uniform({2, 3, 4, 3})), sample(channels_last({1, 5, 3, 2})), sample(uniform({1, 3})),
                  sample(uniform({2, 3, 4})), without_affine(uniform({3, 2, 2, 1})), sample(uniform({0, 2, 3, 3}))},
                 {sample(channels_last({12, 16, 20, 20}))}));

  OpEntry act = fused("training", {.training = true},
                      {sample(uniform({2, 3, 4, 3})), sample(channels_last({2, 5, 3, 2})), sample(uniform({6, 3})),
                       without_affine(uniform({2, 2, 5}))},
                      {sample(channels_last({12, 16, 20, 20})), sample(uniform({6, 10, 40, 20}))});
  act.rejects = {
      {{uniform({2, 3, 4, 4}), {}, {}, {}, {}, uniform({2, 3, 4, 5})},
       "[bn_act] expected a residual of the input's shape [2, 3, 4, 4], got [2, 3, 4, 5]"},
      {{uniform({2, 3, 4, 4}), {}, {}, {}, {}, uniform({2, 3, 4, 4}).to(DType::kF32)},
       "[bn_act] expected a residual of the input's dtype f64, got f32"},
      {{uniform({2, 3, 4, 4, 1}), {}, {}, {}, {}},
       "[bn_act] expected an input of shape [N, C], [N, C, L] or [N, C, H, W], got [2, 3, 4, 4, 1]"},
  };
  table.add(act);
  table.add(fused("training with residual", {.training = true},
                  {sample(uniform({2, 3, 4, 3}), true), sample(channels_last({2, 5, 3, 2}), true),
                   sample(uniform({6, 3}), true), sample(strided(uniform({2, 2, 3, 2})), true)},
                  {sample(channels_last({12, 16, 20, 20}), true), sample(uniform({6, 10, 40, 20}), true)}));
  table.add(fused("residual without ReLU", {.training = true, .relu = false}, {sample(uniform({2, 3, 4, 3}), true)}));
  table.add(fused("evaluation", {}, {sample(uniform({2, 3, 4, 3})), sample(channels_last({1, 5, 3, 2}), true)},
                  {sample(channels_last({12, 16, 20, 20}), true)}));

  table.golden("batch_norm", [](const Json& a, const Inputs& in) {
    Inputs all;  // input, running_mean, running_var, weight, bias
    size_t given = 0;
    for (const char* name : {"input", "running_mean", "running_var", "weight", "bias"}) {
      const auto names = a.at("inputs").get<std::vector<std::string>>();
      all.push_back(std::find(names.begin(), names.end(), name) != names.end() ? in[given++] : Tensor());
    }
    const Tensor y = batch_norm(all[0], all[1], all[2], all[3], all[4],
                                {.training = a.at("training").get<bool>(),
                                 .momentum = a.at("momentum").get<double>(),
                                 .eps = a.at("eps").get<double>()});
    return GoldenRun({y}, {{"running_mean", all[1]}, {"running_var", all[2]}});
  });
}

}  // namespace tern::test
