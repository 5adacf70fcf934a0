#include <tern/core/error.h>
#include <tern/core/io/tensor_map.h>

namespace tern::io {

TensorMap::TensorMap(std::initializer_list<Entry> entries) {
  for (const auto& [name, tensor] : entries) insert(name, tensor);
}

TensorMap::TensorMap(std::vector<Entry> entries) {
  for (auto& [name, tensor] : entries) insert(std::move(name), tensor);
}

void TensorMap::insert(std::string name, const Tensor& tensor) {
  TERN_CHECK(!contains(name), ValueError, "[tensor_map] expected every name once, got '", name, "' again");
  set(std::move(name), tensor);
}

void TensorMap::set(std::string name, const Tensor& tensor) {
  TERN_CHECK(tensor.defined(), ValueError, "[tensor_map] expected a defined tensor for '", name,
             "', got an undefined one");
  const auto [it, added] = index_.try_emplace(name, entries_.size());
  if (added)
    entries_.emplace_back(std::move(name), tensor);
  else
    entries_[it->second].second = tensor;
}

const Tensor* TensorMap::find(std::string_view name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &entries_[it->second].second;
}

const Tensor& TensorMap::at(std::string_view name) const {
  const Tensor* tensor = find(name);
  TERN_CHECK(tensor != nullptr, ValueError, "[tensor_map] expected a tensor named '", name, "', got none among ",
             size(), " names");
  return *tensor;
}

}  // namespace tern::io
