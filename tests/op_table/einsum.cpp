#include <map>

#include <tern/core/ops/einsum.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

// The sum over all letters, one product at a time. labels: a letter per axis of each operand, and of the result last.
Array named_sum(const Arrays& in, const std::vector<std::string>& labels) {
  std::map<char, int64_t> sizes, at;
  for (size_t k = 0; k < in.size(); ++k)
    for (size_t a = 0; a < labels[k].size(); ++a) {
      int64_t& size = sizes.try_emplace(labels[k][a], 1).first->second;
      size = size == 1 ? in[k].shape[static_cast<int64_t>(a)] : size;
    }
  Shape all, shape;
  for (const auto& [label, size] : sizes) all.push_back(size);
  for (const char label : labels.back()) shape.push_back(sizes.at(label));
  Array out(shape);
  for_each_index(all, [&](const Dims& index) {
    int64_t n = 0;
    for (const auto& [label, size] : sizes) at[label] = index[n++];
    double product = 1;
    for (size_t k = 0; k < in.size(); ++k) {
      Dims position;
      for (size_t a = 0; a < labels[k].size(); ++a)
        position.push_back(in[k].shape[static_cast<int64_t>(a)] == 1 ? 0 : at[labels[k][a]]);
      product *= in[k].at(position);
    }
    Dims to;
    for (const char label : labels.back()) to.push_back(at[label]);
    out.at(to) += product;
  });
  return out;
}

void add_equation(OpTable& table, const std::string& equation, std::vector<Inputs> samples,
                  std::vector<std::string> labels, std::vector<Inputs> large = {}) {
  table.add({
      .name = "einsum",
      .variant = equation,
      .call = [=](const Inputs& in) { return einsum(equation, in); },
      .samples = std::move(samples),
      .large = std::move(large),
      .reference = [=](const Arrays& in) { return named_sum(in, labels); },
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  });
}

Reject refused(const std::string& equation, Inputs inputs, const std::string& message) {
  return {std::move(inputs), message, [=](const Inputs& in) { return einsum(equation, in); }};
}

}  // namespace

TERN_OP_FAMILY(einsum) {
  add_equation(table, "ij,jk->ik",
               {{uniform({2, 3}), uniform({3, 4})},
                {strided(uniform({2, 3})), permuted(uniform({3, 4}))},
                {uniform({2, 1}), uniform({3, 4})},
                {uniform({2, 0}), uniform({0, 3})},
                {uniform({0, 2}), uniform({2, 3})}},
               {"ij", "jk", "ik"}, {{uniform({70, 90}), uniform({90, 80})}});
  add_equation(table, "bij,bjk", {{uniform({2, 3, 2}), uniform({2, 2, 4})}, {uniform({1, 3, 2}), uniform({3, 2, 1})}},
               {"bij", "bjk", "ik"});
  add_equation(table, "bqhd,bkhd->bhqk",
               {{uniform({2, 3, 2, 4}), uniform({2, 5, 2, 4})}, {channels_last({1, 2, 3, 2}), uniform({2, 2, 3, 2})}},
               {"bqhd", "bkhd", "bhqk"}, {{uniform({2, 30, 3, 20}), uniform({2, 40, 3, 20})}});
  add_equation(table, "...ij,...jk->...ik", {{uniform({2, 1, 2, 3}), uniform({3, 3, 2})}}, {"xyij", "yjk", "xyik"});
  add_equation(table, "...i->i", {{uniform({2, 3, 4})}, {uniform({0, 3, 2})}}, {"xyi", "i"});
  add_equation(table, "bi,bi->b", {{uniform({3, 4}), uniform({3, 4})}, {uniform({3, 1}), uniform({1, 4})}},
               {"bi", "bi", "b"}, {{uniform({300, 70}), uniform({300, 70})}});
  add_equation(table, " i , j -> ji ", {{uniform({3}), uniform({4})}, {uniform({0}), uniform({2})}}, {"i", "j", "ji"});
  add_equation(table, "ii", {{uniform({3, 3})}, {strided(uniform({4, 4}))}}, {"ii", ""});
  add_equation(table, "aba,cb->ca", {{uniform({2, 3, 2}), uniform({4, 3})}}, {"aba", "cb", "ca"});
  add_equation(table, "iii->i", {{uniform({3, 3, 3})}}, {"iii", "i"});
  add_equation(table, "bA", {{uniform({2, 3})}}, {"bA", "Ab"});
  add_equation(table, "bn,anm,bm->ba", {{uniform({2, 3}), uniform({4, 3, 2}), uniform({2, 2})}},
               {"bn", "anm", "bm", "ba"});
  add_equation(table, "ab,cd,ef,ae->bdf", {{uniform({2, 3}), uniform({2, 2}), uniform({3, 2}), uniform({2, 3})}},
               {"ab", "cd", "ef", "ae", "bdf"});
  add_equation(table, ",i->i", {{uniform({}), uniform({3})}}, {"", "i", "i"});
  table.add({
      .name = "einsum",
      .variant = "refused",
      .call = [](const Inputs& in) { return einsum("i->", in); },
      .samples = {{uniform({3})}},
      .reference =
          [](const Arrays& in) {
            return named_sum(in, {"i", ""});
          },
      .rejects =
          {refused("ij,jk->ik", {uniform({2, 3})}, "[einsum] expected 2 operands, got 1"),
           refused("ij->ij", {}, "[einsum] expected 1 operands, got 0"),
           refused("i1->i", {uniform({2, 3})}, "[einsum] expected letters, \"...\", commas and \"->\", got \"i1\""),
           refused("i->j->k", {uniform({2})}, "[einsum] expected letters, \"...\", commas and \"->\", got \"j->k\""),
           refused("i..->i", {uniform({2})}, "[einsum] expected at most one \"...\" per operand, got \"i..\""),
           refused("...i...", {uniform({2})}, "[einsum] expected at most one \"...\" per operand, got \"...i...\""),
           refused("ij->i", {uniform({2})}, "[einsum] expected 2 axes for operand 0, got [2]"),
           refused("...ij->i", {uniform({2})}, "[einsum] expected at least 2 axes for operand 0, got [2]"),
           refused("ij->ik", {uniform({2, 3})}, "[einsum] expected letters of the operands in the result, got k"),
           refused("ij->ii", {uniform({2, 3})}, "[einsum] expected every letter once in the result, got i twice"),
           refused("ii->i", {uniform({2, 3})}, "[einsum] expected one size for both axes i of operand 0, got 2 and 3"),
           refused("ij,jk->ik", {uniform({2, 3}), uniform({4, 5})},
                   "[einsum] expected one size for axis j, got 3 and 4 in operand 1"),
           refused("...,...", {uniform({2, 3}), uniform({2})},
                   "[einsum] expected one size for the axes of ..., got 3 and 2 in operand 1"),
           refused("i,i", {uniform({2}), uniform({2}).to(DType::kF32)},
                   "[einsum] expected operands of one dtype, got f64 and f32"),
           refused("i,i", {int_range({2}), int_range({2})}, "[einsum] expected f32 or f64, got i64"),
           refused("abcde,fghij->abcdefghij", {uniform({1, 1, 1, 1, 1}), uniform({1, 1, 1, 1, 1})},
                   "[einsum] expected intermediate results of at most 8 axes, got 10")},
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  });
  table.golden("einsum",
               [](const Json& a, const Inputs& in) { return einsum(a.at("equation").get<std::string>(), in); });
}

}  // namespace tern::test
