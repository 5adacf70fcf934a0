#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <tern/core/error.h>
#include <tern/optim/lr_scheduler.h>

namespace tern::optim {
namespace {

Tensor tensor_of(const std::vector<double>& values) {
  Tensor out = empty({static_cast<int64_t>(values.size())}, DType::kF64);
  std::copy(values.begin(), values.end(), out.data<double>());
  return out;
}

Tensor tensor_of(int64_t value) {
  Tensor out = empty({}, DType::kI64);
  *out.data<int64_t>() = value;
  return out;
}

// The tensor of that name, which must have that shape and dtype.
const Tensor& entry(const char* op, const io::TensorMap& state, std::string_view name, const Shape& shape,
                    DType dtype) {
  const Tensor* found = state.find(name);
  TERN_CHECK(found != nullptr, ValueError, "[", op, "] expected '", name, "' in the saved state, got none");
  TERN_CHECK(found->shape() == shape && found->dtype() == dtype, ValueError, "[", op, "] expected '", name,
             "' in the saved state to be ", dtype, " ", shape, ", got ", describe(*found));
  return *found;
}

void check_positive(const char* op, std::string_view what, double v) {
  TERN_CHECK(std::isfinite(v) && v > 0, ValueError, "[", op, "] expected ", what, " above 0, got ", v);
}

// A falling or rising curve from `from` to `to` as x goes from 0 to 1.
double anneal(Anneal kind, double from, double to, double x) {
  return kind == Anneal::kCosine ? to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * x)) : from + (to - from) * x;
}

}  // namespace

LrScheduler::LrScheduler(const char* op, Optimizer& optimizer, int64_t warmup_steps, double warmup_start_factor)
    : op_(op), optimizer_(optimizer), warmup_steps_(warmup_steps), warmup_start_factor_(warmup_start_factor) {
  TERN_CHECK(warmup_steps >= 0, ValueError, "[", op, "] expected warmup_steps of at least 0, got ", warmup_steps);
  TERN_CHECK(warmup_start_factor >= 0 && warmup_start_factor <= 1, ValueError, "[", op,
             "] expected warmup_start_factor in [0, 1], got ", warmup_start_factor);
  for (int64_t g = 0; g < optimizer.group_count(); ++g) base_.push_back(optimizer.lr(g));
}

void LrScheduler::apply() {
  TERN_CHECK(optimizer_.group_count() == static_cast<int64_t>(base_.size()), StateError, "[", op_, "] expected the ",
             base_.size(), " parameter groups it was made for, got ", optimizer_.group_count());
  double warmth = 1;
  if (step_ < warmup_steps_)
    warmth = warmup_start_factor_ +
             (1 - warmup_start_factor_) * static_cast<double>(step_) / static_cast<double>(warmup_steps_);
  for (size_t g = 0; g < base_.size(); ++g)
    optimizer_.set_lr(static_cast<int64_t>(g), warmth * rate(g, std::max<int64_t>(step_ - warmup_steps_, 0)));
}

void LrScheduler::step() {
  ++step_;
  apply();
}

io::TensorMap LrScheduler::state_dict() const {
  return {{"step", tensor_of(step_)}, {"base_lrs", tensor_of(base_)}};
}

void LrScheduler::load_state_dict(const io::TensorMap& state) {
  const int64_t step = entry(op_, state, "step", {}, DType::kI64).item_i64();
  TERN_CHECK(step >= 0, ValueError, "[", op_, "] expected a saved step of at least 0, got ", step);
  const auto base =
      entry(op_, state, "base_lrs", {static_cast<int64_t>(base_.size())}, DType::kF64).to_vector<double>();
  for (const double lr : base)
    TERN_CHECK(std::isfinite(lr) && lr >= 0, ValueError, "[", op_, "] expected saved rates of at least 0, got ", lr);
  const size_t known = LrScheduler::state_dict().size();
  TERN_CHECK(state.size() == known, ValueError, "[", op_, "] expected ", known, " entries in the saved state, got ",
             state.size());
  step_ = step;
  base_ = base;
  apply();
}

ConstantLr::ConstantLr(Optimizer& optimizer, const ConstantLrOptions& options)
    : LrScheduler("constant_lr", optimizer, options.warmup_steps, options.warmup_start_factor) {
  apply();
}

double ConstantLr::rate(size_t group, int64_t) const {
  return base_lrs()[group];
}

StepLr::StepLr(Optimizer& optimizer, const StepLrOptions& options)
    : LrScheduler("step_lr", optimizer, options.warmup_steps, options.warmup_start_factor), options_(options) {
  TERN_CHECK(options.step_size >= 1, ValueError, "[step_lr] expected step_size of at least 1, got ", options.step_size);
  check_positive("step_lr", "gamma", options.gamma);
  apply();
}

double StepLr::rate(size_t group, int64_t s) const {
  return base_lrs()[group] * std::pow(options_.gamma, static_cast<double>(s / options_.step_size));
}

MultiStepLr::MultiStepLr(Optimizer& optimizer, const MultiStepLrOptions& options)
    : LrScheduler("multi_step_lr", optimizer, options.warmup_steps, options.warmup_start_factor), options_(options) {
  const auto& milestones = options_.milestones;
  for (size_t i = 0; i < milestones.size(); ++i)
    TERN_CHECK(milestones[i] >= (i > 0 ? milestones[i - 1] : 0), ValueError,
               "[multi_step_lr] expected rising milestones of at least 0, got ", milestones[i],
               i > 0 ? concat(" after ", milestones[i - 1]) : std::string(" first"));
  check_positive("multi_step_lr", "gamma", options.gamma);
  apply();
}

double MultiStepLr::rate(size_t group, int64_t s) const {
  const auto& milestones = options_.milestones;
  const auto passed = std::upper_bound(milestones.begin(), milestones.end(), s) - milestones.begin();
  return base_lrs()[group] * std::pow(options_.gamma, static_cast<double>(passed));
}

ExponentialLr::ExponentialLr(Optimizer& optimizer, const ExponentialLrOptions& options)
    : LrScheduler("exponential_lr", optimizer, options.warmup_steps, options.warmup_start_factor), options_(options) {
  check_positive("exponential_lr", "gamma", options.gamma);
  apply();
}

double ExponentialLr::rate(size_t group, int64_t s) const {
  return base_lrs()[group] * std::pow(options_.gamma, static_cast<double>(s));
}

CosineLr::CosineLr(Optimizer& optimizer, const CosineLrOptions& options)
    : LrScheduler("cosine_lr", optimizer, options.warmup_steps, options.warmup_start_factor), options_(options) {
  TERN_CHECK(options.total_steps > options.warmup_steps, ValueError,
             "[cosine_lr] expected total_steps above warmup_steps (", options.warmup_steps, "), got ",
             options.total_steps);
  TERN_CHECK(std::isfinite(options.eta_min) && options.eta_min >= 0, ValueError,
             "[cosine_lr] expected eta_min of at least 0, got ", options.eta_min);
  apply();
}

double CosineLr::rate(size_t group, int64_t s) const {
  const int64_t length = options_.total_steps - warmup_steps();
  if (s >= length && !options_.periodic) return options_.eta_min;
  const double x = static_cast<double>(s) / static_cast<double>(length);
  return options_.eta_min + (base_lrs()[group] - options_.eta_min) * (1 + std::cos(std::numbers::pi * x)) / 2;
}

OneCycleLr::OneCycleLr(Optimizer& optimizer, const OneCycleLrOptions& options)
    : LrScheduler("one_cycle_lr", optimizer, options.warmup_steps, options.warmup_start_factor), options_(options) {
  TERN_CHECK(options.total_steps > options.warmup_steps, ValueError,
             "[one_cycle_lr] expected total_steps above warmup_steps (", options.warmup_steps, "), got ",
             options.total_steps);
  TERN_CHECK(options.pct_start >= 0 && options.pct_start <= 1, ValueError,
             "[one_cycle_lr] expected pct_start in [0, 1], got ", options.pct_start);
  check_positive("one_cycle_lr", "div_factor", options.div_factor);
  check_positive("one_cycle_lr", "final_div_factor", options.final_div_factor);
  peaks_ = options_.max_lr.empty() ? base_lrs() : options_.max_lr;
  TERN_CHECK(peaks_.size() == base_lrs().size(), ValueError, "[one_cycle_lr] expected one max_lr for each of ",
             base_lrs().size(), " groups, got ", peaks_.size());
  for (const double lr : peaks_)
    TERN_CHECK(std::isfinite(lr) && lr >= 0, ValueError, "[one_cycle_lr] expected max_lr of at least 0, got ", lr);
  apply();
}

io::TensorMap OneCycleLr::state_dict() const {
  io::TensorMap state = LrScheduler::state_dict();
  state.insert("max_lr", tensor_of(peaks_));
  return state;
}

void OneCycleLr::load_state_dict(const io::TensorMap& state) {
  io::TensorMap common;
  for (const auto& [name, tensor] : state)
    if (name != "max_lr") common.insert(name, tensor);
  const Shape shape{static_cast<int64_t>(peaks_.size())};
  const char* const saved = state.contains("max_lr") ? "max_lr" : "base_lrs";
  const auto peaks = entry(op(), state, saved, shape, DType::kF64).to_vector<double>();
  for (const double lr : peaks)
    TERN_CHECK(std::isfinite(lr) && lr >= 0, ValueError, "[one_cycle_lr] expected saved rates of at least 0, got ", lr);
  const auto previous = peaks_;
  if (options_.max_lr.empty()) peaks_ = peaks;
  try {
    LrScheduler::load_state_dict(common);
  } catch (...) {
    peaks_ = previous;
    throw;
  }
}

double OneCycleLr::rate(size_t group, int64_t s) const {
  const double peak = peaks_[group];
  const double start = peak / options_.div_factor;
  const double end = start / options_.final_div_factor;
  const auto total = static_cast<double>(options_.total_steps - warmup_steps());
  struct Phase {
    double last, from, to;  // last: the step at which `to` is reached
  };
  const double up = options_.pct_start * total - 1;
  const Phase two[] = {{up, start, peak}, {total - 1, peak, end}};
  const Phase three[] = {{up, start, peak}, {2 * options_.pct_start * total - 2, peak, start}, {total - 1, start, end}};
  const Phase* phase = options_.three_phase ? three : two;
  const Phase* const final = options_.three_phase ? three + 2 : two + 1;
  const auto step = std::min(static_cast<double>(s), total - 1);
  double first = 0;
  while (phase != final && step > phase->last) first = phase++->last;
  const double length = phase->last - first;
  const double x = length > 0 ? (step - first) / length : 1;
  return anneal(options_.anneal, phase->from, phase->to, x);
}

PlateauLr::PlateauLr(Optimizer& optimizer, const PlateauLrOptions& options)
    : LrScheduler("plateau_lr", optimizer, options.warmup_steps, options.warmup_start_factor),
      options_(options),
      rates_(base_lrs()),
      best_(options.mode == PlateauMode::kMin ? std::numeric_limits<double>::infinity()
                                              : -std::numeric_limits<double>::infinity()) {
  TERN_CHECK(options.factor > 0 && options.factor < 1, ValueError, "[plateau_lr] expected factor in (0, 1), got ",
             options.factor);
  const auto check_at_least_0 = [](std::string_view what, double v) {
    TERN_CHECK(std::isfinite(v) && v >= 0, ValueError, "[plateau_lr] expected ", what, " of at least 0, got ", v);
  };
  check_at_least_0("patience", static_cast<double>(options.patience));
  check_at_least_0("cooldown", static_cast<double>(options.cooldown));
  check_at_least_0("threshold", options.threshold);
  check_at_least_0("min_lr", options.min_lr);
  check_at_least_0("eps", options.eps);
  apply();
}

bool PlateauLr::better(double metric) const {
  if (std::isinf(best_)) return options_.mode == PlateauMode::kMin ? metric < best_ : metric > best_;
  const bool relative = options_.threshold_mode == ThresholdMode::kRelative;
  const double t = options_.threshold;
  if (options_.mode == PlateauMode::kMin) return metric < (relative ? best_ * (1 - t) : best_ - t);
  return metric > (relative ? best_ * (1 + t) : best_ + t);
}

void PlateauLr::report(double metric) {
  TERN_CHECK(!std::isnan(metric), ValueError, "[plateau_lr] expected a number as metric, got NaN");
  if (better(metric)) {
    best_ = metric;
    bad_reports_ = 0;
  } else {
    ++bad_reports_;
  }
  if (cooling_ > 0) {
    --cooling_;
    bad_reports_ = 0;
  }
  if (bad_reports_ > options_.patience) {
    for (double& rate : rates_)
      if (const double lower = std::max(rate * options_.factor, options_.min_lr); rate - lower > options_.eps)
        rate = lower;
    cooling_ = options_.cooldown;
    bad_reports_ = 0;
  }
  apply();
}

double PlateauLr::rate(size_t group, int64_t) const {
  return rates_[group];
}

io::TensorMap PlateauLr::state_dict() const {
  io::TensorMap state = LrScheduler::state_dict();
  state.insert("rates", tensor_of(rates_));
  state.insert("best", tensor_of(std::vector<double>{best_}));
  state.insert("bad_reports", tensor_of(bad_reports_));
  state.insert("cooling", tensor_of(cooling_));
  return state;
}

void PlateauLr::load_state_dict(const io::TensorMap& state) {
  io::TensorMap common;
  for (const auto& [name, tensor] : state)
    if (name != "rates" && name != "best" && name != "bad_reports" && name != "cooling") common.insert(name, tensor);
  const auto rates =
      entry(op(), state, "rates", {static_cast<int64_t>(rates_.size())}, DType::kF64).to_vector<double>();
  for (const double lr : rates)
    TERN_CHECK(std::isfinite(lr) && lr >= 0, ValueError, "[plateau_lr] expected saved rates of at least 0, got ", lr);
  const double best = entry(op(), state, "best", {1}, DType::kF64).item();
  const int64_t bad_reports = entry(op(), state, "bad_reports", {}, DType::kI64).item_i64();
  const int64_t cooling = entry(op(), state, "cooling", {}, DType::kI64).item_i64();
  const auto previous = rates_;
  rates_ = rates;
  try {
    LrScheduler::load_state_dict(common);
  } catch (...) {
    rates_ = previous;
    throw;
  }
  best_ = best;
  bad_reports_ = bad_reports;
  cooling_ = cooling;
}

}  // namespace tern::optim
