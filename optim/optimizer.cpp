#include <cmath>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/name_list.h>
#include <tern/optim/detail/segments.h>
#include <tern/optim/optimizer.h>

namespace tern::optim {
namespace {

void check_rate(const char* op, std::string_view what, double v) {
  TERN_CHECK(std::isfinite(v) && v >= 0, ValueError, "[", op, "] expected ", what, " of at least 0, got ", v);
}

Tensor scalar_f64(double v) {
  return empty({}, DType::kF64).fill_(v);
}
Tensor scalar_i64(int64_t v) {
  Tensor out = empty({}, DType::kI64);
  *out.data<int64_t>() = v;
  return out;
}

}  // namespace

void Optimizer::add_group(const ParamList& params, double lr, double weight_decay) {
  check_rate(op_, "a learning rate", lr);
  check_rate(op_, "a weight decay", weight_decay);
  Group added{.params = {}, .states = std::vector<State>(params.size()), .lr = lr, .weight_decay = weight_decay};
  auto known = known_;
  auto names = names_;
  for (size_t i = 0; i < params.size(); ++i) {
    const auto& [given, tensor] = params.entries()[i];
    const std::string name = given.empty() ? concat(groups_.size(), ".", i) : given;
    TERN_CHECK(tensor.defined(), ValueError, "[", op_, "] expected parameter ", name,
               " to be a tensor, got an undefined one");
    TERN_CHECK(tensor.dtype() == DType::kF32 || tensor.dtype() == DType::kF64, DTypeError, "[", op_,
               "] expected parameter ", name, " of f32 or f64, got ", describe(tensor));
    TERN_CHECK(tensor.is_leaf(), ValueError, "[", op_, "] expected parameter ", name,
               " to be a leaf tensor, got one that an operation produced");
    TERN_CHECK(tensor.is_dense(), ValueError, "[", op_, "] expected parameter ", name,
               " to fill its memory without holes, got shape ", tensor.shape(), " with strides ", tensor.strides());
    TERN_CHECK(known.insert(&tensor.impl()).second, ValueError, "[", op_,
               "] expected every parameter once, got parameter ",
               given.empty() ? concat(i, " of group ", groups_.size()) : given, " again");
    TERN_CHECK(names.insert(name).second, ValueError, "[", op_, "] expected every name once, got ", name, " again");
    added.params.emplace_back(name, tensor);
  }
  groups_.push_back(std::move(added));
  known_ = std::move(known);
  names_ = std::move(names);
}

const Optimizer::Group& Optimizer::group_at(int64_t group) const {
  TERN_CHECK(group >= 0 && group < group_count(), ValueError, "[", op_, "] expected a group in [0, ", group_count(),
             "), got ", group);
  return groups_[static_cast<size_t>(group)];
}

void Optimizer::set_lr(int64_t group, double lr) {
  group_at(group);
  check_rate(op_, "a learning rate", lr);
  groups_[static_cast<size_t>(group)].lr = lr;
}

void Optimizer::set_weight_decay(int64_t group, double weight_decay) {
  group_at(group);
  check_rate(op_, "a weight decay", weight_decay);
  groups_[static_cast<size_t>(group)].weight_decay = weight_decay;
}

std::vector<Tensor> Optimizer::all_params() const {
  std::vector<Tensor> all;
  for (const Group& group : groups_)
    for (const auto& [name, tensor] : group.params) all.push_back(tensor);
  return all;
}

void Optimizer::step() {
  const NoGradGuard no_grad;
  for (size_t g = 0; g < groups_.size(); ++g) update(g);
}

void Optimizer::zero_grad() {
  for (Group& group : groups_)
    for (auto& [name, tensor] : group.params) tensor.zero_grad();
}

void Optimizer::make_buffers(size_t group, size_t index) {
  State& state = groups_[group].states[index];
  state.buffers.assign(slots_.size(), Tensor());
  for (size_t slot = 0; slot < slots_.size(); ++slot)
    if (uses_slot(group, slot)) state.buffers[slot] = empty_like(groups_[group].params[index].second).zero_();
}

Tensor Optimizer::gradient_of(const Tensor& param) const {
  const Tensor gradient = param.grad();
  return gradient.defined() ? detail::in_order_of(param, gradient) : gradient;
}

io::TensorMap Optimizer::state_dict() const {
  const NoGradGuard no_grad;
  io::TensorMap out;
  for (size_t g = 0; g < groups_.size(); ++g) {
    out.insert(concat("groups.", g, ".lr"), scalar_f64(groups_[g].lr));
    out.insert(concat("groups.", g, ".weight_decay"), scalar_f64(groups_[g].weight_decay));
  }
  for (const Group& group : groups_)
    for (size_t i = 0; i < group.params.size(); ++i) {
      const State& state = group.states[i];
      if (state.step == 0) continue;
      out.insert(concat("state.", group.params[i].first, ".step"), scalar_i64(state.step));
      for (size_t slot = 0; slot < slots_.size(); ++slot)
        if (state.buffers[slot].defined())
          out.insert(concat("state.", group.params[i].first, ".", slots_[slot]), state.buffers[slot].clone());
    }
  return out;
}

void Optimizer::load_state_dict(const io::TensorMap& state) {
  const NoGradGuard no_grad;
  std::vector<std::string> missing;
  std::unordered_set<std::string> used;
  const auto take = [&](const std::string& name, const Shape& shape, DType dtype) -> const Tensor* {
    const Tensor* found = state.find(name);
    if (found == nullptr) {
      missing.push_back(name);
      return nullptr;
    }
    used.insert(name);
    TERN_CHECK(found->shape() == shape, ShapeError, "[load_state_dict] expected ", name, " of shape ", shape, ", got ",
               found->shape());
    TERN_CHECK(found->dtype() == dtype, DTypeError, "[load_state_dict] expected ", name, " of ", dtype, ", got ",
               found->dtype());
    return found;
  };

  std::vector<Group> loaded = groups_;
  for (size_t g = 0; g < loaded.size(); ++g) {
    Group& group = loaded[g];
    if (const Tensor* lr = take(concat("groups.", g, ".lr"), {}, DType::kF64)) group.lr = lr->item();
    if (const Tensor* decay = take(concat("groups.", g, ".weight_decay"), {}, DType::kF64))
      group.weight_decay = decay->item();
    check_rate("load_state_dict", "a learning rate", group.lr);
    check_rate("load_state_dict", "a weight decay", group.weight_decay);
    for (size_t i = 0; i < group.params.size(); ++i) {
      const auto& [name, param] = group.params[i];
      State fresh;
      const std::string prefix = concat("state.", name, ".");
      if (state.contains(prefix + "step")) {
        fresh.step = take(prefix + "step", {}, DType::kI64)->item_i64();
        TERN_CHECK(fresh.step > 0, ValueError, "[load_state_dict] expected ", prefix, "step above 0, got ", fresh.step);
        fresh.buffers.assign(slots_.size(), Tensor());
        for (size_t slot = 0; slot < slots_.size(); ++slot)
          if (uses_slot(g, slot))
            if (const Tensor* buffer = take(prefix + slots_[slot], param.shape(), param.dtype()))
              fresh.buffers[slot] = empty_like(param).copy_(*buffer);
      }
      group.states[i] = std::move(fresh);
    }
  }
  std::vector<std::string> unknown;
  for (const auto& [name, tensor] : state)
    if (!used.contains(name)) unknown.push_back(name);
  TERN_CHECK(unknown.empty() && missing.empty(), ValueError, "[load_state_dict] expected the state of this ", op_,
             " optimizer, got one", unknown.empty() ? "" : " with unknown ", name_list(unknown),
             unknown.empty() || missing.empty() ? "" : " and", missing.empty() ? "" : " without ", name_list(missing));
  groups_ = std::move(loaded);
}

}  // namespace tern::optim
