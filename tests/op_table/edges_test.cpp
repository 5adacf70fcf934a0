// Every op at the edges of its domain (tests/golden/gen/ops_edges.py), against PyTorch: values and gradients in f64,
// and in f32 where PyTorch's own single precision agrees; what PyTorch refuses must be refused.
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include <fnmatch.h>
#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/ops/quantile.h>
#include <tern/core/ops/reduce.h>

#include "op_table/golden_case.h"

namespace tern::test {
namespace {

// Results that differ from PyTorch's on purpose, and why; the op's header says so too. Of several patterns that match a
// case, the first counts. A listed result that agrees with PyTorch's after all is a failure.
struct Difference {
  std::string cases;    // a pattern, as of file names
  std::string results;  // the differing ones, separated by blanks; "refused": PyTorch accepts; "accepted": it refuses
  std::string reason;
  std::string summed = {};  // of these, which of equal elements comes first is left open: sums along `dim` are compared
};
const std::vector<Difference>& differences() {
  const std::string ignored = "a row that counts for nothing gets no gradient, whatever it holds (loss.h)";
  const std::string hidden = "what a query may not attend to reaches nothing (attention.h); PyTorch multiplies it by 0";
  const std::string limit = "at a target of 0 the gradient is its limit (loss.h)";
  const std::string two_rules = "max(x) is amax(x), whose gradient is NaN (reduce.h); PyTorch has a rule for each";
  const std::string which = "PyTorch does not promise which of equal elements, or of several NaN, gets the gradient";
  const std::string same =
      "a quantile that lies on an element is that element (reduce.h); PyTorch adds 0 times a difference, which "
      "infinities make NaN";
  const std::string nothing = "the result has no elements, so there is nothing to reduce";
  static const std::vector<Difference> all{
      {"cross_entropy_rows_ignored_*", "grad0", ignored},
      {"group_norm_one_element", "accepted", "one element is its own mean and becomes the bias, as in layer_norm"},
      {"kl_div_pairs", "grad1", limit},
      {"kl_div_zero_targets", "grad1", limit},
      {"m??_all_nan*", "grad0", two_rules},
      {"m??_all_only_nan", "grad0", two_rules},
      {"median_*rows", "", which, "grad0"},
      {"median_*columns", "", which, "grad0"},
      {"norm_inf_empty_0*_0", "accepted", "the largest of no magnitudes is 0 (reduce.h)"},
      {"norm_inf_empty_*x0*_1", "accepted", "the largest of no magnitudes is 0 (reduce.h)"},
      {"quantile_*_empty_0x3_1", "accepted", nothing},
      {"quantile_*_empty_2x0x3_0", "accepted", nothing},
      {"quantile_linear_*_one_element*", "out", same},
      {"quantile_midpoint_*_one_element*", "out", same},
      {"quantile_linear_[01]p0_*rows", "out", same, "grad0"},
      {"quantile_linear_[01]p0_*columns", "out", same, "grad0"},
      {"quantile_midpoint_[01]p0_*rows", "out", same, "grad0"},
      {"quantile_midpoint_[01]p0_*columns", "out", same, "grad0"},
      {"quantile_*rows", "", which, "grad0"},
      {"quantile_*columns", "", which, "grad0"},
      {"sdpa_added_*_nan", "out grad0 grad1 grad2", hidden},
      {"sdpa_added_*_inf", "out grad0 grad1 grad2", hidden},
      {"sdpa_causal_*_nan", "out grad0", hidden},
      {"sdpa_causal_*_inf", "out grad0", hidden},
      {"sdpa_mask_*_nan", "out grad0 grad1", hidden},
      {"sdpa_mask_*_inf", "out grad0 grad1", hidden},
      {"sdpa_blind_*", "out grad2", "a query that may attend to nothing gives zeros (attention.h)"},
      {"var_unbiased_scalar", "grad0",
       "0 / 0 is NaN; PyTorch has infinity for a tensor without axes, NaN for one with"},
  };
  return all;
}

const Difference* difference_of(const std::string& name) {
  for (const Difference& difference : differences())
    if (fnmatch(difference.cases.c_str(), name.c_str(), 0) == 0) return &difference;
  return nullptr;
}

bool lists(const std::string& words, const std::string& word) {
  return (" " + words + " ").find(" " + word + " ") != std::string::npos;
}

// Ops in which the sign of a zero follows from arithmetic, rather than from an order among equals.
bool signs_matter(const std::string& op) {
  return lists(
      "neg abs sqrt floor ceil trunc round add sub mul div add_scalar mul_scalar div_scalar scalar_sub scalar_div sin "
      "tanh atan erf expm1 log1p relu leaky_relu clamp where masked_fill sum cumsum gather scatter index_select "
      "embedding",
      op);
}
::testing::AssertionResult same_zeros(const Tensor& got, const Tensor& want) {
  const Array a = to_array(got), b = to_array(want);
  for (size_t i = 0; i < a.v.size(); ++i)
    if (a.v[i] == 0 && b.v[i] == 0 && std::signbit(a.v[i]) != std::signbit(b.v[i]))
      return ::testing::AssertionFailure() << "element " << i << " is " << (std::signbit(a.v[i]) ? "-0" : "+0");
  return ::testing::AssertionSuccess();
}

void check_case(const GoldenCase& one, DType dtype, const Tolerance& tolerance) {
  SCOPED_TRACE(concat(one.name, " in ", dtype, " ", one.attributes.dump()));
  const Difference* difference = difference_of(one.name);
  const auto differs = [&](const std::string& what) {
    return difference != nullptr && lists(difference->results, what);
  };
  std::map<std::string, Tensor> results;
  std::string refusal;
  try {
    results = run_golden(one, dtype);
  } catch (const Error& error) {
    refusal = error.what();
  }
  const bool raises = one.attributes.value("raises", false);
  const bool expected = raises ? !differs("accepted") : differs("refused");
  EXPECT_EQ(!refusal.empty(), expected) << "PyTorch " << (raises ? "refuses this" : "accepts this") << "; " << refusal;
  if (raises || !refusal.empty()) return;
  for (const auto& [key, want] : one.tensors) {
    if (is_given(key)) continue;
    ASSERT_TRUE(results.count(key) != 0) << "the run does not give " << key;
    Tensor got = results.at(key), expected_result = want;
    if (difference != nullptr && lists(difference->summed, key)) {
      const Dims axis{one.attributes.at("dim").get<int64_t>()};
      got = sum(got, axis), expected_result = sum(want, axis);
    }
    auto agrees = close(got, to_array(expected_result), tolerance, 1);
    if (agrees && dtype == DType::kF64 && key == "out" && signs_matter(one.op())) agrees = same_zeros(got, want);
    EXPECT_EQ(static_cast<bool>(agrees), !differs(key)) << key << ": " << agrees.message();
  }
}

// Some hundred cases a test: one for each would take longer to list than to run.
class Edges : public ::testing::TestWithParam<std::string> {};

const std::vector<GoldenCase>& cases() {
  static const std::vector<GoldenCase> all =
      load_golden(std::filesystem::path(TERN_GOLDEN_DIR) / "ops" / "edges.safetensors");
  return all;
}

TEST_P(Edges, MatchPyTorch) {
  size_t count = 0;
  for (const GoldenCase& one : cases()) {
    if (one.op() != GetParam()) continue;
    ++count;
    check_case(one, DType::kF64, op_table().golden().at(one.op()).tolerance);
    if (one.attributes.value("f32", false)) check_case(one, DType::kF32, tol::kF32Sum);
  }
  EXPECT_GT(count, 0u);
}

std::vector<std::string> ops() {
  std::map<std::string, bool> found;
  for (const GoldenCase& one : cases())
    if (op_table().golden().count(one.op()) != 0) found[one.op()] = true;
  std::vector<std::string> names;
  for (const auto& [name, unused] : found) names.push_back(name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(PyTorch, Edges, ::testing::ValuesIn(ops()),
                         [](const ::testing::TestParamInfo<std::string>& one) { return one.param; });

TEST(EdgeFiles, EveryCaseIsRun) {
  EXPECT_GT(cases().size(), 800u);
  for (const GoldenCase& one : cases())
    EXPECT_TRUE(op_table().golden().count(one.op()) != 0) << "no family runs " << one.op() << " (" << one.name << ")";
}

TEST(EdgeFiles, EveryDifferenceIsOfACase) {
  for (const Difference& difference : differences()) {
    bool found = false;
    for (const GoldenCase& one : cases()) found = found || difference_of(one.name) == &difference;
    EXPECT_TRUE(found) << difference.cases;
    EXPECT_FALSE(difference.reason.empty()) << difference.cases;
  }
}

}  // namespace
}  // namespace tern::test
