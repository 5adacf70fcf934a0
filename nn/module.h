// Module: a tree of named parameters, buffers and children, with a forward.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <tern/core/error.h>
#include <tern/core/io/tensor_map.h>
#include <tern/core/tensor.h>
#include <tern/nn/mistake.h>
#include <tern/nn/parameter.h>

namespace tern::nn {

class ChildBase;
class Module;

/// How many modules may stand inside one another: more throw StateError when they are put together. Walks over a tree
/// recurse so deep at most.
inline constexpr int64_t kMaxNesting = 4096;

/// Tensors with their dotted paths, in the order of the module tree.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// Modules with their dotted paths, likewise.
using NamedModules = std::vector<std::pair<std::string, std::shared_ptr<Module>>>;

/// What a forward hook is called with: the module, the tensors its forward was given, and what it returned. An
/// attention's output is its first tensor.
using ForwardHook = std::function<void(Module& module, std::span<const Tensor> inputs, const Tensor& output)>;

/// Removes a hook. Letting go of the handle does not.
class HookHandle {
 public:
  HookHandle() = default;
  /// Takes the hook away; nothing happens the second time, or after the module is gone.
  void remove();

 private:
  friend class Module;
  using Hooks = std::vector<std::pair<uint64_t, ForwardHook>>;
  std::weak_ptr<Hooks> hooks_;
  uint64_t id_ = 0;
};

/// What a tolerant load_state_dict left out.
struct LoadReport {
  std::vector<std::string> missing;     ///< names the module has and the state does not
  std::vector<std::string> unexpected;  ///< names the state has and the module does not
};

namespace detail {
template <class T>
concept HasOptions = requires {
  typename T::Options;
}
&&std::constructible_from<T, const typename T::Options&>;

template <class T>
concept KnowsOptions = HasOptions<T> && requires(const T& module) {
  { module.options() } -> std::convertible_to<const typename T::Options&>;
};

using NewLike = std::shared_ptr<Module> (*)(const Module&);

// Whether calls with one tensor reach T's forward through Module's, and whether T has one of another signature, which
// hides Module's.
template <class T>
concept ForwardsOneTensor = requires {
  static_cast<Tensor (T::*)(const Tensor&)>(&T::forward);
};
template <class T>
concept OneForward = requires {
  &T::forward;
};
// Whether T's forward of one tensor is that of Module itself: a pointer to a member of a derived class would not
// convert.
template <class T>
concept ForwardOfModule = requires(Tensor (Module::*& forward)(const Tensor&)) {
  forward = &T::forward;
};
template <class T>
concept OwnForward = (!ForwardsOneTensor<T> && OneForward<T>) ||
                     (!OneForward<T> && ForwardOfModule<T>);  // beside it, brought in by `using Module::forward`
}  // namespace detail

/// Base of layers and models. Members of the types Parameter, Buffer and Child register themselves, so that
///
///   struct Net : nn::Module {
///     nn::Child<nn::Linear> fc{this, "fc", {.in_features = 4, .out_features = 2}};
///     Tensor forward(const Tensor& x) override { return fc(x); }
///   };
///
/// lists "fc.weight" and "fc.bias". Modules are neither copied nor moved; clone() makes another one. A module may be
/// used by one thread at a time.
///
/// The first use of a module, a call or a walk over its tree, throws StateError if another module is a member of it
/// without Child: its parameters would not be listed, trained or saved. Of a module without any parameter, buffer or
/// child only the first member is recognised. Modules that are held by pointer are not members.
class Module {
 public:
  Module();
  virtual ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  /// The computation, for modules from one tensor to one. The default throws StateError. A module that is called in
  /// another way declares a forward of its own, virtual or not, with any other parameters and any result; a Child of
  /// its type calls that.
  virtual Tensor forward(const Tensor& x);
  /// False for modules that are not called with one tensor (attention, lists): they cannot replace one that is.
  virtual bool has_forward() const { return true; }
  /// True for containers that are never called themselves (ModuleList, ModuleDict): their children's scopes then bring
  /// the container's name along.
  virtual bool is_list() const { return false; }
  /// Runs the pre-hooks, forward, and the forward hooks.
  Tensor operator()(const Tensor& x);

  /// The class's name without namespaces, for messages and summaries.
  virtual std::string type_name() const;
  /// The settings that a summary shows after the type's name ("3, 16, kernel_size=3"); may be empty.
  virtual std::string extra_text() const { return {}; }
  /// Multiply-accumulates of one forward from an input of one shape to an output of another: those of convolutions,
  /// matrix products and attention, without the children's. 0 for everything else.
  virtual int64_t macs(const Shape& input, const Shape& output) const;

  // -- the tree; paths are dotted, "" is this module itself

  /// Trainable (latent) tensors of this module and all below, each once: tied ones under their first name. A
  /// parametrization's own parameters follow the one they belong to.
  NamedTensors named_parameters() const;
  std::vector<Tensor> parameters() const;
  /// Buffers of this module and all below, those that are not persistent included.
  NamedTensors named_buffers() const;
  /// The Parameter objects behind named_parameters(), to attach parametrizations or tie; `every_name` also lists the
  /// further names of tied parameters.
  std::vector<std::pair<std::string, Parameter*>> named_parameter_objects(bool every_name = false) const;
  /// This module ("") and all below, each once, parents before children. The pointer to this module itself does not own
  /// it. Parametrizations are not listed. With `every_path`, a module that stands in several places is listed with the
  /// path of each; more than 4,194,304 paths throw StateError.
  NamedModules named_modules(bool every_path = false) const;
  /// Direct children, by name.
  NamedModules children() const;
  /// This module's own parameters and buffers, absent ones included.
  const std::vector<Parameter*>& own_parameters() const { return parameters_; }
  const std::vector<Buffer*>& own_buffers() const { return buffers_; }
  const std::vector<ChildBase*>& own_children() const { return children_; }  ///< in the order of declaration
  /// This module's own parameter or buffer of that name, or null.
  Parameter* find_parameter(std::string_view name) const;
  Buffer* find_buffer(std::string_view name) const;

  /// The module at a path. Throws ValueError, with the names that exist there, if there is none.
  std::shared_ptr<Module> get_module(std::string_view path) const;
  /// The parameter at a path ("layer1.0.conv1.weight"). Throws ValueError if there is none.
  Parameter& get_parameter(std::string_view path) const;
  /// Puts another module at a path; what the parent calls is then that one, in the train or eval mode of the one
  /// it replaces. Throws ValueError if there is nothing at the path or no module is given, StateError if the parent
  /// cannot call the new module in the place of the old, or if it contains that parent.
  template <class M>
  void replace(std::string_view path, std::shared_ptr<M> module);
  /// As replace, in every place of this tree where the module at the path stands: what is shared stays shared. Either
  /// all places hold the new module afterwards or, when it throws, none.
  template <class M>
  void replace_everywhere(std::string_view path, std::shared_ptr<M> module);
  /// Calls fn for every module, children before parents.
  void apply(const std::function<void(Module&)>& fn);

  // -- state

  /// All parameters and persistent buffers by name, tied ones once. The tensors are the module's own, not copies.
  io::TensorMap state_dict() const;
  /// Copies values in by name, converting between floating dtypes. Missing, unexpected and misshapen names are listed
  /// in one ValueError (at most eight of each), and then nothing has been changed. A missing "num_batches_tracked" is
  /// tolerated; of tied parameters either name serves, and both must agree. With strict off, missing and unexpected
  /// names are only returned; misshapen ones still throw.
  LoadReport load_state_dict(const io::TensorMap& state, bool strict = true);

  /// Training mode for this module and all below (dropout drops, batch norm uses the batch). Starts on. Independent of
  /// grad mode.
  void train(bool on = true);
  void eval() { train(false); }
  bool is_training() const { return training_; }
  /// Sets requires_grad of every parameter, those of parametrizations included.
  void requires_grad_(bool value = true);
  /// Drops the gradients of every parameter.
  void zero_grad();
  /// Converts all floating parameters and buffers, in place: tensors held elsewhere (by an optimizer) follow. Gradients
  /// of what is converted are dropped. Throws DTypeError for an integer dtype.
  void to(DType dtype);
  /// Number of trainable values: elements of the parameters that require a gradient, or of all of them.
  int64_t parameter_count(bool trainable_only = true) const;

  // -- copies

  /// Another module with the same structure (replaced children and parametrizations included) and a copy of every
  /// value; hooks and gradients stay behind. Prefer nn::clone, which keeps the type. Throws StateError if this module's
  /// type, or the type of a replaced child, can be built neither from its options nor by default nor by new_like().
  std::shared_ptr<Module> clone() const;
  /// A fresh module of the same type and settings, for clone(); its values do not matter. Needed only by types that
  /// have constructor arguments but no options().
  virtual std::shared_ptr<Module> new_like() const;

  // -- hooks

  /// Called after every forward of this module, in the order of registration; a hook may remove itself or others. Fused
  /// paths leave a module with hooks alone. Both functions throw ValueError for an empty hook.
  HookHandle register_forward_hook(ForwardHook hook);
  /// Called before every forward, with an undefined output.
  HookHandle register_forward_pre_hook(ForwardHook hook);
  bool has_hooks() const { return !hooks_->empty() || !pre_hooks_->empty(); }

  // -- for containers, layers with interfaces of their own, and factories

  /// Runs fn between the hooks; `inputs` is what they see. fn returns a Tensor, or a struct whose first tensor is its
  /// member `output`.
  template <class F>
  auto with_hooks(std::span<const Tensor> inputs, F&& fn);
  /// Remembers how to build another module of this type, where the type allows it.
  template <class T>
  static void remember_type(T& module);

 protected:
  /// Puts exactly these children in the place of all present ones: what clone() asks of a container whose children have
  /// other names than a fresh one's. The default throws StateError.
  virtual void set_children(const NamedModules& children);

 private:
  friend class Parameter;
  friend class Buffer;
  friend class ChildBase;
  friend class Parametrization;
  friend class Owner;
  struct Entry;
  struct Copies;
  struct Names;
  struct Walk;
  struct Member {
    Parameter* parameter = nullptr;
    Buffer* buffer = nullptr;
    ChildBase* child = nullptr;
  };
  void collect(Walk& walk, std::vector<Entry>& out, const std::string& prefix) const;
  void collect_modules(Walk& walk, NamedModules& out, const std::string& prefix,
                       const std::shared_ptr<Module>& self) const;
  std::vector<Entry> entries(bool every_name) const;
  void set_training(Walk& walk, bool on);
  Member member(std::string_view name) const;
  void check_new_name(std::string_view name) const;
  void add_member(std::string_view name, const Member& member);
  void remove_member(std::string_view name, const Member& member) noexcept;
  void move_child(ChildBase& from, ChildBase& to) noexcept;
  ChildBase& child_at(std::string_view path) const;
  void replace_at(std::string_view path, std::shared_ptr<Module> module);
  void replace_everywhere_at(std::string_view path, std::shared_ptr<Module> module);
  template <class F>
  void for_each_parent(F&& fn) const;
  bool is_below(const Module& above) const;
  void check_nesting(const char* op, std::string_view name, Module& candidate);
  void adopted();
  void extend(const void* begin, size_t size);
  void check_members() const;
  void check_options(detail::OptionsAt options_at, const void* member, std::string_view name,
                     std::string_view failure) const;
  void check_members_of_unknown_extent() const;
  void copy_tree(const Module& source, Copies& copies);
  HookHandle add_hook(const std::shared_ptr<HookHandle::Hooks>& hooks, ForwardHook hook);
  void run_hooks(const HookHandle::Hooks& hooks, std::span<const Tensor> inputs, const Tensor& output);

  std::vector<Parameter*> parameters_;
  std::vector<Buffer*> buffers_;
  std::vector<ChildBase*> children_;
  std::unique_ptr<Names> names_;                // of a module with many members
  std::vector<const ChildBase*> places_;        // where this module is a child, the latest place last
  std::vector<const Parameter*> parametrized_;  // what it is attached to as a parametrization
  int64_t height_ = 1;                          // levels of modules from here down; at least the true number
  std::shared_ptr<HookHandle::Hooks> hooks_;
  std::shared_ptr<HookHandle::Hooks> pre_hooks_;
  detail::NewLike new_like_ = nullptr;
  const char* begin_ = nullptr;  // the whole object's memory, as far as it is known
  const char* end_ = nullptr;
  bool training_ = true;
  mutable bool checked_ = false;  // check_members() has passed
};

namespace detail {
// What hooks see of a forward's result: the tensor, a struct's `output`, the first of a pair or tuple, else none.
template <class Output>
const Tensor& output_of(const Output& output) {
  if constexpr (std::same_as<Output, Tensor>) {
    return output;
  } else if constexpr (requires { requires std::same_as<std::remove_cvref_t<decltype(output.output)>, Tensor>; }) {
    return output.output;
  } else if constexpr (requires { requires std::same_as<std::tuple_element_t<0, Output>, Tensor>; }) {
    return std::get<0>(output);
  } else {
    static const Tensor none;
    return none;
  }
}

template <class T>
const void* options_at(const Module& module) {
  const T* typed = dynamic_cast<const T*>(&module);
  return typed == nullptr ? nullptr : std::addressof(typed->options());
}

template <class T>
std::shared_ptr<Module> new_of_type(const Module& module) {
  if constexpr (KnowsOptions<T>) {
    return std::make_shared<T>(static_cast<const T&>(module).options());
  } else {
    return std::make_shared<T>();
  }
}
}  // namespace detail

template <class F>
auto Module::with_hooks(std::span<const Tensor> inputs, F&& fn) {
  if (!pre_hooks_->empty()) run_hooks(*pre_hooks_, inputs, Tensor());
  auto output = fn();
  if (!hooks_->empty()) run_hooks(*hooks_, inputs, detail::output_of(output));
  return output;
}

template <class T>
void Module::remember_type(T& module) {
  (void)Owner(&module);
  if constexpr (!std::is_abstract_v<T> && (detail::KnowsOptions<T> || std::default_initializable<T>)) {
    if (typeid(module) == typeid(T)) static_cast<Module&>(module).new_like_ = &detail::new_of_type<T>;
  }
}

template <class M>
requires std::derived_from<M, Module> Owner::Owner(M* module) : module_(module) {
  if (module == nullptr) return;
  module_->extend(module, sizeof(M));
  // The function is not called yet: the members that it reads may not exist.
  if constexpr (requires { requires std::is_lvalue_reference_v<decltype(std::declval<const M&>().options())>; })
    options_at_ = &detail::options_at<M>;
}

template <class M>
void Module::replace(std::string_view path, std::shared_ptr<M> module) {
  static_assert(std::derived_from<M, Module>, "replace takes a module");
  if (module != nullptr) remember_type(*module);
  replace_at(path, std::move(module));
}

template <class M>
void Module::replace_everywhere(std::string_view path, std::shared_ptr<M> module) {
  static_assert(std::derived_from<M, Module>, "replace_everywhere takes a module");
  if (module != nullptr) remember_type(*module);
  replace_everywhere_at(path, std::move(module));
}

/// A new module on the heap, from its options or its constructor's arguments: nn::make<nn::Linear>({.in_features = 4,
/// .out_features = 2}). Throws what the constructor throws.
template <class T>
requires detail::HasOptions<T>
[[nodiscard]] std::shared_ptr<T> make(const typename T::Options& options) {
  auto module = std::make_shared<T>(options);
  Module::remember_type(*module);
  return module;
}
template <class T, class... Args>
requires std::constructible_from<T, Args...>
[[nodiscard]] std::shared_ptr<T> make(Args&&... args) {
  auto module = std::make_shared<T>(std::forward<Args>(args)...);
  Module::remember_type(*module);
  return module;
}

template <class T, class... Args>
requires(detail::HasOptions<T> && !std::constructible_from<T, Args...>)
    TERN_MISTAKE("[make] expected options by name, nn::make<T>({.in_features = 4, ...}), got arguments by position")
std::shared_ptr<T> make(Args&&... args);
/// A module that is made of options, and keeps them: the base of blocks that are built with different settings.
///
///   struct BlockOptions {
///     int64_t in = 0, out = 0;
///   };
///   struct Block : nn::ModuleOf<BlockOptions> {
///     using ModuleOf::ModuleOf;
///     nn::Child<nn::Linear> fc{this, "fc", {.in_features = options().in, .out_features = options().out}};
///     Tensor forward(const Tensor& x) override { return relu(fc(x)); }
///   };
///
/// The options exist before the members are made, and clone() finds them.
template <class O>
class ModuleOf : public Module {
 public:
  using Options = O;
  ModuleOf() = default;
  explicit ModuleOf(const O& options) : options_(options) {}
  const O& options() const { return options_; }

 private:
  O options_ = {};
};

/// A module of the same type, structure and values; see Module::clone.
template <class T>
[[nodiscard]] std::shared_ptr<T> clone(const T& module) {
  Module::remember_type(const_cast<T&>(module));  // where to find the constructor; no value changes
  return std::static_pointer_cast<T>(static_cast<const Module&>(module).clone());
}

/// "layer1.0" and "conv1" give "layer1.0.conv1"; an empty part is left out.
std::string join_path(std::string_view parent, std::string_view name);

template <class P>
void Parameter::parametrize(std::shared_ptr<P> parametrization) {
  if (parametrization != nullptr) Module::remember_type(*parametrization);
  attach(std::move(parametrization));
}
template <class P>
P* Parameter::parametrization_as() const {
  return dynamic_cast<P*>(parametrization());
}

}  // namespace tern::nn
