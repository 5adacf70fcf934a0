#include <tern/core/ops/join.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

// out[index] = x[f(index)]
Array gathered(const Array& x, const Shape& shape, const std::function<Dims(const Dims&)>& f) {
  Array out(shape);
  for_each_index(shape, [&](const Dims& index) { out.at(index) = x.at(f(index)); });
  return out;
}

Array joined(const Arrays& in, int64_t axis) {
  const int64_t a = axis < 0 ? axis + in[0].dim() : axis;
  Shape shape = in[0].shape;
  for (size_t i = 1; i < in.size(); ++i) shape[a] += in[i].shape[a];
  Array out(shape);
  int64_t first = 0;
  for (const Array& x : in) {
    for_each_index(x.shape, [&](const Dims& index) {
      Dims to = index;
      to[a] += first;
      out.at(to) = x.at(index);
    });
    first += x.shape[a];
  }
  return out;
}

Arrays cut(const Array& x, const std::vector<int64_t>& sizes, int64_t axis) {
  Arrays out;
  int64_t first = 0;
  for (const int64_t size : sizes) {
    Shape shape = x.shape;
    shape[axis] = size;
    out.push_back(gathered(x, shape, [&](Dims at) {
      at[axis] += first;
      return at;
    }));
    first += size;
  }
  return out;
}

Array padded(const Array& x, const std::vector<int64_t>& padding, double value) {
  Shape shape = x.shape;
  Dims before(x.dim(), 0);
  for (size_t i = 0; i < padding.size() / 2; ++i) {
    const int64_t a = x.dim() - 1 - static_cast<int64_t>(i);
    before[a] = padding[2 * i];
    shape[a] += padding[2 * i] + padding[2 * i + 1];
  }
  Array out(shape, value);
  for_each_index(shape, [&](const Dims& index) {
    Dims from = index;
    bool inside = true;
    for (int64_t a = 0; a < x.dim(); ++a) {
      from[a] -= before[a];
      inside = inside && from[a] >= 0 && from[a] < x.shape[a];
    }
    if (inside) out.at(index) = x.at(from);
  });
  return out;
}

Array unsqueezed(const Array& x, int64_t axis) {
  Array out = x;
  out.shape.insert(axis, 1);
  return out;
}

int64_t wrapped(int64_t i, int64_t size) {
  return ((i % size) + size) % size;
}

std::vector<int64_t> list(const Json& a, const char* key) {
  return a.at(key).get<std::vector<int64_t>>();
}

}  // namespace

TERN_OP_FAMILY(join) {
  for (const int64_t axis : {0, 1, -1}) {
    table.add({
        .name = "cat",
        .variant = concat("axis ", axis),
        .call = [=](const Inputs& in) { return cat(in, axis); },
        .samples = {{uniform({2, 3}), uniform({2, 3}), uniform({2, 3})},
                    {channels_last({2, 3, 2, 2}), channels_last({2, 3, 2, 2})},
                    {strided(uniform({3, 2})), permuted(uniform({3, 2}))},
                    {uniform({2, 1, 3})}},
        .large = {{uniform({300, 100}), uniform({300, 100})}},
        .reference = [=](const Arrays& in) { return joined(in, axis); },
        .f64 = tol::kExact,
        .f32 = tol::kExact,
    });
  }
  table.add({
      .name = "cat",
      .variant = "different sizes",
      .call = [](const Inputs& in) { return cat(in, 1); },
      .samples = {{uniform({2, 3}), uniform({2, 1}), uniform({2, 0}), uniform({2, 4})},
                  {channels_last({2, 3, 2, 2}), channels_last({2, 5, 2, 2})},
                  {uniform({0, 3}), uniform({0, 2})}},
      .reference = [](const Arrays& in) { return joined(in, 1); },
      .rejects = {{{}, "[cat] expected at least one tensor, got none"},
                  {{uniform({})}, "[cat] expected tensors of at least one axis, got a scalar"},
                  {{uniform({2, 3}), uniform({3, 3})},
                   "[cat] expected tensors that differ along axis 1 alone, got [2, 3] and, at position 1, [3, 3]"},
                  {{uniform({2, 3}), uniform({2})},
                   "[cat] expected tensors that differ along axis 1 alone, got [2, 3] and, at position 1, [2]"},
                  {{uniform({2, 3}), int_range({2, 3})},
                   "[cat] expected tensors of one dtype, got f64 and, at position 1, i64"}},
      .f64 = tol::kExact,
      .f32 = tol::kExact,
  });
  for (const int64_t axis : {0, 1, 2}) {
    table.add({
        .name = "stack",
        .variant = concat("axis ", axis),
        .call = [=](const Inputs& in) { return stack(in, axis); },
        .samples = {{uniform({2, 3}), uniform({2, 3}), strided(uniform({2, 3}))}, {permuted(uniform({4, 1}))}},
        .reference =
            [=](const Arrays& in) {
              Arrays lifted;
              for (const Array& x : in) lifted.push_back(unsqueezed(x, axis));
              return joined(lifted, axis);
            },
        .rejects = {{{}, "[stack] expected at least one tensor, got none"},
                    {{uniform({2, 3}), uniform({3, 2})},
                     "[stack] expected tensors of one shape, got [2, 3] and, at position 1, [3, 2]"},
                    {{uniform({2, 3}), int_range({2, 3})},
                     "[stack] expected tensors of one dtype, got f64 and, at position 1, i64"}},
        .f64 = tol::kExact,
        .f32 = tol::kExact,
    });
  }
  table.add({
      .name = "split",
      .call = [](const Inputs& in) { return split(in[0], 2, 1); },
      .samples = {{uniform({2, 5, 2})},
                  {uniform({3, 4})},
                  {channels_last({2, 4, 3, 2})},
                  {strided(uniform({2, 1}))},
                  {uniform({2, 0})}},
      .reference =
          [](const Arrays& in) {
            std::vector<int64_t> sizes;
            for (int64_t at = 0; at < in[0].shape[1]; at += 2)
              sizes.push_back(std::min<int64_t>(2, in[0].shape[1] - at));
            if (sizes.empty()) sizes.push_back(0);
            return cut(in[0], sizes, 1);
          },
      .rejects = {{{uniform({})}, "[split] expected at least one axis, got a scalar"},
                  {{uniform({4})},
                   "[split] expected a size of at least 1, got 0",
                   [](const Inputs& in) { return split(in[0], 0); }}},
      .f64 = tol::kExact,
      .f32 = tol::kExact,
  });
  table.add({
      .name = "split_sizes",
      .call =
          [](const Inputs& in) {
            return split_sizes(in[0], {1, 3, 0, 2}, 0);
          },
      .samples = {{uniform({6, 2})}, {permuted(uniform({6, 3}))}},
      .reference =
          [](const Arrays& in) {
            return cut(in[0], {1, 3, 0, 2}, 0);
          },
      .rejects = {{{uniform({5, 2})}, "[split] expected sizes that add up to 5 (axis 0 of [5, 2]), got a total of 6"},
                  {{uniform({2})},
                   "[split] expected sizes that add up to 2 (axis 0 of [2]), got a total of 2 with a negative size",
                   [](const Inputs& in) {
                     return split_sizes(in[0], {3, -1});
                   }},
                  {{uniform({2})},
                   "[split] expected sizes that add up to 2 (axis 0 of [2]), got a total of 9223372036854775807",
                   [](const Inputs& in) {
                     return split_sizes(in[0], {INT64_MAX, INT64_MAX, 4});
                   }}},
      .f64 = tol::kExact,
      .f32 = tol::kExact,
  });
  table.add({
      .name = "chunk",
      .variant = "far more than there are",
      .call = [](const Inputs& in) { return chunk(in[0], INT64_MAX); },
      .samples = {{uniform({3, 2})}},
      .reference =
          [](const Arrays& in) {
            return cut(in[0], {1, 1, 1}, 0);
          },
      .f64 = tol::kExact,
      .f32 = tol::kExact,
  });
  table.add({
      .name = "chunk",
      .call = [](const Inputs& in) { return chunk(in[0], 3, -1); },
      .samples = {{uniform({2, 7})}, {uniform({4})}, {channels_last({1, 2, 3, 6})}},
      .reference =
          [](const Arrays& in) {
            const int64_t size = (in[0].shape.back() + 2) / 3;
            std::vector<int64_t> sizes;
            for (int64_t at = 0; at < in[0].shape.back(); at += size)
              sizes.push_back(std::min(size, in[0].shape.back() - at));
            return cut(in[0], sizes, in[0].dim() - 1);
          },
      .rejects = {{{uniform({})}, "[chunk] expected at least one axis, got a scalar"},
                  {{uniform({3})},
                   "[chunk] expected at least 1 chunk, got 0",
                   [](const Inputs& in) { return chunk(in[0], 0); }}},
      .f64 = tol::kExact,
      .f32 = tol::kExact,
  });
  for (const std::vector<int64_t>& padding : {std::vector<int64_t>{1, 2}, {1, 0, 2, 1}, {-1, 2, 1, -1}, {-1, -1}}) {
    table.add({
        .name = "pad",
        .variant = to_string(Dims(padding)),
        .call = [=](const Inputs& in) { return pad(in[0], padding, 1.5); },
        .samples = {{uniform({2, 3})},
                    {channels_last({2, 3, 4, 5})},
                    {strided(uniform({1, 2, 3}))},
                    {permuted(uniform({3, 2}))}},
        .reference = [=](const Arrays& in) { return padded(in[0], padding, 1.5); },
        .rejects = {{{uniform({3})},
                     "[pad] expected pairs (before, after) for at most 1 axes (shape [3]), got 3 numbers",
                     [](const Inputs& in) {
                       return pad(in[0], {1, 1, 1});
                     }},
                    {{uniform({3})},
                     "[pad] expected pairs (before, after) for at most 1 axes (shape [3]), got 4 numbers",
                     [](const Inputs& in) {
                       return pad(in[0], {1, 1, 1, 1});
                     }},
                    {{uniform({3})},
                     "[pad] expected to crop at most 3 positions of axis 0 of [3], got -2 and -2",
                     [](const Inputs& in) {
                       return pad(in[0], {-2, -2});
                     }},
                    {{mask({3})},
                     "[pad] expected a number that u8 can hold, got -1",
                     [](const Inputs& in) {
                       return pad(in[0], {1, 0}, -1);
                     }},
                    {{int_range({3})},
                     "[pad] expected a number that i64 can hold, got inf",
                     [](const Inputs& in) {
                       return pad(in[0], {1, 0}, kInf);
                     }},
                    {{uniform({3})},
                     "[pad] expected amounts of at most 2^60, got 9223372036854775807",
                     [](const Inputs& in) {
                       return pad(in[0], {INT64_MAX, INT64_MAX});
                     }}},
        .f64 = tol::kExact,
        .f32 = tol::kExact,
    });
  }
  table.add({
      .name = "pad2d",
      .call = [](const Inputs& in) { return pad2d(in[0], 2); },
      .samples = {{channels_last({2, 3, 2, 3})}, {uniform({1, 2})}},
      .reference =
          [](const Arrays& in) {
            return padded(in[0], {2, 2, 2, 2}, 0);
          },
      .rejects = {{{uniform({3})}, "[pad2d] expected at least 2 axes, got shape [3]"}},
      .f64 = tol::kExact,
      .f32 = tol::kExact,
  });
  table.add({
      .name = "flip",
      .call =
          [](const Inputs& in) {
            return flip(in[0], {0, -1});
          },
      .samples = {{uniform({3, 2, 4})}, {channels_last({2, 3, 2, 3})}, {strided(uniform({4, 3}))}, {uniform({2, 0})}},
      .large = {{uniform({30, 1000})}},
      .reference =
          [](const Arrays& in) {
            return gathered(in[0], in[0].shape, [&](Dims at) {
              at[0] = in[0].shape[0] - 1 - at[0];
              at.back() = in[0].shape.back() - 1 - at.back();
              return at;
            });
          },
      .rejects = {{{uniform({3})}, "[flip] expected every axis once, got [0, -1]"}},
      .f64 = tol::kExact,
      .f32 = tol::kExact,
      .keeps_format = true,
  });
  table.add({
      .name = "roll",
      .call =
          [](const Inputs& in) {
            return roll(in[0], {-1, 4}, {0, 1});
          },
      .samples = {{uniform({3, 2, 4})}, {channels_last({2, 3, 2, 3})}, {permuted(uniform({4, 3}))}, {uniform({0, 2})}},
      .reference =
          [](const Arrays& in) {
            return gathered(in[0], in[0].shape, [&](Dims at) {
              at[0] = wrapped(at[0] + 1, in[0].shape[0]);
              at[1] = wrapped(at[1] - 4, in[0].shape[1]);
              return at;
            });
          },
      .rejects = {{{uniform({3, 2})},
                   "[roll] expected a shift for each axis, got [1] for axes [0, 1]",
                   [](const Inputs& in) {
                     return roll(in[0], {1}, {0, 1});
                   }},
                  {{uniform({3, 2})},
                   "[roll] expected one shift when no axes are given, got [1, 2]",
                   [](const Inputs& in) {
                     return roll(in[0], {1, 2});
                   }}},
      .f64 = tol::kExact,
      .f32 = tol::kExact,
  });
  table.add({
      .name = "roll",
      .variant = "flattened",
      .call = [](const Inputs& in) { return roll(in[0], {3}); },
      .samples = {{uniform({2, 4})}, {strided(uniform({5}))}, {uniform({1})}},
      .reference =
          [](const Arrays& in) {
            Array out = in[0];
            for (int64_t i = 0; i < out.numel(); ++i)
              out.v[static_cast<size_t>(wrapped(i + 3, out.numel()))] = in[0].v[static_cast<size_t>(i)];
            return out;
          },
      .f64 = tol::kExact,
      .f32 = tol::kExact,
  });
  table.add({
      .name = "repeat",
      .call =
          [](const Inputs& in) {
            return repeat(in[0], {2, 1, 3});
          },
      .samples = {{uniform({2, 3})}, {uniform({2, 1, 2})}, {strided(uniform({4}))}, {uniform({})}, {uniform({0, 2})}},
      .reference =
          [](const Arrays& in) {
            Shape shape{1, 1, 1};
            for (int64_t a = 0; a < in[0].dim(); ++a) shape[a + 3 - in[0].dim()] = in[0].shape[a];
            Array x = in[0];
            x.shape = shape;
            return gathered(x, {2 * shape[0], shape[1], 3 * shape[2]}, [&](Dims at) {
              for (int64_t a = 0; a < 3; ++a) at[a] %= shape[a];
              return at;
            });
          },
      .rejects = {{{uniform({1, 1, 2, 2})},
                   "[repeat] expected at least 4 numbers for shape [1, 1, 2, 2], got [2, 1, 3]"},
                  {{uniform({2})},
                   "[repeat] expected numbers of at least 0, got [-1]",
                   [](const Inputs& in) { return repeat(in[0], {-1}); }}},
      .f64 = tol::kF64,
      .f32 = tol::kF32,
  });
  for (const int64_t axis : {int64_t{0}, int64_t{-1}})
    table.add({
        .name = "unbind",
        .variant = concat("axis ", axis),
        .call = [axis](const Inputs& in) { return unbind(in[0], axis); },
        .samples = {{uniform({3, 2})}, {strided(uniform({2, 3}))}, {channels_last({2, 3, 2, 2})}, {uniform({3})}},
        .reference =
            [axis](const Arrays& in) {
              const int64_t a = axis < 0 ? axis + in[0].dim() : axis;
              Shape shape = in[0].shape;
              shape.erase(a);
              Arrays out;
              for (int64_t i = 0; i < in[0].shape[a]; ++i)
                out.push_back(gathered(in[0], shape, [&](Dims at) {
                  at.insert(a, i);
                  return at;
                }));
              return out;
            },
        .rejects = {{{uniform({})}, "[unbind] expected at least one axis, got a scalar"}},
        .f64 = tol::kExact,
        .f32 = tol::kExact,
    });
  // Each position along the axis (of all elements where it is negative) as often as `count` says.
  const auto repeated = [](Array x, int64_t axis, const std::function<int64_t(int64_t)>& count) {
    if (axis < 0) {
      x.shape = {x.numel()};
      axis = 0;
    }
    std::vector<int64_t> positions;
    for (int64_t i = 0; i < x.shape[axis]; ++i) positions.insert(positions.end(), static_cast<size_t>(count(i)), i);
    Shape shape = x.shape;
    shape[axis] = static_cast<int64_t>(positions.size());
    return gathered(x, shape, [&](Dims at) {
      at[axis] = positions[static_cast<size_t>(at[axis])];
      return at;
    });
  };
  for (const int64_t axis : {int64_t{-1}, int64_t{0}, int64_t{1}}) {
    const auto given = axis < 0 ? std::nullopt : std::optional<int64_t>(axis);
    table.add({
        .name = "repeat_interleave",
        .variant = axis < 0 ? "flattened" : concat("axis ", axis),
        .call = [given](const Inputs& in) { return repeat_interleave(in[0], 3, given); },
        .samples = {{uniform({2, 3})}, {strided(uniform({2, 2}))}, {channels_last({2, 3, 2, 2})}, {uniform({0, 2})}},
        .large = {{uniform({120, 130})}},
        .reference = [=](const Arrays& in) { return repeated(in[0], axis, [](int64_t) { return 3; }); },
        .rejects = {{{uniform({2, 2})},
                     "[repeat_interleave] expected repeats of at least 0, got -1",
                     [](const Inputs& in) { return repeat_interleave(in[0], -1); }},
                    {{uniform({2, 2})},
                     "[repeat_interleave] expected an axis in [-2, 1], got 2",
                     [](const Inputs& in) { return repeat_interleave(in[0], 1, 2); }}},
        .f64 = tol::kF64Sum,
        .f32 = tol::kExact,
        .f32_gradient = tol::kF32Sum,
    });
    table.add({
        .name = "repeat_interleave",
        .variant = concat("each, ", axis < 0 ? "flattened" : concat("axis ", axis)),
        .call = [given](const Inputs& in) { return repeat_interleave(in[0], in[1], given); },
        .samples = {{uniform({2, 2}),
                     values({axis < 0 ? 4 : 2}, axis < 0 ? std::vector<double>{2, 0, 1, 3} : std::vector<double>{2, 3})
                         .to(DType::kI64)},
                    {uniform({2, 2}), values({}, {2}).to(DType::kI64)}},
        .reference =
            [=](const Arrays& in) {
              return repeated(in[0], axis, [&](int64_t i) {
                return static_cast<int64_t>(in[1].v[in[1].numel() == 1 ? 0 : static_cast<size_t>(i)]);
              });
            },
        .rejects = {{{uniform({2, 3}), int_range({4})},
                     concat("[repeat_interleave] expected one number of repeats or ",
                            axis < 0    ? 6
                            : axis == 0 ? 2
                                        : 3,
                            ", got [4]")},
                    {{uniform({2}), uniform({2})},
                     "[repeat_interleave] expected repeats of i64, got f64",
                     [](const Inputs& in) { return repeat_interleave(in[0], in[1]); }}},
        .f64 = tol::kF64Sum,
        .f32 = tol::kExact,
        .f32_gradient = tol::kF32Sum,
    });
  }
  table.golden("unbind", [](const Json& a, const Inputs& in) { return unbind(in[0], a.at("dim")); });
  table.golden("repeat_interleave", [](const Json& a, const Inputs& in) {
    const auto axis = a.contains("dim") ? std::optional<int64_t>(a.at("dim")) : std::nullopt;
    return in.size() > 1 ? repeat_interleave(in[0], in[1], axis)
                         : repeat_interleave(in[0], a.at("repeats").get<int64_t>(), axis);
  });
  for (const int64_t diagonal : {int64_t{0}, int64_t{-1}, int64_t{2}, INT64_MAX, INT64_MIN}) {
    for (const bool lower : {false, true}) {
      table.add({
          .name = lower ? "tril" : "triu",
          .variant = concat("diagonal ", diagonal),
          .call = [=](const Inputs& in) { return lower ? tril(in[0], diagonal) : triu(in[0], diagonal); },
          .samples = {{uniform({3, 4})},
                      {uniform({2, 4, 3})},
                      {strided(uniform({3, 3}))},
                      {uniform({1, 0})},
                      {channels_last({1, 2, 3, 3})}},
          .reference =
              [=](const Arrays& in) {
                Array out = in[0];
                for_each_index(out.shape, [&](const Dims& at) {
                  const int64_t above = at.back() - at[at.size() - 2];
                  if (lower ? above > diagonal : above < diagonal) out.at(at) = 0;
                });
                return out;
              },
          .rejects = {{{uniform({3})},
                       concat(lower ? "[tril]" : "[triu]", " expected at least 2 axes, got shape [3]")}},
          .f64 = tol::kExact,
          .f32 = tol::kExact,
      });
    }
  }

  table.golden("cat", [](const Json& a, const Inputs& in) { return cat(in, a.at("dim")); });
  table.golden("stack", [](const Json& a, const Inputs& in) { return stack(in, a.at("dim")); });
  table.golden("split", [](const Json& a, const Inputs& in) {
    return a.contains("split_sizes") ? split_sizes(in[0], list(a, "split_sizes"), a.at("dim"))
                                     : split(in[0], a.at("split_size"), a.at("dim"));
  });
  table.golden("pad", [](const Json& a, const Inputs& in) { return pad(in[0], list(a, "pad"), a.at("value")); });
  table.golden("repeat", [](const Json& a, const Inputs& in) { return repeat(in[0], Dims(list(a, "repeats"))); });
  table.golden("flip", [](const Json& a, const Inputs& in) { return flip(in[0], Dims(list(a, "dims"))); });
  table.golden("roll", [](const Json& a, const Inputs& in) {
    return roll(in[0], Dims(list(a, "shifts")), Dims(list(a, "dims")));
  });
  table.golden("tril", [](const Json& a, const Inputs& in) { return tril(in[0], a.at("diagonal")); });
  table.golden("triu", [](const Json& a, const Inputs& in) { return triu(in[0], a.at("diagonal")); });
}

}  // namespace tern::test
