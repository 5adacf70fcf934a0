// TensorMap: tensors by name, in the order they were added. What state_dict() returns and files hold.
#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <tern/core/tensor.h>

namespace tern::io {

/// Texts that travel with a file: architecture, configuration, quantizers.
using Metadata = std::map<std::string, std::string>;

/// Names are unique; iteration gives pairs [name, tensor] in the order of insertion. Tensors are handles: nothing is
/// copied.
class TensorMap {
 public:
  using Entry = std::pair<std::string, Tensor>;
  using const_iterator = std::vector<Entry>::const_iterator;

  TensorMap() = default;
  /// In that order; throws as insert().
  TensorMap(std::initializer_list<Entry> entries);
  TensorMap(std::vector<Entry> entries);

  /// Adds a tensor at the end. Throws ValueError if the name is taken or the tensor is undefined.
  void insert(std::string name, const Tensor& tensor);
  /// Adds a tensor, or replaces the one of that name in its place. Throws ValueError if the tensor is undefined.
  void set(std::string name, const Tensor& tensor);
  /// The tensor of that name. Throws ValueError if there is none.
  const Tensor& at(std::string_view name) const;
  /// The tensor of that name, or nullptr.
  const Tensor* find(std::string_view name) const;
  bool contains(std::string_view name) const { return find(name) != nullptr; }

  size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  const_iterator begin() const { return entries_.begin(); }
  const_iterator end() const { return entries_.end(); }
  const Entry& operator[](size_t i) const { return entries_[i]; }
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t, Hash, std::equal_to<>> index_;
};

}  // namespace tern::io
