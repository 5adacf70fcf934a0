// The numbers that references compute with: f64, row-major, no Tensor and none of its ops.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <vector>

#include <tern/core/dims.h>
#include <tern/core/tensor.h>

namespace tern::test {

/// A dense array of doubles (integers and truth values too). An Array made without a shape is undefined: an absent
/// input.
struct Array {
  Shape shape;
  std::vector<double> v;  ///< row-major
  bool defined = false;

  Array() = default;
  explicit Array(const Shape& s, double fill = 0)
      : shape(s), v(static_cast<size_t>(numel_of(s)), fill), defined(true) {}

  int64_t numel() const { return static_cast<int64_t>(v.size()); }
  int64_t dim() const { return shape.size(); }
  /// Element at a multi-index: x(n, c, h, w). Out of range throws.
  template <class... I>
  double& operator()(I... i) {
    return v.at(static_cast<size_t>(position({static_cast<int64_t>(i)...})));
  }
  template <class... I>
  double operator()(I... i) const {
    return v.at(static_cast<size_t>(position({static_cast<int64_t>(i)...})));
  }
  double& at(const Dims& index) { return v.at(static_cast<size_t>(position(index))); }
  double at(const Dims& index) const { return v.at(static_cast<size_t>(position(index))); }

 private:
  int64_t position(const Dims& index) const {
    if (index.size() != shape.size()) throw std::out_of_range("index of the wrong length");
    int64_t p = 0;
    for (int64_t a = 0; a < shape.size(); ++a) {
      if (index[a] < 0 || index[a] >= shape[a]) throw std::out_of_range("index outside an array");
      p = p * shape[a] + index[a];
    }
    return p;
  }
};
using Arrays = std::vector<Array>;

/// A tensor's elements; an undefined tensor gives an undefined array.
Array to_array(const Tensor& x);
/// An f64 (or other) tensor with the array's elements.
Tensor to_tensor(const Array& x, DType dtype = DType::kF64);

/// Calls body(index) for every multi-index of a shape, in row-major order.
void for_each_index(const Shape& shape, const std::function<void(const Dims&)>& body);

/// f at every element.
Array map(const Array& x, const std::function<double(double)>& f);
/// f at every pair of elements, with broadcasting.
Array zip(const Array& a, const Array& b, const std::function<double(double, double)>& f);
/// x broadcast to a shape.
Array broadcast(const Array& x, const Shape& shape);

}  // namespace tern::test
