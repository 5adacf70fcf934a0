#include <cmath>
#include <numbers>

#include <tern/core/error.h>
#include <tern/quant/bitnet/lambda_warmup.h>

namespace tern::quant::bitnet {
namespace {

constexpr const char* kNames[] = {"linear", "cosine"};

const LambdaSchedule::Options& checked(const LambdaSchedule::Options& o) {
  TERN_CHECK(o.steps >= 0, ValueError, "[LambdaSchedule] expected steps of at least 0, got ", o.steps);
  TERN_CHECK(o.min_lambda >= 0 && o.min_lambda <= o.max_lambda && o.max_lambda <= 1, ValueError,
             "[LambdaSchedule] expected 0 <= min_lambda <= max_lambda <= 1, got ", o.min_lambda, " and ", o.max_lambda);
  return o;
}

}  // namespace

LambdaSchedule::LambdaSchedule(const Options& options) : options_(checked(options)) {}

void LambdaSchedule::set_step_count(int64_t count) {
  TERN_CHECK(count >= 0, ValueError, "[LambdaSchedule] expected a step of at least 0, got ", count);
  count_ = count;
}

double LambdaSchedule::value() const {
  const Options& o = options_;
  if (count_ == 0) return o.min_lambda;
  if (count_ >= o.steps) return o.max_lambda;
  const double p = static_cast<double>(count_) / static_cast<double>(o.steps);
  const double f = o.schedule == WarmupSchedule::kLinear ? p : (1 - std::cos(std::numbers::pi * p)) / 2;
  return o.min_lambda + f * (o.max_lambda - o.min_lambda);
}

io::Json LambdaSchedule::state() const {
  return io::Json::object({{"step", count_},
                           {"steps", options_.steps},
                           {"schedule", kNames[static_cast<int>(options_.schedule)]},
                           {"min_lambda", options_.min_lambda},
                           {"max_lambda", options_.max_lambda}});
}

void LambdaSchedule::load_state(const io::Json& state) {
  Options o;
  o.steps = state.at("steps").as_int();
  const std::string& name = state.at("schedule").as_string();
  TERN_CHECK(name == kNames[0] || name == kNames[1], FormatError,
             "[LambdaSchedule] expected a schedule \"linear\" or \"cosine\", got \"", name, "\"");
  o.schedule = name == kNames[0] ? WarmupSchedule::kLinear : WarmupSchedule::kCosine;
  o.min_lambda = state.at("min_lambda").as_number();
  o.max_lambda = state.at("max_lambda").as_number();
  const int64_t count = state.at("step").as_int();
  TERN_CHECK(count >= 0, FormatError, "[LambdaSchedule] expected a step of at least 0, got ", count);
  options_ = checked(o);
  count_ = count;
}

LambdaWarmup::LambdaWarmup(nn::Module& model, const Options& options) : schedule_(options) {
  for (const auto& [path, module] : model.named_modules())
    if (!path.empty() && dynamic_cast<BitLinear*>(module.get()) != nullptr) layers_.push_back(module);
  TERN_CHECK(!layers_.empty(), ValueError, "[LambdaWarmup] expected a model with BitLinear layers, got a ",
             model.type_name(), " without");
  apply();
}

void LambdaWarmup::step() {
  schedule_.step();
  apply();
}

void LambdaWarmup::set_step_count(int64_t count) {
  schedule_.set_step_count(count);
  apply();
}

void LambdaWarmup::load_state(const io::Json& state) {
  schedule_.load_state(state);
  apply();
}

void LambdaWarmup::apply() {
  for (const auto& held : layers_)
    if (const auto layer = held.lock()) static_cast<BitLinear&>(*layer).set_lambda(schedule_.value());
}

}  // namespace tern::quant::bitnet
