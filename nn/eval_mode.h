// EvalModeGuard: evaluation mode for the length of a scope.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include <tern/nn/module.h>

namespace tern::nn {

/// Puts a module and all below it into evaluation mode, and each of them back into its own mode at the end of the
/// scope. The module must outlive the guard; modules that were replaced meanwhile keep the mode they have.
class EvalModeGuard {
 public:
  explicit EvalModeGuard(Module& module) : module_(module), own_(module.is_training()) {
    for (const auto& [path, child] : module.named_modules())
      if (!path.empty()) modes_.emplace_back(child, child->is_training());
    module.eval();
  }
  ~EvalModeGuard() {
    module_.train(own_);  // parents before children, as train() reaches down
    for (const auto& [child, training] : modes_)
      if (child->is_training() != training) child->train(training);
  }
  EvalModeGuard(const EvalModeGuard&) = delete;
  EvalModeGuard& operator=(const EvalModeGuard&) = delete;

 private:
  Module& module_;
  bool own_;
  std::vector<std::pair<std::shared_ptr<Module>, bool>> modes_;
};

}  // namespace tern::nn
