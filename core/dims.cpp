#include <tern/core/dims.h>
#include <tern/core/error.h>

namespace tern {

void Dims::check_capacity(int64_t count) {
  TERN_CHECK(count <= kMaxDims, ShapeError, "[shape] expected at most ", kMaxDims, " axes, got ", count);
}

void Dims::insert(int64_t position, int64_t v) {
  check_capacity(size_ + 1);
  std::copy_backward(values_ + position, values_ + size_, values_ + size_ + 1);
  values_[position] = v;
  ++size_;
}

void Dims::erase(int64_t position) {
  std::copy(values_ + position + 1, values_ + size_, values_ + position);
  --size_;
}

std::string to_string(const Dims& dims) {
  std::string out = "[";
  for (int64_t i = 0; i < dims.size(); ++i) out += (i ? ", " : "") + std::to_string(dims[i]);
  return out + "]";
}

int64_t numel_of(const Shape& shape) {
  int64_t n = 1;
  bool overflow = false;
  for (int64_t size : shape) {
    TERN_CHECK(size >= 0, ShapeError, "[shape] expected sizes of at least 0, got ", shape);
    overflow |= __builtin_mul_overflow(n, size, &n) || n > (int64_t{1} << 62);
    if (overflow) n = 1;
  }
  const bool has_zero = std::find(shape.begin(), shape.end(), 0) != shape.end();
  TERN_CHECK(!overflow || has_zero, ShapeError, "[shape] expected at most 2^62 elements, got shape ", shape);
  return has_zero ? 0 : n;
}

int64_t normalize_axis(const char* op, int64_t axis, int64_t ndim) {
  const int64_t limit = ndim == 0 ? 1 : ndim;  // a scalar accepts axis 0 and -1
  TERN_CHECK(axis >= -limit && axis < limit, ShapeError, "[", op, "] expected an axis in [", -limit, ", ", limit - 1,
             "], got ", axis);
  return axis < 0 ? axis + limit : axis;
}

Dims normalize_axes(const char* op, const Dims& axes, int64_t ndim) {
  Dims out;
  if (axes.empty()) {
    for (int64_t i = 0; i < ndim; ++i) out.push_back(i);
    return out;
  }
  for (int64_t axis : axes) out.push_back(normalize_axis(op, axis, ndim));
  std::sort(out.begin(), out.end());
  TERN_CHECK(std::adjacent_find(out.begin(), out.end()) == out.end(), ShapeError, "[", op,
             "] expected every axis once, got ", axes);
  if (ndim == 0) return {};
  return out;
}

Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape out = longer;
  const int64_t shift = longer.size() - shorter.size();
  for (int64_t i = 0; i < shorter.size(); ++i) {
    const int64_t x = longer[i + shift], y = shorter[i];
    TERN_CHECK(x == y || x == 1 || y == 1, ShapeError, "[", op, "] expected shapes that broadcast together, got ", a,
               " and ", b);
    out[i + shift] = x == 1 ? y : x;
  }
  return out;
}

}  // namespace tern
