// Hooks that are gone at the end of a scope.
#pragma once

#include <utility>
#include <vector>

#include <tern/nn/module.h>

namespace tern::nn {

/// Registers hooks and removes all of them when it is destroyed, whatever ended the scope:
///
///   nn::ScopedHooks hooks;
///   hooks.after(layer, [&](nn::Module&, std::span<const Tensor> inputs, const Tensor& output) { ... });
///   model(x);
class ScopedHooks {
 public:
  ScopedHooks() = default;
  ~ScopedHooks() { remove(); }
  ScopedHooks(const ScopedHooks&) = delete;
  ScopedHooks& operator=(const ScopedHooks&) = delete;

  /// As Module::register_forward_hook and register_forward_pre_hook, and throw as they do.
  void after(Module& module, ForwardHook hook) { handles_.push_back(module.register_forward_hook(std::move(hook))); }
  void before(Module& module, ForwardHook hook) {
    handles_.push_back(module.register_forward_pre_hook(std::move(hook)));
  }
  /// Removes them now.
  void remove() {
    for (HookHandle& handle : handles_) handle.remove();
    handles_.clear();
  }

 private:
  std::vector<HookHandle> handles_;
};

}  // namespace tern::nn
