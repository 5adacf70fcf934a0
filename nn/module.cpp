#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <tern/core/autograd/autograd.h>
#include <tern/core/name_list.h>
#include <tern/core/ops/copy.h>
#include <tern/nn/child.h>
#include <tern/nn/detail/parameter_state.h>
#include <tern/nn/init.h>
#include <tern/nn/module.h>

namespace tern::nn {

// One named tensor of a tree: a parameter or a buffer.
struct Module::Entry {
  std::string name;
  Parameter* parameter = nullptr;
  Buffer* buffer = nullptr;
  const void* identity() const { return parameter != nullptr ? parameter->state_id() : buffer; }
  const Tensor& tensor() const { return parameter != nullptr ? parameter->latent() : (*buffer)(); }
};

// What a clone has made so far: sharing in the source becomes sharing in the copy.
struct Module::Copies {
  std::unordered_map<const Module*, std::shared_ptr<Module>> modules;
  std::unordered_map<const void*, std::shared_ptr<detail::ParameterState>> parameters;
};

// A way through a tree on which a module in several places is met once, or at every path.
struct Module::Walk {
  bool every_path = false;
  std::unordered_set<const Module*> seen{};
  int64_t paths = 0;

  bool enters(const Module& module) {
    constexpr int64_t kMaxPaths = 4'194'304;
    if (every_path) {
      TERN_CHECK(++paths <= kMaxPaths, StateError, "[module] expected at most ", kMaxPaths,
                 " paths in a tree, got more: modules that stand in several places contain such modules");
      return true;
    }
    return module.places_.size() + module.parametrized_.size() < 2 || seen.insert(&module).second;
  }
};

std::string join_path(std::string_view parent, std::string_view name) {
  std::string out;
  out.reserve(parent.size() + 1 + name.size());
  out = parent;
  if (!parent.empty() && !name.empty()) out += '.';
  out += name;
  return out;
}

Tensor Module::forward(const Tensor&) {
  throw StateError(concat("[forward] ", type_name(), " has no forward of one tensor",
                          has_forward() ? ": it declares no `Tensor forward(const Tensor& x) override`" : ""));
}

std::string Module::type_name() const {
  return detail::demangled(typeid(*this));
}

int64_t Module::macs(const Shape&, const Shape&) const {
  return 0;
}

// -- walking the tree

void Module::collect(Walk& walk, std::vector<Entry>& out, const std::string& prefix) const {
  if (!walk.enters(*this)) return;
  check_members();
  for (Parameter* parameter : parameters_) {
    if (!parameter->defined()) continue;
    const std::string name = join_path(prefix, parameter->name());
    out.push_back({name, parameter, nullptr});
    if (const Parametrization* map = parameter->parametrization())
      static_cast<const Module*>(map)->collect(walk, out, join_path(name, map->name()));
  }
  for (Buffer* buffer : buffers_)
    if (buffer->defined()) out.push_back({join_path(prefix, buffer->name()), nullptr, buffer});
  for (const ChildBase* child : children_) child->module()->collect(walk, out, join_path(prefix, child->name()));
}

std::vector<Module::Entry> Module::entries(bool every_name) const {
  std::vector<Entry> all;
  Walk walk{.every_path = every_name};
  collect(walk, all, "");
  if (all.empty() && children_.empty()) check_members_of_unknown_extent();
  if (every_name) return all;
  std::unordered_set<const void*> seen;
  std::erase_if(all, [&](const Entry& entry) { return !seen.insert(entry.identity()).second; });
  return all;
}

NamedTensors Module::named_parameters() const {
  NamedTensors out;
  for (const Entry& entry : entries(false))
    if (entry.parameter != nullptr) out.emplace_back(entry.name, entry.tensor());
  return out;
}

std::vector<Tensor> Module::parameters() const {
  std::vector<Tensor> out;
  for (const Entry& entry : entries(false))
    if (entry.parameter != nullptr) out.push_back(entry.tensor());
  return out;
}

NamedTensors Module::named_buffers() const {
  NamedTensors out;
  for (const Entry& entry : entries(false))
    if (entry.buffer != nullptr) out.emplace_back(entry.name, entry.tensor());
  return out;
}

std::vector<std::pair<std::string, Parameter*>> Module::named_parameter_objects(bool every_name) const {
  std::vector<std::pair<std::string, Parameter*>> out;
  for (const Entry& entry : entries(every_name))
    if (entry.parameter != nullptr) out.emplace_back(entry.name, entry.parameter);
  return out;
}

void Module::collect_modules(Walk& walk, NamedModules& out, const std::string& prefix,
                             const std::shared_ptr<Module>& self) const {
  if (!walk.enters(*this)) return;
  check_members();
  out.emplace_back(prefix, self);
  for (const ChildBase* child : children_)
    child->module()->collect_modules(walk, out, join_path(prefix, child->name()), child->module());
}

NamedModules Module::named_modules(bool every_path) const {
  NamedModules out;
  Walk walk{.every_path = every_path};
  collect_modules(walk, out, "", std::shared_ptr<Module>(std::shared_ptr<Module>(), const_cast<Module*>(this)));
  return out;
}

NamedModules Module::children() const {
  NamedModules out;
  for (const ChildBase* child : children_) out.emplace_back(child->name(), child->module());
  return out;
}

ChildBase& Module::child_at(std::string_view path) const {
  const Module* module = this;
  std::string_view rest = path;
  while (true) {
    const size_t dot = rest.find('.');
    ChildBase* const child = module->member(rest.substr(0, dot)).child;
    if (child == nullptr) {
      std::vector<std::string> names;
      for (const ChildBase* other : module->children_) names.push_back(other->name());
      throw ValueError(concat("[get_module] expected a module at '", path, "', got none: ", module->type_name(),
                              names.empty() ? " has no children" : concat(" has the children ", name_list(names))));
    }
    if (dot == std::string_view::npos) return *child;
    module = child->module().get();
    rest = rest.substr(dot + 1);
  }
}

std::shared_ptr<Module> Module::get_module(std::string_view path) const {
  if (path.empty()) return std::shared_ptr<Module>(std::shared_ptr<Module>(), const_cast<Module*>(this));
  return child_at(path).module();
}

Parameter& Module::get_parameter(std::string_view path) const {
  const Module* module = this;
  std::string_view rest = path;
  while (module != nullptr) {
    const size_t dot = rest.find('.');
    const Member found = module->member(rest.substr(0, dot));
    const std::string_view behind = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
    module = nullptr;
    if (found.child != nullptr) {
      module = found.child->module().get();
      rest = behind;
    } else if (found.parameter != nullptr && found.parameter->defined()) {
      if (dot == std::string_view::npos) return *found.parameter;
      const Parametrization* map = found.parameter->parametrization();  // "weight.scale.gain"
      if (map == nullptr || !behind.starts_with(concat(map->name(), "."))) break;
      module = map;
      rest = behind.substr(map->name().size() + 1);
    }
  }
  throw ValueError(concat("[get_parameter] expected a parameter of ", type_name(), ", got '", path, "'"));
}

void Module::replace_at(std::string_view path, std::shared_ptr<Module> module) {
  TERN_CHECK(!path.empty(), ValueError, "[replace] expected the path of a child, got an empty one");
  TERN_CHECK(module != nullptr, ValueError, "[replace] expected a module for ", path, ", got none");
  ChildBase& child = child_at(path);
  const bool training = child.module()->is_training();
  Module* fresh = module.get();
  try {
    child.set(std::move(module));
  } catch (Error& error) {
    error.set_module_path(path);
    throw;
  }
  fresh->train(training);
}

void Module::replace_everywhere_at(std::string_view path, std::shared_ptr<Module> module) {
  TERN_CHECK(!path.empty(), ValueError, "[replace] expected the path of a child, got an empty one");
  TERN_CHECK(module != nullptr, ValueError, "[replace] expected a module for ", path, ", got none");
  const std::shared_ptr<Module> before = child_at(path).module();
  if (before == module) return;
  std::vector<ChildBase*> places;
  for (const ChildBase* place : before->places_)
    if (place->owner_->is_below(*this)) places.push_back(const_cast<ChildBase*>(place));
  size_t done = 0;
  try {
    for (; done < places.size(); ++done) places[done]->set(module);
  } catch (Error& error) {
    error.set_module_path(path);
    while (done > 0) places[--done]->set(before);
    throw;
  }
  module->train(before->is_training());
}

void Module::apply(const std::function<void(Module&)>& fn) {
  const NamedModules modules = named_modules();
  for (auto it = modules.rbegin(); it != modules.rend(); ++it) fn(*it->second);
}

// -- state

io::TensorMap Module::state_dict() const {
  io::TensorMap out;
  for (const Entry& entry : entries(false))
    if (entry.parameter != nullptr || entry.buffer->persistent()) out.insert(entry.name, entry.tensor());
  return out;
}

namespace {

std::string listed(const char* what, const std::vector<std::string>& names) {
  if (names.empty()) return {};
  return concat("; ", what, ": ", name_list(names));
}

bool ends_with_counter(std::string_view name) {
  constexpr std::string_view kCounter = "num_batches_tracked";
  return name == kCounter || name.ends_with(concat(".", kCounter));
}

bool equal_elements(const Tensor& a, const Tensor& b) {
  if (a.is_same(b)) return true;
  return a.to_vector<double>() == b.to_vector<double>();
}

}  // namespace

LoadReport Module::load_state_dict(const io::TensorMap& state, bool strict) {
  const NoGradGuard no_grad;
  std::vector<std::string> unfit;
  LoadReport report;
  std::vector<std::pair<Tensor, const Tensor*>> copies;
  std::unordered_map<const void*, std::pair<std::string, const Tensor*>> loaded;  // by identity: which name served
  std::unordered_map<const void*, std::string> absent;
  std::set<std::string_view> used;
  std::vector<Entry> all = entries(true);
  std::erase_if(all, [](const Entry& entry) { return entry.buffer != nullptr && !entry.buffer->persistent(); });
  for (const Entry& entry : all) {
    const Tensor* value = state.find(entry.name);
    if (value == nullptr) {
      absent.emplace(entry.identity(), entry.name);
      continue;
    }
    used.insert(entry.name);
    const Tensor& own = entry.tensor();
    if (value->shape() != own.shape() || value->is_floating() != own.is_floating()) {
      unfit.push_back(concat(entry.name, " (expected ", describe(own), ", got ", describe(*value), ")"));
      loaded.try_emplace(entry.identity(), entry.name, nullptr);
      continue;
    }
    const auto [other, fresh] = loaded.try_emplace(entry.identity(), entry.name, value);
    if (fresh) {
      copies.emplace_back(own, value);
    } else if (other->second.second != nullptr && !equal_elements(*other->second.second, *value)) {
      unfit.push_back(concat(entry.name, " (tied to ", other->second.first, ", but the values differ)"));
    }
  }
  for (const Entry& entry : all) {
    const auto it = absent.find(entry.identity());
    if (it == absent.end() || it->second != entry.name || loaded.contains(entry.identity())) continue;
    if (!ends_with_counter(entry.name)) report.missing.push_back(entry.name);
  }
  for (const auto& [name, tensor] : state)
    if (!used.contains(name)) report.unexpected.push_back(name);

  const bool complete = report.missing.empty() && report.unexpected.empty();
  if (!unfit.empty() || (strict && !complete)) {
    throw ValueError(concat("[load_state_dict] expected the ", all.size(), " tensors of ", type_name(), ", got ",
                            state.size(), listed("missing", report.missing), listed("unexpected", report.unexpected),
                            listed("misshapen", unfit)));
  }
  for (auto& [own, value] : copies) own.copy_(*value);
  return report;
}

void Module::set_training(Walk& walk, bool on) {
  if (!walk.enters(*this)) return;
  training_ = on;
  for (const Parameter* parameter : parameters_)
    if (Parametrization* map = parameter->parametrization()) static_cast<Module*>(map)->set_training(walk, on);
  for (const ChildBase* child : children_) child->module()->set_training(walk, on);
}

void Module::train(bool on) {
  Walk walk;
  set_training(walk, on);
}

void Module::requires_grad_(bool value) {
  for (const Entry& entry : entries(false)) {
    if (entry.parameter == nullptr) continue;
    entry.parameter->state_->requires_grad = value;
    entry.parameter->state_->latent.requires_grad_(value);
  }
}

void Module::zero_grad() {
  for (Tensor& parameter : parameters()) parameter.zero_grad();
}

void Module::to(DType dtype) {
  TERN_CHECK(is_floating(dtype), DTypeError, "[to] expected a floating-point dtype for ", type_name(), ", got ", dtype);
  const NoGradGuard no_grad;
  for (const Entry& entry : entries(false)) {
    Tensor tensor = entry.tensor();
    if (!tensor.is_floating() || tensor.dtype() == dtype) continue;
    // The header keeps its identity, so that every handle to it sees the converted elements; the version goes on.
    const Tensor converted = cast(tensor.detach(), dtype);
    while (converted.version() <= tensor.version()) converted.storage()->bump_version();
    tensor.zero_grad();
    tensor.impl().storage = converted.storage();
    tensor.impl().layout = converted.impl().layout;
    tensor.impl().dtype = dtype;
  }
}

int64_t Module::parameter_count(bool trainable_only) const {
  int64_t count = 0;
  for (const Tensor& parameter : parameters())
    if (!trainable_only || parameter.requires_grad()) count += parameter.numel();
  return count;
}

// -- copies

std::shared_ptr<Module> Module::new_like() const {
  TERN_CHECK(new_like_ != nullptr, StateError, "[clone] expected a module that can be built again, got ", type_name(),
             ", which has neither options() nor a default constructor nor its own new_like()");
  const init::SkipRandomFills skip;  // every value is copied over
  auto fresh = new_like_(*this);
  fresh->new_like_ = new_like_;
  return fresh;
}

std::shared_ptr<Module> Module::clone() const {
  auto copy = new_like();
  Copies copies;
  copies.modules[this] = copy;
  copy->copy_tree(*this, copies);
  return copy;
}

void Module::set_children(const NamedModules& children) {
  throw StateError(concat("[clone] expected ", type_name(), " to have ", children_.size(), " children, got ",
                          children.size(), " or other names"));
}

void Module::copy_tree(const Module& source, Copies& copies) {
  const NoGradGuard no_grad;
  training_ = source.training_;
  if (new_like_ == nullptr) new_like_ = source.new_like_;

  const auto same_name = [](const ChildBase* a, const ChildBase* b) { return a->name() == b->name(); };
  if (!std::equal(children_.begin(), children_.end(), source.children_.begin(), source.children_.end(), same_name)) {
    NamedModules fresh;
    for (const ChildBase* child : source.children_) fresh.emplace_back(child->name(), child->module()->new_like());
    set_children(fresh);
  }
  for (size_t i = 0; i < source.children_.size(); ++i) {
    const Module& from = *source.children_[i]->module();
    if (const auto known = copies.modules.find(&from); known != copies.modules.end()) {
      if (children_[i]->module() != known->second) children_[i]->set(known->second);
      continue;
    }
    if (const Module& mine = *children_[i]->module(); typeid(mine) != typeid(from)) children_[i]->set(from.new_like());
    copies.modules[&from] = children_[i]->module();
    children_[i]->module()->copy_tree(from, copies);
  }

  for (const Parameter* from : source.parameters_) {
    Parameter* mine = find_parameter(from->name());
    TERN_CHECK(mine != nullptr, StateError, "[clone] expected ", type_name(), " to have a parameter ", from->name(),
               ", got none");
    auto& shared = copies.parameters[from->state_id()];
    if (shared == nullptr) {
      shared = std::make_shared<detail::ParameterState>();
      const detail::ParameterState& old = *from->state_;
      shared->requires_grad = old.requires_grad;
      shared->enabled = old.enabled;
      if (old.latent.defined()) shared->latent = old.latent.clone().requires_grad_(old.latent.requires_grad());
      if (old.parametrization != nullptr) {
        auto map = old.parametrization->new_like();
        map->copy_tree(*old.parametrization, copies);
        shared->parametrization = std::dynamic_pointer_cast<Parametrization>(map);
      }
    }
    mine->share(shared);
  }
  for (const Buffer* from : source.buffers_) {
    Buffer* mine = find_buffer(from->name());
    TERN_CHECK(mine != nullptr, StateError, "[clone] expected ", type_name(), " to have a buffer ", from->name(),
               ", got none");
    mine->set(from->defined() ? (*from)().clone() : Tensor());
  }
}

// -- hooks

void HookHandle::remove() {
  if (const auto hooks = hooks_.lock()) std::erase_if(*hooks, [this](const auto& hook) { return hook.first == id_; });
  hooks_.reset();
}

HookHandle Module::add_hook(const std::shared_ptr<HookHandle::Hooks>& hooks, ForwardHook hook) {
  TERN_CHECK(hook != nullptr, ValueError, "[register_forward_hook] expected a function, got an empty one");
  HookHandle handle;
  handle.hooks_ = hooks;
  static std::atomic<uint64_t> next{1};
  handle.id_ = next.fetch_add(1);
  hooks->emplace_back(handle.id_, std::move(hook));
  return handle;
}

HookHandle Module::register_forward_hook(ForwardHook hook) {
  return add_hook(hooks_, std::move(hook));
}
HookHandle Module::register_forward_pre_hook(ForwardHook hook) {
  return add_hook(pre_hooks_, std::move(hook));
}

void Module::run_hooks(const HookHandle::Hooks& hooks, std::span<const Tensor> inputs, const Tensor& output) {
  const HookHandle::Hooks current = hooks;  // a hook may remove itself or others
  for (const auto& [id, hook] : current) hook(*this, inputs, output);
}

}  // namespace tern::nn
