#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/rounding.h>
#include <tern/quant/affine.h>
#include <tern/quant/kernels/affine.h>

namespace tern::quant {
namespace {

using kernels::AffineLayout;

int64_t groups_of(int64_t n, int64_t size) {
  return (n + size - 1) / size;
}

// The axis of a granularity for a tensor of that shape; 0 for kTensor.
int64_t axis_of(const Shape& shape, const Granularity& g) {
  if (g.kind == Granularity::Kind::kTensor) return 0;
  const int64_t dims = shape.size();
  TERN_CHECK(g.axis >= -dims && g.axis < dims, ShapeError, "[affine] expected an axis of the tensor, got axis ", g.axis,
             " for shape ", shape);
  TERN_CHECK(g.kind != Granularity::Kind::kGroup || g.group_size >= 1, ValueError,
             "[affine] expected a group size of at least 1, got ", g.group_size);
  return g.axis < 0 ? g.axis + dims : g.axis;
}

AffineLayout layout_of(const Shape& shape, const Granularity& g) {
  const int64_t axis = axis_of(shape, g), total = numel_of(shape);
  if (g.kind == Granularity::Kind::kTensor)
    return {.outer = 1, .part = total, .rows = chunk_count(total, kElementwiseGrain), .length = kElementwiseGrain};
  int64_t outer = 1, inner = 1;
  const int64_t n = shape[axis];
  for (int64_t i = 0; i < axis; ++i) outer *= shape[i];
  for (int64_t i = axis + 1; i < shape.size(); ++i) inner *= shape[i];
  AffineLayout a{.outer = outer, .part = n * inner};
  if (g.kind == Granularity::Kind::kChannel) {
    const bool last = inner == 1;  // each element of a row has a scale of its own
    a.rows = last ? 1 : n;
    a.length = last ? n : inner;
    a.row_stride = last ? 0 : 1;
    a.element_stride = last ? 1 : 0;
    return a;
  }
  const int64_t groups = groups_of(n, g.group_size);
  a.outer_stride = groups * inner;
  a.row_stride = inner;
  if (inner == 1) {
    a.rows = groups;
    a.length = g.group_size;
  } else {
    a.rows = n;
    a.length = inner;
    a.rows_per_scale = g.group_size;
    a.element_stride = 1;
  }
  return a;
}

void check_scales(const char* op, const Shape& shape, const Affine& a) {
  a.type.validate();
  check_defined(op, a.scale);
  const Shape wanted = scale_shape(shape, a.granularity);
  TERN_CHECK(a.scale.shape() == wanted, ShapeError, "[", op, "] expected scales ", wanted, " for ", shape, ", got ",
             a.scale.shape());
  for (const double s : a.scale.to_vector<double>())
    TERN_CHECK(std::isfinite(s) && s > 0, ValueError, "[", op, "] expected scales above 0, got ", s);
  if (!a.zero_point.defined()) return;
  TERN_CHECK(a.zero_point.dtype() == DType::kI32, DTypeError, "[", op, "] expected zero points of dtype i32, got ",
             a.zero_point.dtype());
  TERN_CHECK(a.zero_point.shape() == wanted, ShapeError, "[", op, "] expected zero points ", wanted,
             " as the scales, got ", a.zero_point.shape());
  for (const int32_t z : a.zero_point.to_vector<int32_t>())
    TERN_CHECK(z >= a.type.lo() && z <= a.type.hi(), ValueError, "[", op, "] expected zero points from ", a.type.lo(),
               " to ", a.type.hi(), ", got ", z);
}

// The arguments of a kernel, and the tensors that they point into.
template <class T>
struct Arguments {
  Tensor scale, zero_point;
  kernels::AffineScalars<T> scalars;

  Arguments(const Shape& shape, const Affine& a)
      : scale(a.scale.contiguous()), zero_point(a.zero_point.defined() ? a.zero_point.contiguous() : Tensor()) {
    scalars = {.layout = layout_of(shape, a.granularity),
               .multiply = a.order == AffineOrder::kReciprocal,
               .fused = a.order == AffineOrder::kFused,
               .low = static_cast<T>(a.type.lo()),
               .high = static_cast<T>(a.type.hi()),
               .scale = scale.data<T>(),
               .zero = zero_point.defined() ? zero_point.data<int32_t>() : nullptr};
  }
};

// f<Code>() for the type of the codes.
template <class F>
void dispatch_codes(const BitType& type, F&& f) {
  switch (type.dtype()) {
    case DType::kI8:
      return f.template operator()<int8_t>();
    case DType::kU8:
      return f.template operator()<uint8_t>();
    default:
      return f.template operator()<int32_t>();
  }
}

void check_input(const char* op, const Tensor& x, const Affine& a) {
  check_defined(op, x);
  check_scales(op, x.shape(), a);
  TERN_CHECK(x.dtype() == a.scale.dtype(), DTypeError, "[", op, "] expected an input of the scales' dtype ",
             a.scale.dtype(), ", got ", x.dtype());
}

void check_no_nan(const char* op, bool ok, const Tensor& x) {
  TERN_CHECK(ok, NonFiniteError, "[", op, "] expected numbers, got NaN in ", describe(x));
}

template <class T>
struct ScaleAndZero {
  T scale;
  int32_t zero;
};

template <class T>
ScaleAndZero<T> scale_and_zero(T min, T max, const BitType& type, const RangeRule& rule) {
  const T lo = static_cast<T>(type.lo()), hi = static_cast<T>(type.hi());
  if (!rule.symmetric && rule.include_zero) min = std::min(min, T(0)), max = std::max(max, T(0));
  const T divisor = rule.symmetric && rule.divisor == Divisor::kTop ? hi : rule.symmetric ? (hi - lo) / T(2) : hi - lo;
  const T range = rule.symmetric ? std::max(-min, max) : max - min;
  T scale = std::max(range, static_cast<T>(rule.min_range)) / divisor;
  if (!std::isfinite(scale)) scale = max / divisor - min / divisor;  // max - min has overflowed
  scale = std::max(scale, static_cast<T>(rule.min_scale));
  if (range == T(0) && rule.scale_of_zeros > 0) scale = static_cast<T>(rule.scale_of_zeros);
  scale = std::max(scale, std::numeric_limits<T>::min());
  if (rule.symmetric) return {scale, 0};
  return {scale, static_cast<int32_t>(lo + round_clamp(-min / scale, T(0), hi - lo))};
}

struct FakeQuantizeBackward {
  static constexpr const char* kName = "fake_quantize";
  Tensor inside;  // u8: 1 where the code was not clamped

  Gradients backward(const Tensor& g, NeedsGrad) const { return {where(inside, g, 0.0)}; }
};

}  // namespace

void BitType::validate() const {
  TERN_CHECK((bits >= 2 && bits <= 8) || bits == 16, ValueError, "[affine] expected 2 to 8 bits, or 16, got ", bits);
  TERN_CHECK(is_signed || !restricted, ValueError, "[affine] expected a restricted type to be signed, got uint", bits);
}

std::string to_string(const BitType& type) {
  return concat(type.is_signed ? "int" : "uint", type.bits, type.restricted ? " restricted" : "");
}

void RangeRule::validate() const {
  const auto check = [](const char* name, double v) {
    TERN_CHECK(std::isfinite(v) && v >= 0, ValueError, "[affine] expected ", name, " of at least 0, got ", v);
  };
  check("min_range", min_range);
  check("min_scale", min_scale);
  check("scale_of_zeros", scale_of_zeros);
}

Shape scale_shape(const Shape& shape, const Granularity& g) {
  const int64_t axis = axis_of(shape, g);
  if (g.kind == Granularity::Kind::kTensor) return {};
  if (g.kind == Granularity::Kind::kChannel) return {shape[axis]};
  Shape scales = shape;
  scales[axis] = groups_of(shape[axis], g.group_size);
  return scales;
}

Ranges ranges_of(const Tensor& x, const Granularity& g) {
  constexpr const char* kName = "ranges_of";
  check_defined(kName, x);
  const NoGradGuard no_grad;
  TERN_CHECK(x.numel() > 0, ShapeError, "[", kName, "] expected at least one element, got shape ", x.shape());
  const Tensor data = x.contiguous();
  const Shape scales = scale_shape(x.shape(), g);
  Ranges out{empty(scales, x.dtype()), empty(scales, x.dtype())};
  const bool finite = dispatch_float(kName, x.dtype(), [&]<class T>() {
    return TERN_KERNEL(affine_ranges<T>)(data.data<T>(), layout_of(x.shape(), g), out.min.numel(), out.min.data<T>(),
                                         out.max.data<T>());
  });
  TERN_CHECK(finite, NonFiniteError, "[", kName, "] expected finite values, got NaN or infinity in ", describe(x));
  if (g.kind == Granularity::Kind::kGroup && g.pad_last) {
    const int64_t axis = axis_of(x.shape(), g), groups = scales[axis];
    if (x.size(axis) % g.group_size != 0) {
      Tensor low = out.min.slice(axis, groups - 1, groups), high = out.max.slice(axis, groups - 1, groups);
      low.copy_(clamp_max(low, 0));
      high.copy_(clamp_min(high, 0));
    }
  }
  return out;
}

Affine affine_of(const Ranges& ranges, const AffineOptions& options) {
  constexpr const char* kName = "affine_of";
  options.type.validate();
  options.rule.validate();
  TERN_CHECK(!options.rule.symmetric || options.type.is_signed, ValueError, "[", kName,
             "] expected a signed type for a symmetric range, got ", to_string(options.type));
  check_defined(kName, ranges.min, ranges.max);
  TERN_CHECK(ranges.min.shape() == ranges.max.shape(), ShapeError, "[", kName,
             "] expected min and max of one shape, got ", ranges.min.shape(), " and ", ranges.max.shape());
  TERN_CHECK(ranges.min.dtype() == ranges.max.dtype(), DTypeError, "[", kName,
             "] expected min and max of one dtype, got ", ranges.min.dtype(), " and ", ranges.max.dtype());
  const NoGradGuard no_grad;
  const Tensor low = ranges.min.contiguous(), high = ranges.max.contiguous();
  Affine out{.type = options.type,
             .granularity = options.granularity,
             .order = options.order,
             .scale = empty(low.shape(), low.dtype())};
  if (!options.rule.symmetric) out.zero_point = empty(low.shape(), DType::kI32);
  dispatch_float(kName, low.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < low.numel(); ++i) {
      const T min = low.data<T>()[i], max = high.data<T>()[i];
      TERN_CHECK(std::isfinite(min) && std::isfinite(max), NonFiniteError, "[", kName,
                 "] expected finite ranges, got [", min, ", ", max, "]");
      TERN_CHECK(min <= max, ValueError, "[", kName, "] expected min up to max, got [", min, ", ", max, "]");
      const ScaleAndZero<T> found = scale_and_zero(min, max, options.type, options.rule);
      out.scale.data<T>()[i] = found.scale;
      if (out.zero_point.defined()) out.zero_point.data<int32_t>()[i] = found.zero;
    }
  });
  return out;
}

Affine affine_of(const Tensor& x, const AffineOptions& options) {
  return affine_of(ranges_of(x, options.granularity), options);
}

Tensor quantize(const Tensor& x, const Affine& affine) {
  constexpr const char* kName = "quantize";
  check_input(kName, x, affine);
  const NoGradGuard no_grad;
  const Tensor data = x.contiguous();
  Tensor codes = empty(x.shape(), affine.type.dtype());
  dispatch_float(kName, x.dtype(), [&]<class T>() {
    const Arguments<T> arguments(x.shape(), affine);
    dispatch_codes(affine.type, [&]<class Code>() {
      check_no_nan(kName, TERN_KERNEL(affine_codes<T, Code>)(arguments.scalars, data.data<T>(), codes.data<Code>()), x);
    });
  });
  return codes;
}

Tensor dequantize(const Tensor& codes, const Affine& affine) {
  constexpr const char* kName = "dequantize";
  check_defined(kName, codes);
  check_scales(kName, codes.shape(), affine);
  TERN_CHECK(codes.dtype() == affine.type.dtype(), DTypeError, "[", kName, "] expected codes of dtype ",
             affine.type.dtype(), " for ", to_string(affine.type), ", got ", codes.dtype());
  const NoGradGuard no_grad;
  const Tensor data = codes.contiguous();
  Tensor out = empty(codes.shape(), affine.scale.dtype());
  dispatch_float(kName, out.dtype(), [&]<class T>() {
    const Arguments<T> arguments(codes.shape(), affine);
    dispatch_codes(affine.type, [&]<class Code>() {
      TERN_KERNEL(affine_values<T, Code>)(arguments.scalars, data.data<Code>(), out.data<T>());
    });
  });
  return out;
}

Tensor fake_quantize(const Tensor& x, const Affine& affine) {
  constexpr const char* kName = FakeQuantizeBackward::kName;
  check_input(kName, x, affine);
  const bool recorded = grad_enabled() && x.requires_grad();
  const Tensor data = x.detach().contiguous();
  Tensor out = empty(x.shape(), x.dtype()), inside = recorded ? empty(x.shape(), DType::kU8) : Tensor();
  dispatch_float(kName, x.dtype(), [&]<class T>() {
    const Arguments<T> arguments(x.shape(), affine);
    check_no_nan(kName,
                 TERN_KERNEL(affine_round_trip<T>)(arguments.scalars, data.data<T>(), out.data<T>(),
                                                   recorded ? inside.data<uint8_t>() : nullptr),
                 x);
  });
  return autograd::record<FakeQuantizeBackward>(out, {x}, {.inside = std::move(inside)});
}

}  // namespace tern::quant
