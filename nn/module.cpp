#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <tern/core/autograd/autograd.h>
#include <tern/core/copy.h>
#include <tern/core/name_list.h>
#include <tern/nn/child.h>
#include <tern/nn/detail/parameter_state.h>
#include <tern/nn/init.h>

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

std::string join_path(std::string_view parent, std::string_view name) {
  if (parent.empty()) return std::string(name);
  if (name.empty()) return std::string(parent);
  return concat(parent, ".", name);
}

Module::Module() : hooks_(std::make_shared<HookHandle::Hooks>()), pre_hooks_(std::make_shared<HookHandle::Hooks>()) {}
Module::~Module() = default;

Tensor Module::forward(const Tensor&) {
  throw StateError(concat("[forward] ", type_name(), " has no forward of one tensor"));
}

Tensor Module::operator()(const Tensor& x) {
  if (!has_hooks()) return forward(x);
  return with_hooks(std::span<const Tensor>(&x, 1), [&] { return forward(x); });
}

std::string Module::type_name() const {
  return detail::demangled(typeid(*this));
}

int64_t Module::macs(const Shape&, const Shape&) const {
  return 0;
}

void Module::check_new_name(std::string_view name) const {
  TERN_CHECK(!name.empty() && name.find('.') == std::string_view::npos, ValueError, "[", type_name(),
             "] expected a name without dots, got '", name, "'");
  const bool taken =
      find_parameter(name) != nullptr || find_buffer(name) != nullptr ||
      std::any_of(children_.begin(), children_.end(), [&](const ChildBase* c) { return c->name() == name; });
  TERN_CHECK(!taken, ValueError, "[", type_name(), "] expected every name once, got a second '", name, "'");
}

// -- walking the tree

void Module::collect(std::vector<Entry>& out, const std::string& prefix) const {
  for (Parameter* parameter : parameters_) {
    if (!parameter->defined()) continue;
    const std::string name = join_path(prefix, parameter->name());
    out.push_back({name, parameter, nullptr});
    if (const Parametrization* map = parameter->parametrization())
      static_cast<const Module*>(map)->collect(out, join_path(name, map->name()));
  }
  for (Buffer* buffer : buffers_)
    if (buffer->defined()) out.push_back({join_path(prefix, buffer->name()), nullptr, buffer});
  for (const ChildBase* child : children_) child->module()->collect(out, join_path(prefix, child->name()));
}

std::vector<Module::Entry> Module::entries(bool every_name) const {
  std::vector<Entry> all;
  collect(all, "");
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

void Module::collect_modules(NamedModules& out, const std::string& prefix, const std::shared_ptr<Module>& self) const {
  const bool seen = std::any_of(out.begin(), out.end(), [&](const auto& entry) { return entry.second == self; });
  if (seen) return;
  out.emplace_back(prefix, self);
  for (const ChildBase* child : children_)
    child->module()->collect_modules(out, join_path(prefix, child->name()), child->module());
}

NamedModules Module::named_modules() const {
  NamedModules out;
  collect_modules(out, "", std::shared_ptr<Module>(std::shared_ptr<Module>(), const_cast<Module*>(this)));
  return out;
}

NamedModules Module::children() const {
  NamedModules out;
  for (const ChildBase* child : children_) out.emplace_back(child->name(), child->module());
  return out;
}

Parameter* Module::find_parameter(std::string_view name) const {
  for (Parameter* parameter : parameters_)
    if (parameter->name() == name) return parameter;
  return nullptr;
}

Buffer* Module::find_buffer(std::string_view name) const {
  for (Buffer* buffer : buffers_)
    if (buffer->name() == name) return buffer;
  return nullptr;
}

ChildBase& Module::child_at(std::string_view path) const {
  const Module* module = this;
  std::string_view rest = path;
  while (true) {
    const size_t dot = rest.find('.');
    const std::string_view name = rest.substr(0, dot);
    const auto it = std::find_if(module->children_.begin(), module->children_.end(),
                                 [&](const ChildBase* c) { return c->name() == name; });
    if (it == module->children_.end()) {
      std::string names;
      for (const ChildBase* child : module->children_) names += (names.empty() ? "" : ", ") + child->name();
      throw ValueError(concat("[get_module] expected a module at '", path, "', got none: ", module->type_name(),
                              names.empty() ? " has no children" : concat(" has the children ", names)));
    }
    if (dot == std::string_view::npos) return **it;
    module = (*it)->module().get();
    rest = rest.substr(dot + 1);
  }
}

std::shared_ptr<Module> Module::get_module(std::string_view path) const {
  if (path.empty()) return std::shared_ptr<Module>(std::shared_ptr<Module>(), const_cast<Module*>(this));
  return child_at(path).module();
}

Parameter& Module::get_parameter(std::string_view path) const {
  for (const auto& [name, parameter] : named_parameter_objects(true))
    if (name == path) return *parameter;
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

void Module::train(bool on) {
  training_ = on;
  for (const Parameter* parameter : parameters_)
    if (Parametrization* map = parameter->parametrization()) map->train(on);
  for (const ChildBase* child : children_) child->module()->train(on);
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
