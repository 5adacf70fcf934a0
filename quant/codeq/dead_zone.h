// The dead-zone quantizer of CoDeQ (arXiv 2512.12981): one range, one learnable dead-zone and one learnable bit-width a
// tensor.
//
//   A = quantile_0.99(|w|)                                   range; constant for the gradient
//   B = round((b_max - b_min) |tanh theta_b| + b_min)        bits, or fixed
//   Q = 2^(B-1) - 1                                          top code
//   d = 2 A (1 - |tanh theta_z|)                             full width of the dead-zone
//   s = (A - d/2) / (Q - 1/2) + eps                          step
//   delta = d/2 - s/2                                        shift of the levels
//   u = sign(w) max(|w| - delta, 0) / s,   q = clamp(round(u), -Q, Q),   w_hat = s q + delta sign(q)
//
// |w| <= d/2 becomes zero; the levels are 0 and +-(delta + k s). Rounding is half to even. Gradients treat round, clamp
// and the inner max as the identity (straight-through) and A as a constant.
#pragma once

#include <cstdint>

#include <tern/core/tensor.h>

namespace tern::quant::codeq {

/// What the largest level of a layer is taken from.
enum class Range {
  kQuantile,  ///< the 0.99 quantile of |w| (published): at most about 99 % of a tensor can be zero
  kMaximum,   ///< the true maximum of |w|
};

/// Constants of the quantizer and the safeguards against weaknesses of the published one. The defaults are the
/// published behaviour; only check_finite is on, as it changes no finite result.
struct DeadZoneOptions {
  bool learnable_bits = false;      ///< bits from logit_bit, in [min_bits, max_bits]; else fixed_bits, no gradient
  bool learnable_dead_zone = true;  ///< false: logit_dz gets no gradient
  int fixed_bits = 4;               ///< 2..16
  int min_bits = 2;                 ///< 2..max_bits
  int max_bits = 8;                 ///< min_bits..16
  double quantile = 0.99;           ///< in (0, 1]: of |w|, for Range::kQuantile
  double eps = 1e-8;                ///< added to the step; > 0

  Range range = Range::kQuantile;
  bool relative_eps = false;  ///< eps * A in place of eps, so that tiny weights keep their relative precision
  bool mask_clamped = false;  ///< clamped entries leave the logit gradients, which otherwise grow as 1/|theta_z| near 0
  bool mask_weight_gradient =
      false;                      ///< weights beyond the largest level get no gradient, so that they cannot drift away
  double max_logit_gradient = 0;  ///< clips both logit gradients to +-this; 0: no limit
  double min_abs_logit = 0;       ///< treats |theta| below this as this (with theta's sign), as the gradient is 0 at 0
  bool check_finite = true;       ///< NonFiniteError for NaN or infinity in the weight or a logit

  /// Throws ValueError, naming the setting, its value and its range.
  void validate() const;
};

/// The scalars that a tensor's quantizer works with at this moment. Lengths are in the units of the weights.
struct DeadZone {
  double range = 0;                  ///< A
  int bits = 0;                      ///< B
  double top_code = 0;               ///< Q
  double dead_zone = 0;              ///< d, full width
  double step = 0;                   ///< s
  double shift = 0;                  ///< delta, negative where the dead-zone is narrower than a step
  double tanh_dz = 0, tanh_bit = 0;  ///< tanh theta_z, tanh theta_b
};

/// The quantile of |w|: linear interpolation between order statistics as torch.quantile has it, found by selection in
/// O(n). w: any shape, f32 or f64, at least one element, no NaN; p in [0, 1]. Throws ShapeError for no elements,
/// ValueError for p, DTypeError.
double abs_quantile(const Tensor& w, double p);

/// B: fixed_bits, or from logit_bit, theta_b, where NaN gives max_bits.
int bits_of(double logit_bit, const DeadZoneOptions& options);

/// The scalars for a weight and its logits. w as in abs_quantile, but a tensor without elements gives range 0. Throws
/// ValueError for options out of range, DTypeError.
DeadZone dead_zone_of(const Tensor& w, double logit_dz, double logit_bit, const DeadZoneOptions& options);

/// w_hat. w: any shape, f32 or f64; logit_dz and logit_bit: one element each, of w's dtype. Result: w's shape, dtype
/// and layout. Differentiable in all three. Backward, with g = dL/dw_hat, h = Q - 1/2, e1 = sum g (q - u), e2 = sum g
/// (sign q - sign w):
///   dL/dw = g where w != 0, else 0
///   dL/dd = -e1 / (2h) + (1/2 + 1/(4h)) e2,     dL/dtheta_z = dL/dd (-2A) sign(tanh theta_z) (1 - tanh^2 theta_z)
///   dL/dQ = -(A - d/2)/h^2 (e1 - e2/2),         dL/dtheta_b = dL/dQ ln2 (Q + 1) (b_max - b_min) sign(tanh theta_b) (1
///   - tanh^2 theta_b)
/// The sums are taken in double, in a fixed order; the options' safeguards change the gradients as they say. Throws
/// DTypeError for other or mixed dtypes, ShapeError for logits of more than one element, ValueError for options out of
/// range, and with check_finite NonFiniteError.
[[nodiscard]] Tensor dead_zone_quantize(const Tensor& w, const Tensor& logit_dz, const Tensor& logit_bit,
                                        const DeadZoneOptions& options = {});

/// The integer codes q of every weight, i32, w's shape and layout; no gradient. w: f32 or f64 (DTypeError), here and
/// below.
[[nodiscard]] Tensor dead_zone_codes(const Tensor& w, const DeadZone& quantizer);

/// What the codes of a tensor amount to.
struct CodeCounts {
  int64_t zeros = 0;    ///< codes that are 0
  int64_t clamped = 0;  ///< weights that round beyond +-Q
};
CodeCounts count_codes(const Tensor& w, const DeadZone& quantizer);

}  // namespace tern::quant::codeq
