#include <cmath>

#include <tern/core/error.h>
#include <tern/optim/detail/segments.h>
#include <tern/optim/kernels/update.h>
#include <tern/optim/sgd.h>

namespace tern::optim {

Sgd::Sgd(const ParamList& params, const SgdOptions& options)
    : Sgd(options, std::vector<SgdGroup>{{.params = params}}) {}

Sgd::Sgd(const SgdOptions& options, const std::vector<SgdGroup>& groups)
    : Optimizer("sgd", {"momentum_buffer"}), defaults_(options) {
  for (const SgdGroup& group : groups) add_group(group);
}

void Sgd::add_group(const SgdGroup& group) {
  const std::optional<double> lr = group.lr ? group.lr : defaults_.lr;
  TERN_CHECK(lr.has_value(), ValueError, "[sgd] expected a learning rate for group ", group_count(),
             ", got none there nor in the options");
  const Settings settings{group.momentum.value_or(defaults_.momentum), group.dampening.value_or(defaults_.dampening),
                          group.nesterov.value_or(defaults_.nesterov)};
  TERN_CHECK(std::isfinite(settings.momentum) && settings.momentum >= 0, ValueError,
             "[sgd] expected a momentum of at least 0, got ", settings.momentum);
  TERN_CHECK(std::isfinite(settings.dampening), ValueError, "[sgd] expected a finite dampening, got ",
             settings.dampening);
  TERN_CHECK(!settings.nesterov || (settings.momentum > 0 && settings.dampening == 0), ValueError,
             "[sgd] expected a momentum above 0 and no dampening with nesterov, got momentum ", settings.momentum,
             " and dampening ", settings.dampening);
  Optimizer::add_group(group.params, *lr, group.weight_decay.value_or(defaults_.weight_decay));
  settings_.push_back(settings);
}

bool Sgd::uses_slot(size_t group, size_t) const {
  return settings_[group].momentum != 0;
}

void Sgd::update(size_t group) {
  update_of_type<float>(group);
  update_of_type<double>(group);
}

template <class T>
void Sgd::update_of_type(size_t g) {
  Group& group = this->group(g);
  const Settings& settings = settings_[g];
  detail::SegmentList<kernels::SgdSegment<T>> list;
  std::vector<Tensor> alive;  // gradients that had to be rearranged
  for (size_t i = 0; i < group.params.size(); ++i) {
    Tensor& param = group.params[i].second;
    if (param.dtype() != dtype_of<T>()) continue;
    const Tensor gradient = gradient_of(param);
    if (!gradient.defined()) continue;
    alive.push_back(gradient);
    State& state = group.states[i];
    const bool first = state.step++ == 0;
    if (first) make_buffers(g, i);
    T* p = param.data<T>();
    const T* d = gradient.data<T>();
    T* buffer = state.buffers[0].defined() ? state.buffers[0].data<T>() : nullptr;
    list.add(param.numel(), [&](int64_t begin, int64_t n) {
      return kernels::SgdSegment<T>{.p = p + begin,
                                    .g = d + begin,
                                    .buffer = buffer == nullptr ? nullptr : buffer + begin,
                                    .n = n,
                                    .lr = static_cast<T>(group.lr),
                                    .decay = static_cast<T>(group.weight_decay),
                                    .momentum = static_cast<T>(settings.momentum),
                                    .keep = static_cast<T>(1 - settings.dampening),
                                    .nesterov = settings.nesterov,
                                    .first = first};
    });
    param.storage()->bump_version();
  }
  list.finish();
  TERN_KERNEL(sgd_update<T>)(list.segments(), list.tasks(), list.task_count());
}

}  // namespace tern::optim
