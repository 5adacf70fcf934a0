#include <tern/core/ops/shape.h>
#include <tern/nn/layers/containers.h>

namespace tern::nn {

int64_t ModuleDict::position(std::string_view name) const {
  for (int64_t i = 0; i < size(); ++i)
    if (ModuleSeries::operator[](i).name() == name) return i;
  return -1;
}

Child<Module>& ModuleDict::operator[](std::string_view name) const {
  const int64_t at = position(name);
  if (at >= 0) return ModuleSeries::operator[](at);
  std::string names;
  for (const Child<Module>& child : *this) names += (names.empty() ? "" : ", ") + child.name();
  throw ValueError(concat("[ModuleDict] expected one of ", names.empty() ? "no names" : names, ", got '", name, "'"));
}

void ModuleDict::erase(std::string_view name) {
  TERN_CHECK(contains(name), ValueError, "[ModuleDict] expected a name to erase that is there, got '", name, "'");
  drop(position(name));
}

Sequential::Sequential(const std::vector<std::shared_ptr<Module>>& modules) {
  for (const auto& module : modules) append(module);
}

Tensor Sequential::forward(const Tensor& x) {
  Tensor y = x;
  for (const Child<Module>& child : *this) y = child(y);
  return y;
}

Tensor Flatten::forward(const Tensor& x) {
  return flatten(x, options_.start_dim, options_.end_dim);
}

std::string Flatten::extra_text() const {
  return concat("start_dim=", options_.start_dim, ", end_dim=", options_.end_dim);
}

}  // namespace tern::nn
