#include <algorithm>
#include <cstdlib>
#include <utility>

#include <cxxabi.h>

#include <tern/nn/child.h>

namespace tern::nn {

namespace detail {

// The class's own name: "Conv2d" of "tern::nn::Conv2d", "ModuleListOf<Block>" of "tern::nn::ModuleListOf<app::Block>".
std::string demangled(const std::type_info& type) {
  int status = 0;
  char* text = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
  const std::string full = status == 0 && text != nullptr ? text : type.name();
  std::free(text);
  std::string out;
  size_t word = 0;  // where the qualified name that is being read starts in `out`
  int depth = 0;    // inside the parentheses of a function that holds a local class, or of "(anonymous namespace)"
  for (size_t i = 0; i < full.size(); ++i) {
    depth += (full[i] == '(') - (i > 0 && full[i - 1] == ')');
    if (depth > 0) continue;
    if (full.compare(i, 2, "::") == 0) {
      out.resize(word);
      ++i;
    } else {
      out += full[i];
      // The blank in "f() const::Local" belongs to a function that holds a local class.
      const bool ends_name = full[i] == ' ' && (i == 0 || full[i - 1] != ')');
      if (full[i] == '<' || full[i] == ',' || ends_name) word = out.size();
    }
  }
  return out;
}

}  // namespace detail

ChildBase::ChildBase(Owner owner, std::string_view name, bool has_arguments)
    : owner_(owner.get()), name_(name), options_at_(has_arguments ? owner.options_at() : nullptr) {
  TERN_CHECK(owner_ != nullptr, ValueError, "[child] expected a module to belong to, got none (for ", name, ")");
  owner_->check_new_name(name);
  owner_->add_member(name_, {.child = this});
}

ChildBase::ChildBase(ChildBase&& other) noexcept
    : owner_(std::exchange(other.owner_, nullptr)), module_(std::move(other.module_)), options_at_(other.options_at_) {
  if (owner_ == nullptr) return;
  owner_->move_child(other, *this);
  if (module_ == nullptr) return;
  for (const ChildBase*& place : module_->places_)
    if (place == &other) place = this;
}

ChildBase::~ChildBase() {
  if (owner_ == nullptr) return;
  owner_->remove_member(name_, {.child = this});
  leave();
}

void ChildBase::leave() noexcept {
  if (module_ != nullptr) std::erase(module_->places_, this);
}

void ChildBase::set(std::shared_ptr<Module> candidate) {
  TERN_CHECK(candidate != nullptr, ValueError, "[child] expected a module for ", name_, ", got none");
  if (const std::string wanted = refuse(*candidate); !wanted.empty()) {
    throw StateError(concat("[child] expected ", wanted, " for ", name_, ", got ", candidate->type_name()));
  }
  owner_->check_nesting("child", name_, *candidate);
  candidate->adopted();
  leave();
  candidate->places_.push_back(this);
  bind(*candidate);
  module_ = std::move(candidate);
}

void ChildBase::throw_not_a(const std::type_info& wanted) const {
  StateError error(concat("[child] expected ", name_, " to be a ", detail::demangled(wanted), ", got ",
                          module_->type_name(), ", which replaced it; ask with get_if"));
  error.set_module_path(autograd::current_module_path());
  throw error;
}

std::string ChildBase::scope_text(const ChildBase& child) {
  const Module& owner = *child.owner_;
  if (!owner.is_list() || owner.places_.empty()) return child.name_;
  return join_path(scope_text(*owner.places_.back()), child.name_);
}

// The text is built only for children of lists; other names are lent to the scope as they are.
ChildBase::Scope::Scope(const ChildBase& child)
    : text_(child.owner_->is_list() ? scope_text(child) : std::string()),
      scope_(text_.empty() ? std::string_view(child.name_) : std::string_view(text_)) {}

}  // namespace tern::nn
