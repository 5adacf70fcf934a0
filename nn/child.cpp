#include <algorithm>
#include <cstdlib>

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
      if (full[i] == '<' || full[i] == ',' || full[i] == ' ') word = out.size();
    }
  }
  return out;
}

}  // namespace detail

ChildBase::ChildBase(Module* owner, std::string_view name) : owner_(owner), name_(name) {
  TERN_CHECK(owner != nullptr, ValueError, "[child] expected a module to belong to, got none (for ", name, ")");
  owner->check_new_name(name);
  owner->children_.push_back(this);
}

ChildBase::~ChildBase() {
  std::erase(owner_->children_, this);
  if (module_ != nullptr && module_->slot_ == this) module_->slot_ = nullptr;
}

void ChildBase::set(std::shared_ptr<Module> candidate) {
  TERN_CHECK(candidate != nullptr, ValueError, "[child] expected a module for ", name_, ", got none");
  if (const std::string wanted = refuse(*candidate); !wanted.empty()) {
    throw StateError(concat("[child] expected ", wanted, " for ", name_, ", got ", candidate->type_name()));
  }
  for (const auto& [path, module] : candidate->named_modules()) {
    TERN_CHECK(module.get() != owner_, StateError, "[child] expected a module for ", name_,
               " that does not contain its own parent, got ", candidate->type_name());
  }
  if (module_ != nullptr && module_->slot_ == this) module_->slot_ = nullptr;
  candidate->slot_ = this;
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
  if (!owner.is_list() || owner.slot_ == nullptr) return child.name_;
  return join_path(scope_text(*owner.slot_), child.name_);
}

// The text is built only for children of lists; other names are lent to the scope as they are.
ChildBase::Scope::Scope(const ChildBase& child)
    : text_(child.owner_->is_list() ? scope_text(child) : std::string()),
      scope_(text_.empty() ? std::string_view(child.name_) : std::string_view(text_)) {}

}  // namespace tern::nn
