#include <algorithm>
#include <cmath>
#include <numbers>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/finite.h>
#include <tern/core/ops/copy.h>
#include <tern/core/order_statistics.h>
#include <tern/core/rounding.h>
#include <tern/quant/codeq/dead_zone.h>
#include <tern/quant/kernels/dead_zone.h>

namespace tern::quant::codeq {
namespace {

kernels::DeadZoneScalars scalars(const DeadZone& z) {
  return {z.step, z.shift, z.top_code};
}

double clamped_logit(double logit, double min_abs) {
  return std::abs(logit) < min_abs ? std::copysign(min_abs, logit) : logit;
}

double sign(double v) {
  return static_cast<double>(v > 0) - static_cast<double>(v < 0);
}

struct DeadZoneBackward {
  static constexpr const char* kName = "dead_zone_quantize";
  SavedTensor w;
  DeadZone z;
  DeadZoneOptions options;

  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    const Tensor& x = *w;
    // Both walk the weight's own order of elements.
    Tensor g = grad_output;
    if (!g.is_dense() || g.strides() != x.strides()) g = empty_like(x).copy_(grad_output);
    const int64_t n = x.numel();
    Tensor grad_w = needs[0] ? empty_like(x) : Tensor();
    std::vector<kernels::DeadZoneSums> partial(static_cast<size_t>(chunk_count(n, kernels::kDeadZoneGrain)));
    dispatch_float(kName, x.dtype(), [&]<class T>() {
      TERN_KERNEL(dead_zone_backward<T>)
      (x.data<T>(), g.data<T>(), needs[0] ? grad_w.data<T>() : nullptr, partial.data(), n, scalars(z),
       options.mask_clamped, options.mask_weight_gradient);
    });
    double e1 = 0, e2 = 0;
    for (const auto& sums : partial) e1 += sums.e1, e2 += sums.e2;

    const double h = z.top_code - 0.5;
    const double step_by_d = -0.5 / h, shift_by_d = 0.5 - 0.5 * step_by_d;
    const double d_by_logit = -2.0 * z.range * sign(z.tanh_dz) * (1 - z.tanh_dz * z.tanh_dz);
    const double grad_dz = options.learnable_dead_zone ? (e1 * step_by_d + e2 * shift_by_d) * d_by_logit : 0.0;

    const double step_by_q = -(z.range - z.dead_zone / 2) / (h * h);
    const double q_by_logit = std::numbers::ln2 * (z.top_code + 1) * (options.max_bits - options.min_bits) *
                              sign(z.tanh_bit) * (1 - z.tanh_bit * z.tanh_bit);
    const double grad_bit = options.learnable_bits ? (e1 - 0.5 * e2) * step_by_q * q_by_logit : 0.0;

    const auto scalar = [&](double v, size_t input) {
      if (!needs[input]) return Tensor();
      if (options.max_logit_gradient > 0) v = std::clamp(v, -options.max_logit_gradient, options.max_logit_gradient);
      return empty(logit_shape[input - 1], x.dtype()).fill_(v);
    };
    return {grad_w, scalar(grad_dz, 1), scalar(grad_bit, 2)};
  }
  Shape logit_shape[2];
};

}  // namespace

void DeadZoneOptions::validate() const {
  const auto check_bits = [](const char* name, int bits, int low) {
    TERN_CHECK(bits >= low && bits <= 16, ValueError, "[codeq] expected ", name, " in [", low, ", 16], got ", bits);
  };
  check_bits("fixed_bits", fixed_bits, 2);
  check_bits("min_bits", min_bits, 2);
  check_bits("max_bits", max_bits, min_bits);
  TERN_CHECK(quantile > 0 && quantile <= 1, ValueError, "[codeq] expected quantile in (0, 1], got ", quantile);
  TERN_CHECK(eps > 0 && std::isfinite(eps), ValueError, "[codeq] expected eps above 0, got ", eps);
  TERN_CHECK(max_logit_gradient >= 0, ValueError, "[codeq] expected max_logit_gradient of at least 0, got ",
             max_logit_gradient);
  TERN_CHECK(min_abs_logit >= 0, ValueError, "[codeq] expected min_abs_logit of at least 0, got ", min_abs_logit);
}

double abs_quantile(const Tensor& w, double p) {
  TERN_CHECK(w.numel() > 0, ShapeError, "[abs_quantile] expected at least one element, got shape ", w.shape());
  TERN_CHECK(p >= 0 && p <= 1, ValueError, "[abs_quantile] expected p in [0, 1], got ", p);
  const NoGradGuard no_grad;
  const Tensor x = dense(w);
  return dispatch_float("abs_quantile", x.dtype(), [&]<class T>() -> double {
    return quantile_of(x.data<T>(), x.numel(), p, SelectKey::kMagnitude);
  });
}

int bits_of(double logit_bit, const DeadZoneOptions& options) {
  if (!options.learnable_bits) return options.fixed_bits;
  const double tanh_bit = std::tanh(clamped_logit(logit_bit, options.min_abs_logit));
  if (std::isnan(tanh_bit)) return options.max_bits;
  return static_cast<int>(
      round_half_even((options.max_bits - options.min_bits) * std::abs(tanh_bit) + options.min_bits));
}

DeadZone dead_zone_of(const Tensor& w, double logit_dz, double logit_bit, const DeadZoneOptions& options) {
  options.validate();
  DeadZone z;
  if (w.numel() > 0) z.range = abs_quantile(w, options.range == Range::kMaximum ? 1.0 : options.quantile);
  z.tanh_dz = std::tanh(clamped_logit(logit_dz, options.min_abs_logit));
  z.tanh_bit = std::tanh(clamped_logit(logit_bit, options.min_abs_logit));
  z.bits = bits_of(logit_bit, options);
  z.top_code = std::exp2(z.bits - 1) - 1;
  z.dead_zone = 2 * z.range * (1 - std::abs(z.tanh_dz));
  const double eps = options.relative_eps ? options.eps * std::max(z.range, 1e-30) : options.eps;
  z.step = (z.range - z.dead_zone / 2) / (z.top_code - 0.5) + eps;
  z.shift = z.dead_zone / 2 - z.step / 2;
  return z;
}

Tensor dead_zone_quantize(const Tensor& w, const Tensor& logit_dz, const Tensor& logit_bit,
                          const DeadZoneOptions& options) {
  TERN_CHECK(w.dtype() == DType::kF32 || w.dtype() == DType::kF64, DTypeError, "[", DeadZoneBackward::kName,
             "] expected a weight of f32 or f64, got ", w.dtype());
  for (const Tensor* logit : {&logit_dz, &logit_bit}) {
    TERN_CHECK(logit->numel() == 1, ShapeError, "[", DeadZoneBackward::kName,
               "] expected logits of one element, got shape ", logit->shape());
    TERN_CHECK(logit->dtype() == w.dtype(), DTypeError, "[", DeadZoneBackward::kName,
               "] expected logits of the weight's dtype ", w.dtype(), ", got ", logit->dtype());
  }
  const Tensor x = dense(w);
  const double theta_z = logit_dz.item(), theta_b = logit_bit.item();
  if (options.check_finite) {
    TERN_CHECK(std::isfinite(theta_z) && std::isfinite(theta_b), NonFiniteError, "[", DeadZoneBackward::kName,
               "] expected finite logits, got dead-zone ", theta_z, " and bit-width ", theta_b);
    TERN_CHECK(all_finite(x), NonFiniteError, "[", DeadZoneBackward::kName,
               "] expected finite weights, got NaN or infinity in a weight of ", describe(x));
  }
  const DeadZone z = dead_zone_of(x, theta_z, theta_b, options);
  Tensor out = empty_like(x);
  dispatch_float(DeadZoneBackward::kName, x.dtype(), [&]<class T>() {
    TERN_KERNEL(dead_zone_forward<T>)(x.data<T>(), out.data<T>(), x.numel(), scalars(z));
  });
  DeadZoneBackward saved;
  saved.w = x;
  saved.z = z;
  saved.options = options;
  saved.logit_shape[0] = logit_dz.shape();
  saved.logit_shape[1] = logit_bit.shape();
  return autograd::record<DeadZoneBackward>(out, {x, logit_dz, logit_bit}, std::move(saved));
}

Tensor dead_zone_codes(const Tensor& w, const DeadZone& z) {
  const NoGradGuard no_grad;
  const Tensor x = dense(w);
  Tensor codes = empty_like(x, DType::kI32);
  dispatch_float("dead_zone_codes", x.dtype(), [&]<class T>() {
    TERN_KERNEL(dead_zone_codes<T>)(x.data<T>(), codes.data<int32_t>(), x.numel(), scalars(z));
  });
  return codes;
}

CodeCounts count_codes(const Tensor& w, const DeadZone& z) {
  const NoGradGuard no_grad;
  const Tensor x = dense(w);
  CodeCounts counts;
  dispatch_float("count_codes", x.dtype(), [&]<class T>() {
    TERN_KERNEL(dead_zone_count<T>)(x.data<T>(), x.numel(), scalars(z), &counts.zeros, &counts.clamped);
  });
  return counts;
}

}  // namespace tern::quant::codeq
