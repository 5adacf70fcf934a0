#include <cmath>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "apps/process.h"

namespace tern::testing {
namespace {

std::vector<nlohmann::json> lines_of(const ProcessResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::vector<nlohmann::json> lines;
  std::istringstream text(result.out);
  for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

TEST(Bench, PrintsAJsonLineAWorkload) {
  const auto lines = lines_of(run_program(
      "bench", {"--only", "conv3x3_c64", "attention", "matmul_1024", "--threads", "2", "--reps", "1", "--json"}));
  ASSERT_EQ(lines.size(), 3u);
  const std::vector<std::string> names{"conv3x3_c64", "attention", "matmul_1024"};
  const std::vector<double> items{128, 16, 1};
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].at("workload"), names[i]);
    EXPECT_EQ(lines[i].at("threads"), 2);
    EXPECT_GT(lines[i].at("ms"), 0);
    const double rate = lines[i].at("items_per_s");
    EXPECT_NEAR(rate * lines[i].at("ms").get<double>() / 1e3, items[i], 0.05 * items[i]);
    const double share = lines[i].at("share_of_bound");
    EXPECT_TRUE(share > 0 && share < 6) << share << " of what the processor can do";
    EXPECT_GT(lines[i].at("peak_bytes"), 0);
    EXPECT_FALSE(lines[i].contains("loss"));
  }
}

TEST(Bench, TrainingRowsHaveALossThatThreadsDoNotChange) {
  const auto one = lines_of(
      run_program("bench", {"--only=resnet20_train", "--only=resnet20_qat", "--threads=1", "--reps=1", "--json"}));
  const auto two = lines_of(
      run_program("bench", {"--only", "resnet20_train", "resnet20_qat", "--threads", "2", "--reps", "1", "--json"}));
  ASSERT_EQ(one.size(), 2u);
  ASSERT_EQ(two.size(), 2u);
  for (size_t i = 0; i < one.size(); ++i) {
    const double loss = one[i].at("loss");
    EXPECT_TRUE(std::isfinite(loss) && loss > 0) << loss;
    EXPECT_EQ(loss, two[i].at("loss").get<double>());
  }
}

// Those that the tests above leave out.
TEST(Bench, TheOtherWorkloadsRun) {
  const std::vector<std::string> names{"resnet20_infer",  "vit_tiny_train", "vit_tiny_infer",  "lm_train",
                                       "bitnet_lm_train", "conv3x3_c16",    "conv3x3_c32",     "conv1x1",
                                       "grouped3x3_g4",   "depthwise3x3",   "depthwise3x3_s2", "mobilenetv2_train",
                                       "resnext29_train", "lstm_train"};
  std::vector<std::string> arguments{"--reps", "1", "--json", "--only"};
  arguments.insert(arguments.end(), names.begin(), names.end());
  const auto lines = lines_of(run_program("bench", arguments));
  ASSERT_EQ(lines.size(), names.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].at("workload"), names[i]);
    EXPECT_EQ(lines[i].contains("loss"), names[i].ends_with("_train"));
  }
}

// With what they are held against, and the bytes that bound them.
TEST(Bench, PackedRowsHaveTheirFloatsBeside) {
  const auto lines = lines_of(run_program("bench", {"--only", "ternary_gemv_4096", "ternary_gemm_4096x64",
                                                    "memory_read", "--threads", "1", "--reps", "1", "--json"}));
  ASSERT_EQ(lines.size(), 3u);
  for (size_t i = 0; i < 2; ++i) EXPECT_GT(lines[i].at("fp32_ms"), 0);
  EXPECT_GT(lines[0].at("warm_ms"), 0);
  EXPECT_GT(lines[0].at("read_ms"), 0);
  const double packed = lines[0].at("gb_per_s"), read = lines[2].at("gb_per_s");
  EXPECT_NEAR(packed * lines[0].at("ms").get<double>(), 4096.0 * 4096 / 4 * 1e-6, 0.1);
  EXPECT_GT(read, 0);
  EXPECT_FALSE(lines[2].contains("fp32_ms"));
}

TEST(Bench, PrintsATable) {
  const ProcessResult result = run_program("bench", {"--only", "matmul_1024", "--reps", "1"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("GFLOP/s"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("\nmatmul_1024 "), std::string::npos) << result.out;
}

TEST(Bench, RefusesBadArguments) {
  const auto refused = [](std::vector<std::string> arguments, const std::string& said) {
    const ProcessResult result = run_program("bench", arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find(said), std::string::npos) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  };
  refused({"--only", "resnet20_trian"}, "resnet20_train");
  refused({"--only"}, "--only");
  refused({"--reps", "0"}, "--reps");
  refused({"--threads", "-1"}, "--threads");
  refused({"--rep", "3"}, "--reps");
  refused({"matmul_1024"}, "matmul_1024");
}

TEST(Bench, HelpListsTheWorkloads) {
  const ProcessResult result = run_program("bench", {"--help"});
  EXPECT_EQ(result.exit_code, 0);
  for (const char* name : {"resnet20_train", "resnet20_qat", "resnet20_infer", "vit_tiny_train", "vit_tiny_infer",
                           "lm_train", "bitnet_lm_train", "lstm_train", "conv3x3_c16", "conv3x3_c32", "conv3x3_c64",
                           "matmul_1024", "attention", "ternary_gemv_4096", "ternary_gemm_4096x64", "memory_read"})
    EXPECT_NE(result.out.find(std::string("\n  ") + name + " "), std::string::npos) << name;
}

}  // namespace
}  // namespace tern::testing
