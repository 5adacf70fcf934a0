// The rate that rows and progress name is the one that their step was made with, whatever the schedule is, after a
// resume too.
#include <functional>
#include <memory>
#include <sstream>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/ops/shape.h>
#include <tern/core/random.h>
#include <tern/data/loader.h>
#include <tern/data/synthetic.h>
#include <tern/nn/child.h>
#include <tern/nn/layers/linear.h>
#include <tern/optim/lr_scheduler.h>
#include <tern/optim/sgd.h>
#include <tern/train/loop/trainer.h>
#include <tern/train/vision/classifier_task.h>

#include "temporary_directory.h"

namespace tern::train {
namespace {

using tern::testing::TemporaryDirectory;
using MakeSchedule = std::function<std::unique_ptr<optim::LrScheduler>(optim::Optimizer&)>;

struct OneLayer : nn::Module {
  nn::Child<nn::Linear> head{this, "head", {.in_features = 48, .out_features = 4}};
  Tensor forward(const Tensor& x) override { return head(flatten(x, 1)); }
};

// Two epochs of four steps.
struct RatedRun {
  data::Synthetic images{{.size = 64, .classes = 4, .height = 4, .width = 4, .noise = 0.2}};
  data::DataLoader loader{images, {.batch_size = 16, .shuffle = true, .seed = 3}};
  data::DataLoader test{images, {.batch_size = 16}};
  OneLayer net;
  optim::Sgd optimizer{net.named_parameters(), {.lr = 0.1}};
  std::unique_ptr<optim::LrScheduler> schedule;
  std::vector<double> step_rates, epoch_rates;

  explicit RatedRun(const MakeSchedule& make) : schedule(make(optimizer)) {}
  TrainerOptions options() {
    return {.optimizer = optimizer,
            .schedule = schedule.get(),
            .epochs = 2,
            .log_every = 1,
            .on_row = [this](const MetricRow& row) {
              bool of_epoch = false;
              double rate = -1;
              for (const Metric& metric : row) {
                of_epoch = of_epoch || metric.name == "seconds";
                if (metric.name == "lr") rate = std::get<double>(metric.value);
              }
              (of_epoch ? epoch_rates : step_rates).push_back(rate);
            }};
  }
};

// The rates that the schedule sets before each step.
std::vector<double> rates_of(const MakeSchedule& make) {
  OneLayer net;
  optim::Sgd optimizer(net.named_parameters(), {.lr = 0.1});
  const auto schedule = make(optimizer);
  std::vector<double> rates;
  for (int t = 0; t < 8; ++t, schedule->step()) rates.push_back(optimizer.lr());
  return rates;
}

const std::vector<MakeSchedule>& schedules() {
  using optim::Optimizer;
  static const std::vector<MakeSchedule> all{
      [](Optimizer& o) { return std::make_unique<optim::ConstantLr>(o, optim::ConstantLrOptions{.warmup_steps = 3}); },
      [](Optimizer& o) { return std::make_unique<optim::StepLr>(o, optim::StepLrOptions{.step_size = 4}); },
      [](Optimizer& o) {
        return std::make_unique<optim::MultiStepLr>(o, optim::MultiStepLrOptions{.milestones = {4}});
      },
      [](Optimizer& o) { return std::make_unique<optim::ExponentialLr>(o, optim::ExponentialLrOptions{.gamma = 0.5}); },
      [](Optimizer& o) { return std::make_unique<optim::CosineLr>(o, optim::CosineLrOptions{.total_steps = 8}); },
      [](Optimizer& o) { return std::make_unique<optim::OneCycleLr>(o, optim::OneCycleLrOptions{.total_steps = 8}); },
  };
  return all;
}

TEST(LoggedRate, IsTheRateOfTheStep) {
  for (const MakeSchedule& make : schedules()) {
    const std::vector<double> want = rates_of(make);
    RatedRun run(make);
    Trainer(run.net, run.options()).fit(ClassifierTask({.train = &run.loader}));
    EXPECT_EQ(run.step_rates, want);
    EXPECT_EQ(run.epoch_rates, (std::vector<double>{want[3], want[7]}));
  }
}

TEST(LoggedRate, OfAnEpochThatIsMeasuredAfterAResume) {
  for (const MakeSchedule& make : schedules()) {
    const std::vector<double> want = rates_of(make);
    TemporaryDirectory directory;
    RatedRun first(make);
    TrainerOptions options = first.options();
    ClassifierTask task({.train = &first.loader, .test = &first.test});
    int64_t asked = 0;
    options.stop = [&] { return ++asked > 4; };  // while the first epoch is measured
    Trainer stopped(first.net, options);
    EXPECT_FALSE(stopped.fit(task).finished);
    stopped.save(directory / "half.safetensors");
    EXPECT_EQ(stopped.epoch(), 0);
    EXPECT_EQ(stopped.global_step(), 4);
    RatedRun second(make);
    Trainer trainer(second.net, second.options());
    trainer.load(directory / "half.safetensors");
    EXPECT_TRUE(trainer.fit(ClassifierTask({.train = &second.loader})).finished);
    EXPECT_EQ(second.epoch_rates, (std::vector<double>{want[3], want[7]}));
  }
}

TEST(LoggedRate, OfAPlateauIsFromBeforeItIsLowered) {
  const MakeSchedule make = [](optim::Optimizer& o) {
    return std::make_unique<optim::PlateauLr>(
        o, optim::PlateauLrOptions{
               .factor = 0.5, .patience = 0, .threshold = 1e6, .threshold_mode = optim::ThresholdMode::kAbsolute});
  };
  RatedRun run(make);
  std::ostringstream shown;
  TrainerOptions options = run.options();
  options.epochs = 3;
  options.progress = &shown;
  Trainer(run.net, options).fit(ClassifierTask({.train = &run.loader}));
  EXPECT_EQ(run.epoch_rates, (std::vector<double>{0.1, 0.1, 0.05}));
  EXPECT_EQ(run.optimizer.lr(), 0.025);
  EXPECT_NE(shown.str().find("lr 0.050000"), std::string::npos) << shown.str();
  EXPECT_EQ(shown.str().find("lr 0.025000"), std::string::npos) << shown.str();
}

}  // namespace
}  // namespace tern::train
