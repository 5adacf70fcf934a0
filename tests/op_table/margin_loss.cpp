#include <cmath>

#include <tern/core/ops/margin_loss.h>

#include "op_table/op_table.h"
#include "op_table/reductions.h"

namespace tern::test {
namespace {

Array row(const Array& x, int64_t n) {
  Array out({x.shape[1]});
  for (int64_t i = 0; i < x.shape[1]; ++i) out(i) = x(n, i);
  return out;
}

double dot_of(const Array& a, const Array& b) {
  double total = 0;
  for (size_t i = 0; i < a.v.size(); ++i) total += a.v[i] * b.v[i];
  return total;
}

double cosine_loss(const Array& a, const Array& b, double target, double margin) {
  const double cosine = dot_of(a, b) / std::sqrt((dot_of(a, a) + 1e-12) * (dot_of(b, b) + 1e-12));
  return target == 1 ? 1 - cosine : target == -1 ? std::max(0.0, cosine - margin) : 0;
}

double distance_of(const Array& a, const Array& b, const TripletMarginOptions& o) {
  double total = 0;
  for (size_t i = 0; i < a.v.size(); ++i) {
    const double d = std::abs(a.v[i] - b.v[i] + o.eps);
    total = o.p == 1 ? total + d : o.p == 2 ? total + d * d : std::max(total, d);
  }
  return o.p == 2 ? std::sqrt(total) : total;
}

double triplet_loss(const Array& anchor, const Array& positive, const Array& negative, const TripletMarginOptions& o) {
  double far = distance_of(anchor, negative, o);
  if (o.swap) far = std::min(far, distance_of(positive, negative, o));
  return std::max(0.0, o.margin + distance_of(anchor, positive, o) - far);
}

std::vector<Reject> common_rejects(const std::string& op, const Shape& first, const Shape& last,
                                   const std::function<Tensor(const Inputs&)>& with_batch_mean) {
  return {{{uniform(first), uniform(first), uniform(last).to(DType::kF32)},
           concat("[", op, "] expected three tensors of one dtype, got f64, f64 and f32")},
          {{int_range(first), int_range(first), int_range(last)}, concat("[", op, "] expected f32 or f64, got i64")},
          {{uniform(first), uniform(first), uniform(last)},
           concat("[", op, "] expected the reduction kMean, kSum or kNone, got kBatchMean"),
           with_batch_mean}};
}

TripletMarginOptions triplet_options(const Json& a) {
  return {
      .margin = a.at("margin"), .p = a.at("p"), .eps = a.at("eps"), .swap = a.at("swap"), .reduction = reduction_of(a)};
}

}  // namespace

TERN_OP_FAMILY(margin_loss) {
  const Tensor signs = values({5, 1}, {1, -1, 1, -1, 0});
  for (const Reduction reduction : {Reduction::kMean, Reduction::kSum, Reduction::kNone}) {
    std::vector<Reject> rejects = common_rejects("margin_ranking_loss", {2}, {2}, [](const Inputs& in) {
      return margin_ranking_loss(in[0], in[1], in[2], 0, Reduction::kBatchMean);
    });
    rejects.push_back({{uniform({2, 2}), uniform({2, 2}), uniform({2})},
                       "[margin_ranking_loss] expected three tensors of as many axes, got [2, 2], [2, 2] and [2]"});
    rejects.push_back({{uniform({2}), uniform({3}), uniform({2})},
                       "[margin_ranking_loss] expected shapes that broadcast together, got [2] and [3]"});
    table.add({
        .name = "margin_ranking_loss",
        .variant = name_of(reduction),
        .call = [=](const Inputs& in) { return margin_ranking_loss(in[0], in[1], in[2], 0.3, reduction); },
        .samples = {{uniform({5, 3}), uniform({5, 3}), signs},
                    {strided(uniform({4})), permuted(uniform({4})), values({4}, {1, -1, -1, 1})}},
        .large = {{uniform({20000}), uniform({20000}), uniform({20000})}},
        .reference =
            [=](const Arrays& in) {
              const Array difference = zip(in[0], in[1], [](double a, double b) { return a - b; });
              const Array losses =
                  zip(difference, in[2], [](double d, double t) { return std::max(0.0, 0.3 - t * d); });
              return reduced(losses, reduction, static_cast<double>(losses.numel()));
            },
        .avoid =
            [](const Arrays& in) {
              const Array difference = zip(in[0], in[1], [](double a, double b) { return a - b; });
              const Array near =
                  zip(difference, in[2], [](double d, double t) { return std::abs(0.3 - t * d) < 1e-4 ? 1.0 : 0.0; });
              double any = 0;
              for (const double v : near.v) any += v;
              return Arrays{near, near, map(in[2], [any](double) { return any; })};
            },
        .rejects = rejects,
        .f64 = tol::kF64Sum,
        .f32 = tol::kF32Sum,
    });

    rejects = common_rejects("cosine_embedding_loss", {2, 2}, {2}, [](const Inputs& in) {
      return cosine_embedding_loss(in[0], in[1], in[2], 0, Reduction::kBatchMean);
    });
    rejects.push_back(
        {{uniform({2, 2}), uniform({2, 3}), uniform({2})},
         "[cosine_embedding_loss] expected two tensors of one shape, [N, D] or [D], got [2, 2] and [2, 3]"});
    rejects.push_back({{uniform({2, 2}), uniform({2, 2}), uniform({3})},
                       "[cosine_embedding_loss] expected a target of shape [2], got [3]"});
    table.add({
        .name = "cosine_embedding_loss",
        .variant = name_of(reduction),
        .call = [=](const Inputs& in) { return cosine_embedding_loss(in[0], in[1], in[2], 0.1, reduction); },
        .samples = {{uniform({5, 3}), uniform({5, 3}), values({5}, {1, -1, 1, -1, 0})},
                    {strided(uniform({2, 4})), permuted(uniform({2, 4})), values({2}, {-1, 1})}},
        .large = {{uniform({300, 70}), uniform({300, 70}), ones_and_minus_ones(300)}},
        .reference =
            [=](const Arrays& in) {
              Array losses({in[0].shape[0]});
              for (int64_t n = 0; n < losses.numel(); ++n)
                losses(n) = cosine_loss(row(in[0], n), row(in[1], n), in[2](n), 0.1);
              return reduced(losses, reduction, static_cast<double>(losses.numel()));
            },
        .rejects = rejects,
        .differentiable = {{0, 1}},
        .f64 = tol::kF64Sum,
        .f32 = tol::kF32Sum,
    });

    for (const TripletMarginOptions& settings :
         {TripletMarginOptions{.reduction = reduction}, TripletMarginOptions{.p = 1, .reduction = reduction},
          TripletMarginOptions{.margin = 0.7, .p = kInf, .eps = 1e-3, .swap = true, .reduction = reduction}}) {
      rejects = common_rejects("triplet_margin_loss", {2, 2}, {2, 2}, [](const Inputs& in) {
        return triplet_margin_loss(in[0], in[1], in[2], {.reduction = Reduction::kBatchMean});
      });
      rejects.push_back(
          {{uniform({}), uniform({}), uniform({})}, "[triplet_margin_loss] expected at least one axis, got scalars"});
      rejects.push_back({{uniform({2, 2}), uniform({2, 2}), uniform({2})},
                         "[triplet_margin_loss] expected three tensors of as many axes, got [2, 2], [2, 2] and [2]"});
      table.add({
          .name = "triplet_margin_loss",
          .variant = concat(name_of(reduction), ", p ", settings.p),
          .call = [=](const Inputs& in) { return triplet_margin_loss(in[0], in[1], in[2], settings); },
          .samples = {{uniform({4, 3}), uniform({4, 3}), uniform({4, 3})},
                      {strided(uniform({2, 4})), permuted(uniform({2, 4})), uniform({2, 4}, 0, 3)}},
          .large = {{uniform({300, 70}), uniform({300, 70}), uniform({300, 70})}},
          .reference =
              [=](const Arrays& in) {
                Array losses({in[0].shape[0]});
                for (int64_t n = 0; n < losses.numel(); ++n)
                  losses(n) = triplet_loss(row(in[0], n), row(in[1], n), row(in[2], n), settings);
                return reduced(losses, reduction, static_cast<double>(losses.numel()));
              },
          .rejects = rejects,
          .f64 = tol::kF64Sum,
          .f32 = tol::kF32Sum,
      });
    }
  }

  table.golden("margin_ranking_loss", [](const Json& a, const Inputs& in) {
    return margin_ranking_loss(in[0], in[1], in[2], a.at("margin").get<double>(), reduction_of(a));
  });
  table.golden("cosine_embedding_loss", [](const Json& a, const Inputs& in) {
    return cosine_embedding_loss(in[0], in[1], in[2], a.at("margin").get<double>(), reduction_of(a));
  });
  table.golden("triplet_margin_loss", [](const Json& a, const Inputs& in) {
    return triplet_margin_loss(in[0], in[1], in[2], triplet_options(a));
  });
}

}  // namespace tern::test
