// What the settings of optimizer and learning rate make: every one must reach what it is for.
#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/ops/create.h>
#include <tern/core/random.h>
#include <tern/optim/adam.h>
#include <tern/optim/sgd.h>
#include <tern/train/methods/codeq_method.h>
#include <tern/train/vision/classifier.h>

namespace tern::train {
namespace {

std::shared_ptr<nn::models::Model> image_model(const char* name = "resnet20") {
  manual_seed(3);
  ModelSpec spec{.name = name, .classes = 10, .hidden = {5}};
  if (spec.name == "vit") spec.width = 24, spec.depth = 1, spec.heads = 2;
  return make_image_model(spec);
}

std::set<std::string> names_of(const optim::Optimizer& optimizer, int64_t group) {
  std::set<std::string> names;
  for (const auto& [name, tensor] : optimizer.params(group)) names.insert(name);
  return names;
}

std::set<std::string> names_where(const nn::Module& model, const std::function<bool(const std::string&)>& wanted) {
  std::set<std::string> names;
  for (const auto& [name, tensor] : model.named_parameters())
    if (tensor.requires_grad() && wanted(name)) names.insert(name);
  return names;
}

TEST(RunOptimizer, GivesEveryParameterTheRateAndDecayOfItsKind) {
  ClassifierConfig config;
  config.optim.lr = 0.3;
  config.optim.weight_decay = 0.02;
  CodeqConfig& codeq = config.methods.get<CodeqMethod>().config;
  codeq = {.mode = "mixed", .dz_lr = 0.04, .dz_decay = 0.5, .bit_lr = 0.06, .bit_decay = 0.7};
  for (const char* optimizer_name : {"sgd", "adam", "adamw"}) {
    for (const bool decay_norms : {true, false}) {
      for (const char* mode : {"none", "fixed", "mixed"}) {
        SCOPED_TRACE(concat(optimizer_name, ", decay_norms ", decay_norms, ", ", mode));
        config.optim.name = optimizer_name;
        config.optim.decay_norms = decay_norms;
        codeq.mode = mode;
        const auto model = image_model();
        config.methods.apply(*model, {.program = "test"});
        const auto optimizer = make_optimizer(*model, config.optim, config.methods);

        const auto is_logit = [](const std::string& n) { return n.find(".codeq.") != std::string::npos; };
        const auto is_norm_or_bias = [](const std::string& n) {
          return n.ends_with(".bias") || (n.ends_with(".weight") && n.find("bn") != std::string::npos);
        };
        struct Group {
          std::set<std::string> names;
          double lr, decay;
        };
        std::vector<Group> wanted;
        if (decay_norms) {
          wanted.push_back({names_where(*model, [&](const auto& n) { return !is_logit(n); }), 0.3, 0.02});
        } else {
          wanted.push_back(
              {names_where(*model, [&](const auto& n) { return !is_logit(n) && !is_norm_or_bias(n); }), 0.3, 0.02});
          wanted.push_back({names_where(*model, is_norm_or_bias), 0.3, 0});
        }
        if (mode != std::string("none"))
          wanted.push_back({names_where(*model, [](const auto& n) { return n.ends_with(".logit_dz"); }), 0.04, 0.5});
        if (mode == std::string("mixed"))
          wanted.push_back({names_where(*model, [](const auto& n) { return n.ends_with(".logit_bit"); }), 0.06, 0.7});

        ASSERT_EQ(optimizer->group_count(), static_cast<int64_t>(wanted.size()));
        for (size_t g = 0; g < wanted.size(); ++g) {
          const auto group = static_cast<int64_t>(g);
          EXPECT_FALSE(wanted[g].names.empty()) << g;
          EXPECT_EQ(names_of(*optimizer, group), wanted[g].names) << g;
          EXPECT_EQ(optimizer->lr(group), wanted[g].lr) << g;
          EXPECT_EQ(optimizer->weight_decay(group), wanted[g].decay) << g;
          for (const auto& [name, tensor] : optimizer->params(group))
            EXPECT_TRUE(tensor.is_same(model->get_parameter(name).latent())) << name;
        }
      }
    }
  }
}

TEST(RunOptimizer, SparesTokenAndPositionsOfAVit) {
  ClassifierConfig config;
  config.optim.decay_norms = false;
  const auto model = image_model("vit");
  const auto optimizer = make_optimizer(*model, config.optim, config.methods, {"cls_token", "pos_embed"});
  for (const char* name : {"cls_token", "pos_embed", "norm.weight", "head.bias"})
    EXPECT_TRUE(names_of(*optimizer, 1).contains(name)) << name;
  for (const char* name : {"patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "head.weight"})
    EXPECT_TRUE(names_of(*optimizer, 0).contains(name)) << name;
}

// Three steps with the same gradients.
std::vector<double> after_three_steps(const std::function<std::unique_ptr<optim::Optimizer>(nn::Module&)>& make) {
  const auto model = image_model("mlp");
  const auto optimizer = make(*model);
  Generator random(4);
  for (int step = 0; step < 3; ++step) {
    for (Tensor& p : model->parameters()) p.set_grad(randn(p.shape(), DType::kF32, &random));
    optimizer->step();
  }
  std::vector<double> values;
  for (const Tensor& p : model->parameters()) {
    const auto of_one = p.to_vector<double>();
    values.insert(values.end(), of_one.begin(), of_one.end());
  }
  return values;
}

TEST(RunOptimizer, WorksWithTheSettingsItWasGiven) {
  ClassifierConfig config;
  config.optim = {
      .lr = 0.07, .momentum = 0.6, .nesterov = true, .weight_decay = 0.03, .beta1 = 0.7, .beta2 = 0.8, .eps = 0.01};
  const auto made = [&](const char* name) {
    config.optim.name = name;
    return after_three_steps([&](nn::Module& model) { return make_optimizer(model, config.optim, config.methods); });
  };
  const auto sgd = [](bool nesterov) {
    return after_three_steps([=](nn::Module& model) {
      return std::make_unique<optim::Sgd>(
          model.parameters(),
          optim::SgdOptions{.lr = 0.07, .momentum = 0.6, .weight_decay = 0.03, .nesterov = nesterov});
    });
  };
  EXPECT_EQ(made("sgd"), sgd(true));
  EXPECT_EQ(made("adam"), after_three_steps([](nn::Module& model) {
              return std::make_unique<optim::Adam>(
                  model.parameters(),
                  optim::AdamOptions{.lr = 0.07, .betas = {0.7, 0.8}, .eps = 0.01, .weight_decay = 0.03});
            }));
  EXPECT_EQ(made("adamw"), after_three_steps([](nn::Module& model) {
              return std::make_unique<optim::AdamW>(
                  model.parameters(),
                  optim::AdamWOptions{.lr = 0.07, .betas = {0.7, 0.8}, .eps = 0.01, .weight_decay = 0.03});
            }));
  config.optim.nesterov = false;
  EXPECT_EQ(made("sgd"), sgd(false));
}

TEST(RunEma, AveragesParametersAndRunningStatistics) {
  OptimConfig config;
  const auto model = image_model();
  EXPECT_EQ(make_ema(*model, config), nullptr);
  config.ema_decay = 0.99;
  const auto ema = make_ema(*model, config);
  std::set<std::string> wanted{"updates"}, got;
  for (const auto& [name, tensor] : model->state_dict())
    if (tensor.is_floating()) wanted.insert("average." + name);
  for (const auto& [name, tensor] : ema->state_dict()) got.insert(name);
  EXPECT_EQ(got, wanted);
  EXPECT_TRUE(got.contains("average.bn1.running_var"));
  Tensor bias = model->get_parameter("linear.bias").latent();
  const double before = bias.to_vector<double>()[0];
  {
    const NoGradGuard no_grad;
    bias.add_(1);
  }
  ema->update();  // the first of a warm-up: a tenth of the old value stays
  EXPECT_NEAR(ema->state_dict().at("average.linear.bias").to_vector<double>()[0], before + 0.9, 1e-6);
}

// The rates of a run of 10 epochs of 8 steps each, and of one step more; the optimizer's own rate is 0.5.
std::vector<double> rates_of(const ScheduleConfig& config) {
  optim::Sgd optimizer({zeros({1})}, {.lr = 0.5});
  const auto schedule = make_schedule(optimizer, config, 10, 8);
  std::vector<double> rates;
  for (int step = 0; step <= 80; ++step, schedule->step()) rates.push_back(optimizer.lr());
  return rates;
}

TEST(RunSchedule, CountsItsTimesInStepsFromTheStartOfTheRun) {
  ScheduleConfig config;
  config.min_lr = 0.125;
  config.step_size = 3;
  config.milestones = {4, 7};
  config.gamma = 0.25;
  config.one_cycle_rise = 0.5;
  const auto rates = [&](const char* name, double warmup_epochs) {
    config.name = name;
    config.warmup = warmup_epochs;
    return rates_of(config);
  };
  for (const double warmup_epochs : {0.0, 2.0, 0.5}) {
    const auto warm = static_cast<size_t>(8 * warmup_epochs);
    for (const char* name : {"constant", "cosine", "one_cycle", "step", "multistep", "exponential", "plateau"}) {
      SCOPED_TRACE(concat(name, " after a warm-up of ", warmup_epochs, " epochs"));
      const std::vector<double> r = rates(name, warmup_epochs);
      const bool rises = name == std::string("one_cycle");
      if (!rises) {
        EXPECT_EQ(r[warm], 0.5);
      }
      for (size_t t = 0; t < warm; ++t)
        EXPECT_NEAR(r[t], r[warm] * static_cast<double>(t) / static_cast<double>(warm), 1e-15) << t;
    }
    const auto cosine = rates("cosine", warmup_epochs);
    EXPECT_NEAR(cosine[(80 + warm) / 2], (0.5 + 0.125) / 2, 1e-12) << "half way";
    EXPECT_EQ(cosine[80], 0.125) << "the end";
    EXPECT_GT(cosine[79], 0.125);
    const auto step = rates("step", warmup_epochs);  // its epochs count from the end of the warm-up
    EXPECT_EQ(step[warm + 23], 0.5);
    EXPECT_EQ(step[warm + 24], 0.125);
    EXPECT_EQ(step[warm + 48], 0.03125);
    const auto multistep = rates("multistep", warmup_epochs);
    EXPECT_EQ(multistep[4 * 8 - 1], 0.5);
    EXPECT_EQ(multistep[4 * 8], 0.125) << "a milestone is an epoch of the run";
    EXPECT_EQ(multistep[7 * 8 - 1], 0.125);
    EXPECT_EQ(multistep[7 * 8], 0.03125);
    const auto exponential = rates("exponential", warmup_epochs);
    EXPECT_NEAR(exponential[warm + 8], 0.125, 1e-12) << "gamma an epoch";
    EXPECT_NEAR(exponential[warm + 4], 0.25, 1e-12);
    const auto cycle = rates("one_cycle", warmup_epochs);
    EXPECT_NEAR(*std::max_element(cycle.begin(), cycle.end()), 0.5, 1e-12);
    EXPECT_LT(cycle[79], 1e-4);
    EXPECT_EQ(rates("constant", warmup_epochs)[80], 0.5);
  }
  config.warmup = 0;
  const auto peak = [&](double rise) {
    config.one_cycle_rise = rise;
    const std::vector<double> r = rates("one_cycle", 0);
    return std::max_element(r.begin(), r.end()) - r.begin();
  };
  EXPECT_EQ(peak(0.5), 39);
  EXPECT_EQ(peak(0.25), 19);
  config.one_cycle_anneal = "linear";
  const std::vector<double> line = rates("one_cycle", 0);
  EXPECT_NEAR(line[10] - line[9], line[3] - line[2], 1e-12);
}

TEST(RunSchedule, APlateauWaitsAsLongAsItIsTold) {
  ScheduleConfig config;
  config.name = "plateau";
  config.gamma = 0.25;
  config.patience = 2;
  optim::Sgd optimizer({zeros({1})}, {.lr = 0.5});
  const auto schedule = make_schedule(optimizer, config, 10, 8);
  auto& plateau = dynamic_cast<optim::PlateauLr&>(*schedule);
  for (int report = 0; report < 3; ++report) plateau.report(1);
  EXPECT_EQ(optimizer.lr(), 0.5);
  plateau.report(1);
  EXPECT_EQ(optimizer.lr(), 0.125);
}

}  // namespace
}  // namespace tern::train
