#include <cmath>

#include <tern/core/ops/norm.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

Tensor optional(const Inputs& in, size_t i) {
  return in.size() > i ? in[i] : Tensor();
}
double parameter(const Arrays& in, size_t i, int64_t j, double absent) {
  return in.size() > i && in[i].defined ? in[i].v[static_cast<size_t>(j)] : absent;
}

// Rows of n elements, one at a time; parameters are the inputs from `first` on.
Array naive_rows(const Array& x, int64_t n, const Arrays& in, size_t first, double eps, bool centre) {
  Array y(x.shape);
  for (int64_t row = 0; n > 0 && row < x.numel() / n; ++row) {
    const double* v = x.v.data() + row * n;
    double mean = 0, variance = 0;
    for (int64_t j = 0; centre && j < n; ++j) mean += v[j] / static_cast<double>(n);
    for (int64_t j = 0; j < n; ++j) variance += (v[j] - mean) * (v[j] - mean) / static_cast<double>(n);
    for (int64_t j = 0; j < n; ++j)
      y.v[static_cast<size_t>(row * n + j)] =
          (v[j] - mean) / std::sqrt(variance + eps) * parameter(in, first, j, 1) + parameter(in, first + 1, j, 0);
  }
  return y;
}

Arrays naive_residual(const Arrays& in, double eps, bool centre) {
  const Array sum = zip(in[0], in[1], [](double a, double b) { return a + b; });
  return {sum, naive_rows(sum, sum.shape.back(), in, 2, eps, centre)};
}

Array naive_groups(const Arrays& in, int64_t groups, double eps) {
  const Array& x = in[0];
  const int64_t channels = x.shape[1], pixels = x.numel() / std::max<int64_t>(x.shape[0] * channels, 1);
  const int64_t width = channels / groups * pixels;
  Array y = naive_rows(x, width, {}, 0, eps, true);
  for (int64_t i = 0; i < y.numel(); ++i) {
    double& v = y.v[static_cast<size_t>(i)];
    v = v * parameter(in, 1, i / pixels % channels, 1) + parameter(in, 2, i / pixels % channels, 0);
  }
  return y;
}

Inputs rows(const Shape& x, int64_t parameters, int64_t axes = 1) {
  Shape shape;
  for (int64_t i = x.size() - axes; i < x.size(); ++i) shape.push_back(x[i]);
  Inputs in{uniform(x)};
  for (int64_t i = 0; i < parameters; ++i) in.push_back(uniform(shape));
  return in;
}

Inputs residual_rows(const Shape& x, int64_t parameters) {
  Inputs in = rows(x, parameters);
  in.insert(in.begin() + 1, uniform(x));
  return in;
}

}  // namespace

TERN_OP_FAMILY(norm) {
  const auto add = [&](OpEntry entry) {
    entry.f64 = tol::kF64Sum;
    entry.f32 = tol::kF32Sum;
    table.add(std::move(entry));
  };
  add({
      .name = "layer_norm",
      .call = [](const Inputs& in) { return layer_norm(in[0], {in[0].size(-1)}, optional(in, 1), optional(in, 2)); },
      .samples = {rows({3, 7}, 2),
                  rows({2, 3, 33}, 2),
                  rows({5}, 2),
                  rows({2, 4}, 1),
                  rows({2, 4}, 0),

                  rows({0, 4}, 2),
                  rows({2, 0}, 2),
                  {uniform({2, 5}), Tensor(), uniform({5})},
                  {permuted(uniform({3, 2, 4})), strided(uniform({4})), uniform({4})}},
      .large = {rows({130, 200}, 2), rows({3, 9000}, 2)},
      .reference = [](const Arrays& in) { return naive_rows(in[0], in[0].shape.back(), in, 1, 1e-5, true); },
      .rejects = {{{uniform({2, 4}), uniform({3})}, "[layer_norm] expected a weight [4], got [3]"},
                  {{uniform({2, 4}), uniform({4}), uniform({2, 4})}, "[layer_norm] expected a bias [4], got [2, 4]"},
                  {{uniform({2, 4}), uniform({4}).to(DType::kF32)}, "[layer_norm] expected a weight of f64, got f32"},
                  {{int_range({4})}, "[layer_norm] expected f32 or f64, got i64"},
                  {{uniform({2, 4})},
                   "[layer_norm] expected x with the last sizes [2, 3], got [2, 4]",
                   [](const Inputs& in) {
                     return layer_norm(in[0], {2, 3});
                   }},
                  {{uniform({2, 4})},
                   "[layer_norm] expected an eps of at least 0, got -1",
                   [](const Inputs& in) { return layer_norm(in[0], {4}, {}, {}, -1); }}},
  });
  add({
      .name = "layer_norm",
      .variant = "two axes",
      .call =
          [](const Inputs& in) {
            return layer_norm(in[0], {in[0].size(-2), in[0].size(-1)}, optional(in, 1), optional(in, 2), 1e-3);
          },
      .samples = {rows({2, 3, 4}, 2, 2), rows({3, 5}, 2, 2)},
      .reference =
          [](const Arrays& in) {
            const Shape& s = in[0].shape;
            return naive_rows(in[0], s[s.size() - 2] * s.back(), in, 1, 1e-3, true);
          },
  });
  add({
      .name = "rms_norm",
      .call = [](const Inputs& in) { return rms_norm(in[0], optional(in, 1), 1e-5); },
      .samples = {rows({3, 7}, 1),
                  rows({2, 3, 33}, 1),
                  rows({5}, 1),
                  rows({2, 4}, 0),

                  rows({0, 4}, 1),
                  {permuted(uniform({3, 2, 4})), strided(uniform({4}))}},
      .large = {rows({130, 200}, 1)},
      .reference = [](const Arrays& in) { return naive_rows(in[0], in[0].shape.back(), in, 1, 1e-5, false); },
      .rejects = {{{uniform({2, 4}), uniform({3})}, "[rms_norm] expected a weight [4], got [3]"},
                  {{uniform({})}, "[rms_norm] expected x with at least one axis, got []"},
                  {{int_range({4})}, "[rms_norm] expected f32 or f64, got i64"}},
  });
  add({
      .name = "residual_layer_norm",
      .call =
          [](const Inputs& in) {
            const ResidualNorm r = residual_layer_norm(in[0], in[1], optional(in, 2), optional(in, 3));
            return std::pair(r.sum, r.normalized);
          },
      .samples = {residual_rows({3, 7}, 2),
                  residual_rows({2, 2, 33}, 2),
                  residual_rows({4}, 0),
                  residual_rows({0, 3}, 2),
                  {permuted(uniform({3, 4})), uniform({3, 4}), uniform({4}), uniform({4})}},
      .large = {residual_rows({130, 200}, 2)},
      .reference = [](const Arrays& in) { return naive_residual(in, 1e-5, true); },
      .rejects = {{{uniform({2, 4}), uniform({4})}, "[residual_layer_norm] expected a residual [2, 4], got [4]"},
                  {{uniform({2, 4}), Tensor()}, "[residual_layer_norm] expected a residual, got an undefined tensor"}},
  });
  add({
      .name = "residual_rms_norm",
      .call =
          [](const Inputs& in) {
            const ResidualNorm r = residual_rms_norm(in[0], in[1], optional(in, 2), 1e-5);
            return std::pair(r.sum, r.normalized);
          },
      .samples = {residual_rows({3, 7}, 1), residual_rows({2, 2, 33}, 1), residual_rows({4}, 0),
                  residual_rows({0, 3}, 1)},
      .large = {residual_rows({130, 200}, 1)},
      .reference = [](const Arrays& in) { return naive_residual(in, 1e-5, false); },
      .rejects = {{{uniform({2, 4}), uniform({4})}, "[residual_rms_norm] expected a residual [2, 4], got [4]"},
                  {{uniform({2, 4}), Tensor()}, "[residual_rms_norm] expected a residual, got an undefined tensor"}},
  });
  const auto image = [](const Shape& x) { return Inputs{uniform(x), uniform({x[1]}), uniform({x[1]})}; };
  add({
      .name = "group_norm",
      .call = [](const Inputs& in) { return group_norm(in[0], 2, optional(in, 1), optional(in, 2)); },
      .samples = {image({2, 4, 3, 2}),
                  image({1, 4, 1, 3}),
                  image({3, 6}),
                  image({2, 4, 5}),
                  {uniform({2, 4, 2, 2}), uniform({4})},
                  image({0, 4, 2, 2}),
                  image({2, 4, 0, 2}),
                  {channels_last({2, 6, 3, 2}), uniform({6}), uniform({6})},
                  {uniform({2, 4, 3}), Tensor(), strided(uniform({4}))}},
      .large = {image({4, 32, 12, 11}), {channels_last({4, 32, 12, 11}), uniform({32}), uniform({32})}},
      .reference = [](const Arrays& in) { return naive_groups(in, 2, 1e-5); },
      .rejects = {{{uniform({2, 3, 2})}, "[group_norm] expected a number of groups that divides 3 channels, got 2"},
                  {{uniform({4})}, "[group_norm] expected x [samples, channels, ...], got [4]"},
                  {{uniform({2, 4, 2}), uniform({2})}, "[group_norm] expected a weight [4], got [2]"},
                  {{int_range({2, 4})}, "[group_norm] expected f32 or f64, got i64"}},
  });

  const auto named = [](const Json& attributes, const Inputs& in, const char* name) {
    const auto names = attributes.at("inputs").get<std::vector<std::string>>();
    for (size_t i = 0; i < names.size(); ++i)
      if (names[i] == name) return in[i];
    return Tensor();
  };
  table.golden("layer_norm", [named](const Json& a, const Inputs& in) {
    return layer_norm(in[0], a.at("normalized_shape").get<std::vector<int64_t>>(), named(a, in, "weight"),
                      named(a, in, "bias"), a.at("eps"));
  });
  table.golden("group_norm", [named](const Json& a, const Inputs& in) {
    return group_norm(in[0], a.at("num_groups"), named(a, in, "weight"), named(a, in, "bias"), a.at("eps"));
  });
  table.golden("rms_norm", [named](const Json& a, const Inputs& in) {
    return rms_norm(in[0], named(a, in, "weight"), a.at("eps"));
  });
}

}  // namespace tern::test
