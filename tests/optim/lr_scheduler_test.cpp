#include <memory>

#include <tern/optim/lr_scheduler.h>
#include <tern/optim/sgd.h>

#include "optim/support.h"

namespace tern {
namespace {

using io::Json;

// An optimizer with groups of those rates.
std::unique_ptr<optim::Sgd> groups_with(const std::vector<double>& rates) {
  std::vector<optim::SgdGroup> groups;
  for (const double lr : rates) groups.push_back({.params = {empty({1}).zero_()}, .lr = lr});
  return std::make_unique<optim::Sgd>(optim::SgdOptions{}, groups);
}

std::unique_ptr<optim::LrScheduler> make(const Json& c, optim::Optimizer& optimizer) {
  const Json& o = c.at("options");
  const int64_t warmup = c.contains("warmup_steps") ? c.at("warmup_steps").as_int() : 0;
  const double start = c.contains("start_factor") ? c.at("start_factor").as_number() : 0;
  const std::string& kind = c.at("schedule").as_string();
  if (kind == "constant")
    return std::make_unique<optim::ConstantLr>(
        optimizer, optim::ConstantLrOptions{.warmup_steps = warmup, .warmup_start_factor = start});
  if (kind == "StepLR")
    return std::make_unique<optim::StepLr>(optimizer, optim::StepLrOptions{.step_size = o.at("step_size").as_int(),
                                                                           .gamma = o.at("gamma").as_number(),
                                                                           .warmup_steps = warmup,
                                                                           .warmup_start_factor = start});
  if (kind == "MultiStepLR") {
    optim::MultiStepLrOptions options{
        .gamma = o.at("gamma").as_number(), .warmup_steps = warmup, .warmup_start_factor = start};
    for (const Json& m : o.at("milestones").items()) options.milestones.push_back(m.as_int());
    return std::make_unique<optim::MultiStepLr>(optimizer, options);
  }
  if (kind == "ExponentialLR")
    return std::make_unique<optim::ExponentialLr>(
        optimizer, optim::ExponentialLrOptions{
                       .gamma = o.at("gamma").as_number(), .warmup_steps = warmup, .warmup_start_factor = start});
  if (kind == "CosineAnnealingLR")
    return std::make_unique<optim::CosineLr>(optimizer,
                                             optim::CosineLrOptions{.total_steps = o.at("T_max").as_int() + warmup,
                                                                    .warmup_steps = warmup,
                                                                    .eta_min = o.at("eta_min").as_number(),
                                                                    .warmup_start_factor = start,
                                                                    .periodic = true});
  if (kind == "OneCycleLR")
    return std::make_unique<optim::OneCycleLr>(
        optimizer,
        optim::OneCycleLrOptions{
            .total_steps = o.at("total_steps").as_int() + warmup,
            .max_lr = test::numbers(o.at("max_lr")),
            .pct_start = o.at("pct_start").as_number(),
            .anneal = o.at("anneal_strategy").as_string() == "cos" ? optim::Anneal::kCosine : optim::Anneal::kLinear,
            .div_factor = o.at("div_factor").as_number(),
            .final_div_factor = o.at("final_div_factor").as_number(),
            .three_phase = o.at("three_phase").as_bool(),
            .warmup_steps = warmup,
            .warmup_start_factor = start});
  throw std::runtime_error("unknown schedule " + kind);
}

class ScheduleGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(ScheduleGolden, EveryRateOfAHundredSteps) {
  const Json file = test::golden(GetParam());
  const auto base = test::numbers(file.at("base_lr"));
  for (const Json& c : file.at("cases").items()) {
    SCOPED_TRACE(c.at("name").as_string());
    const auto optimizer = groups_with(base);
    const auto schedule = make(c, *optimizer);
    for (size_t t = 0; t < 100; ++t) {
      for (size_t g = 0; g < base.size(); ++g) {
        const auto wanted = test::numbers(c.at("lr")[g]);
        const double largest = *std::max_element(wanted.begin(), wanted.end());
        EXPECT_NEAR(optimizer->lr(static_cast<int64_t>(g)), wanted[t], 1e-12 * largest)
            << "group " << g << " step " << t;
      }
      schedule->step();
    }
    EXPECT_EQ(schedule->step_count(), 100);
  }
}

INSTANTIATE_TEST_SUITE_P(Files, ScheduleGolden, ::testing::Values("schedules", "schedules_warmup"),
                         [](const auto& each) { return std::string(each.param); });

TEST(PlateauGolden, EveryRateAfterEachReport) {
  const Json file = test::golden("plateau");
  const auto base = test::numbers(file.at("base_lr"));
  for (const Json& c : file.at("cases").items()) {
    SCOPED_TRACE(c.at("name").as_string());
    const Json& o = c.at("options");
    const auto optimizer = groups_with(base);
    optim::PlateauLr schedule(
        *optimizer, {.mode = o.at("mode").as_string() == "min" ? optim::PlateauMode::kMin : optim::PlateauMode::kMax,
                     .factor = o.at("factor").as_number(),
                     .patience = o.at("patience").as_int(),
                     .threshold = o.at("threshold").as_number(),
                     .threshold_mode = o.at("threshold_mode").as_string() == "rel" ? optim::ThresholdMode::kRelative
                                                                                   : optim::ThresholdMode::kAbsolute,
                     .cooldown = o.at("cooldown").as_int(),
                     .min_lr = o.at("min_lr").as_number(),
                     .eps = o.at("eps").as_number()});
    const auto metrics = test::numbers(file.at("metrics").at(c.at("metrics").as_string()));
    for (size_t t = 0; t < metrics.size(); ++t) {
      schedule.report(metrics[t]);
      for (size_t g = 0; g < base.size(); ++g)
        EXPECT_NEAR(optimizer->lr(static_cast<int64_t>(g)), c.at("lr")[g][t].as_number(), 1e-12 * base[g]) << t;
    }
  }
}

TEST(CosineLr, StaysAtTheEndUnlessPeriodic) {
  const auto optimizer = groups_with({0.1});
  optim::CosineLr schedule(*optimizer, {.total_steps = 30, .warmup_steps = 10, .eta_min = 0.01});
  EXPECT_EQ(optimizer->lr(), 0.0);
  for (int t = 0; t < 10; ++t) schedule.step();
  EXPECT_EQ(optimizer->lr(), 0.1);  // the warm-up is over
  for (int t = 0; t < 10; ++t) schedule.step();
  EXPECT_NEAR(optimizer->lr(), 0.055, 1e-15);  // half way down
  for (int t = 0; t < 30; ++t) {
    schedule.step();
    if (t >= 9) {
      EXPECT_EQ(optimizer->lr(), 0.01);
    }
  }
}

TEST(PlateauLr, WarmsUpBeforeItWatches) {
  const auto optimizer = groups_with({0.1});
  optim::PlateauLr schedule(*optimizer, {.factor = 0.5, .patience = 0, .warmup_steps = 4});
  EXPECT_EQ(optimizer->lr(), 0.0);
  schedule.step();
  EXPECT_NEAR(optimizer->lr(), 0.025, 1e-16);
  for (int t = 0; t < 3; ++t) schedule.step();
  EXPECT_EQ(optimizer->lr(), 0.1);
  schedule.report(1.0);
  schedule.report(1.0);
  EXPECT_EQ(optimizer->lr(), 0.05);
  EXPECT_EQ(sentence_of<ValueError>([&] { schedule.report(std::nan("")); }),
            "[plateau_lr] expected a number as metric, got NaN");
}

// Saving at any step and loading into a new schedule, over an optimizer whose rates have moved on, changes nothing.
TEST(LrScheduler, StateContinuesAnySchedule) {
  for (const char* name : {"schedules", "schedules_warmup"}) {
    const Json file = test::golden(name);
    for (const Json& c : file.at("cases").items()) {
      SCOPED_TRACE(c.at("name").as_string());
      const auto whole = groups_with({0.1, 0.004}), first = groups_with({0.1, 0.004}), second = groups_with({0.7, 0.9});
      const auto straight = make(c, *whole);
      const auto before = make(c, *first);
      for (int t = 0; t < 37; ++t) straight->step(), before->step();
      const auto after = make(c, *second);
      after->load_state_dict(before->state_dict());
      for (int t = 37; t < 100; ++t) {
        EXPECT_EQ(second->lr(0), whole->lr(0)) << t;
        EXPECT_EQ(second->lr(1), whole->lr(1)) << t;
        straight->step();
        after->step();
      }
    }
  }
}

// A resumed run has the optimizer's state, with the rate it was saved with, before it makes its schedule.
TEST(OneCycleLr, PeaksAreThoseThatTheRunBeganWith) {
  for (const std::vector<double>& max_lr : {std::vector<double>{}, {0.3, 0.002}}) {
    const auto whole = groups_with({0.1, 0.004}), second = groups_with({0.1, 0.004});
    optim::OneCycleLr straight(*whole, {.total_steps = 20, .max_lr = max_lr});
    for (int t = 0; t < 15; ++t) straight.step();
    for (int64_t g = 0; g < 2; ++g) second->set_lr(g, whole->lr(g));
    optim::OneCycleLr after(*second, {.total_steps = 20});
    after.load_state_dict(straight.state_dict());
    for (int t = 15; t < 22; ++t) {
      EXPECT_EQ(second->lr(0), whole->lr(0)) << t;
      EXPECT_EQ(second->lr(1), whole->lr(1)) << t;
      straight.step();
      after.step();
    }
  }
}

TEST(OneCycleLr, TakesAStateWithoutPeaks) {
  const auto whole = groups_with({0.1}), second = groups_with({0.001});
  optim::OneCycleLr straight(*whole, {.total_steps = 20});
  for (int t = 0; t < 5; ++t) straight.step();
  io::TensorMap old;
  for (const char* name : {"step", "base_lrs"}) old.insert(name, straight.state_dict().at(name));
  optim::OneCycleLr after(*second, {.total_steps = 20});
  after.load_state_dict(old);
  EXPECT_EQ(second->lr(), whole->lr());
  io::TensorMap bad = straight.state_dict();
  bad.set("max_lr", empty({1}, DType::kF64).fill_(-1));
  EXPECT_EQ(sentence_of<ValueError>([&] { after.load_state_dict(bad); }),
            "[one_cycle_lr] expected saved rates of at least 0, got -1");
  EXPECT_EQ(second->lr(), whole->lr());
}

// A setting that is given is the setting, whatever the state was saved with.
TEST(OneCycleLr, AGivenPeakStays) {
  const auto one = groups_with({0.1}), two = groups_with({0.1});
  optim::OneCycleLr saved(*one, {.total_steps = 20, .max_lr = {0.3}}),
      given(*two, {.total_steps = 20, .max_lr = {0.5}});
  given.load_state_dict(saved.state_dict());
  EXPECT_NEAR(two->lr(), 0.5 / 25, 1e-15);
}

TEST(PlateauLr, StateContinues) {
  const auto metric = [](int t) { return std::sin(t * 0.7) / (1 + t * 0.1); };
  const optim::PlateauLrOptions options{.factor = 0.5, .patience = 1, .cooldown = 2};
  const auto whole = groups_with({0.1}), first = groups_with({0.1}), second = groups_with({0.5});
  optim::PlateauLr straight(*whole, options), before(*first, options), after(*second, options);
  for (int t = 0; t < 13; ++t) straight.report(metric(t)), before.report(metric(t));
  after.load_state_dict(before.state_dict());
  for (int t = 13; t < 60; ++t) {
    EXPECT_EQ(second->lr(), whole->lr()) << t;
    straight.report(metric(t));
    after.report(metric(t));
  }
  EXPECT_LT(whole->lr(), 0.05);
}

TEST(LrScheduler, RefusesBadState) {
  const auto one = groups_with({0.1}), two = groups_with({0.1, 0.2});
  optim::StepLr a(*one, {.step_size = 2}), b(*two, {.step_size = 2});
  EXPECT_EQ(sentence_of<ValueError>([&] { a.load_state_dict(b.state_dict()); }),
            "[step_lr] expected 'base_lrs' in the saved state to be f64 [1], got f64 [2]");
  EXPECT_EQ(sentence_of<ValueError>([&] { a.load_state_dict({}); }),
            "[step_lr] expected 'step' in the saved state, got none");
  io::TensorMap extra = a.state_dict();
  extra.insert("other", empty({}).zero_());
  EXPECT_EQ(sentence_of<ValueError>([&] { a.load_state_dict(extra); }),
            "[step_lr] expected 2 entries in the saved state, got 3");
  io::TensorMap negative = a.state_dict();
  negative.set("step", empty({}, DType::kI64).fill_(-1));
  EXPECT_EQ(sentence_of<ValueError>([&] { a.load_state_dict(negative); }),
            "[step_lr] expected a saved step of at least 0, got -1");
  one->add_group({.params = {empty({1}).zero_()}, .lr = 0.1});
  EXPECT_EQ(sentence_of<StateError>([&] { a.step(); }),
            "[step_lr] expected the 1 parameter groups it was made for, got 2");
}

TEST(LrScheduler, RefusesBadSettings) {
  const auto optimizer = groups_with({0.1});
  const auto refusal = [&](auto make_it) { return sentence_of<ValueError>([&] { make_it(*optimizer); }); };
  using optim::Optimizer;
  EXPECT_EQ(refusal([](Optimizer& o) { optim::StepLr(o, {}); }), "[step_lr] expected step_size of at least 1, got 0");
  EXPECT_EQ(refusal([](Optimizer& o) { optim::ExponentialLr(o, {}); }),
            "[exponential_lr] expected gamma above 0, got 0");
  EXPECT_EQ(refusal([](Optimizer& o) {
              optim::MultiStepLr(o, {.milestones = {5, 3}});
            }),
            "[multi_step_lr] expected rising milestones of at least 0, got 3 after 5");
  EXPECT_EQ(refusal([](Optimizer& o) { optim::MultiStepLr(o, {.milestones = {-1}}); }),
            "[multi_step_lr] expected rising milestones of at least 0, got -1 first");
  EXPECT_EQ(refusal([](Optimizer& o) { optim::CosineLr(o, {.total_steps = 5, .warmup_steps = 5}); }),
            "[cosine_lr] expected total_steps above warmup_steps (5), got 5");
  EXPECT_EQ(refusal([](Optimizer& o) { optim::CosineLr(o, {.total_steps = 5, .eta_min = -1}); }),
            "[cosine_lr] expected eta_min of at least 0, got -1");
  EXPECT_EQ(refusal([](Optimizer& o) { optim::ConstantLr(o, {.warmup_steps = -2}); }),
            "[constant_lr] expected warmup_steps of at least 0, got -2");
  EXPECT_EQ(refusal([](Optimizer& o) { optim::ConstantLr(o, {.warmup_steps = 2, .warmup_start_factor = 1.5}); }),
            "[constant_lr] expected warmup_start_factor in [0, 1], got 1.5");
  EXPECT_EQ(refusal([](Optimizer& o) {
              optim::OneCycleLr(o, {.total_steps = 9, .max_lr = {0.1, 0.2}});
            }),
            "[one_cycle_lr] expected one max_lr for each of 1 groups, got 2");
  EXPECT_EQ(refusal([](Optimizer& o) { optim::OneCycleLr(o, {.total_steps = 9, .pct_start = 2}); }),
            "[one_cycle_lr] expected pct_start in [0, 1], got 2");
  EXPECT_EQ(refusal([](Optimizer& o) { optim::PlateauLr(o, {.factor = 1}); }),
            "[plateau_lr] expected factor in (0, 1), got 1");
  EXPECT_EQ(refusal([](Optimizer& o) { optim::PlateauLr(o, {.patience = -1}); }),
            "[plateau_lr] expected patience of at least 0, got -1");
}

}  // namespace
}  // namespace tern
