// Small data sets for the tests of this room.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tern/data/dataset.h>

#include "core/io_support.h"

namespace tern::test {

/// A record of `label_bytes` followed by 3072 pixels that depend on `number`.
inline std::string cifar_record(const std::vector<int>& labels, int number) {
  std::string record;
  for (const int label : labels) record += static_cast<char>(label);
  for (int i = 0; i < 3072; ++i) record += static_cast<char>((i * 7 + number * 31) & 255);
  return record;
}

/// n examples of 3 x height x width whose pixels tell index and place apart.
class Counted : public data::Dataset {
 public:
  explicit Counted(int64_t n, int64_t height = 5, int64_t width = 7, int64_t channels = 3)
      : n_(n), height_(height), width_(width), channels_(channels) {}
  int64_t size() const override { return n_; }
  data::Example get(int64_t index) const override {
    check_index("counted", index);
    Tensor image = empty({channels_, height_, width_}, DType::kU8);
    for (int64_t i = 0; i < image.numel(); ++i) image.data<uint8_t>()[i] = static_cast<uint8_t>(i * 3 + index * 17 + 1);
    return {image, index % 4};
  }
  const std::vector<std::string>& class_names() const override {
    static const std::vector<std::string> names{"a", "b", "c", "d"};
    return names;
  }

 private:
  int64_t n_, height_, width_, channels_;
};

inline std::vector<float> values(const Tensor& x) {
  return x.contiguous().to_vector<float>();
}

}  // namespace tern::test
