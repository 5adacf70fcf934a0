// Grad mode, anomaly mode, module paths, in-place checks, and gradients without accumulation.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tern/core/autograd/node.h>
#include <tern/core/tensor.h>

namespace tern {

/// Whether this thread records operations for a backward. True at the start of every thread.
bool grad_enabled();

/// Sets this thread's grad mode for a scope.
class GradModeGuard {
 public:
  explicit GradModeGuard(bool enabled);
  ~GradModeGuard();
  GradModeGuard(const GradModeGuard&) = delete;
  GradModeGuard& operator=(const GradModeGuard&) = delete;

 private:
  bool previous_;
};

/// Switches recording off for a scope: evaluation, weight updates.
struct NoGradGuard : GradModeGuard {
  NoGradGuard() : GradModeGuard(false) {}
};
/// Switches recording on for a scope.
struct EnableGradGuard : GradModeGuard {
  EnableGradGuard() : GradModeGuard(true) {}
};

namespace autograd {

class Observer;

/// While one of these lives on this thread, every recorded op checks what it produces, forward and backward, and the
/// first NaN or infinity throws NonFiniteError with the op and the module path. Slow; for finding where a run goes
/// wrong.
class AnomalyGuard {
 public:
  AnomalyGuard();
  ~AnomalyGuard();
  AnomalyGuard(const AnomalyGuard&) = delete;
  AnomalyGuard& operator=(const AnomalyGuard&) = delete;

 private:
  bool previous_;
};

/// Names the module that is running, for error texts ("layer1.0.conv1" is three nested scopes). nn::Child opens them.
/// The text must outlive the guard.
class ModuleScope {
 public:
  explicit ModuleScope(std::string_view name);
  ~ModuleScope();
  ModuleScope(const ModuleScope&) = delete;
  ModuleScope& operator=(const ModuleScope&) = delete;
  std::string_view name() const { return name_; }
  const ModuleScope* parent() const { return parent_; }

 private:
  std::string_view name_;
  const ModuleScope* parent_;
  Observer* observed_by_ = nullptr;
};
/// The names of the scopes open on this thread, joined by dots; empty outside of all.
std::string current_module_path();

/// Gradients of `outputs` with respect to `inputs`, without touching any grad(). grad_outputs: one an output; an
/// undefined one, or an empty list, stands for 1 and needs one-element outputs. An input that the outputs do not depend
/// on gets an undefined gradient. Frees the graph. Throws StateError if no output requires a gradient or an input does
/// not, ValueError for another number of grad_outputs, ShapeError and DTypeError for one that does not fit its output.
std::vector<Tensor> grad(std::span<const Tensor> outputs, std::span<const Tensor> inputs,
                         std::span<const Tensor> grad_outputs = {});

/// To be called first by an op that writes into x in place: throws StateError if x is expanded (elements share memory),
/// or if a gradient is being recorded and x, or the source it writes, needs one. The op calls
/// x.storage()->bump_version() after writing.
void check_in_place(const char* op, const Tensor& x, const Tensor& source = {});

}  // namespace autograd

using autograd::Gradients;
using autograd::NeedsGrad;
using autograd::SavedTensor;

}  // namespace tern
