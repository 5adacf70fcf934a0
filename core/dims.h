// Shapes and strides: short lists of integers kept inline, so that making a tensor header costs no allocation for them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

namespace tern {

/// The most axes that a tensor has.
inline constexpr int64_t kMaxDims = 8;

/// Up to eight integers, the axes of a tensor from outermost to innermost. Making or growing one throws ShapeError
/// beyond eight; positions are not checked.
class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<int64_t> values) { assign(values.begin(), values.end()); }
  Dims(std::span<const int64_t> values) { assign(values.data(), values.data() + values.size()); }
  Dims(const std::vector<int64_t>& values) { assign(values.data(), values.data() + values.size()); }
  /// `count` times the same value.
  Dims(int64_t count, int64_t value) {
    check_capacity(count);
    size_ = count;
    std::fill_n(values_, count, value);
  }

  int64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  int64_t* begin() { return values_; }
  int64_t* end() { return values_ + size_; }
  const int64_t* begin() const { return values_; }
  const int64_t* end() const { return values_ + size_; }
  int64_t& operator[](int64_t i) { return values_[i]; }
  int64_t operator[](int64_t i) const { return values_[i]; }
  int64_t& back() { return values_[size_ - 1]; }
  int64_t back() const { return values_[size_ - 1]; }
  void push_back(int64_t v) {
    check_capacity(size_ + 1);
    values_[size_++] = v;
  }
  /// Before a position in [0, size()]; at a position in [0, size()).
  void insert(int64_t position, int64_t v);
  void erase(int64_t position);
  operator std::span<const int64_t>() const { return {values_, static_cast<size_t>(size_)}; }
  bool operator==(const Dims& other) const { return std::equal(begin(), end(), other.begin(), other.end()); }

 private:
  void assign(const int64_t* first, const int64_t* last) {
    check_capacity(last - first);
    size_ = last - first;
    std::copy(first, last, values_);
  }
  static void check_capacity(int64_t count);

  int64_t size_ = 0;
  int64_t values_[kMaxDims] = {};
};

using Shape = Dims;
using Strides = Dims;

/// "[2, 3]"
std::string to_string(const Dims& dims);

/// Product of all sizes; 1 for no axes. Throws ShapeError on a negative size and, unless a size is 0, where the product
/// exceeds 2^62.
int64_t numel_of(const Shape& shape);

/// Turns an axis counted from the back (-1 is the last) into 0..ndim-1. A scalar (ndim 0) takes the axes 0 and -1.
/// Throws ShapeError, naming `op`, when out of range.
int64_t normalize_axis(const char* op, int64_t axis, int64_t ndim);

/// The same for a list of axes, sorted, without repetition (throws ShapeError on one); an empty list means all axes.
Dims normalize_axes(const char* op, const Dims& axes, int64_t ndim);

/// The shape two shapes broadcast to, by the rules of NumPy and PyTorch. Throws ShapeError, naming `op`, if they do
/// not.
Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b);

}  // namespace tern
