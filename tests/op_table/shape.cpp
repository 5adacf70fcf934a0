#include <tern/core/ops/shape.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

Array reshaped(const Array& x, const Shape& shape) {
  Array out(shape);
  out.v = x.v;
  return out;
}

// Sums over leading axes and those of size 1 in `shape`.
Array summed_to(const Array& x, const Shape& shape) {
  Array out(shape);
  for_each_index(x.shape, [&](const Dims& index) {
    Dims to(shape.size(), 0);
    for (int64_t a = 0; a < shape.size(); ++a) to[a] = shape[a] == 1 ? 0 : index[a + x.dim() - shape.size()];
    out.at(to) += x.at(index);
  });
  return out;
}

// out[index] = x[f(index)]
Array gathered(const Array& x, const Shape& shape, const std::function<Dims(const Dims&)>& f) {
  Array out(shape);
  for_each_index(shape, [&](const Dims& index) { out.at(index) = x.at(f(index)); });
  return out;
}

}  // namespace

TERN_OP_FAMILY(shape) {
  table.add({
      .name = "reshape",
      .call =
          [](const Inputs& in) {
            return reshape(in[0], {-1, 6});
          },
      .samples =
          {{uniform({2, 3, 4})}, {permuted(uniform({4, 3}))}, {strided(uniform({3, 2, 1, 4}))}, {uniform({0, 6})}},
      .reference =
          [](const Arrays& in) {
            return reshaped(in[0], {in[0].numel() / 6, 6});
          },
      .rejects = {{{uniform({7})}, "[reshape] expected a shape for 7 elements ([7]), got [-1, 6]"},
                  {{uniform({6})},
                   "[reshape] expected at most one size of -1, got [-1, -1]",
                   [](const Inputs& in) {
                     return reshape(in[0], {-1, -1});
                   }},
                  {{uniform({6})},
                   "[reshape] expected a shape for 6 elements ([6]), got [2, 2]",
                   [](const Inputs& in) {
                     return reshape(in[0], {2, 2});
                   }}},
  });
  table.add({
      .name = "view",
      .call =
          [](const Inputs& in) {
            return view(in[0].contiguous(), {-1, 2});
          },
      .samples = {{uniform({3, 4})}, {uniform({1, 2, 1})}},
      .reference =
          [](const Arrays& in) {
            return reshaped(in[0], {in[0].numel() / 2, 2});
          },
      .rejects = {{{permuted(values({2, 3}, {1, 2, 3, 4, 5, 6}))},
                   "[view] shape [6] cannot share the memory of shape [2, 3] with strides [1, 2]; use reshape, which "
                   "copies where it must",
                   [](const Inputs& in) { return view(in[0], {6}); }}},
  });
  table.add({
      .name = "permute",
      .call =
          [](const Inputs& in) {
            return permute(in[0], {2, 0, -2});
          },
      .samples = {{uniform({2, 3, 4})}, {strided(uniform({1, 3, 2}))}, {uniform({3, 0, 2})}},
      .reference =
          [](const Arrays& in) {
            const Shape& s = in[0].shape;
            return gathered(in[0], {s[2], s[0], s[1]}, [](const Dims& i) { return Dims{i[1], i[2], i[0]}; });
          },
      .rejects = {{{uniform({2, 3})}, "[permute] expected 2 axes for shape [2, 3], got [2, 0, -2]"},
                  {{uniform({2, 3})},
                   "[permute] expected every axis once, got [1, 1]",
                   [](const Inputs& in) {
                     return permute(in[0], {1, 1});
                   }}},
  });
  table.add({
      .name = "transpose",
      .call = [](const Inputs& in) { return transpose(in[0], 0, -1); },
      .samples = {{uniform({2, 3})}, {uniform({4})}, {channels_last({2, 3, 1, 4})}},
      .reference =
          [](const Arrays& in) {
            Shape s = in[0].shape;
            std::swap(s[0], s.back());
            return gathered(in[0], s, [](const Dims& i) {
              Dims j = i;
              std::swap(j[0], j.back());
              return j;
            });
          },
      .rejects = {{{uniform({2, 3})},
                   "[transpose] expected an axis in [-2, 1], got 2",
                   [](const Inputs& in) { return transpose(in[0], 0, 2); }}},
  });
  table.add({
      .name = "slice",
      .call = [](const Inputs& in) { return slice(in[0], 1, 1, -1, 2); },
      .samples = {{uniform({2, 7})}, {uniform({3, 2, 2})}, {channels_last({2, 5, 3, 2})}, {strided(uniform({1, 6}))}},
      .reference =
          [](const Arrays& in) {
            Shape s = in[0].shape;
            s[1] = std::max<int64_t>((s[1] - 2 + 1) / 2, 0);
            return gathered(in[0], s, [](const Dims& i) {
              Dims j = i;
              j[1] = 1 + 2 * i[1];
              return j;
            });
          },
      .rejects = {{{uniform({5})}, "[slice] expected an axis in [-1, 0], got 1"},
                  {{uniform({5})},
                   "[slice] expected a step of at least 1, got 0",
                   [](const Inputs& in) { return slice(in[0], 0, 0, 5, 0); }},
                  {{uniform({})},
                   "[slice] expected at least one axis, got a scalar",
                   [](const Inputs& in) { return slice(in[0], 0, 0, 5); }}},
  });
  table.add({
      .name = "select",
      .call = [](const Inputs& in) { return select(in[0], -1, 1); },
      .samples = {{uniform({3, 2})}, {uniform({2})}, {strided(uniform({2, 2, 3}))}},
      .reference =
          [](const Arrays& in) {
            Shape s = in[0].shape;
            s.erase(s.size() - 1);
            return gathered(in[0], s, [](const Dims& i) {
              Dims j = i;
              j.push_back(1);
              return j;
            });
          },
      .rejects = {{{uniform({3, 1})}, "[select] expected an index in [-1, 0] along axis 1, got 1"},
                  {{uniform({})}, "[select] expected at least one axis, got a scalar"}},
  });
  struct Diagonal {
    int64_t offset, axis0, axis1;
  };
  for (const Diagonal& d : {Diagonal{0, 0, 1}, Diagonal{1, -2, -1}, Diagonal{-1, 1, 0}, Diagonal{INT64_MAX, 0, 1},
                            Diagonal{INT64_MIN, 0, 1}})
    table.add({
        .name = "diagonal",
        .variant = concat(d.offset, " of axes ", d.axis0, ", ", d.axis1),
        .call = [d](const Inputs& in) { return diagonal(in[0], d.offset, d.axis0, d.axis1); },
        .samples = {{uniform({3, 4})},
                    {uniform({4, 2, 3})},
                    {strided(uniform({2, 2}))},
                    {uniform({0, 3})},
                    {channels_last({2, 3, 2, 2})}},
        .reference =
            [d](const Arrays& in) {
              const Array& x = in[0];
              const int64_t a = d.axis0 < 0 ? d.axis0 + x.dim() : d.axis0,
                            b = d.axis1 < 0 ? d.axis1 + x.dim() : d.axis1;
              Shape shape;
              for (int64_t i = 0; i < x.dim(); ++i)
                if (i != a && i != b) shape.push_back(x.shape[i]);
              int64_t length = 0;
              for (int64_t i = 0; i < x.shape[a]; ++i)
                for (int64_t j = 0; j < x.shape[b]; ++j) length += j - i == d.offset ? 1 : 0;
              shape.push_back(length);
              return gathered(x, shape, [&](const Dims& at) {
                Dims from;
                for (int64_t i = 0, next = 0; i < x.dim(); ++i)
                  from.push_back(i == a   ? at.back() + std::max<int64_t>(-d.offset, 0)
                                 : i == b ? at.back() + std::max<int64_t>(d.offset, 0)
                                          : at[next++]);
                return from;
              });
            },
        .rejects = {{{uniform({3})}, "[diagonal] expected at least 2 axes, got shape [3]"},
                    {{uniform({2, 3})},
                     "[diagonal] expected two different axes, got 1 twice",
                     [](const Inputs& in) { return diagonal(in[0], 0, 1, -1); }}},
    });
  table.golden("diagonal", [](const Json& a, const Inputs& in) {
    return diagonal(in[0], a.at("offset"), a.at("dim1"), a.at("dim2"));
  });
  table.add({
      .name = "expand",
      .call =
          [](const Inputs& in) {
            return expand(in[0], {2, 3, -1});
          },
      .samples = {{uniform({3, 4})}, {uniform({1, 1})}, {uniform({2, 1, 5})}, {uniform({1})}, {uniform({0})}},
      .reference =
          [](const Arrays& in) {
            return broadcast(in[0], {2, 3, in[0].shape.back()});
          },
      .rejects = {{{uniform({2, 4})}, "[expand] expected a shape that [2, 4] broadcasts to, got [2, 3, -1]"},
                  {{uniform({2, 2, 2, 2})}, "[expand] expected at least 4 axes, got [2, 3, -1]"},
                  {{uniform({3})},
                   "[expand] expected a size for every new axis, got [-1, 3]",
                   [](const Inputs& in) {
                     return expand(in[0], {-1, 3});
                   }}},
  });
  table.add({
      .name = "squeeze",
      .call = [](const Inputs& in) { return squeeze(in[0], 1); },
      .samples = {{uniform({2, 1, 3})}, {uniform({2, 3})}, {strided(uniform({4, 1}))}},
      .reference =
          [](const Arrays& in) {
            Shape s = in[0].shape;
            if (s[1] == 1) s.erase(1);
            return reshaped(in[0], s);
          },
      .rejects = {{{uniform({3})}, "[squeeze] expected an axis in [-1, 0], got 1"}},
  });
  table.add({
      .name = "unsqueeze",
      .call = [](const Inputs& in) { return unsqueeze(in[0], -1); },
      .samples = {{uniform({2, 3})}, {uniform({})}, {permuted(uniform({2, 3}))}, {uniform({0, 3})}},
      .reference =
          [](const Arrays& in) {
            Shape s = in[0].shape;
            s.push_back(1);
            return reshaped(in[0], s);
          },
      .rejects = {{{uniform({2, 3})},
                   "[unsqueeze] expected an axis in [-3, 2], got 3",
                   [](const Inputs& in) { return unsqueeze(in[0], 3); }}},
  });
  table.add({
      .name = "flatten",
      .call = [](const Inputs& in) { return flatten(in[0], 1); },
      .samples = {{uniform({2, 3, 4})}, {channels_last({2, 3, 2, 2})}, {uniform({3, 0})}, {uniform({4, 1})}},
      .reference =
          [](const Arrays& in) {
            int64_t rest = 1;
            for (int64_t a = 1; a < in[0].dim(); ++a) rest *= in[0].shape[a];
            return reshaped(in[0], {in[0].shape[0], rest});
          },
      .rejects = {{{uniform({3})}, "[flatten] expected an axis in [-1, 0], got 1"},
                  {{uniform({3, 2})},
                   "[flatten] expected the first axis before the last, got 1 and 0",
                   [](const Inputs& in) { return flatten(in[0], 1, 0); }}},
  });
  table.add({
      .name = "sum_to",
      .call =
          [](const Inputs& in) {
            return sum_to(in[0], {1, 4});
          },
      .samples = {{uniform({2, 3, 4})}, {uniform({5, 4})}, {uniform({1, 4})}, {strided(uniform({3, 2, 4}))}},
      .reference =
          [](const Arrays& in) {
            return summed_to(in[0], {1, 4});
          },
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  });

  const auto dims = [](const Json& a, const char* key) { return Dims(a.at(key).get<std::vector<int64_t>>()); };
  table.golden("permute", [=](const Json& a, const Inputs& in) { return permute(in[0], dims(a, "dims")); });
  table.golden("transpose",
               [](const Json& a, const Inputs& in) { return transpose(in[0], a.at("dim0"), a.at("dim1")); });
  table.golden("reshape", [=](const Json& a, const Inputs& in) { return reshape(in[0], dims(a, "shape")); });
  table.golden("transpose_reshape", [=](const Json& a, const Inputs& in) {
    return reshape(transpose(in[0], a.at("dim0"), a.at("dim1")), dims(a, "shape"));
  });
  table.golden("expand", [=](const Json& a, const Inputs& in) { return expand(in[0], dims(a, "shape")); });
  table.golden("slice", [](const Json& a, const Inputs& in) {
    return slice(in[0], a.at("dim"), a.at("start"), a.at("end"), a.at("step"));
  });
  table.golden("select", [](const Json& a, const Inputs& in) { return select(in[0], a.at("dim"), a.at("index")); });
  table.golden("unsqueeze", [](const Json& a, const Inputs& in) { return unsqueeze(in[0], a.at("dim")); });
  table.golden("squeeze", [](const Json& a, const Inputs& in) { return squeeze(in[0], a.at("dim")); });
}

}  // namespace tern::test
