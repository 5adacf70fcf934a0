#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/train/loop/metrics.h>
#include <tern/train/loop/progress.h>

#include "temporary_directory.h"

namespace tern::train {
namespace {

std::string contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

struct TemporaryFile {
  tern::testing::TemporaryDirectory directory;
  std::string path = directory / "metrics.jsonl";
};

TEST(Metrics, OneJsonObjectALine) {
  EXPECT_EQ(to_json({{"step", int64_t{3}}, {"loss", 0.1}, {"kind", std::string("a \"b\"\n")}}).dump(),
            R"({"step":3,"loss":0.1,"kind":"a \"b\"\n"})");
  EXPECT_EQ(to_json(MetricRow{{"a", std::nan("")}, {"b", std::numeric_limits<double>::infinity()}}).dump(),
            R"({"a":null,"b":null})");
}

TEST(Metrics, LinesAreOnDiskAtOnceAndAppend) {
  TemporaryFile file;
  {
    MetricsLog log(file.path, MetricsLog::Open::kNew);
    log.write(MetricRow{{"step", int64_t{1}}});
    EXPECT_EQ(contents(file.path), "{\"step\":1}\n");
  }
  MetricsLog(file.path, MetricsLog::Open::kAppend).write(MetricRow{{"step", int64_t{2}}});
  EXPECT_EQ(contents(file.path), "{\"step\":1}\n{\"step\":2}\n");
  EXPECT_THROW(MetricsLog("/nonexistent/metrics.jsonl", MetricsLog::Open::kNew), IoError);
}

TEST(Metrics, ResumingDropsWhatCameAfter) {
  TemporaryFile file;
  std::ofstream(file.path) << "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n{\"ste";
  cut_metrics_after(file.path, 2, 1);
  EXPECT_EQ(contents(file.path), "{\"step\":1}\n{\"step\":2}\n");
  cut_metrics_after(file.path, 0, 0);
  EXPECT_EQ(contents(file.path), "");
  cut_metrics_after(file.path + ".missing", 0, 0);
  EXPECT_FALSE(std::filesystem::exists(file.path + ".missing"));
}

TEST(Metrics, ResumingDropsARowOfAnEpochThatIsNotComplete) {
  TemporaryFile file;
  const std::string first = "{\"epoch\":1,\"step\":4,\"train_loss\":1}\n{\"epoch\":2,\"step\":8,\"loss\":1}\n",
                    second = "{\"epoch\":2,\"step\":8,\"train_loss\":1}\n";
  std::ofstream(file.path) << first << second;
  cut_metrics_after(file.path, 8, 2);
  EXPECT_EQ(contents(file.path), first + second);
  cut_metrics_after(file.path, 8, 1);
  EXPECT_EQ(contents(file.path), first);
}

TEST(Metrics, NumbersByName) {
  const MetricRow row{{"a", int64_t{2}}, {"b", 0.5}, {"c", std::string("x")}};
  EXPECT_EQ(number_of(row, "a", -1), 2);
  EXPECT_EQ(number_of(row, "b", -1), 0.5);
  EXPECT_EQ(number_of(row, "c", -1), -1);
  EXPECT_EQ(number_of(row, "d", -1), -1);
}

const ProgressState kState{.epoch = 1,
                           .epochs = 10,
                           .step = 39,
                           .steps = 391,
                           .figures = "loss 1.2500 acc 54.32%",
                           .lr = 0.1,
                           .rate = 1234.4,
                           .data_wait = 0.015,
                           .eta_s = 3725,
                           .extra = {{"mean_bits", 4.0}, {"sparsity", 0.123}}};

TEST(Progress, PlainLineSaysEverything) {
  EXPECT_EQ(progress_text(kState),
            "epoch 2/10 step 39/391 loss 1.2500 acc 54.32% lr 0.1 1234 images/s wait 1.5% eta 1:02:05 mean_bits 4 "
            "sparsity 0.123");
  std::ostringstream out;
  Progress progress(out, {.terminal = false});
  progress.update(kState);
  EXPECT_EQ(out.str(), progress_text(kState) + "\n");
  ProgressState steps = kState;
  steps.epochs = 0;
  steps.unit = "tokens";
  EXPECT_EQ(progress_text(steps),
            "step 39/391 loss 1.2500 acc 54.32% lr 0.1 1234 tokens/s wait 1.5% eta 1:02:05 mean_bits 4 sparsity 0.123");
}

TEST(Progress, ABarIsRedrawnAndRemoved) {
  std::ostringstream out;
  Progress progress(out, {.terminal = true});
  progress.update(kState);
  EXPECT_EQ(out.str()[0], '\r');
  EXPECT_EQ(out.str().find('\n'), std::string::npos);
  progress.line("done");
  EXPECT_TRUE(out.str().ends_with("\rdone\n"));
}

TEST(Progress, Clock) {
  EXPECT_EQ(clock_text(5), "0:05");
  EXPECT_EQ(clock_text(65.4), "1:05");
  EXPECT_EQ(clock_text(3600), "1:00:00");
  EXPECT_EQ(clock_text(std::nan("")), "?");
}

}  // namespace
}  // namespace tern::train
