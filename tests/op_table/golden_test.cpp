// Every golden case of PyTorch: outputs and gradients in f64, and in f32 at the table's single-precision tolerance.
#include <map>
#include <set>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>

#include "golden_file.h"
#include "op_table/generic.h"

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
  static const std::vector<GoldenCase> all = load_golden_ops();
  return all;
}

class Golden : public ::testing::TestWithParam<size_t> {};

TEST_P(Golden, MatchesPyTorch) {
  const GoldenCase& one = cases()[GetParam()];
  const auto function = op_table().golden().find(one.op());
  SCOPED_TRACE(one.attributes.dump());
  std::vector<Tensor> inputs = one.inputs(), leaves;
  std::vector<size_t> with_gradient;
  for (size_t i = 0; i < inputs.size(); ++i) {
    inputs[i] = inputs[i].clone();
    if (!one.has("grad" + std::to_string(i))) continue;
    leaves.push_back(inputs[i].requires_grad_());
    with_gradient.push_back(i);
  }
  const GoldenRun result = function->second.run(one.attributes, inputs);
  std::vector<Tensor> outputs, upstreams;
  size_t recorded = 0;
  for (size_t k = 0; one.has(k == 0 ? "out" : "out" + std::to_string(k)); ++k, ++recorded) {
    ASSERT_LT(k, result.outputs.size());
    const std::string number = k == 0 ? "" : std::to_string(k);
    EXPECT_TRUE(close(result.outputs[k], to_array(one["out" + number]), function->second.tolerance)) << "out" << number;
    if (!one.has("grad_out" + number)) continue;
    outputs.push_back(result.outputs[k]);
    upstreams.push_back(one["grad_out" + number]);
  }
  EXPECT_GT(recorded, 0u);
  for (const auto& [key, want] : one.tensors) {
    if (key.rfind("in", 0) == 0 && key != "indices") continue;
    if (key.rfind("out", 0) == 0 || key.rfind("grad", 0) == 0) continue;
    const auto got = result.extra.find(key);
    ASSERT_TRUE(got != result.extra.end()) << "the run does not give " << key;
    EXPECT_TRUE(close(got->second, to_array(want), function->second.tolerance)) << key;
  }
  if (leaves.empty()) return;
  const std::vector<Tensor> gradients = autograd::grad(outputs, leaves, upstreams);
  for (size_t k = 0; k < leaves.size(); ++k) {
    const std::string key = "grad" + std::to_string(with_gradient[k]);
    const Tensor got = gradients[k].defined() ? gradients[k] : empty_like(leaves[k]).fill_(0);
    EXPECT_TRUE(close(got, to_array(one[key]), function->second.tolerance)) << key;
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
  for (const GoldenCase& one : cases()) ops.insert(one.op());
  for (const auto& [op, function] : op_table().golden())
    EXPECT_TRUE(ops.count(op) != 0) << "no golden file has a case of " << op;
}

}  // namespace
}  // namespace tern::test
