// What the tables of losses share.
#pragma once

#include <string>
#include <vector>

#include <tern/core/ops/loss.h>

#include "op_table/op_table.h"

namespace tern::test {

/// The reference's reduction. divisor: of the means.
inline Array reduced(const Array& losses, Reduction reduction, double divisor) {
  if (reduction == Reduction::kNone) return losses;
  Array out(Shape{});
  for (const double v : losses.v) out.v[0] += v;
  if (reduction != Reduction::kSum) out.v[0] /= divisor;
  return out;
}

inline const char* name_of(Reduction r) {
  return r == Reduction::kMean ? "mean" : r == Reduction::kSum ? "sum" : r == Reduction::kNone ? "none" : "batchmean";
}

/// Of a golden case.
inline Reduction reduction_of(const Json& a) {
  const std::string name = a.at("reduction");
  return name == "mean"   ? Reduction::kMean
         : name == "sum"  ? Reduction::kSum
         : name == "none" ? Reduction::kNone
                          : Reduction::kBatchMean;
}

/// The argument that golden cases call `name`, undefined where it is absent.
inline Tensor argument(const Json& a, const Inputs& in, const std::string& name) {
  const auto names = a.at("inputs").get<std::vector<std::string>>();
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return in[i];
  return Tensor();
}

/// f64 [n]: 1, -1, 1, ...
inline Tensor ones_and_minus_ones(int64_t n) {
  Array out({n});
  for (int64_t i = 0; i < n; ++i) out(i) = i % 2 == 0 ? 1 : -1;
  return to_tensor(out);
}

}  // namespace tern::test
