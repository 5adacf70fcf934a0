#include <cmath>

#include <tern/core/error.h>
#include <tern/optim/adam.h>
#include <tern/optim/detail/segments.h>
#include <tern/optim/kernels/update.h>

namespace tern::optim {
namespace {

AdamOptions same(const AdamWOptions& o) {
  return {.lr = o.lr, .betas = o.betas, .eps = o.eps, .weight_decay = o.weight_decay, .amsgrad = o.amsgrad};
}

}  // namespace

Adam::Adam(const char* op, const AdamOptions& options, const std::vector<AdamGroup>& groups, bool decoupled)
    : Optimizer(op, {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}), defaults_(options), decoupled_(decoupled) {
  for (const AdamGroup& group : groups) add_group(group);
}

Adam::Adam(const ParamList& params, const AdamOptions& options)
    : Adam("adam", options, std::vector<AdamGroup>{{.params = params}}, false) {}
Adam::Adam(const AdamOptions& options, const std::vector<AdamGroup>& groups) : Adam("adam", options, groups, false) {}
AdamW::AdamW(const ParamList& params, const AdamWOptions& options)
    : Adam("adamw", same(options), std::vector<AdamGroup>{{.params = params}}, true) {}
AdamW::AdamW(const AdamWOptions& options, const std::vector<AdamGroup>& groups)
    : Adam("adamw", same(options), groups, true) {}

void Adam::add_group(const AdamGroup& group) {
  const Settings settings{group.betas.value_or(defaults_.betas), group.eps.value_or(defaults_.eps),
                          group.amsgrad.value_or(defaults_.amsgrad)};
  for (const double beta : settings.betas)
    TERN_CHECK(beta >= 0 && beta < 1, ValueError, "[", op(), "] expected betas in [0, 1), got ", beta);
  TERN_CHECK(std::isfinite(settings.eps) && settings.eps >= 0, ValueError, "[", op(),
             "] expected an eps of at least 0, got ", settings.eps);
  Optimizer::add_group(group.params, group.lr.value_or(defaults_.lr),
                       group.weight_decay.value_or(defaults_.weight_decay));
  settings_.push_back(settings);
}

bool Adam::uses_slot(size_t group, size_t slot) const {
  return slot < 2 || settings_[group].amsgrad;
}

void Adam::update(size_t group) {
  update_of_type<float>(group);
  update_of_type<double>(group);
}

template <class T>
void Adam::update_of_type(size_t g) {
  Group& group = this->group(g);
  const auto& [betas, eps, amsgrad] = settings_[g];
  detail::SegmentList<kernels::AdamSegment<T>> list;
  std::vector<Tensor> alive;  // gradients that had to be rearranged
  for (size_t i = 0; i < group.params.size(); ++i) {
    Tensor& param = group.params[i].second;
    if (param.dtype() != dtype_of<T>()) continue;
    const Tensor gradient = gradient_of(param);
    if (!gradient.defined()) continue;
    alive.push_back(gradient);
    State& state = group.states[i];
    if (state.step++ == 0) make_buffers(g, i);
    const auto t = static_cast<double>(state.step);
    const kernels::AdamSegment<T> whole{.p = param.data<T>(),
                                        .g = gradient.data<T>(),
                                        .m = state.buffers[0].data<T>(),
                                        .v = state.buffers[1].data<T>(),
                                        .v_max = amsgrad ? state.buffers[2].data<T>() : nullptr,
                                        .n = param.numel(),
                                        .beta1 = static_cast<T>(betas[0]),
                                        .beta2 = static_cast<T>(betas[1]),
                                        .rest1 = static_cast<T>(1 - betas[0]),
                                        .rest2 = static_cast<T>(1 - betas[1]),
                                        .eps = static_cast<T>(eps),
                                        .step_size = static_cast<T>(group.lr / (1 - std::pow(betas[0], t))),
                                        .root_c2 = static_cast<T>(std::sqrt(1 - std::pow(betas[1], t))),
                                        .decay = static_cast<T>(decoupled_ ? 0 : group.weight_decay),
                                        .shrink = static_cast<T>(decoupled_ ? 1 - group.lr * group.weight_decay : 1)};
    list.add(whole.n, [&](int64_t begin, int64_t n) {
      kernels::AdamSegment<T> part = whole;
      part.p += begin;
      part.g += begin;
      part.m += begin;
      part.v += begin;
      if (part.v_max != nullptr) part.v_max += begin;
      part.n = n;
      return part;
    });
    param.storage()->bump_version();
  }
  list.finish();
  TERN_KERNEL(adam_update<T>)(list.segments(), list.tasks(), list.task_count());
}

}  // namespace tern::optim
