// Every golden case of PyTorch: outputs and gradients in f64. Those of the edges are in edges_test.cpp.
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "op_table/golden_case.h"

namespace tern::test {
namespace {

// Golden ops that another test runs, and which.
const std::map<std::string, std::string> kElsewhere{{"MultiheadAttention", "tests/nn/attention_test.cpp"},
                                                    {"LSTM", "tests/nn/recurrent_test.cpp"},
                                                    {"GRU", "tests/nn/recurrent_test.cpp"},
                                                    {"RNN", "tests/nn/recurrent_test.cpp"},
                                                    {"InstanceNorm2d", "tests/nn/image_layers_test.cpp"},
                                                    {"TransformerEncoder", "tests/nn/transformer_test.cpp"},
                                                    {"TransformerEncoderLayer", "tests/nn/transformer_test.cpp"}};

const std::vector<GoldenCase>& cases() {
  static const std::vector<GoldenCase> all = load_golden_ops("edges");
  return all;
}

class Golden : public ::testing::TestWithParam<size_t> {};

TEST_P(Golden, MatchesPyTorch) {
  const GoldenCase& one = cases()[GetParam()];
  SCOPED_TRACE(one.attributes.dump());
  const Tolerance tolerance = op_table().golden().at(one.op()).tolerance;
  const std::map<std::string, Tensor> results = run_golden(one, DType::kF64);
  EXPECT_TRUE(results.count("out") != 0 && one.has("out"));
  for (const auto& [key, want] : one.tensors) {
    if (is_given(key)) continue;
    ASSERT_TRUE(results.count(key) != 0) << "the run does not give " << key;
    EXPECT_TRUE(close(results.at(key), to_array(want), tolerance)) << key;
  }
}

std::vector<size_t> cases_that_run() {
  std::vector<size_t> all;
  for (size_t i = 0; i < cases().size(); ++i)
    if (op_table().golden().count(cases()[i].op()) != 0) all.push_back(i);
  return all;
}

std::string case_name(const ::testing::TestParamInfo<size_t>& info) {
  std::string out;
  for (const char c : cases()[info.param].name) out += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return out;
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Golden);
INSTANTIATE_TEST_SUITE_P(PyTorch, Golden, ::testing::ValuesIn(cases_that_run()), case_name);

TEST(GoldenFiles, AreThere) {
  EXPECT_GT(cases().size(), 300u);
}

TEST(GoldenFiles, EveryCaseIsRun) {
  for (const GoldenCase& one : cases())
    EXPECT_TRUE(op_table().golden().count(one.op()) != 0 || kElsewhere.count(one.op()) != 0)
        << "no family runs " << one.op() << " (" << one.name << ")";
}

TEST(GoldenFiles, EveryRunIsOfAKnownCase) {
  std::set<std::string> ops;
  for (const GoldenCase& one : load_golden_ops()) ops.insert(one.op());
  for (const auto& [op, function] : op_table().golden())
    EXPECT_TRUE(ops.count(op) != 0) << "no golden file has a case of " << op;
}

}  // namespace
}  // namespace tern::test
