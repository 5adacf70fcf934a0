// Parameters in a row, or by name, for modules that do not know at compile time how many they have.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tern/nn/child.h>

namespace tern::nn {

/// What ParameterList and ParameterDict share. Calling one throws StateError.
class ParameterSeries : public Module {
 public:
  int64_t size() const { return static_cast<int64_t>(items_.size()); }
  bool empty() const { return items_.empty(); }
  bool has_forward() const override { return false; }
  bool is_list() const override { return true; }

  /// From the back, where the module looks for members first: in linear time.
  ~ParameterSeries() override {
    while (!items_.empty()) items_.pop_back();
  }

 protected:
  Parameter& put(std::string_view name, const Tensor& value, bool requires_grad);
  /// Absent parameters under the other's names, for new_like.
  void take_names(const ParameterSeries& other);
  const std::vector<std::unique_ptr<Parameter>>& items() const { return items_; }

 private:
  std::vector<std::unique_ptr<Parameter>> items_;
};

/// Parameters numbered from 0, as torch.nn.ParameterList:
///
///   nn::Child<nn::ParameterList> scales{this, "scales"};   // in the constructor: scales->append(ones({8}))
///   x = mul(x, scales[k]());
class ParameterList : public ParameterSeries {
 public:
  using Interface = ParameterList;
  ParameterList() = default;
  explicit ParameterList(const std::vector<Tensor>& values);

  /// Appends a parameter; as the constructor of Parameter.
  Parameter& append(const Tensor& value, bool requires_grad = true);
  /// The parameter at a position, counted from the back when negative. Throws ValueError outside.
  Parameter& operator[](int64_t index) const;
  std::shared_ptr<Module> new_like() const override;
};

/// Parameters by name, as torch.nn.ParameterDict.
class ParameterDict : public ParameterSeries {
 public:
  using Interface = ParameterDict;

  /// Adds a parameter under a new name (ValueError if it is taken, empty or has a dot).
  Parameter& insert(std::string_view name, const Tensor& value, bool requires_grad = true);
  bool contains(std::string_view name) const { return find_parameter(name) != nullptr; }
  /// Throws ValueError if there is no such name.
  Parameter& operator[](std::string_view name) const;
  std::shared_ptr<Module> new_like() const override;
};

}  // namespace tern::nn
