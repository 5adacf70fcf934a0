// Child: a module inside a module, by name, replaceable.
#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/nn/module.h>

namespace tern::nn {

/// The part of a Child that does not know its type: a named place in a module.
class ChildBase {
 public:
  virtual ~ChildBase();
  ChildBase(const ChildBase&) = delete;
  ChildBase& operator=(const ChildBase&) = delete;
  ChildBase& operator=(ChildBase&&) = delete;

  /// The last part of the path of what is here.
  const std::string& name() const { return name_; }
  /// What is here now; never null once the child is made.
  const std::shared_ptr<Module>& module() const { return module_; }
  /// Puts another module there. Throws ValueError for none, StateError if the place cannot call it, if it contains the
  /// module that it would be put into, or beyond kMaxNesting.
  void set(std::shared_ptr<Module> module);

 protected:
  /// `has_arguments` says whether the module is made of what the owner's other members may hold.
  ChildBase(Owner owner, std::string_view name, bool has_arguments);
  /// The same place under another address, so that children can be the elements of a std::vector.
  ChildBase(ChildBase&& other) noexcept;
  /// Throws StateError where the first use of the owner does.
  void check_owner() const {
    if (!owner_->checked_) owner_->check_members();
  }
  /// Runs a constructor; a failure that comes of options without a value yet says so.
  template <class F>
  auto made(F&& make) const;
  /// Why the module cannot be called here, or an empty text if it can; keeps what calling it needs.
  virtual std::string refuse(Module& module) const = 0;
  virtual void bind(Module& module) = 0;

  /// Opens this child's scope for error texts; where the owner is a container, which is never called itself, the
  /// container's own name comes first.
  class Scope {
   public:
    explicit Scope(const ChildBase& child);

   private:
    std::string text_;
    autograd::ModuleScope scope_;
  };
  friend class Module;
  [[noreturn]] void throw_not_a(const std::type_info& wanted) const;
  static std::string scope_text(const ChildBase& child);

 private:
  void leave() noexcept;
  template <class T>
  friend class ModuleListOf;
  Module* owner_;
  std::string name_;
  std::shared_ptr<Module> module_;
  detail::OptionsAt options_at_;  // null where the module is made of nothing
};

namespace detail {
struct NoOptions {
  NoOptions() = delete;
};
template <class T>
struct OptionsOf {
  using type = NoOptions;
};
template <HasOptions T>
struct OptionsOf<T> {
  using type = typename T::Options;
};
// Through what a Child<T> calls: T::Interface, or T itself if it has a forward of its own signature, or Module.
template <class T>
struct InterfaceOf {
  using type = std::conditional_t<OwnForward<T>, T, Module>;
};
template <class T>
concept HasInterface = requires {
  typename T::Interface;
};
template <HasInterface T>
struct InterfaceOf<T> {
  using type = typename T::Interface;
};
// Whether a call is one with a single tensor.
template <class... Args>
inline constexpr bool kOneTensor = false;
template <class Arg>
inline constexpr bool kOneTensor<Arg> = std::is_convertible_v<Arg, const Tensor&>;
std::string demangled(const std::type_info& type);

// The tensors among a call's arguments, for hooks.
template <class... Args>
std::vector<Tensor> tensors_among(const Args&... args) {
  std::vector<Tensor> tensors;
  const auto add = [&](const auto& arg) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(arg)>, Tensor>) tensors.push_back(arg);
  };
  (add(args), ...);
  return tensors;
}
}  // namespace detail

/// T::Options, for a T that is made of them.
template <class T>
using OptionsOf = typename detail::OptionsOf<T>::type;

/// A child module: declaring it registers it. Names are not empty, have no dot and are unique in their module; there
/// must be an owner (ValueError for either).
///
///   nn::Child<nn::Conv2d> conv1{this, "conv1", {.in_channels = 3, .out_channels = 16, .kernel_size = 3}};
///
/// Calling it calls whatever module is there now, through T's interface: the type T::Interface if T names one (an
/// abstract class with a virtual forward of any arguments); T itself if its forward has another signature than
/// Module's, with any arguments and result, and then only a T can take its place; else Module's forward of one tensor.
/// Errors that leave the call carry the module's path.
///
/// Children that are there or not, and any number of them:
///
///   std::optional<nn::Child<nn::Conv2d>> shortcut;   // shortcut.emplace(this, "shortcut", {.in_channels = 3, ...});
///   nn::Child<nn::ModuleList> blocks{this, "blocks"};  // blocks->add<Block>({.in = 3, ...});  names "blocks.0", ...
///
/// A child can be moved, while its owner stays the same, for std::vector.
template <class T>
class Child : public ChildBase {
 public:
  /// T's default options, or T's default constructor.
  Child(Owner owner, std::string_view name) requires(detail::HasOptions<T> || std::default_initializable<T>)
      : ChildBase(owner, name, false) {
    if constexpr (detail::HasOptions<T>)
      set(made([] { return make<T>(OptionsOf<T>{}); }));
    else
      set(made([] { return make<T>(); }));
  }
  /// Throws what T's constructor throws.
  template <class U = T>
  requires detail::HasOptions<U> Child(Owner owner, std::string_view name, const OptionsOf<U>& options)
      : ChildBase(owner, name, true) {
    set(made([&] { return make<T>(options); }));
  }
  /// Adopts a module made elsewhere; throws as set().
  Child(Owner owner, std::string_view name, std::shared_ptr<T> module) : ChildBase(owner, name, false) {
    if (module != nullptr) Module::remember_type(*module);
    set(std::move(module));
  }
  /// T from its constructor's arguments, for a T without options.
  template <class First, class... Rest>
  requires(!detail::HasOptions<T> && !std::convertible_to<First, std::shared_ptr<T>> &&
           std::constructible_from<T, First, Rest...>)
      Child(Owner owner, std::string_view name, First&& first, Rest&&... rest)
      : ChildBase(owner, name, true) {
    set(made([&] { return make<T>(std::forward<First>(first), std::forward<Rest>(rest)...); }));
  }
  Child(Child&& other) noexcept = default;

  // What is wrong with other arguments.
  TERN_MISTAKE("[child] expected the module and a name, nn::Child<T> fc{this, \"fc\"}, got nothing") Child();
  template <class U = T>
  requires detail::HasOptions<U> TERN_MISTAKE("[child] expected a name, nn::Child<T> fc{this, \"fc\", {...}}, got none")
  Child(Owner owner, const OptionsOf<U>& options);
  template <class First, class... Rest>
  requires(detail::HasOptions<T> && !std::convertible_to<First, std::shared_ptr<T>> &&
           !std::convertible_to<First, OptionsOf<T>>)
      TERN_MISTAKE(
          "[child] expected options by name, {this, \"fc\", {.in_features = 4, ...}}, got arguments by position")
  Child(Owner owner, std::string_view name, First&& first, Rest&&... rest);
  template <class Mistake = mistake::OptionMisspeltOrOfAnotherType>
  requires detail::HasOptions<T> Child(Owner owner, std::string_view name, ...)
  = delete;
  template <class Mistake = mistake::ArgumentsDoNotFitTheConstructorPassThemWithoutBraces>
  requires(!detail::HasOptions<T>) Child(Owner owner, std::string_view name, ...)
  = delete;

  /// Runs the module that is there, inside its scope and between its hooks.
  template <class... Args>
  auto operator()(Args&&... args) const {
    using Interface = typename detail::InterfaceOf<T>::type;
    return within([&] {
      if constexpr (!std::is_same_v<Interface, Module>) {
        return call(*static_cast<Interface*>(interface_), std::forward<Args>(args)...);
      } else if constexpr (detail::kOneTensor<Args...>) {
        return (*module())(std::forward<Args>(args)...);
      } else {
        return call(**this, std::forward<Args>(args)...);  // another of T's forwards
      }
    });
  }

  /// Runs fn inside this child's scope, so that errors and anomaly reports name it: for fused paths, which do the
  /// child's work without calling it.
  template <class F>
  auto within(F&& fn) const {
    const Scope scope(*this);
    try {
      return fn();
    } catch (Error& error) {
      error.set_module_path(autograd::current_module_path());
      throw;
    }
  }

  /// The module as T. Throws StateError if it was replaced by one that is not a T.
  T* operator->() const {
    check_owner();
    if (typed_ == nullptr) [[unlikely]]
      throw_not_a(typeid(T));
    return typed_;
  }
  T& operator*() const { return *operator->(); }
  /// Of a container: its own operator[].
  template <class Index>
  decltype(auto) operator[](Index&& index) const {
    return (**this)[std::forward<Index>(index)];
  }
  /// The module as U, or null if it is not a U.
  template <class U = T>
  U* get_if() const {
    return dynamic_cast<U*>(module().get());
  }
  /// The module if it is exactly a T (not a class derived from it) and has no hooks, else null: when a fused path may
  /// cover it.
  T* plain() const {
    return typed_ != nullptr && typeid(*typed_) == typeid(T) && !typed_->has_hooks() ? typed_ : nullptr;
  }

 protected:
  std::string refuse(Module& candidate) const override {
    using Interface = typename detail::InterfaceOf<T>::type;
    if constexpr (std::is_same_v<Interface, Module>) {
      // A child declared as plain Module may hold anything; calling what has no forward throws then.
      if (!std::is_same_v<T, Module> && !candidate.has_forward()) return "a module called with one tensor";
    } else if (dynamic_cast<Interface*>(&candidate) == nullptr) {
      return concat("a module with the interface ", detail::demangled(typeid(Interface)));
    }
    return {};
  }
  void bind(Module& candidate) override {
    using Interface = typename detail::InterfaceOf<T>::type;
    if constexpr (!std::is_same_v<Interface, Module>) interface_ = dynamic_cast<Interface*>(&candidate);
    typed_ = dynamic_cast<T*>(&candidate);
  }

 private:
  template <class Target, class... Args>
  auto call(Target& target, Args&&... args) const {
    if (!module()->has_hooks()) return target.forward(std::forward<Args>(args)...);
    const std::vector<Tensor> inputs = detail::tensors_among(args...);
    return module()->with_hooks(inputs, [&] { return target.forward(std::forward<Args>(args)...); });
  }

  void* interface_ = nullptr;  // the module as its interface, which may be T, not complete here
  T* typed_ = nullptr;
};

template <class F>
auto ChildBase::made(F&& make) const {
  try {
    return make();
  } catch (const Error& error) {
    owner_->check_options(options_at_, this, name_, error.what());
    throw;
  }
}

namespace detail {
// A Child of a type of its own, for the std::optional below to be made of.
template <class T>
struct OptionalChild final : Child<T> {
  using Child<T>::Child;
};
}  // namespace detail

}  // namespace tern::nn

/// A child that is there or not: std::optional with braces for the options,
///   shortcut.emplace(this, "shortcut", {.in_channels = 3, .out_channels = 8, .kernel_size = 1});
template <class T>
class std::optional<tern::nn::Child<T>> : public std::optional<tern::nn::detail::OptionalChild<T>> {
  using Base = std::optional<tern::nn::detail::OptionalChild<T>>;

 public:
  using value_type = tern::nn::Child<T>;
  using Base::Base;
  using Base::emplace;
  using Base::operator=;
  template <class U = T>
  requires tern::nn::detail::HasOptions<U> tern::nn::Child<T>
  &emplace(tern::nn::Owner owner, std::string_view name, const tern::nn::OptionsOf<U>& options) {
    return Base::emplace(owner, name, options);
  }
};
