#include <tern/core/error.h>
#include <tern/nn/layers/parameter_list.h>

namespace tern::nn {

Parameter& ParameterSeries::put(std::string_view name, const Tensor& value, bool requires_grad) {
  items_.push_back(std::make_unique<Parameter>(this, name, value, requires_grad));
  return *items_.back();
}

void ParameterSeries::take_names(const ParameterSeries& other) {
  for (const auto& parameter : other.items_) put(parameter->name(), Tensor(), true);
}

ParameterList::ParameterList(const std::vector<Tensor>& values) {
  for (const Tensor& value : values) append(value);
}

Parameter& ParameterList::append(const Tensor& value, bool requires_grad) {
  return put(std::to_string(size()), value, requires_grad);
}

Parameter& ParameterList::operator[](int64_t index) const {
  const int64_t at = index < 0 ? index + size() : index;
  TERN_CHECK(at >= 0 && at < size(), ValueError, "[ParameterList] expected a position below ", size(), ", got ", index);
  return *items()[static_cast<size_t>(at)];
}

std::shared_ptr<Module> ParameterList::new_like() const {
  auto fresh = std::make_shared<ParameterList>();
  fresh->take_names(*this);
  return fresh;
}

Parameter& ParameterDict::insert(std::string_view name, const Tensor& value, bool requires_grad) {
  return put(name, value, requires_grad);
}

Parameter& ParameterDict::operator[](std::string_view name) const {
  if (Parameter* found = find_parameter(name)) return *found;
  std::string names;
  for (const auto& parameter : items()) names += (names.empty() ? "" : ", ") + parameter->name();
  throw ValueError(
      concat("[ParameterDict] expected one of ", names.empty() ? "no names" : names, ", got '", name, "'"));
}

std::shared_ptr<Module> ParameterDict::new_like() const {
  auto fresh = std::make_shared<ParameterDict>();
  fresh->take_names(*this);
  return fresh;
}

}  // namespace tern::nn
