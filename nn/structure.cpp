#include <utility>

#include <tern/nn/detail/parameter_state.h>
#include <tern/nn/structure.h>

namespace tern::nn {

StructureGuard::StructureGuard(const Module& model) : modules_(model.named_modules()) {
  for (const auto& [path, module] : modules_) {
    for (ChildBase* child : module->own_children()) places_.push_back({child, child->module()});
    for (Parameter* parameter : module->own_parameters())
      attachments_.push_back({parameter, parameter->state_->parametrization, parameter->state_->enabled});
  }
}

StructureGuard::~StructureGuard() {
  if (!kept_) restore();
}

void StructureGuard::restore() noexcept {
  kept_ = true;
  // Nothing here can fail: every module stood in its place before, and every parametrization on its parameter.
  for (const Place& place : places_)
    if (place.child->module() != place.module) place.child->set(place.module);
  for (const Attachment& a : attachments_) {
    if (a.parameter->parametrization() != a.parametrization.get()) {
      if (a.parameter->parametrization() != nullptr) a.parameter->remove_parametrization();
      if (a.parametrization != nullptr) a.parameter->parametrize(a.parametrization);
    }
    if (a.parametrization != nullptr && a.parameter->state_->enabled != a.enabled)
      a.parameter->set_parametrized(a.enabled);
  }
}

}  // namespace tern::nn
