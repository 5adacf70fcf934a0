#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/rope.h>
#include <tern/core/storage.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

// position(index) is that of the row with this multi-index.
Array naive_rotation(const Array& x, double theta, bool pairs, const std::function<double(const Dims&)>& position) {
  Array y(x.shape);
  const int64_t width = x.shape.back(), half = width / 2;
  for_each_index(x.shape, [&](const Dims& index) {
    const int64_t j = index.back(), i = pairs ? j / 2 : j % half;
    const bool first = pairs ? j % 2 == 0 : j < half;
    Dims partner = index;
    partner.back() = pairs ? (first ? j + 1 : j - 1) : (first ? j + half : j - half);
    const double angle = position(index) * std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(width));
    y.at(index) = x.at(index) * std::cos(angle) + (first ? -1 : 1) * x.at(partner) * std::sin(angle);
  });
  return y;
}

// The tables of a run, read off rotated unit vectors: (1, 0) becomes (cos, sin).
Tensor column_of_ones(int64_t tokens, int64_t width, RotaryConvention convention) {
  Tensor x = empty({tokens, width}, DType::kF64).fill_(0);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t i = 0; i < width / 2; ++i)
      x.data<double>()[t * width + (convention == RotaryConvention::kPairs ? 2 * i : i)] = 1;
  return x;
}

}  // namespace

TERN_OP_FAMILY(rope) {
  const auto add = [&](OpEntry entry) {
    entry.name = "rotary_embedding";
    entry.f64 = tol::kF64;
    entry.f32 = tol::kF32Function;
    table.add(std::move(entry));
  };
  add({
      .variant = "halves, tokens after heads",
      .call = [](const Inputs& in) { return rotary_embedding(in[0], {.offset = 3}); },
      .samples = {{uniform({2, 3, 4, 6})},
                  {uniform({5, 2})},
                  {uniform({1, 1, 1, 8})},
                  {uniform({2, 0, 4})},
                  {uniform({2, 3, 0})}},
      .large = {{uniform({3, 4, 50, 48})}},
      .reference =
          [](const Arrays& in) {
            return naive_rotation(in[0], 10000, false,
                                  [](const Dims& i) { return 3.0 + static_cast<double>(i[i.size() - 2]); });
          },
      .rejects = {{{uniform({2, 3})}, "[rotary_embedding] expected an even last size, got [2, 3]"},
                  {{uniform({4})}, "[rotary_embedding] expected x with at least two axes, got [4]"},
                  {{int_range({2, 4})}, "[rotary_embedding] expected f32 or f64, got i64"},
                  {{uniform({2, 4})},
                   "[rotary_embedding] expected a time axis before the last one, got 1 for x [2, 4]",
                   [](const Inputs& in) { return rotary_embedding(in[0], {.time_axis = 1}); }},
                  {{uniform({2, 4})},
                   "[rotary_embedding] expected an offset of at least 0, got -1",
                   [](const Inputs& in) { return rotary_embedding(in[0], {.offset = -1}); }},
                  {{uniform({2, 4})},
                   "[rotary_embedding] expected an offset that leaves room for 2 positions, got 9223372036854775806",
                   [](const Inputs& in) {
                     return rotary_embedding(in[0], {.offset = std::numeric_limits<int64_t>::max() - 1});
                   }},
                  {{uniform({2, 4})},
                   "[rotary_embedding] expected a theta above 0, got 0",
                   [](const Inputs& in) { return rotary_embedding(in[0], {.theta = 0}); }}},
  });
  add({
      .variant = "pairs, tokens before heads",
      .call =
          [](const Inputs& in) {
            return rotary_embedding(in[0], {.theta = 500, .convention = RotaryConvention::kPairs, .time_axis = -3});
          },
      .samples = {{uniform({2, 3, 4, 6})}, {uniform({2, 3, 1, 2})}, {uniform({5, 1, 4})}},
      .large = {{uniform({3, 50, 4, 48})}},
      .reference =
          [](const Arrays& in) {
            return naive_rotation(in[0], 500, true, [](const Dims& i) { return static_cast<double>(i[i.size() - 3]); });
          },
  });
  add({
      .variant = "given positions",
      .call = [](const Inputs& in) { return rotary_embedding(in[0], {.positions = in[1]}); },
      .samples = {{uniform({2, 3, 4, 6}), integers({4}, 0, 50)},
                  {uniform({2, 3, 4, 6}), integers({2, 4}, 0, 50)},
                  {uniform({2, 2, 4}), integers({2, 2}, 70000, 90000)}},
      .reference =
          [](const Arrays& in) {
            return naive_rotation(in[0], 10000, false, [&](const Dims& i) {
              const int64_t t = i[i.size() - 2];
              return in[1].dim() == 1 ? in[1](t) : in[1](i[0], t);
            });
          },
      .rejects = {{{uniform({2, 3, 4}), int_range({4})},
                   "[rotary_embedding] expected positions [3] or [2, 3] for x [2, 3, 4], got [4]"},
                  {{uniform({2, 3, 4}), int_range({3}).to(DType::kI32)},
                   "[rotary_embedding] expected positions of i64, got i32"},
                  {{uniform({2, 2, 4}), integers({2}, -1, 0)},
                   "[rotary_embedding] expected positions of at least 0, got -1"}},
  });
  table.golden("rotary_embedding", [](const Json& a, const Inputs& in) {
    const RotaryConvention convention =
        a.at("convention") == "pairs" ? RotaryConvention::kPairs : RotaryConvention::kHalves;
    const RotaryOptions options{.theta = a.at("theta"), .convention = convention, .offset = a.at("start")};
    const int64_t width = in[0].size(-1);
    const Tensor turned = rotary_embedding(column_of_ones(in[0].size(-2), width, convention), options);
    const bool pairs = convention == RotaryConvention::kPairs;
    return GoldenRun({rotary_embedding(in[0], options)},
                     {{"cos", pairs ? turned.slice(-1, 0, width, 2) : turned.slice(-1, 0, width / 2)},
                      {"sin", pairs ? turned.slice(-1, 1, width, 2) : turned.slice(-1, width / 2, width)}});
  });
}

TEST(RotaryEmbedding, MakesNoTablesForNothing) {
  const int64_t before = memory_stats().live_bytes;
  const Tensor y = rotary_embedding(zeros({0, int64_t{1} << 40, 4}).requires_grad_(), {.theta = 321});
  EXPECT_EQ(y.shape(), Shape({0, int64_t{1} << 40, 4}));
  EXPECT_LT(memory_stats().live_bytes - before, 1 << 20);
  EXPECT_THROW(static_cast<void>(rotary_embedding(zeros({0, 3, 4}), {.offset = -1})), ValueError);
  EXPECT_THROW(static_cast<void>(rotary_embedding(zeros({0, 3, 4}), {.positions = arange(2)})), ShapeError);
}

}  // namespace tern::test
