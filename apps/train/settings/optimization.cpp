#include <algorithm>
#include <cmath>

#include <tern/core/error.h>
#include <tern/nn/weight_decay.h>
#include <tern/optim/adam.h>
#include <tern/optim/sgd.h>
#include <tern/train/settings/optimization.h>

namespace tern::train {
void declare(Schema& schema, OptimConfig& o) {
  schema.add("optim.name", o.name, {"sgd", "adam", "adamw"}, "optimizer");
  schema.add("optim.lr", o.lr, kNotNegative, "learning rate of weights at its highest");
  schema.add("optim.momentum", o.momentum, kBelowOne, "sgd: momentum");
  schema.add("optim.nesterov", o.nesterov, "sgd: Nesterov's momentum");
  schema.add("optim.weight_decay", o.weight_decay, kNotNegative,
             "decay of weights (coupled for sgd and adam, decoupled for adamw)");
  schema.add("optim.decay_norms", o.decay_norms, "whether norm scales and biases decay as well");
  schema.add("optim.beta1", o.beta1, kBelowOne, "adam, adamw: decay of the mean gradient");
  schema.add("optim.beta2", o.beta2, kBelowOne, "adam, adamw: decay of the mean squared gradient");
  schema.add("optim.eps", o.eps, kPositive, "adam, adamw: added to the root of the mean square");
  schema.add("optim.clip_norm", o.clip_norm, kNotNegative, "largest norm of all gradients together; 0: no limit");
  schema.add("optim.clip_value", o.clip_value, kNotNegative, "largest absolute gradient; 0: no limit");
  schema.add("optim.accumulate", o.accumulate, {.min = 1, .max = 65536},
             "batches whose gradients are averaged into one step");
  schema.add("optim.ema_decay", o.ema_decay, kBelowOne,
             "decay of averaged weights, which are then evaluated and saved; 0: none");
}

void declare(Schema& schema, ScheduleConfig& s, const std::string& unit) {
  const std::string units = unit + "s";
  schema.add("schedule.name", s.name,
             {"constant", "cosine", "one_cycle", "step", "multistep", "exponential", "plateau"},
             "how the learning rates of all groups move");
  schema.add("schedule.warmup_" + units, s.warmup, kNotNegative, "linear rise from zero before the schedule");
  schema.add("schedule.min_lr", s.min_lr, kNotNegative, "cosine: rate at the end, of all groups");
  schema.add("schedule.milestones", s.milestones, kCount, concat("multistep: ", units, " after which the rate falls"));
  schema.add("schedule.step_" + units, s.step_size, kCount, concat("step: ", units, " between two falls"));
  schema.add(
      "schedule.gamma", s.gamma, {.min = 0, .max = 1, .above = true},
      concat("step, multistep, plateau: factor of a fall; exponential: factor ", unit == "epoch" ? "an " : "a ", unit));
  schema.add("schedule.one_cycle_rise", s.one_cycle_rise, {.min = 0, .max = 1},
             "one_cycle: share of the run in which the rate rises");
  schema.add("schedule.one_cycle_anneal", s.one_cycle_anneal, {"cosine", "linear"},
             "one_cycle: how the rate rises and falls");
  schema.add("schedule.patience", s.patience, kCountOrNone,
             concat("plateau: ", unit == "epoch" ? "epochs" : "measurements", " without a better loss before a fall"));
}

void check(const OptimConfig& o, const ScheduleConfig& s, const std::string& unit, int64_t length) {
  const auto need = [](bool condition, auto&&... text) {
    if (!condition) throw UsageError(concat("[config] ", text...));
  };
  need(!o.nesterov || o.name != "sgd" || o.momentum > 0, "expected optim.momentum above 0 with optim.nesterov, got ",
       o.momentum);
  need(s.name != "plateau" || s.gamma < 1, "expected schedule.gamma below 1 with plateau, got ", s.gamma);
  need(s.name != "multistep" || !s.milestones.empty(), "expected schedule.milestones with multistep, got none");
  for (size_t i = 1; i < s.milestones.size(); ++i)
    need(s.milestones[i - 1] < s.milestones[i], "expected rising schedule.milestones, got ", s.milestones[i], " after ",
         s.milestones[i - 1]);
  need(s.warmup < static_cast<double>(length), "expected schedule.warmup_", unit, "s below the run's ", unit, "s (",
       length, "), got ", s.warmup);
}

std::vector<optim::ParamList::Entry> named(const nn::Module& model, const std::vector<Tensor>& tensors) {
  std::vector<optim::ParamList::Entry> entries;
  for (const auto& [name, parameter] : model.named_parameters())
    for (const Tensor& tensor : tensors)
      if (tensor.is_same(parameter)) entries.emplace_back(name, tensor);
  TERN_ASSERT(entries.size() == tensors.size(), "a parameter of a group is not the model's");
  return entries;
}

std::vector<ParamGroup> weight_groups(const nn::Module& model, const std::vector<Tensor>& tensors,
                                      const OptimConfig& config, const std::vector<std::string>& no_decay) {
  if (config.decay_norms) return {{named(model, tensors), config.lr, config.weight_decay}};
  const nn::DecaySplit split = nn::split_weight_decay(model, no_decay);
  const auto both = [&](const std::vector<Tensor>& chosen) {
    std::vector<Tensor> kept;
    for (const Tensor& t : chosen)
      if (std::any_of(tensors.begin(), tensors.end(), [&](const Tensor& b) { return b.is_same(t); })) kept.push_back(t);
    return named(model, kept);
  };
  return {{both(split.decay), config.lr, config.weight_decay}, {both(split.no_decay), config.lr, 0}};
}

std::unique_ptr<optim::Optimizer> make_optimizer(const OptimConfig& o, const std::vector<ParamGroup>& groups) {
  if (o.name == "sgd") {
    std::vector<optim::SgdGroup> sgd;
    for (const ParamGroup& g : groups) sgd.push_back({.params = g.params, .lr = g.lr, .weight_decay = g.weight_decay});
    return std::make_unique<optim::Sgd>(optim::SgdOptions{.momentum = o.momentum, .nesterov = o.nesterov}, sgd);
  }
  std::vector<optim::AdamGroup> adam;
  for (const ParamGroup& g : groups) adam.push_back({.params = g.params, .lr = g.lr, .weight_decay = g.weight_decay});
  if (o.name == "adam")
    return std::make_unique<optim::Adam>(optim::AdamOptions{.betas = {o.beta1, o.beta2}, .eps = o.eps}, adam);
  return std::make_unique<optim::AdamW>(optim::AdamWOptions{.betas = {o.beta1, o.beta2}, .eps = o.eps}, adam);
}

std::unique_ptr<optim::WeightEma> make_ema(const nn::Module& model, const OptimConfig& config) {
  if (config.ema_decay == 0) return nullptr;
  std::vector<optim::ParamList::Entry> entries;
  for (const auto& [name, tensor] : model.state_dict())
    if (tensor.is_floating()) entries.emplace_back(name, tensor);
  return std::make_unique<optim::WeightEma>(entries, optim::EmaOptions{.decay = config.ema_decay, .warmup = true});
}

std::unique_ptr<optim::LrScheduler> make_schedule(optim::Optimizer& optimizer, const ScheduleConfig& s, int64_t length,
                                                  int64_t steps_a_unit) {
  const int64_t total = length * steps_a_unit;
  const auto warmup = static_cast<int64_t>(s.warmup * static_cast<double>(steps_a_unit));
  TERN_CHECK(warmup < total, ValueError, "[schedule] expected a warm-up of less than the run's ", total,
             " steps, got one of ", warmup);
  if (s.name == "cosine")
    return std::make_unique<optim::CosineLr>(
        optimizer, optim::CosineLrOptions{.total_steps = total, .warmup_steps = warmup, .eta_min = s.min_lr});
  if (s.name == "one_cycle")
    return std::make_unique<optim::OneCycleLr>(
        optimizer, optim::OneCycleLrOptions{
                       .total_steps = total,
                       .pct_start = s.one_cycle_rise,
                       .anneal = s.one_cycle_anneal == "linear" ? optim::Anneal::kLinear : optim::Anneal::kCosine,
                       .warmup_steps = warmup});
  if (s.name == "step")
    return std::make_unique<optim::StepLr>(
        optimizer,
        optim::StepLrOptions{.step_size = s.step_size * steps_a_unit, .gamma = s.gamma, .warmup_steps = warmup});
  if (s.name == "multistep") {
    std::vector<int64_t> milestones = s.milestones;
    for (int64_t& m : milestones) m = m * steps_a_unit - warmup;
    return std::make_unique<optim::MultiStepLr>(
        optimizer, optim::MultiStepLrOptions{.milestones = milestones, .gamma = s.gamma, .warmup_steps = warmup});
  }
  if (s.name == "exponential")
    return std::make_unique<optim::ExponentialLr>(
        optimizer, optim::ExponentialLrOptions{.gamma = std::pow(s.gamma, 1.0 / static_cast<double>(steps_a_unit)),
                                               .warmup_steps = warmup});
  if (s.name == "plateau")
    return std::make_unique<optim::PlateauLr>(
        optimizer, optim::PlateauLrOptions{.factor = s.gamma, .patience = s.patience, .warmup_steps = warmup});
  return std::make_unique<optim::ConstantLr>(optimizer, optim::ConstantLrOptions{.warmup_steps = warmup});
}

}  // namespace tern::train
