// What a module knows of its members: their names, what may stand inside what, and the mistakes that first use reports.
#include <algorithm>
#include <cstddef>
#include <functional>
#include <iterator>
#include <mutex>
#include <set>
#include <typeinfo>
#include <unordered_map>
#include <unordered_set>

#include <tern/nn/child.h>
#include <tern/nn/module.h>
#include <tern/nn/parametrization.h>

namespace tern::nn {

// Members by name, where there are many.
struct Module::Names {
  std::unordered_map<std::string_view, Member> members;
};

namespace {

constexpr size_t kFewMembers = 16;  // looked for one by one

// Modules that are nobody's child, by address: among them are members that were not declared as children.
class Loose {
 public:
  static Loose& instance() {
    static Loose* const loose = new Loose;  // outlives modules with static storage
    return *loose;
  }
  void add(const Module* module) {
    const std::lock_guard lock(mutex_);
    modules_.insert(module);
  }
  void remove(const Module* module) {
    const std::lock_guard lock(mutex_);
    modules_.erase(module);
  }
  bool contains(const Module* module) {
    const std::lock_guard lock(mutex_);
    return modules_.contains(module);
  }
  // The first one in [begin, end) that is not `self`, or null.
  const Module* within(const char* begin, const char* end, const Module* self) {
    const std::lock_guard lock(mutex_);
    auto it = modules_.lower_bound(reinterpret_cast<const Module*>(begin));
    if (it != modules_.end() && *it == self) ++it;
    return it != modules_.end() && reinterpret_cast<const char*>(*it) < end ? *it : nullptr;
  }

 private:
  std::mutex mutex_;
  std::set<const Module*, std::less<>> modules_;
};

thread_local const Module* running = nullptr;  // the innermost module whose forward runs on this thread

struct Running {
  explicit Running(const Module* module) : before(std::exchange(running, module)) {}
  ~Running() { running = before; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  const Module* before;
};

// Where the first member of a class derived from Module lies.
const char* behind(const Module& module) {
  return reinterpret_cast<const char*>(&module) + sizeof(Module);
}

[[noreturn]] void throw_plain_member(const Module& owner, const Module& member) {
  const std::string type = member.type_name();
  throw StateError(concat("[", owner.type_name(), "] expected modules inside it to be children, nn::Child<", type,
                          "> name{this, \"name\", ...}, got a plain ", type,
                          " as a member, which would be neither listed, trained nor saved"));
}

}  // namespace

Module::Module() : hooks_(std::make_shared<HookHandle::Hooks>()), pre_hooks_(std::make_shared<HookHandle::Hooks>()) {
  Loose::instance().add(this);
}
Module::~Module() {
  Loose::instance().remove(this);
}

void Module::adopted() {
  Loose::instance().remove(this);
}

Tensor Module::operator()(const Tensor& x) {
  if (!checked_) check_members();
  const Running scope(this);
  if (!has_hooks()) return forward(x);
  return with_hooks(std::span<const Tensor>(&x, 1), [&] { return forward(x); });
}

// -- members

Module::Member Module::member(std::string_view name) const {
  if (names_ != nullptr) {
    const auto it = names_->members.find(name);
    return it == names_->members.end() ? Member{} : it->second;
  }
  for (Parameter* parameter : parameters_)
    if (parameter->name() == name) return {.parameter = parameter};
  for (Buffer* buffer : buffers_)
    if (buffer->name() == name) return {.buffer = buffer};
  for (ChildBase* child : children_)
    if (child->name() == name) return {.child = child};
  return {};
}

Parameter* Module::find_parameter(std::string_view name) const {
  return member(name).parameter;
}

Buffer* Module::find_buffer(std::string_view name) const {
  return member(name).buffer;
}

void Module::check_new_name(std::string_view name) const {
  TERN_CHECK(!name.empty() && name.find('.') == std::string_view::npos, ValueError, "[", type_name(),
             "] expected a name without dots, got '", name, "'");
  const Member taken = member(name);
  TERN_CHECK(taken.parameter == nullptr && taken.buffer == nullptr && taken.child == nullptr, ValueError, "[",
             type_name(), "] expected every name once, got a second '", name, "'");
}

void Module::add_member(std::string_view name, const Member& member) {
  if (member.parameter != nullptr) parameters_.push_back(member.parameter);
  if (member.buffer != nullptr) buffers_.push_back(member.buffer);
  if (member.child != nullptr) children_.push_back(member.child);
  checked_ = false;
  if (names_ != nullptr) {
    names_->members.emplace(name, member);
  } else if (parameters_.size() + buffers_.size() + children_.size() > kFewMembers) {
    auto names = std::make_unique<Names>();
    for (Parameter* p : parameters_) names->members.emplace(p->name(), Member{.parameter = p});
    for (Buffer* b : buffers_) names->members.emplace(b->name(), Member{.buffer = b});
    for (ChildBase* c : children_) names->members.emplace(c->name(), Member{.child = c});
    names_ = std::move(names);
  }
}

void Module::remove_member(std::string_view name, const Member& member) noexcept {
  // From the back, as members are destroyed in that order.
  const auto remove = [](auto& from, auto* what) {
    const auto it = std::find(from.rbegin(), from.rend(), what);
    if (it != from.rend()) from.erase(std::next(it).base());
  };
  if (member.parameter != nullptr) remove(parameters_, member.parameter);
  if (member.buffer != nullptr) remove(buffers_, member.buffer);
  if (member.child != nullptr) remove(children_, member.child);
  if (names_ != nullptr) names_->members.erase(name);
}

void Module::move_child(ChildBase& from, ChildBase& to) noexcept {
  std::replace(children_.begin(), children_.end(), &from, &to);
  if (names_ == nullptr) {
    to.name_ = std::move(from.name_);
    return;
  }
  auto node = names_->members.extract(from.name_);  // its key is a view of the name
  to.name_ = std::move(from.name_);
  node.key() = to.name_;
  node.mapped() = {.child = &to};
  names_->members.insert(std::move(node));
}

void Module::extend(const void* begin, size_t size) {
  const char* const first = static_cast<const char*>(begin);
  const char* const last = first + size;
  if (begin_ != nullptr && begin_ <= first && last <= end_) return;
  begin_ = begin_ == nullptr ? first : std::min(begin_, first);
  end_ = end_ == nullptr ? last : std::max(end_, last);
  checked_ = false;
}

void Module::check_options(detail::OptionsAt options_at, const void* member, std::string_view name,
                           std::string_view failure) const {
  if (options_at == nullptr) return;  // otherwise the options may be to blame, if they are declared behind
  const char* const options = static_cast<const char*>(options_at(*this));
  const char* const at = static_cast<const char*>(member);
  if (options == nullptr || options >= end_ || at < begin_ || at >= options) return;
  throw StateError(concat("[", type_name(), "] expected ", name, " to be made of valid options, got an error: ",
                          failure, "; the options of the ", type_name(), " are declared behind ", name,
                          " and have no value when its declaration reads them: declare them in front"));
}

void Module::check_members() const {
  if (checked_) return;
  if (begin_ != nullptr) {
    const Module* const plain = Loose::instance().within(begin_, end_, this);
    if (plain != nullptr) throw_plain_member(*this, *plain);
  }
  // A module that has registered no member is of unknown size. Its first member is recognised when it calls that one;
  // what lies further behind may as well be an object of its own.
  if (running != nullptr && running->begin_ == nullptr && reinterpret_cast<const char*>(this) == behind(*running) &&
      Loose::instance().contains(this))
    throw_plain_member(*running, *this);
  checked_ = true;
}

void Module::check_members_of_unknown_extent() const {
  if (begin_ != nullptr || std::string_view(typeid(*this).name()).starts_with("N4tern")) return;
  const Module* const plain = Loose::instance().within(behind(*this), behind(*this) + 1, this);
  if (plain != nullptr) throw_plain_member(*this, *plain);
}

template <class F>
void Module::for_each_parent(F&& fn) const {
  for (const ChildBase* place : places_) fn(*place->owner_);
  for (const Parameter* parameter : parametrized_) fn(parameter->owner());
}

bool Module::is_below(const Module& above) const {
  std::vector<const Module*> open{this};
  std::unordered_set<const Module*> met;
  while (!open.empty()) {
    const Module* module = open.back();
    open.pop_back();
    if (module == &above) return true;
    module->for_each_parent([&](const Module& parent) {
      if (met.insert(&parent).second) open.push_back(&parent);
    });
  }
  return false;
}

// Throws if this module, which gets the candidate below it, would contain itself or be nested too deep; otherwise the
// heights of all modules above are those with the candidate.
void Module::check_nesting(const char* op, std::string_view name, Module& candidate) {
  std::unordered_map<Module*, int64_t> heights;
  const auto climb = [&] {
    int64_t top = 0;
    heights.clear();
    std::vector<std::pair<Module*, int64_t>> open{{this, std::max(height_, candidate.height_ + 1)}};
    while (!open.empty()) {
      const auto [module, height] = open.back();
      open.pop_back();
      TERN_CHECK(module != &candidate, StateError, "[", op, "] expected a module for ", name,
                 " that does not contain its own parent, got ", candidate.type_name());
      const auto [it, fresh] = heights.try_emplace(module, height);
      if (!fresh && it->second >= height) continue;
      it->second = height;
      top = std::max(top, height);
      module->for_each_parent(
          [&, h = height](Module& parent) { open.emplace_back(&parent, std::max(parent.height_, h + 1)); });
    }
    return top;
  };
  int64_t top = climb();
  if (top > kMaxNesting) {  // perhaps only by what has been replaced since
    std::unordered_set<const Module*> measured;
    const std::function<void(Module&)> measure = [&](Module& module) {
      if (!measured.insert(&module).second) return;
      int64_t below = 0;
      const auto look = [&](Module& inner) {
        measure(inner);
        below = std::max(below, inner.height_);
      };
      for (const ChildBase* child : module.children_)
        if (child->module() != nullptr) look(*child->module());
      for (const Parameter* parameter : module.parameters_)
        if (Parametrization* map = parameter->parametrization()) look(*map);
      module.height_ = below + 1;
    };
    measure(candidate);
    const auto above = heights;
    for (const auto& [module, height] : above) measure(*module);
    top = climb();
  }
  TERN_CHECK(top <= kMaxNesting, StateError, "[", op, "] expected modules nested at most ", kMaxNesting, " deep, got ",
             top, " with ", candidate.type_name(), " for ", name);
  for (const auto& [module, height] : heights) module->height_ = std::max(module->height_, height);
}

}  // namespace tern::nn
