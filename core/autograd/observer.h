// Watching a thread compute: which module runs, which node of the graph goes backward. The seam for profilers.
#pragma once

#include <string_view>

#include <tern/core/autograd/node.h>

namespace tern::autograd {

/// Told what the threads that it watches do. Every call comes on the watched thread, at the moment it names; calls nest
/// like the computation does (a module inside a module, a recomputed forward inside a backward node). Fused paths are
/// not affected: they report the module in whose scope they run. The default of every function does nothing.
class Observer {
 public:
  virtual ~Observer() = default;
  /// A module (or a parameter's parametrization, under the parameter's name) begins. current_module_path() is still
  /// that of its parent; `name` is what comes after it. May throw: the module then does not run.
  virtual void module_begins(std::string_view name);
  /// The innermost module that began has ended, by an exception too.
  virtual void module_ends() noexcept;
  /// An operation has attached a node; node.module_path says where.
  virtual void node_recorded(const Node& node);
  /// The engine is about to apply a node, or has applied it (or failed to).
  virtual void backward_begins(const Node& node);
  virtual void backward_ends(const Node& node) noexcept;
};

/// While one of these lives, `observer` (which must outlive it; null for none) watches this thread, in the place of the
/// one before. Nodes recorded meanwhile know their module's path, as in anomaly mode. Costs one branch a module and a
/// node where nobody watches.
class ObserverGuard {
 public:
  explicit ObserverGuard(Observer* observer);
  ~ObserverGuard();
  ObserverGuard(const ObserverGuard&) = delete;
  ObserverGuard& operator=(const ObserverGuard&) = delete;

 private:
  Observer* previous_;
};

}  // namespace tern::autograd
