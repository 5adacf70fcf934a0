#include <cmath>

#include <tern/core/ops/norm.h>
#include <tern/nn/detail/filled_if.h>
#include <tern/nn/layers/norms.h>

namespace tern::nn {
namespace {

using detail::filled_if;

void check_eps(const char* type, double eps) {
  TERN_CHECK(std::isfinite(eps) && eps >= 0, ValueError, "[", type, "] expected eps of at least 0, got ", eps);
}

const LayerNorm::Options& checked(const LayerNorm::Options& o) {
  TERN_CHECK(!o.normalized_shape.empty() && numel_of(o.normalized_shape) >= 1, ValueError,
             "[LayerNorm] expected a normalized_shape of sizes above 0, got ", o.normalized_shape);
  check_eps("LayerNorm", o.eps);
  return o;
}

const RMSNorm::Options& checked(const RMSNorm::Options& o) {
  TERN_CHECK(o.dim >= 1, ValueError, "[RMSNorm] expected dim of at least 1, got ", o.dim);
  check_eps("RMSNorm", o.eps);
  return o;
}

const GroupNorm::Options& checked(const GroupNorm::Options& o) {
  TERN_CHECK(o.num_groups >= 1 && o.num_channels >= 1 && o.num_channels % o.num_groups == 0, ValueError,
             "[GroupNorm] expected num_groups that divides num_channels, got ", o.num_groups, " and ", o.num_channels);
  check_eps("GroupNorm", o.eps);
  return o;
}

}  // namespace

LayerNorm::LayerNorm(const Options& options)
    : options_(checked(options)),
      weight(this, "weight", filled_if(options.elementwise_affine, options.normalized_shape, 1)),
      bias(this, "bias", filled_if(options.elementwise_affine && options.bias, options.normalized_shape, 0)) {}

void LayerNorm::check_input(const Tensor& x) const {
  const Shape& sizes = options_.normalized_shape;
  bool fits = x.dim() >= sizes.size();
  for (int64_t i = 1; fits && i <= sizes.size(); ++i) fits = x.size(-i) == sizes[sizes.size() - i];
  TERN_CHECK(fits, ShapeError, "[layer_norm] expected x with the last sizes ", sizes, ", got ", x.shape());
}

Tensor LayerNorm::forward(const Tensor& x) {
  return layer_norm(x, options_.normalized_shape, weight(), bias(), options_.eps);
}

std::string LayerNorm::extra_text() const {
  return concat(options_.normalized_shape, ", eps=", options_.eps,
                options_.elementwise_affine ? "" : ", elementwise_affine=false", options_.bias ? "" : ", bias=false");
}

RMSNorm::RMSNorm(const Options& options)
    : options_(checked(options)), weight(this, "weight", filled_if(options.elementwise_affine, {options.dim}, 1)) {}

void RMSNorm::check_input(const Tensor& x) const {
  TERN_CHECK(x.dim() >= 1 && x.size(-1) == options_.dim, ShapeError, "[rms_norm] expected input [..., ", options_.dim,
             "], got ", x.shape());
}

Tensor RMSNorm::forward(const Tensor& x) {
  check_input(x);
  return rms_norm(x, weight(), options_.eps);
}

std::string RMSNorm::extra_text() const {
  return concat(options_.dim, ", eps=", options_.eps, options_.elementwise_affine ? "" : ", elementwise_affine=false");
}

GroupNorm::GroupNorm(const Options& options)
    : options_(checked(options)),
      weight(this, "weight", filled_if(options.affine, {options.num_channels}, 1)),
      bias(this, "bias", filled_if(options.affine, {options.num_channels}, 0)) {}

Tensor GroupNorm::forward(const Tensor& x) {
  TERN_CHECK(x.dim() >= 2 && x.size(1) == options_.num_channels, ShapeError, "[group_norm] expected input [N, ",
             options_.num_channels, ", ...], got ", x.shape());
  return group_norm(x, options_.num_groups, weight(), bias(), options_.eps);
}

std::string GroupNorm::extra_text() const {
  return concat(options_.num_groups, ", ", options_.num_channels, ", eps=", options_.eps,
                options_.affine ? "" : ", affine=false");
}

}  // namespace tern::nn
