// The reference values of tests/golden/bitnet.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/io/json.h>
#include <tern/core/ops/create.h>
#include <tern/core/tensor.h>

namespace tern::quant::bitnet {

/// One file: flat arrays under NAME, their shapes under NAME_shape.
class Golden {
 public:
  explicit Golden(const std::string& name)
      : json_(io::Json::parse_file("test", std::string(TERN_GOLDEN_DIR) + "/bitnet/" + name + ".json")) {}

  const io::Json& json() const { return json_; }
  bool has(const std::string& key) const {
    const io::Json* const value = json_.find(key);
    return value != nullptr && !value->is_null();
  }
  double number(const std::string& key) const { return json_.at(key).as_number(); }
  Tensor tensor(const std::string& key) const { return tensor(key, shape(key)); }
  Tensor tensor(const std::string& key, const Shape& shape) const {
    std::vector<float> values;
    for (const io::Json& v : json_.at(key).items()) values.push_back(static_cast<float>(v.as_number()));
    return tern::tensor(values, shape);
  }
  Shape shape(const std::string& key) const {
    Shape out;
    for (const io::Json& v : json_.at(key + "_shape").items()) out.push_back(v.as_int());
    return out;
  }

  /// To 1e-5 max(1, |reference|), as the files are made for.
  void expect(const std::string& key, const Tensor& got) const {
    compare(key, got, [](double reference, double) { return 1e-5 * std::max(1.0, std::abs(reference)); });
  }
  void expect_relative_to_largest(const std::string& key, const Tensor& got) const {
    compare(key, got, [](double, double largest) { return 1e-5 * std::max(1.0, largest); });
  }
  void expect_codes(const std::string& key, const Tensor& got) const {
    const auto& reference = json_.at(key).items();
    const std::vector<int8_t> codes = got.to_vector<int8_t>();
    ASSERT_EQ(codes.size(), reference.size()) << key;
    for (size_t i = 0; i < codes.size(); ++i) EXPECT_EQ(codes[i], reference[i].as_int()) << key << " " << i;
  }

 private:
  template <class Tolerance>
  void compare(const std::string& key, const Tensor& got, const Tolerance& tolerance) const {
    const auto& reference = json_.at(key).items();
    const std::vector<float> values = got.to_vector<float>();
    ASSERT_EQ(values.size(), reference.size()) << key;
    double largest = 0;
    for (const io::Json& v : reference) largest = std::max(largest, std::abs(v.as_number()));
    for (size_t i = 0; i < values.size(); ++i)
      EXPECT_NEAR(values[i], reference[i].as_number(), tolerance(reference[i].as_number(), largest)) << key << " " << i;
  }

  io::Json json_;
};

}  // namespace tern::quant::bitnet
