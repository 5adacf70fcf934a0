// The structure of a model, remembered so that a change of it that fails half way can be taken back.
#pragma once

#include <memory>
#include <vector>

#include <tern/nn/child.h>
#include <tern/nn/module.h>
#include <tern/nn/parametrization.h>

namespace tern::nn {

/// Remembers which modules stand where in a tree and which parametrizations its parameters have, and puts all of that
/// back at the end of its scope unless keep() was called. Values of parameters and buffers are not remembered:
///
///   nn::StructureGuard guard(model);
///   change(model);                    // may throw half way
///   model.load_state_dict(weights);   // changes nothing when it throws
///   guard.keep();
///
/// Elements that a list gains or loses meanwhile are not put back. The model must outlive the guard.
class StructureGuard {
 public:
  explicit StructureGuard(const Module& model);
  ~StructureGuard();
  StructureGuard(const StructureGuard&) = delete;
  StructureGuard& operator=(const StructureGuard&) = delete;

  /// Leaves the model as it is now.
  void keep() { kept_ = true; }
  /// Puts the structure back at once; the destructor then does nothing.
  void restore() noexcept;

 private:
  struct Place {
    ChildBase* child;
    std::shared_ptr<Module> module;
  };
  struct Attachment {
    Parameter* parameter;
    std::shared_ptr<Parametrization> parametrization;
    bool enabled;
  };
  NamedModules modules_;  // holds what is replaced meanwhile
  std::vector<Place> places_;
  std::vector<Attachment> attachments_;
  bool kept_ = false;
};

}  // namespace tern::nn
