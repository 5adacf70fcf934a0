#include "op_table/op_table.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include <tern/core/random.h>

namespace tern::test {
namespace {

struct Family {
  const char* name;
  void (*fill)(OpTable&);
};
std::vector<Family>& families() {
  static std::vector<Family> all;
  return all;
}

uint64_t sample_count = 0;  // of the family that is being filled
Generator sample_generator() {
  return Generator(7).fork("sample", sample_count++);
}

// Calls body(offset) for every element in row-major order.
template <class F>
void for_each_offset(const Shape& shape, const Strides& strides, const F& body) {
  if (numel_of(shape) == 0) return;
  Dims index(shape.size(), 0);
  const int64_t last = shape.size() - 1;
  for (int64_t offset = 0;;) {
    body(offset);
    int64_t a = last;
    for (; a >= 0; --a) {
      offset += strides[a];
      if (++index[a] < shape[a]) break;
      offset -= strides[a] * shape[a];
      index[a] = 0;
    }
    if (a < 0) return;
  }
}

template <class T>
T hole() {
  return std::numeric_limits<T>::has_quiet_NaN ? std::numeric_limits<T>::quiet_NaN() : std::numeric_limits<T>::max();
}

// x's elements, converted to dtype, laid out with the given strides; what lies between them is filled with hole().
Tensor lay_out(const Tensor& x, const Strides& strides, DType dtype, int64_t lead) {
  int64_t low = 0, high = 0;
  for (int64_t a = 0; a < x.dim(); ++a) {
    const int64_t reach = x.numel() == 0 ? 0 : (x.shape()[a] - 1) * strides[a];
    (reach < 0 ? low : high) += reach;
  }
  const int64_t length = lead - low + high + 1 + lead;
  Tensor out(Storage::allocate(static_cast<size_t>(length * size_of(dtype))), {x.shape(), strides, lead - low}, dtype);
  const auto fill = [&]<class T>() {
    T* block = reinterpret_cast<T*>(out.storage()->data());
    std::fill(block, block + length, hole<T>());
    const Array elements = to_array(x);
    size_t i = 0;
    T* to = out.data<T>();
    for_each_offset(x.shape(), strides, [&](int64_t at) { to[at] = static_cast<T>(elements.v[i++]); });
  };
  if (dtype == DType::kF32) {
    fill.operator()<float>();
  } else if (dtype == DType::kF64) {
    fill.operator()<double>();
  } else if (dtype == DType::kI64) {
    fill.operator()<int64_t>();
  } else if (dtype == DType::kI32) {
    fill.operator()<int32_t>();
  } else if (dtype == DType::kI8) {
    fill.operator()<int8_t>();
  } else if (dtype == DType::kU8) {
    fill.operator()<uint8_t>();
  } else {
    return x.to(dtype);  // bf16 and f16 samples are dense
  }
  return out;
}

Array filled(const Shape& shape, const std::function<double(Generator&)>& draw) {
  Generator generator = sample_generator();
  Array out(shape);
  for (double& v : out.v) v = draw(generator);
  return out;
}

}  // namespace

bool register_family(const char* family, void (*fill)(OpTable&)) {
  families().push_back({family, fill});
  return true;
}

const OpTable& op_table() {
  static const OpTable table = [] {
    OpTable filled_table;
    std::sort(families().begin(), families().end(),
              [](const Family& a, const Family& b) { return std::string_view(a.name) < b.name; });
    for (const Family& family : families()) {
      sample_count = 0;
      family.fill(filled_table);
    }
    return filled_table;
  }();
  return table;
}

const std::vector<std::string>& op_families() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Family& family : families()) all.emplace_back(family.name);
    return all;
  }();
  return names;
}

Array to_array(const Tensor& x) {
  if (!x.defined()) return {};
  Array out(x.shape());
  dispatch_all(x.dtype(), [&]<class T>() {
    if (x.numel() == 0) return;
    const T* elements = x.data<T>();
    size_t i = 0;
    for_each_offset(x.shape(), x.strides(), [&](int64_t at) { out.v[i++] = convert_element<double>(elements[at]); });
  });
  return out;
}

Tensor to_tensor(const Array& x, DType dtype) {
  Tensor out = empty(x.shape, dtype);
  dispatch_all(dtype, [&]<class T>() {
    for (int64_t i = 0; i < x.numel(); ++i) out.data<T>()[i] = convert_element<T>(x.v[static_cast<size_t>(i)]);
  });
  return out;
}

void for_each_index(const Shape& shape, const std::function<void(const Dims&)>& body) {
  if (numel_of(shape) == 0) return;
  Dims index(shape.size(), 0);
  for (;;) {
    body(index);
    int64_t a = shape.size() - 1;
    while (a >= 0 && ++index[a] == shape[a]) index[a--] = 0;
    if (a < 0) return;
  }
}

Array map(const Array& x, const std::function<double(double)>& f) {
  Array out = x;
  for (double& v : out.v) v = f(v);
  return out;
}

Array broadcast(const Array& x, const Shape& shape) {
  Array out(shape);
  const int64_t shift = shape.size() - x.dim();
  Strides strides(shape.size(), 0);
  int64_t step = 1;
  for (int64_t a = x.dim() - 1; a >= 0; --a) {
    strides[a + shift] = x.shape[a] == 1 ? 0 : step;
    step *= x.shape[a];
  }
  size_t i = 0;
  for_each_offset(shape, strides, [&](int64_t at) { out.v[i++] = x.v.at(static_cast<size_t>(at)); });
  return out;
}

Array zip(const Array& a, const Array& b, const std::function<double(double, double)>& f) {
  const Shape shape = broadcast_shapes("zip", a.shape, b.shape);
  Array out = broadcast(a, shape);
  const Array other = broadcast(b, shape);
  for (size_t i = 0; i < out.v.size(); ++i) out.v[i] = f(out.v[i], other.v[i]);
  return out;
}

Tensor uniform(const Shape& shape, double low, double high) {
  return to_tensor(filled(shape, [=](Generator& g) { return g.uniform(low, high); }));
}

Tensor values(const Shape& shape, const std::vector<double>& v) {
  Array out(shape);
  out.v = v;
  if (numel_of(shape) != static_cast<int64_t>(v.size())) throw std::logic_error("values: shape and list differ");
  return to_tensor(out);
}

Tensor integers(const Shape& shape, int64_t low, int64_t high) {
  const auto span = static_cast<uint64_t>(high - low);
  return to_tensor(
      filled(shape, [=](Generator& g) { return static_cast<double>(low + static_cast<int64_t>(g.below(span))); }),
      DType::kI64);
}

Tensor int_range(const Shape& shape) {
  Array out(shape);
  std::iota(out.v.begin(), out.v.end(), 0.0);
  return to_tensor(out, DType::kI64);
}

Tensor mask(const Shape& shape, double share_of_ones) {
  return to_tensor(filled(shape, [=](Generator& g) { return g.uniform() < share_of_ones ? 1.0 : 0.0; }), DType::kU8);
}

Tensor distinct(const Shape& shape, double gap) {
  Array out(shape);
  const double middle = 0.5 * static_cast<double>(out.numel() - 1) + 0.3;  // 0 itself does not occur
  for (size_t i = 0; i < out.v.size(); ++i) out.v[i] = gap * (static_cast<double>(i) - middle);
  Generator generator = sample_generator();
  for (size_t i = out.v.size(); i > 1; --i) std::swap(out.v[i - 1], out.v[generator.below(i)]);
  return to_tensor(out);
}

Tensor strided(const Tensor& x) {
  Strides strides = dense_strides(x.shape());
  int64_t step = 2;
  for (int64_t a = x.dim() - 1; a >= 0; --a) {
    strides[a] = step;
    step = step * std::max<int64_t>(x.shape()[a], 1) + 1;
  }
  return lay_out(x, strides, x.dtype(), 3);
}

Tensor permuted(const Tensor& x) {
  Strides strides(x.dim(), 1);
  int64_t step = 1;
  for (int64_t a = 0; a < x.dim(); ++a) {
    strides[a] = step;
    step *= std::max<int64_t>(x.shape()[a], 1);
  }
  return lay_out(x, strides, x.dtype(), 0);
}

Tensor channels_last(const Tensor& x) {
  return lay_out(x, dense_strides(x.shape(), MemoryFormat::kChannelsLast), x.dtype(), 0);
}

Tensor relaid(const Tensor& x, DType dtype) {
  return lay_out(x, x.strides(), x.is_floating() ? dtype : x.dtype(), x.is_contiguous() ? 0 : 2);
}

}  // namespace tern::test
