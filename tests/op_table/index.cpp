#include <tern/core/ops/index.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

Array gathered(const Array& x, int64_t axis, const Array& index) {
  Array out(index.shape);
  for_each_index(index.shape, [&](const Dims& at) {
    Dims from = at;
    if (at.size() > 0) from[axis] = static_cast<int64_t>(index.at(at));
    out.at(at) = x.at(from);
  });
  return out;
}

// x with source placed, or added, at the indices.
Array scattered(const Array& x, int64_t axis, const Array& index, const Array& source, bool add) {
  Array out = x;
  for_each_index(index.shape, [&](const Dims& at) {
    Dims to = at;
    if (at.size() > 0) to[axis] = static_cast<int64_t>(index.at(at));
    out.at(to) = (add ? out.at(to) : 0) + source.at(at);
  });
  return out;
}

Array selected(const Array& x, int64_t axis, const Array& index) {
  Shape shape = x.shape;
  shape[axis] = index.numel();
  Array out(shape);
  for_each_index(shape, [&](const Dims& at) {
    Dims from = at;
    from[axis] = static_cast<int64_t>(index.v[static_cast<size_t>(at[axis])]);
    out.at(at) = x.at(from);
  });
  return out;
}

// Every index of a line once: what scatter's gradient needs to be the true one.
Tensor different(const Shape& shape, int64_t axis) {
  Array out(shape);
  for_each_index(shape, [&](const Dims& at) {
    int64_t sum = 0;
    for (int64_t a = 0; a < shape.size(); ++a)
      if (a != axis) sum += at[a];
    out.at(at) = static_cast<double>((at[axis] + sum) % (shape[axis] + 1));
  });
  return to_tensor(out, DType::kI64);
}

Tensor indices_of(const Shape& shape, const std::vector<double>& v) {
  return values(shape, v).to(DType::kI64);
}

}  // namespace

TERN_OP_FAMILY(index) {
  for (const int64_t axis : {0, 1}) {
    table.add({
        .name = "gather",
        .variant = concat("axis ", axis),
        .call = [=](const Inputs& in) { return gather(in[0], axis, in[1]); },
        .samples = {{uniform({4, 5}), integers({4, 3}, 0, 4)},
                    {uniform({3, 4, 2}), integers({2, 3, 2}, 0, 3)},
                    {strided(uniform({3, 3})), permuted(integers({3, 3}, 0, 3))},
                    {channels_last({2, 3, 2, 2}), integers({2, 3, 2, 1}, 0, 2)},
                    {uniform({3, 4}), integers({0, 3}, 0, 3)}},
        .large = {{uniform({90, 300}), integers({90, 300}, 0, 90)}},
        .reference = [=](const Arrays& in) { return gathered(in[0], axis, in[1]); },
        .rejects = {{{uniform({2, 2}), indices_of({2, 2}, {0, 1, 2, 0})},
                     "[gather] expected indices in [0, 2), got 2 at position 2"},
                    {{uniform({2, 2}), indices_of({2}, {0, 1})},
                     concat(
                         "[gather] expected an index with the axes of [2, 2] and no longer than it except along axis ",
                         axis, ", got [2]")},
                    {{uniform({2, 2}), uniform({2, 2})}, "[gather] expected indices of i64, got f64"}},
        .f64 = tol::kF64Sum,
        .f32 = tol::kF32Sum,
    });
    for (const bool add : {false, true}) {
      const std::string name = add ? "scatter_add" : "scatter";
      const auto call = [=](const Inputs& in) {
        return add ? scatter_add(in[0], axis, in[1], in[2]) : scatter(in[0], axis, in[1], in[2]);
      };
      table.add({
          .name = name,
          .variant = concat("axis ", axis),
          .call = call,
          .samples = {{uniform({4, 4}), different({3, 3}, axis), uniform({3, 3})},
                      {strided(uniform({3, 4, 2})), strided(different({2, 2, 2}, axis)), permuted(uniform({2, 2, 2}))},
                      {channels_last({2, 3, 2, 2}), different({1, 1, 2, 1}, axis), uniform({1, 1, 2, 1})}},
          .reference = [=](const Arrays& in) { return scattered(in[0], axis, in[1], in[2], add); },
          .rejects = {{{uniform({2, 2}), indices_of({1, 1}, {-1}), uniform({1, 1})},
                       concat("[", name, "] expected indices in [0, 2), got -1 at position 0")},
                      {{uniform({2, 2}), int_range({1, 2}), uniform({1, 1})},
                       concat("[", name, "] expected a source of shape [1, 2], got [1, 1]")},
                      {{uniform({2, 2}), int_range({1, 2}), int_range({1, 2})},
                       concat("[", name, "] expected a source of f64, got i64")}},
          .f64 = tol::kF64,
          .f32 = tol::kF32,
          .keeps_format = true,
      });
    }
    table.add({
        .name = "index_select",
        .variant = concat("axis ", axis),
        .call = [=](const Inputs& in) { return index_select(in[0], axis, in[1]); },
        .samples = {{uniform({4, 5}), integers({6}, 0, 4)},
                    {uniform({3, 4, 2}), integers({2}, 0, 3)},
                    {strided(uniform({3, 3})), strided(integers({4}, 0, 3))},
                    {channels_last({2, 3, 2, 2}), integers({5}, 0, 2)},
                    {uniform({2, 3}), integers({}, 0, 2)},
                    {uniform({1, 3}), integers({3}, 0, 1)},
                    {uniform({2, 3}), integers({0}, 0, 2)}},
        .large = {{uniform({90, 130, 3}), integers({400}, 0, 90)}},
        .reference = [=](const Arrays& in) { return selected(in[0], axis, in[1]); },
        .rejects = {{{uniform({2, 2}), indices_of({2}, {0, 2})},
                     "[index_select] expected indices in [0, 2), got 2 at position 1"},
                    {{uniform({2, 2}), int_range({1, 1})}, "[index_select] expected an index of one axis, got [1, 1]"},
                    {{uniform({}), int_range({1})}, "[index_select] expected at least one axis, got a scalar"},
                    {{uniform({2, 2}), mask({2})}, "[index_select] expected indices of i64, got u8"}},
        .f64 = tol::kF64Sum,
        .f32 = tol::kF32Sum,
    });
  }
  table.add({
      .name = "scatter_add",
      .variant = "repeated indices",
      .call = [](const Inputs& in) { return scatter_add(in[0], 0, in[1], in[2]); },
      .samples = {{uniform({3}), integers({20}, 0, 3), uniform({20})}, {uniform({}), int_range({}), uniform({})}},
      .large = {{uniform({70, 130}), integers({70, 130}, 0, 70), uniform({70, 130})}},
      .reference = [](const Arrays& in) { return scattered(in[0], 0, in[1], in[2], true); },
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  });
  table.add({
      .name = "scatter",
      .variant = "one value",
      .call = [](const Inputs& in) { return scatter(in[0], 1, in[1], 2.5); },
      .samples = {{uniform({3, 4}), integers({3, 2}, 0, 4)}, {channels_last({2, 3, 2, 2}), int_range({1, 2, 1, 1})}},
      .reference =
          [](const Arrays& in) { return scattered(in[0], 1, in[1], map(in[1], [](double) { return 2.5; }), false); },
      .rejects = {{{mask({2, 2}), int_range({1, 2})},
                   "[scatter] expected a number that u8 can hold, got 300",
                   [](const Inputs& in) { return scatter(in[0], 1, in[1], 300.0); }},
                  {{int_range({2, 2}), int_range({1, 2})},
                   "[scatter] expected a number that i64 can hold, got nan",
                   [](const Inputs& in) { return scatter(in[0], 1, in[1], kNan); }}},
      .f64 = tol::kExact,
      .f32 = tol::kExact,
  });
  table.add({
      .name = "take_along_axis",
      .call = [](const Inputs& in) { return take_along_axis(in[0], in[1], 1); },
      .samples = {{uniform({3, 4}), integers({1, 2}, 0, 4)},
                  {uniform({1, 4, 2}), integers({3, 5, 1}, 0, 4)},
                  {strided(uniform({3, 2})), integers({3, 2}, 0, 2)}},
      .reference =
          [](const Arrays& in) {
            Shape x = in[0].shape, index = in[1].shape;
            for (int64_t a = 0; a < x.size(); ++a)
              if (a != 1) x[a] = index[a] = std::max(x[a], index[a]);
            return gathered(broadcast(in[0], x), 1, broadcast(in[1], index));
          },
      .rejects = {{{uniform({2, 2}), int_range({2})},
                   "[take_along_axis] expected an index with the axes of [2, 2], got [2]"},
                  {{uniform({2, 2}), int_range({3, 1})},
                   "[take_along_axis] expected shapes that broadcast together, got [2, 1] and [3, 1]"}},
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  });
  for (const int64_t classes : {-1, 7}) {
    table.add({
        .name = "one_hot",
        .variant = concat(classes, " classes"),
        .call = [=](const Inputs& in) { return one_hot(in[0], classes); },
        .samples = {{integers({5}, 0, 6)}, {strided(integers({2, 3}, 0, 6))}, {integers({}, 0, 6)}},
        .reference =
            [=](const Arrays& in) {
              double top = static_cast<double>(classes) - 1;
              if (classes < 0)
                for (const double v : in[0].v) top = std::max({top, v, 0.0});
              Shape shape = in[0].shape;
              shape.push_back(static_cast<int64_t>(top) + 1);
              Array out(shape);
              for (size_t i = 0; i < in[0].v.size(); ++i)
                out.v[i * static_cast<size_t>(shape.back()) + static_cast<size_t>(in[0].v[i])] = 1;
              return out;
            },
        .rejects = {{{indices_of({2}, {0, -1})},
                     concat("[one_hot] expected indices in [0, ", classes < 0 ? 1 : 7, "), got -1 at position 1")},
                    {{indices_of({2}, {3, 2})},
                     "[one_hot] expected indices in [0, 3), got 3 at position 0",
                     [](const Inputs& in) { return one_hot(in[0], 3); }},
                    {{uniform({2})}, "[one_hot] expected labels of i64, got f64"},
                    {{int_range({0})},
                     "[one_hot] expected num_classes for an empty tensor of labels, got -1",
                     [](const Inputs& in) { return one_hot(in[0]); }},
                    {{int_range({2})},
                     "[one_hot] expected num_classes of at least 0, or -1, got -2",
                     [](const Inputs& in) { return one_hot(in[0], -2); }}},
        .differentiable = std::vector<size_t>{},
        .f64 = tol::kExact,
        .f32 = tol::kExact,
    });
  }
  table.add({
      .name = "masked_select",
      .call = [](const Inputs& in) { return masked_select(in[0], in[1]); },
      .samples = {{uniform({3, 4}), mask({3, 4})},
                  {permuted(uniform({3, 4})), mask({4})},
                  {strided(uniform({4})), mask({3, 1})},
                  {uniform({2}), values({2}, {0, 0}).to(DType::kU8)}},
      .reference =
          [](const Arrays& in) {
            Shape shape = broadcast_shapes("test", in[0].shape, in[1].shape);
            const Array x = broadcast(in[0], shape), m = broadcast(in[1], shape);
            std::vector<double> kept;
            for (size_t i = 0; i < x.v.size(); ++i)
              if (m.v[i] != 0) kept.push_back(x.v[i]);
            Array out(Shape{static_cast<int64_t>(kept.size())});
            out.v = kept;
            return out;
          },
      .rejects = {{{uniform({2}), uniform({2})}, "[masked_select] expected a mask of u8, got f64"},
                  {{uniform({2}), mask({3})},
                   "[masked_select] expected shapes that broadcast together, got [2] and [3]"}},
      .f64 = tol::kF64,
      .f32 = tol::kF32,
  });
  table.add({
      .name = "nonzero",
      .call = [](const Inputs& in) { return nonzero(in[0]); },
      .samples = {{integers({3, 4}, 0, 2)}, {strided(mask({5}))}, {permuted(mask({2, 3}))}, {mask({0, 2})}, {mask({})}},
      .reference =
          [](const Arrays& in) {
            std::vector<double> found;
            int64_t count = 0;
            for_each_index(in[0].shape, [&](const Dims& at) {
              if (in[0].at(at) == 0) return;
              ++count;
              for (const int64_t i : at) found.push_back(static_cast<double>(i));
            });
            Array out(Shape{count, in[0].dim()});
            out.v = found;
            return out;
          },
      .differentiable = std::vector<size_t>{},
      .f64 = tol::kExact,
      .f32 = tol::kExact,
  });

  table.golden("gather", [](const Json& a, const Inputs& in) { return gather(in[0], a.at("dim"), in[1]); });
  table.golden("scatter", [](const Json& a, const Inputs& in) { return scatter(in[0], a.at("dim"), in[1], in[2]); });
  table.golden("scatter_add",
               [](const Json& a, const Inputs& in) { return scatter_add(in[0], a.at("dim"), in[1], in[2]); });
  table.golden("index_select", [](const Json& a, const Inputs& in) { return index_select(in[0], a.at("dim"), in[1]); });
}

}  // namespace tern::test
