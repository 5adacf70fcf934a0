#include <cmath>

#include <tern/core/ops/distance.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

// f of every line of x (and, broadcast to one shape, y) along an axis.
Array along(const Array& x, const Array& y, int64_t axis,
            const std::function<double(const std::vector<double>&, const std::vector<double>&)>& f) {
  Shape shape = x.shape;
  shape.erase(axis);
  Array out(shape);
  for_each_index(shape, [&](const Dims& index) {
    std::vector<double> a, b;
    Dims at = index;
    at.insert(axis, 0);
    for (; at[axis] < x.shape[axis]; ++at[axis]) {
      a.push_back(x.at(at));
      b.push_back(y.at(at));
    }
    out.at(index) = f(a, b);
  });
  return out;
}

double norm_of(const std::vector<double>& v, double p) {
  double total = 0;
  for (const double x : v) total = p == 1 ? total + std::abs(x) : p == 2 ? total + x * x : std::max(total, std::abs(x));
  return p == 2 ? std::sqrt(total) : total;
}

Arrays on_one_shape(const Arrays& in) {
  const Shape shape = broadcast_shapes("test", in[0].shape, in[1].shape);
  return {broadcast(in[0], shape), broadcast(in[1], shape)};
}

double number(const Json& a, const char* key) {
  const Json value = a.at(key);
  return value.dump() == "\"inf\"" ? kInf : value.get<double>();
}

}  // namespace

TERN_OP_FAMILY(distance) {
  constexpr double kEps = 0.217;  // no sample has this norm, where the gradient jumps
  for (const double p : {1.0, 2.0, kInf}) {
    for (const int64_t axis : {int64_t{1}, int64_t{-2}}) {
      table.add({
          .name = "normalize",
          .variant = concat("p ", p, ", axis ", axis),
          .call = [=](const Inputs& in) { return normalize(in[0], p, axis, kEps); },
          .samples = {{distinct({3, 4})},
                      {strided(distinct({2, 3, 2}))},
                      {channels_last(distinct({2, 3, 2, 2}))},
                      {values({2, 2}, {0.05, -0.02, 0.03, 0.01})},  // norms below eps
                      {uniform({0, 3})}},
          .large = {{uniform({150, 200})}},
          .reference =
              [=](const Arrays& in) {
                const int64_t a = axis < 0 ? axis + in[0].dim() : axis;
                Array norms =
                    along(in[0], in[0], a, [=](const auto& v, const auto&) { return std::max(norm_of(v, p), kEps); });
                norms.shape.insert(a, 1);
                return zip(in[0], norms, [](double x, double n) { return x / n; });
              },
          .rejects = {{{int_range({2, 2})}, "[normalize] expected f32 or f64, got i64"},
                      {{uniform({2, 2})},
                       "[normalize] expected p of 1, 2 or infinity, got 3",
                       [](const Inputs& in) { return normalize(in[0], 3); }},
                      {{uniform({2})},
                       "[normalize] expected an axis in [-1, 0], got 1",
                       [](const Inputs& in) { return normalize(in[0]); }}},
          .f64 = tol::kF64Sum,
          .f32 = tol::kF32Sum,
          .keeps_format = true,
      });
    }
    for (const bool keepdim : {false, true}) {
      table.add({
          .name = "pairwise_distance",
          .variant = concat("p ", p, keepdim ? ", keepdim" : ""),
          .call = [=](const Inputs& in) { return pairwise_distance(in[0], in[1], p, 1e-3, keepdim); },
          .samples = {{uniform({3, 4}), distinct({3, 4}, 0.37)},
                      {uniform({2, 1, 4}), distinct({3, 4}, 0.37)},
                      {uniform({4}), strided(distinct({4}, 0.37))}},
          .large = {{uniform({300, 101}), uniform({300, 101})}},
          .reference =
              [=](const Arrays& in) {
                const Arrays both = on_one_shape(in);
                const Array difference = zip(both[0], both[1], [](double a, double b) { return a - b + 1e-3; });
                const int64_t axis = difference.dim() - 1;
                Array out =
                    along(difference, difference, axis, [p](const auto& v, const auto&) { return norm_of(v, p); });
                if (keepdim) out.shape.push_back(1);
                return out;
              },
          .rejects = {{{uniform({2}), uniform({3})},
                       "[pairwise_distance] expected shapes that broadcast together, got [2] and [3]"},
                      {{uniform({2}), uniform({2}).to(DType::kF32)},
                       "[pairwise_distance] expected two tensors of one dtype, got f64 and f32"},
                      {{uniform({}), uniform({})}, "[pairwise_distance] expected at least one axis, got scalars"},
                      {{int_range({2}), int_range({2})}, "[pairwise_distance] expected f32 or f64, got i64"},
                      {{uniform({2}), uniform({2})},
                       "[pairwise_distance] expected p of 1, 2 or infinity, got 0",
                       [](const Inputs& in) { return pairwise_distance(in[0], in[1], 0); }}},
          .f64 = tol::kF64Sum,
          .f32 = tol::kF32Sum,
      });
    }
  }
  for (const int64_t axis : {int64_t{1}, int64_t{-1}})
    table.add({
        .name = "cosine_similarity",
        .variant = concat("axis ", axis),
        .call = [=](const Inputs& in) { return cosine_similarity(in[0], in[1], axis); },
        .samples = {{uniform({3, 4}), uniform({3, 4})},
                    {uniform({1, 3, 4}), uniform({2, 3, 4})},
                    {channels_last({2, 3, 2, 2}), uniform({2, 3, 2, 2})},
                    {strided(uniform({3, 2})), permuted(uniform({3, 2}))}},
        .large = {{uniform({300, 101}), uniform({300, 101})}},
        .reference =
            [=](const Arrays& in) {
              const Arrays both = on_one_shape(in);
              const int64_t a = axis < 0 ? axis + both[0].dim() : axis;
              return along(both[0], both[1], a, [](const auto& x, const auto& y) {
                double product = 0;
                for (size_t i = 0; i < x.size(); ++i) product += x[i] * y[i];
                return product / (norm_of(x, 2) * norm_of(y, 2));
              });
            },
        .rejects = {{{uniform({2, 2}), uniform({2, 3})},
                     "[cosine_similarity] expected shapes that broadcast together, got [2, 2] and [2, 3]"},
                    {{uniform({2}), uniform({2})},
                     "[cosine_similarity] expected an axis in [-1, 0], got 1",
                     [](const Inputs& in) { return cosine_similarity(in[0], in[1]); }},
                    {{uniform({2, 2}), uniform({2, 2}).to(DType::kF32)},
                     "[cosine_similarity] expected two tensors of one dtype, got f64 and f32"},
                    {{int_range({2, 2}), int_range({2, 2})}, "[cosine_similarity] expected f32 or f64, got i64"}},
        .f64 = tol::kF64Sum,
        .f32 = tol::kF32Sum,
    });

  table.golden("normalize", [](const Json& a, const Inputs& in) {
    return normalize(in[0], number(a, "p"), a.at("dim"), a.at("eps").get<double>());
  });
  table.golden("pairwise_distance", [](const Json& a, const Inputs& in) {
    return pairwise_distance(in[0], in[1], number(a, "p"), a.at("eps").get<double>(), a.at("keepdim").get<bool>());
  });
  table.golden("cosine_similarity", [](const Json& a, const Inputs& in) {
    return cosine_similarity(in[0], in[1], a.at("dim"), a.at("eps").get<double>());
  });
}

}  // namespace tern::test
