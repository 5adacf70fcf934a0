#include <cmath>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/ops/create.h>
#include <tern/quant/layers/packed_linear.h>

namespace tern::quant {
namespace {

const PackedLinear::Options& checked(const PackedLinear::Options& o) {
  TERN_CHECK(o.in_features >= 1 && o.in_features <= packed::kMaxInFeatures && o.out_features >= 1, ValueError,
             "[PackedLinear] expected in_features from 1 to ", packed::kMaxInFeatures,
             " and out_features of at least 1, got ", o.in_features, " and ", o.out_features);
  TERN_CHECK(std::isfinite(o.subln_eps) && o.subln_eps >= 0, ValueError,
             "[PackedLinear] expected a subln_eps that is finite and at least 0, got ", o.subln_eps);
  return o;
}

// Zeros, in the layer's format.
packed::PackedWeight zero_weight(const PackedLinear::Options& o) {
  const packed::Format& format = packed::format_of(o.format);
  TERN_CHECK(format.product != nullptr, ValueError, "[PackedLinear] expected a format with a product, got ", o.format);
  const Shape scales = packed::scale_shape(format, o.out_features, o.in_features, o.group_size);
  return packed::pack(zeros({o.out_features, o.in_features}, DType::kI8), ones(scales), format,
                      format.has_zero_points ? zeros(scales, DType::kI32) : Tensor(), o.group_size);
}

}  // namespace

PackedLinear::PackedLinear(const Options& options) : PackedLinear(options, zero_weight(checked(options))) {}

PackedLinear::PackedLinear(const Options& options, const packed::PackedWeight& weight)
    : options_(options),
      weight_packed(this, "weight_packed", weight.bytes),
      weight_scale(this, "weight_scale", weight.scales),
      weight_zero_point(this, "weight_zero_point", weight.zero_points),
      bias(this, "bias", options.bias ? empty({options.out_features}).zero_() : Tensor()) {
  if (options.subln) {
    subln.emplace(this, "subln", nn::RMSNorm::Options{.dim = options.in_features, .eps = options.subln_eps});
    (*subln)->requires_grad_(false);
  }
}

packed::PackedWeight PackedLinear::weight() const {
  return {.format = &packed::format_of(options_.format),
          .out_features = options_.out_features,
          .in_features = options_.in_features,
          .bytes = weight_packed(),
          .scales = weight_scale(),
          .zero_points = weight_zero_point(),
          .group_size = options_.group_size};
}

void PackedLinear::set_weight(const packed::PackedWeight& weight) {
  TERN_CHECK(weight.out_features == options_.out_features && weight.in_features == options_.in_features, ShapeError,
             "[PackedLinear] expected a weight of ", options_.out_features, " x ", options_.in_features, ", got ",
             weight.out_features, " x ", weight.in_features);
  const packed::PackedWeight own = packed::repack(weight, packed::format_of(options_.format));
  TERN_CHECK(own.group_size == options_.group_size, ShapeError, "[PackedLinear] expected a group_size of ",
             options_.group_size, ", got ", own.group_size);
  weight_packed().copy_(own.bytes);
  weight_scale().copy_(own.scales);
  if (own.zero_points.defined()) weight_zero_point().copy_(own.zero_points);
}

void PackedLinear::set_bias(const Tensor& values) {
  TERN_CHECK(bias.defined(), StateError, "[PackedLinear] expected a module with a bias, got one without");
  check_defined("PackedLinear", values);
  TERN_CHECK(values.dtype() == DType::kF32, DTypeError, "[PackedLinear] expected a bias of dtype f32, got ",
             values.dtype());
  TERN_CHECK(values.shape() == Shape{options_.out_features}, ShapeError, "[PackedLinear] expected a bias ",
             Shape{options_.out_features}, ", got ", values.shape());
  for (const float v : values.to_vector<float>())
    TERN_CHECK(std::isfinite(v), NonFiniteError, "[PackedLinear] expected a finite bias, got ", v);
  NoGradGuard no_grad;
  bias().copy_(values);
}

// Looks at the bytes once for every time that they were written.
void PackedLinear::check_state() {
  const Tensor &bytes = weight_packed(), &scale = weight_scale(), &zero_point = weight_zero_point();
  if (checked_bytes_.is_of(bytes) && checked_scale_.is_of(scale) &&
      (!zero_point.defined() || checked_zero_point_.is_of(zero_point)))
    return;
  packed::check(weight());
  if (zero_point.defined()) checked_zero_point_ = TensorStamp(zero_point);
  checked_bytes_ = TensorStamp(bytes);
  checked_scale_ = TensorStamp(scale);
}

Tensor PackedLinear::forward(const Tensor& x) {
  check_state();
  if (!subln) return packed::packed_linear(x, weight(), bias());
  const nn::RMSNorm* norm = subln->plain();
  if (norm == nullptr) return packed::packed_linear((*subln)(x), weight(), bias());  // replaced, or with hooks
  return packed::packed_linear(x, weight(), bias(),
                               packed::TokenNorm{.weight = norm->weight(), .eps = norm->options().eps});
}

std::string PackedLinear::extra_text() const {
  return concat(options_.in_features, ", ", options_.out_features, options_.bias ? "" : ", bias=false",
                options_.subln ? ", subln=true" : "");
}

int64_t PackedLinear::macs(const Shape&, const Shape& output) const {
  return numel_of(output) * options_.in_features;
}

}  // namespace tern::quant
