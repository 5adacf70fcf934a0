// Modules that hold others: Sequential, ModuleList, ModuleDict; and the trivial Identity and Flatten.
#pragma once

#include <concepts>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tern/nn/child.h>

namespace tern::nn {

/// Children in a row, by number or name: what Sequential, ModuleList and ModuleDict share. T decides how the children
/// are called (Child<T>).
template <class T>
class ModuleSeries : public Module {
 public:
  int64_t size() const { return static_cast<int64_t>(items_.size()); }
  bool empty() const { return items_.empty(); }

  /// The child at a position, counted from the back when negative. Throws ValueError outside.
  Child<T>& operator[](int64_t index) const {
    const int64_t at = index < 0 ? index + size() : index;
    TERN_CHECK(at >= 0 && at < size(), ValueError, "[", type_name(), "] expected a position below ", size(), ", got ",
               index);
    return *items_[static_cast<size_t>(at)];
  }
  /// The module at a position as U. Throws StateError if it is not a U.
  template <class U>
  U& at(int64_t index) const {
    U* module = (*this)[index].template get_if<U>();
    TERN_CHECK(module != nullptr, StateError, "[", type_name(), "] expected a ", detail::demangled(typeid(U)),
               " at position ", index, ", got ", (*this)[index].module()->type_name());
    return *module;
  }
  auto begin() const { return Iterator{items_.data()}; }
  auto end() const { return Iterator{items_.data() + items_.size()}; }

  bool is_list() const override { return true; }
  bool has_forward() const override { return false; }

  ~ModuleSeries() override { clear(); }

 protected:
  template <class M>
  void put(std::string_view name, std::shared_ptr<M> module) {
    if (module != nullptr) remember_type(*module);
    items_.push_back(std::make_unique<Child<T>>(this, name, cast(std::move(module), name)));
  }
  void drop(int64_t index) { items_.erase(items_.begin() + index); }
  void set_children(const NamedModules& children) override {
    clear();
    for (const auto& [name, module] : children) put(name, module);
  }

 private:
  // From the back, where the owner looks first.
  void clear() {
    while (!items_.empty()) items_.pop_back();
  }
  struct Iterator {
    const std::unique_ptr<Child<T>>* item;
    Child<T>& operator*() const { return **item; }
    Iterator& operator++() {
      ++item;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return item != other.item; }
  };
  std::shared_ptr<T> cast(std::shared_ptr<Module> module, std::string_view name) const {
    if constexpr (std::same_as<T, Module>) {
      return module;
    } else {
      auto typed = std::dynamic_pointer_cast<T>(module);
      TERN_CHECK(typed != nullptr || module == nullptr, StateError, "[", type_name(), "] expected a ",
                 detail::demangled(typeid(T)), " for ", name, ", got ", module->type_name());
      return typed;
    }
  }

  std::vector<std::unique_ptr<Child<T>>> items_;
};

/// Children numbered from 0, called one by one by whoever holds the list. Adding throws StateError for a module that is
/// not a T, or cannot be called as one, and ValueError for none.
///
///   nn::Child<nn::ModuleListOf<Block>> blocks{this, "blocks"};      // in the constructor: blocks->add(arguments)
///   for (auto& block : *blocks) x = block(x);
template <class T>
class ModuleListOf : public ModuleSeries<T> {
 public:
  using Interface = ModuleListOf;

  /// Appends a module.
  template <std::derived_from<Module> M>
  M& append(std::shared_ptr<M> module) {
    M* raw = module.get();
    this->put(std::to_string(this->size()), std::move(module));
    return *raw;
  }
  /// Appends a new M (a T unless named), made of its options or constructor arguments.
  template <class M = T>
  requires detail::HasOptions<M> M& add(const OptionsOf<M>& options) { return append(make<M>(options)); }
  template <class M = T, class... Args>
  requires std::constructible_from<M, Args...> M& add(Args&&... args) {
    return append(make<M>(std::forward<Args>(args)...));
  }

  // What is wrong with other arguments.
  template <class M = T, class... Args>
  requires(detail::HasOptions<M> && sizeof...(Args) > 0 && !std::constructible_from<M, Args...>)
      TERN_MISTAKE("[add] expected options by name, list.add<T>({.in_features = 4, ...}), got arguments by position")
  M& add(Args&&... args);
};

using ModuleList = ModuleListOf<Module>;

/// Children by name, called by whoever holds them.
class ModuleDict : public ModuleSeries<Module> {
 public:
  using Interface = ModuleDict;

  /// Adds a module under a new name (ValueError if it is taken, empty or has a dot, and for no module).
  template <std::derived_from<Module> M>
  M& insert(std::string_view name, std::shared_ptr<M> module) {
    M* raw = module.get();
    put(name, std::move(module));
    return *raw;
  }
  bool contains(std::string_view name) const { return position(name) >= 0; }
  /// Throws ValueError if there is no such name.
  Child<Module>& operator[](std::string_view name) const;
  /// Takes a module out; throws ValueError likewise.
  void erase(std::string_view name);

 private:
  int64_t position(std::string_view name) const;
};

/// Children called one after the other, each with the result of the one before; without any, x comes back. Adding
/// throws ValueError for no module or a name that is taken.
///
///   nn::Sequential net;
///   net.add<nn::Linear>({.in_features = 4, .out_features = 8});
///   net.add<nn::ReLU>();
class Sequential : public ModuleSeries<Module> {
 public:
  Sequential() = default;
  explicit Sequential(const std::vector<std::shared_ptr<Module>>& modules);

  Tensor forward(const Tensor& x) override;
  bool has_forward() const override { return true; }
  bool is_list() const override { return false; }

  /// Appends a module, under its number or a name.
  template <std::derived_from<Module> M>
  M& append(std::shared_ptr<M> module) {
    return append(std::to_string(size()), std::move(module));
  }
  template <std::derived_from<Module> M>
  M& append(std::string_view name, std::shared_ptr<M> module) {
    static_assert(!detail::OwnForward<M>,
                  "[Sequential] expected a module called with one tensor: `Tensor forward(const Tensor& x) override`");
    M* raw = module.get();
    put(name, std::move(module));
    return *raw;
  }
  /// Appends a new M, made of its options or constructor arguments.
  template <class M>
  requires detail::HasOptions<M> M& add(const OptionsOf<M>& options = {}) { return append(make<M>(options)); }
  template <class M, class... Args>
  requires(std::constructible_from<M, Args...> &&
           !(detail::HasOptions<M> && sizeof...(Args) == 0)) M& add(Args&&... args) {
    return append(make<M>(std::forward<Args>(args)...));
  }

  // What is wrong with other arguments.
  template <class... Ms>
  requires(sizeof...(Ms) > 0 && (std::derived_from<std::remove_cvref_t<Ms>, Module> && ...)) TERN_MISTAKE(
      "[Sequential] expected modules that it makes or shares, as they cannot be copied: seq.add<nn::Linear>("
      "{...}), or nn::Sequential({nn::make<nn::Linear>({...}), ...}), got modules by value")
  explicit Sequential(Ms&&... modules);
  template <class M, class... Args>
  requires(detail::HasOptions<M> && sizeof...(Args) > 0 && !std::constructible_from<M, Args...>) TERN_MISTAKE(
      "[Sequential] expected options by name, seq.add<T>({.in_features = 4, ...}), got arguments by position")
  M& add(Args&&... args);
};

/// Hands its input through.
class Identity : public Module {
 public:
  Tensor forward(const Tensor& x) override { return x; }
};

/// Merges the axes start_dim to end_dim into one (tern::flatten, also for errors). x: any dtype.
class Flatten : public Module {
 public:
  struct Options {
    int64_t start_dim = 1;  ///< both count from the back when negative
    int64_t end_dim = -1;   ///< included
  };
  Flatten() = default;
  explicit Flatten(const Options& options) : options_(options) {}
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;
  std::string extra_text() const override;

 private:
  Options options_;
};

}  // namespace tern::nn
