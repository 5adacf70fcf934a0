// Child: a module inside a module, by name, replaceable.
#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

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

  /// The last part of the path of what is here.
  const std::string& name() const { return name_; }
  /// What is here now; never null once the child is made.
  const std::shared_ptr<Module>& module() const { return module_; }
  /// Puts another module there. Throws ValueError for none, StateError if the place cannot call it or if it contains
  /// the module that it would be put into.
  void set(std::shared_ptr<Module> module);

 protected:
  ChildBase(Module* owner, std::string_view name);
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
  template <class T>
  friend class ModuleListOf;
  Module* owner_;
  std::string name_;
  std::shared_ptr<Module> module_;
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
template <class T>
struct InterfaceOf {
  using type = Module;
};
template <class T>
requires requires {
  typename T::Interface;
}
struct InterfaceOf<T> {
  using type = typename T::Interface;
};
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
/// abstract class with a virtual forward of any arguments), else Module's forward of one tensor. Errors that leave the
/// call carry the module's path.
template <class T>
class Child final : public ChildBase {
 public:
  using Interface = typename detail::InterfaceOf<T>::type;

  /// T's default options, or T's default constructor.
  Child(Module* owner, std::string_view name) requires(detail::HasOptions<T> || std::default_initializable<T>)
      : ChildBase(owner, name) {
    if constexpr (detail::HasOptions<T>)
      set(make<T>(OptionsOf<T>{}));
    else
      set(make<T>());
  }
  /// Throws what T's constructor throws.
  Child(Module* owner, std::string_view name, const OptionsOf<T>& options) requires detail::HasOptions<T>
      : ChildBase(owner, name) {
    set(make<T>(options));
  }
  /// Adopts a module made elsewhere; throws as set().
  Child(Module* owner, std::string_view name, std::shared_ptr<T> module) : ChildBase(owner, name) {
    if (module != nullptr) Module::remember_type(*module);
    set(std::move(module));
  }
  /// T from its constructor's arguments, for a T without options.
  template <class First, class... Rest>
  requires(!detail::HasOptions<T> && !std::convertible_to<First, std::shared_ptr<T>> &&
           std::constructible_from<T, First, Rest...>)
      Child(Module* owner, std::string_view name, First&& first, Rest&&... rest)
      : ChildBase(owner, name) {
    set(make<T>(std::forward<First>(first), std::forward<Rest>(rest)...));
  }

  /// Runs the module that is there, inside its scope and between its hooks.
  template <class... Args>
  auto operator()(Args&&... args) const {
    return within([&] {
      if constexpr (std::is_same_v<Interface, Module>) {
        return (*module())(std::forward<Args>(args)...);
      } else {
        if (!module()->has_hooks()) return interface_->forward(std::forward<Args>(args)...);
        const std::vector<Tensor> inputs = detail::tensors_among(args...);
        return module()->with_hooks(inputs, [&] { return interface_->forward(std::forward<Args>(args)...); });
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
    if constexpr (std::is_same_v<Interface, Module>) {
      // A child declared as plain Module may hold anything; calling what has no forward throws then.
      if (!std::is_same_v<T, Module> && !candidate.has_forward()) return "a module called with one tensor";
    } else if (dynamic_cast<Interface*>(&candidate) == nullptr) {
      return concat("a module with the interface ", detail::demangled(typeid(Interface)));
    }
    return {};
  }
  void bind(Module& candidate) override {
    if constexpr (!std::is_same_v<Interface, Module>) interface_ = dynamic_cast<Interface*>(&candidate);
    typed_ = dynamic_cast<T*>(&candidate);
  }

 private:
  Interface* interface_ = nullptr;
  T* typed_ = nullptr;
};

}  // namespace tern::nn
