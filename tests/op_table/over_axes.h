// What the tables of reductions over axes share: the reference and the sample inputs.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "op_table/op_table.h"

namespace tern::test {

using Terms = std::vector<double>;

inline Dims all_or(const Dims& axes, int64_t dim) {
  Dims out;
  for (int64_t a = 0; a < dim; ++a) {
    bool wanted = axes.empty();
    for (const int64_t b : axes) wanted = wanted || (b < 0 ? b + dim : b) == a;
    if (wanted) out.push_back(a);
  }
  return out;
}

/// f of the elements of each result, in row-major order.
inline Array over(const Array& x, const Dims& wanted, bool keepdim, const std::function<double(const Terms&)>& f) {
  const Dims axes = all_or(wanted, x.dim());
  const auto reduces = [&](int64_t a) { return std::find(axes.begin(), axes.end(), a) != axes.end(); };
  Shape shape, lines = x.shape;
  for (int64_t a = 0; a < x.dim(); ++a) {
    if (!reduces(a) || keepdim) shape.push_back(reduces(a) ? 1 : x.shape[a]);
    if (reduces(a)) lines[a] = 1;
  }
  Array out(shape);
  int64_t o = 0;
  for_each_index(lines, [&](const Dims& line) {
    Shape inside = x.shape;
    for (int64_t a = 0; a < x.dim(); ++a)
      if (!reduces(a)) inside[a] = 1;
    Terms terms;
    for_each_index(inside, [&](const Dims& at) {
      Dims place = at;
      for (int64_t a = 0; a < x.dim(); ++a) place[a] += line[a];
      terms.push_back(x.at(place));
    });
    out.v[static_cast<size_t>(o++)] = f(terms);
  });
  return out;
}

inline double largest_of(const Terms& v) {
  double best = v[0];
  for (const double x : v) best = x > best || std::isnan(x) ? x : best;
  return best;
}
inline double smallest_of(const Terms& v) {
  double best = v[0];
  for (const double x : v) best = x < best || std::isnan(x) ? x : best;
  return best;
}

/// Inputs that between them take every path: rows, columns, several axes, holes, sizes of 0 and 1.
inline std::vector<Inputs> samples(Tensor (*make)(const Shape&)) {
  return {{make({3, 4})},          {make({2, 3, 5})},        {make({2, 3, 2, 4})}, {channels_last(make({2, 5, 2, 3}))},
          {strided(make({3, 4}))}, {permuted(make({4, 3}))}, {make({1, 1})},       {make({5, 1})}};
}
inline Tensor apart(const Shape& shape) {
  return distinct(shape);
}
inline std::vector<Inputs> large(Tensor (*make)(const Shape&)) {
  return {{make({1100, 45})}, {channels_last(make({3, 16, 40, 17}))}};
}

/// The axes of a golden case, all if it names none, and whether it keeps them.
inline Dims golden_axes(const Json& a) {
  if (!a.contains("dim")) return Dims{};
  return a.at("dim").is_array() ? Dims(a.at("dim").get<std::vector<int64_t>>()) : Dims{a.at("dim").get<int64_t>()};
}
inline bool golden_keepdim(const Json& a) {
  return a.value("keepdim", false);
}

}  // namespace tern::test
