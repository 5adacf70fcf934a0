// Parameters and buffers: the tensors of a module, as member objects that register themselves.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tern/core/tensor.h>

namespace tern::nn {

class Module;
class Parameter;
class Parametrization;
class StructureGuard;

namespace detail {
// What a parameter holds; tied parameters share one.
struct ParameterState;
// Where an object of a module's class keeps what the class's options() returns.
using OptionsAt = const void* (*)(const Module&);
}  // namespace detail

/// The module that a member registers itself with: `this`, with what is known of its type. Without one, nullptr.
class Owner {
 public:
  Owner(std::nullptr_t) {}
  template <class M>
  requires std::derived_from<M, Module> Owner(M* module);
  Module* get() const { return module_; }
  /// For the class that declares the member; null if it has no options().
  detail::OptionsAt options_at() const { return options_at_; }

 private:
  Module* module_ = nullptr;
  detail::OptionsAt options_at_ = nullptr;
};

/// A trainable tensor of a module:
///
///   nn::Parameter weight{this, "weight", value};
///
/// The tensor it holds is the latent value: what optimizers update, what state_dict saves and what names like
/// "conv1.weight" mean. A parametrization may stand between it and the layer, which always reads operator(), the
/// effective value. Neither copied nor moved. Names are not empty, have no dot and are unique in their module
/// (ValueError).
class Parameter {
 public:
  /// An undefined value makes the parameter absent (a layer without bias): it is not listed and reads as an undefined
  /// tensor. The tensor itself is taken, not a copy (detached if an op produced it). Throws DTypeError if a gradient is
  /// asked for a tensor of integers.
  Parameter(Owner owner, std::string_view name, const Tensor& value, bool requires_grad = true);
  ~Parameter();
  Parameter(const Parameter&) = delete;
  Parameter& operator=(const Parameter&) = delete;

  const std::string& name() const { return name_; }
  /// False for an absent parameter.
  bool defined() const;

  /// The effective value: the latent one, or what the parametrization makes of it. While no gradient is recorded
  /// through it, it is computed at most once per (latent version, parametrization version, train or eval mode). Writes
  /// that bypass the tensor's own functions (through data<T>()) must call storage()->bump_version().
  Tensor operator()() const;

  /// The trainable tensor itself, undefined when absent. Write to it in place under NoGradGuard.
  const Tensor& latent() const;

  /// Puts another tensor, of any shape or none, in the place of the latent one, for all parameters tied to this one.
  /// What held the old tensor (an optimizer) does not follow. Keeps requires_grad. Throws StateError while a
  /// parametrization is attached, DTypeError as the constructor.
  void set(const Tensor& value);

  // -- parametrization

  /// Puts a parametrization between latent and effective value; its own parameters are listed under this one's name and
  /// the parametrization's ("conv1.weight.scale.gain"). Throws StateError if the parameter is absent, is tied
  /// (untie it first) or has one already, ValueError for none.
  template <class P>
  void parametrize(std::shared_ptr<P> parametrization);
  /// Takes the parametrization away and returns it; with `bake`, the latent value becomes the effective one first. Null
  /// if there is none.
  std::shared_ptr<Parametrization> remove_parametrization(bool bake = false);
  /// The parametrization, or null; as P, or null if it is not a P.
  Parametrization* parametrization() const;
  template <class P>
  P* parametrization_as() const;
  /// Switches the parametrization off (the effective value is then the latent one) and on again. Throws StateError if
  /// there is none.
  void set_parametrized(bool enabled);
  /// Whether a parametrization is attached and on.
  bool is_parametrized() const;

  // -- tying

  /// Makes this another name of `other`: one tensor, one gradient, stored once. Throws StateError if either is absent
  /// or parametrized, ShapeError or DTypeError if the two differ in kind.
  void tie(Parameter& other);
  /// Gives this name a tensor of its own again, a copy. Nothing happens if it is not tied.
  void untie();
  /// Whether it has other names, and whether `other` is one of them.
  bool is_tied() const;
  bool is_tied_with(const Parameter& other) const { return state_ == other.state_; }

  /// The module that declared it.
  Module& owner() const { return *owner_; }
  /// Identity of what tied parameters share.
  const void* state_id() const { return state_.get(); }

 private:
  friend class Module;
  friend class StructureGuard;
  static Tensor effective(detail::ParameterState& state);
  void attach(std::shared_ptr<Parametrization> parametrization);
  void share(const std::shared_ptr<detail::ParameterState>& state);
  void leave_parametrization() noexcept;

  Module* owner_;
  std::string name_;
  std::shared_ptr<detail::ParameterState> state_;
};

/// A tensor of a module that is not trained: running statistics, position tables.
///
///   nn::Buffer running_mean{this, "running_mean", zeros({n})};
class Buffer {
 public:
  /// Only persistent buffers are part of the state dict. An undefined value makes the buffer absent. Throws ValueError
  /// for a name as Parameter does.
  Buffer(Owner owner, std::string_view name, const Tensor& value, bool persistent = true);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  const std::string& name() const { return name_; }
  bool defined() const { return value_.defined(); }
  bool persistent() const { return persistent_; }
  const Tensor& operator()() const { return value_; }
  Tensor& operator()() { return value_; }
  /// Puts another tensor, or none, in its place.
  void set(const Tensor& value) { value_ = value; }

 private:
  Module* owner_;
  std::string name_;
  Tensor value_;
  bool persistent_;
};

}  // namespace tern::nn
