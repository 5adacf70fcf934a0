#include <algorithm>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/ops/copy.h>
#include <tern/nn/detail/parameter_state.h>
#include <tern/nn/parameter.h>

namespace tern::nn {

using detail::ParameterState;

Parameter::Parameter(Owner owner, std::string_view name, const Tensor& value, bool requires_grad)
    : owner_(owner.get()), name_(name), state_(std::make_shared<ParameterState>()) {
  TERN_CHECK(owner_ != nullptr, ValueError, "[parameter] expected a module to belong to, got none (for ", name, ")");
  owner_->check_new_name(name);
  state_->requires_grad = requires_grad;
  state_->names = 1;
  set(value);
  owner_->add_member(name_, {.parameter = this});
}

Parameter::~Parameter() {
  leave_parametrization();
  --state_->names;
  owner_->remove_member(name_, {.parameter = this});
}

bool Parameter::defined() const {
  return state_->latent.defined();
}

const Tensor& Parameter::latent() const {
  return state_->latent;
}

void Parameter::set(const Tensor& value) {
  TERN_CHECK(state_->parametrization == nullptr, StateError, "[parameter] expected ", name_,
             " without a parametrization when its tensor is replaced, got one with ", state_->parametrization->name());
  Tensor latent = value;
  if (latent.defined()) {
    if (!latent.is_leaf()) latent = latent.detach();
    latent.requires_grad_(state_->requires_grad);
  }
  state_->latent = latent;
}

Tensor Parameter::operator()() const {
  ParameterState& state = *state_;
  if (state.parametrization == nullptr || !state.enabled || !state.latent.defined()) return state.latent;
  const autograd::ModuleScope scope(name_);
  try {
    return effective(state);
  } catch (Error& error) {
    error.set_module_path(autograd::current_module_path());
    throw;
  }
}

Tensor Parameter::effective(ParameterState& state) {
  Parametrization& map = *state.parametrization;
  const auto wants_grad = [&] {
    if (state.latent.requires_grad()) return true;
    const auto tensors = map.parameters();
    return std::any_of(tensors.begin(), tensors.end(), [](const Tensor& t) { return t.requires_grad(); });
  };
  if (!map.is_cacheable() || (grad_enabled() && wants_grad())) return map.effective(state.latent);

  const std::lock_guard lock(state.cache_mutex);
  ParameterState::Cache& cache = state.cache;
  std::vector<Tensor> own = map.parameters();
  for (const auto& [name, buffer] : map.named_buffers()) own.push_back(buffer);
  const bool valid = cache.value.defined() && cache.latent.is_of(state.latent) &&
                     std::equal(cache.own.begin(), cache.own.end(), own.begin(), own.end(),
                                [](const TensorStamp& stamp, const Tensor& tensor) { return stamp.is_of(tensor); }) &&
                     cache.changes == map.changes() && cache.training == map.is_training();
  if (!valid) {
    cache.value = map.effective(state.latent);
    cache.latent = TensorStamp(state.latent);
    cache.own.clear();
    for (const Tensor& tensor : own) cache.own.emplace_back(tensor);
    cache.changes = map.changes();
    cache.training = map.is_training();
  }
  return cache.value;
}

void Parameter::attach(std::shared_ptr<Parametrization> parametrization) {
  TERN_CHECK(parametrization != nullptr, ValueError, "[parametrize] expected a parametrization for ", name_,
             ", got none");
  TERN_CHECK(defined(), StateError, "[parametrize] expected a parameter with a value, got absent ", name_);
  TERN_CHECK(!is_tied(), StateError, "[parametrize] expected ", name_, " to be untied, got a parameter with ",
             state_->names, " names; untie it first");
  TERN_CHECK(state_->parametrization == nullptr, StateError, "[parametrize] expected ", name_,
             " without a parametrization, got one with ", state_->parametrization->name());
  owner_->check_nesting("parametrize", name_, *parametrization);
  static_cast<Module&>(*parametrization).adopted();
  static_cast<Module&>(*parametrization).parametrized_.push_back(this);
  state_->parametrization = std::move(parametrization);
  state_->enabled = true;
  state_->cache = {};
}

std::shared_ptr<Parametrization> Parameter::remove_parametrization(bool bake) {
  if (bake && state_->parametrization != nullptr) {
    const NoGradGuard no_grad;
    const Tensor effective = (*this)();
    if (effective.shape() == state_->latent.shape()) {
      state_->latent.copy_(effective);
    } else {
      state_->latent = effective.clone().requires_grad_(state_->latent.requires_grad());
    }
  }
  state_->cache = {};
  leave_parametrization();
  return std::exchange(state_->parametrization, nullptr);
}

Parametrization* Parameter::parametrization() const {
  return state_->parametrization.get();
}

void Parameter::set_parametrized(bool enabled) {
  TERN_CHECK(state_->parametrization != nullptr, StateError, "[set_parametrized] expected ", name_,
             " to have a parametrization, got none");
  state_->enabled = enabled;
}

bool Parameter::is_parametrized() const {
  return state_->parametrization != nullptr && state_->enabled;
}

void Parameter::tie(Parameter& other) {
  if (is_tied_with(other)) return;
  for (const Parameter* p : {this, &other}) {
    TERN_CHECK(p->defined(), StateError, "[tie] expected parameters with values, got absent ", p->name_);
    TERN_CHECK(p->parametrization() == nullptr, StateError, "[tie] expected parameters without parametrization, got ",
               p->name_, " with ", p->parametrization()->name());
  }
  TERN_CHECK(latent().shape() == other.latent().shape(), ShapeError, "[tie] expected ", name_, " and ", other.name_,
             " of one shape, got ", latent().shape(), " and ", other.latent().shape());
  TERN_CHECK(latent().dtype() == other.latent().dtype(), DTypeError, "[tie] expected ", name_, " and ", other.name_,
             " of one dtype, got ", latent().dtype(), " and ", other.latent().dtype());
  share(other.state_);
}

void Parameter::untie() {
  if (!is_tied()) return;
  auto own = std::make_shared<ParameterState>();
  const NoGradGuard no_grad;
  own->latent = latent().clone();
  own->requires_grad = latent().requires_grad();
  own->latent.requires_grad_(own->requires_grad);
  share(own);
}

bool Parameter::is_tied() const {
  return state_->names > 1;
}

void Parameter::share(const std::shared_ptr<ParameterState>& state) {
  leave_parametrization();
  --state_->names;
  state_ = state;
  ++state_->names;
  if (state_->parametrization != nullptr) static_cast<Module&>(*state_->parametrization).parametrized_.push_back(this);
}

void Parameter::leave_parametrization() noexcept {
  if (state_->parametrization != nullptr)
    std::erase(static_cast<Module&>(*state_->parametrization).parametrized_, this);
}

Buffer::Buffer(Owner owner, std::string_view name, const Tensor& value, bool persistent)
    : owner_(owner.get()), name_(name), value_(value), persistent_(persistent) {
  TERN_CHECK(owner_ != nullptr, ValueError, "[buffer] expected a module to belong to, got none (for ", name, ")");
  owner_->check_new_name(name);
  owner_->add_member(name_, {.buffer = this});
}

Buffer::~Buffer() {
  owner_->remove_member(name_, {.buffer = this});
}

}  // namespace tern::nn
