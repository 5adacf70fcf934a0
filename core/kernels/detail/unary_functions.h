// The element-wise functions of one operand, one struct each: all that kernels/unary and the ops know about them.
//
// To add one, write its struct here, with TERN_UNARY below it, and its public function in core/ops, whose definition is
// `return unary<FooOp>(x);`. Kernels (instantiated by TERN_UNARY in unary.cpp), checks and the backward follow.
//
// forward(x, a, b) is the value at x with settings a and b; backward(g, x or y, a, b) is g times the derivative, as
// kTraits.gradient says. M is elementwise_math.h as compiled for an instruction set. Derivatives at kinks are those
// that the public headers name.
#pragma once

#include <tern/core/kernels/unary.h>

#ifndef TERN_UNARY
#define TERN_UNARY(Op)
#endif

namespace tern {

#define TERN_ELEMENT          \
  template <class M, class T> \
  [[gnu::always_inline]] static T

// -- elementwise.h

struct NegOp {
  static constexpr UnaryTraits kTraits{.name = "neg", .integers = true, .gradient = UnaryGradient::kLinear};
  TERN_ELEMENT forward(T x, T, T) { return static_cast<T>(-x); }
  TERN_ELEMENT backward(T g, T, T) { return -g; }
};
TERN_UNARY(NegOp)

struct AbsOp {
  static constexpr UnaryTraits kTraits{.name = "abs", .integers = true, .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T, T) { return M::absolute(x); }
  TERN_ELEMENT backward(T g, T x, T, T) { return x > T(0) ? g : x < T(0) ? -g : T(0); }
};
TERN_UNARY(AbsOp)

struct SignOp {
  static constexpr UnaryTraits kTraits{.name = "sign", .integers = true, .gradient = UnaryGradient::kZero};
  TERN_ELEMENT forward(T x, T, T) { return x > T(0) ? T(1) : x < T(0) ? static_cast<T>(-1) : T(0); }
};
TERN_UNARY(SignOp)

struct SquareOp {
  static constexpr UnaryTraits kTraits{.name = "square", .integers = true, .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T, T) { return static_cast<T>(x * x); }
  TERN_ELEMENT backward(T g, T x, T, T) { return T(2) * g * x; }
};
TERN_UNARY(SquareOp)

/// x + v
struct AddScalarOp {
  static constexpr UnaryTraits kTraits{.name = "add", .integers = true, .gradient = UnaryGradient::kOne};
  TERN_ELEMENT forward(T x, T v, T) { return static_cast<T>(x + v); }
};
TERN_UNARY(AddScalarOp)

/// v - x
struct SubFromOp {
  static constexpr UnaryTraits kTraits{.name = "sub", .integers = true, .gradient = UnaryGradient::kLinear};
  TERN_ELEMENT forward(T x, T v, T) { return static_cast<T>(v - x); }
  TERN_ELEMENT backward(T g, T, T) { return -g; }
};
TERN_UNARY(SubFromOp)

/// v x
struct MulScalarOp {
  static constexpr UnaryTraits kTraits{.name = "mul", .integers = true, .gradient = UnaryGradient::kLinear};
  TERN_ELEMENT forward(T x, T v, T) { return static_cast<T>(x * v); }
  TERN_ELEMENT backward(T g, T v, T) { return g * v; }
};
TERN_UNARY(MulScalarOp)

/// min(max(x, low), high)
struct ClampOp {
  static constexpr UnaryTraits kTraits{
      .name = "clamp", .integers = true, .gradient = UnaryGradient::kFromInput, .infinite_settings = true};
  TERN_ELEMENT forward(T x, T low, T high) {
    const T raised = x < low ? low : x;
    return raised > high ? high : raised;
  }
  TERN_ELEMENT backward(T g, T x, T low, T high) { return x >= low && x <= high ? g : T(0); }
};
TERN_UNARY(ClampOp)

/// x / v
struct DivScalarOp {
  static constexpr UnaryTraits kTraits{.name = "div", .gradient = UnaryGradient::kLinear};
  TERN_ELEMENT forward(T x, T v, T) { return x / v; }
  TERN_ELEMENT backward(T g, T v, T) { return g / v; }
};
TERN_UNARY(DivScalarOp)

/// v / x
struct DivideOp {
  static constexpr UnaryTraits kTraits{.name = "div", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T v, T) { return v / x; }
  TERN_ELEMENT backward(T g, T x, T v, T) { return -g * v / (x * x); }
};
TERN_UNARY(DivideOp)

/// x^exponent. The common exponents, below, are products and roots.
struct PowScalarOp {
  static constexpr UnaryTraits kTraits{.name = "pow", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T exponent, T) { return M::power(x, exponent); }
  TERN_ELEMENT backward(T g, T x, T exponent, T) {
    return exponent == T(0) ? T(0) : g * (exponent * M::power(x, exponent - T(1)));
  }
};
TERN_UNARY(PowScalarOp)

struct PowZeroOp : PowScalarOp {
  TERN_ELEMENT forward(T, T, T) { return T(1); }
};
TERN_UNARY(PowZeroOp)

struct PowOneOp : PowScalarOp {
  TERN_ELEMENT forward(T x, T, T) { return x; }
};
TERN_UNARY(PowOneOp)

struct PowTwoOp : PowScalarOp {
  TERN_ELEMENT forward(T x, T, T) { return x * x; }
  TERN_ELEMENT backward(T g, T x, T, T) { return T(2) * g * x; }
};
TERN_UNARY(PowTwoOp)

struct PowThreeOp : PowScalarOp {
  TERN_ELEMENT forward(T x, T, T) { return x * x * x; }
  TERN_ELEMENT backward(T g, T x, T, T) { return T(3) * g * (x * x); }
};
TERN_UNARY(PowThreeOp)

struct PowInverseOp : PowScalarOp {
  TERN_ELEMENT forward(T x, T, T) { return T(1) / x; }
};
TERN_UNARY(PowInverseOp)

struct PowInverseSquareOp : PowScalarOp {
  TERN_ELEMENT forward(T x, T, T) { return T(1) / (x * x); }
};
TERN_UNARY(PowInverseSquareOp)

struct PowRootOp : PowScalarOp {
  TERN_ELEMENT forward(T x, T, T) { return M::sqrt(x); }
  TERN_ELEMENT backward(T g, T x, T, T) { return g * (T(0.5) / M::sqrt(x)); }
};
TERN_UNARY(PowRootOp)

struct PowInverseRootOp : PowScalarOp {
  TERN_ELEMENT forward(T x, T, T) { return T(1) / M::sqrt(x); }
};
TERN_UNARY(PowInverseRootOp)

/// base^x. 0 to a power of at least 0 is 0 or 1: no slope.
struct ScalarPowOp {
  static constexpr UnaryTraits kTraits{.name = "pow", .gradient = UnaryGradient::kFromOutput};
  TERN_ELEMENT forward(T x, T base, T) { return M::power(base, x); }
  TERN_ELEMENT backward(T g, T y, T base, T log_base) {
    return base == T(0) && y >= T(-1) && y <= T(1) ? T(0) : g * y * log_base;
  }
};
TERN_UNARY(ScalarPowOp)

struct ExpOp {
  static constexpr UnaryTraits kTraits{.name = "exp", .gradient = UnaryGradient::kFromOutput};
  TERN_ELEMENT forward(T x, T, T) { return M::exp(x); }
  TERN_ELEMENT backward(T g, T y, T, T) { return g * y; }
};
TERN_UNARY(ExpOp)

struct Expm1Op {
  static constexpr UnaryTraits kTraits{.name = "expm1", .gradient = UnaryGradient::kFromOutput};
  TERN_ELEMENT forward(T x, T, T) { return M::expm1(x); }
  TERN_ELEMENT backward(T g, T y, T, T) { return g * (y + T(1)); }
};
TERN_UNARY(Expm1Op)

struct LogOp {
  static constexpr UnaryTraits kTraits{.name = "log", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T, T) { return M::log(x); }
  TERN_ELEMENT backward(T g, T x, T, T) { return g / x; }
};
TERN_UNARY(LogOp)

struct Log2Op {
  static constexpr UnaryTraits kTraits{.name = "log2", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T, T) { return M::log2(x); }
  TERN_ELEMENT backward(T g, T x, T, T) { return g / (x * T(0.69314718055994531)); }
};
TERN_UNARY(Log2Op)

struct Log1pOp {
  static constexpr UnaryTraits kTraits{.name = "log1p", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T, T) { return M::log1p(x); }
  TERN_ELEMENT backward(T g, T x, T, T) { return g / (T(1) + x); }
};
TERN_UNARY(Log1pOp)

struct SqrtOp {
  static constexpr UnaryTraits kTraits{.name = "sqrt", .gradient = UnaryGradient::kFromOutput};
  TERN_ELEMENT forward(T x, T, T) { return M::sqrt(x); }
  TERN_ELEMENT backward(T g, T y, T, T) { return g / (T(2) * y); }
};
TERN_UNARY(SqrtOp)

struct RsqrtOp {
  static constexpr UnaryTraits kTraits{.name = "rsqrt", .gradient = UnaryGradient::kFromOutput};
  TERN_ELEMENT forward(T x, T, T) { return T(1) / M::sqrt(x); }
  TERN_ELEMENT backward(T g, T y, T, T) { return T(-0.5) * g * (y * y * y); }
};
TERN_UNARY(RsqrtOp)

struct ReciprocalOp {
  static constexpr UnaryTraits kTraits{.name = "reciprocal", .gradient = UnaryGradient::kFromOutput};
  TERN_ELEMENT forward(T x, T, T) { return T(1) / x; }
  TERN_ELEMENT backward(T g, T y, T, T) { return -g * (y * y); }
};
TERN_UNARY(ReciprocalOp)

struct SinOp {
  static constexpr UnaryTraits kTraits{.name = "sin", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T, T) { return M::sin(x); }
  TERN_ELEMENT backward(T g, T x, T, T) { return g * M::cos(x); }
  /// For angles that M::sin and M::cos do not reduce well enough: the C library's.
  template <class M>
  [[gnu::always_inline]] static bool is_exceptional(float x) {
    return !(__builtin_fabsf(x) < M::kTrigonometricLimit);  // NaN too
  }
  [[gnu::always_inline]] static float exceptional(float x) { return __builtin_sinf(x); }
  [[gnu::always_inline]] static float exceptional_backward(float g, float x) { return g * __builtin_cosf(x); }
};
TERN_UNARY(SinOp)

struct CosOp {
  static constexpr UnaryTraits kTraits{.name = "cos", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T, T) { return M::cos(x); }
  TERN_ELEMENT backward(T g, T x, T, T) { return -g * M::sin(x); }
  /// For angles that M::sin and M::cos do not reduce well enough: the C library's.
  template <class M>
  [[gnu::always_inline]] static bool is_exceptional(float x) {
    return !(__builtin_fabsf(x) < M::kTrigonometricLimit);  // NaN too
  }
  [[gnu::always_inline]] static float exceptional(float x) { return __builtin_cosf(x); }
  [[gnu::always_inline]] static float exceptional_backward(float g, float x) { return g * -__builtin_sinf(x); }
};
TERN_UNARY(CosOp)

struct AtanOp {
  static constexpr UnaryTraits kTraits{.name = "atan", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T, T) { return M::atan(x); }
  TERN_ELEMENT backward(T g, T x, T, T) { return g / (T(1) + x * x); }
};
TERN_UNARY(AtanOp)

struct ErfOp {
  static constexpr UnaryTraits kTraits{.name = "erf", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T, T) { return M::erf(x); }
  TERN_ELEMENT backward(T g, T x, T, T) { return g * (T(1.1283791670955126) * M::exp(-x * x)); }
};
TERN_UNARY(ErfOp)

struct FloorOp {
  static constexpr UnaryTraits kTraits{.name = "floor", .gradient = UnaryGradient::kZero};
  TERN_ELEMENT forward(T x, T, T) { return M::floor(x); }
};
TERN_UNARY(FloorOp)

struct CeilOp {
  static constexpr UnaryTraits kTraits{.name = "ceil", .gradient = UnaryGradient::kZero};
  TERN_ELEMENT forward(T x, T, T) { return M::ceil(x); }
};
TERN_UNARY(CeilOp)

struct TruncOp {
  static constexpr UnaryTraits kTraits{.name = "trunc", .gradient = UnaryGradient::kZero};
  TERN_ELEMENT forward(T x, T, T) { return M::trunc(x); }
};
TERN_UNARY(TruncOp)

struct RoundOp {
  static constexpr UnaryTraits kTraits{.name = "round", .gradient = UnaryGradient::kZero};
  TERN_ELEMENT forward(T x, T, T) { return M::round(x); }
};
TERN_UNARY(RoundOp)

// -- activation.h

struct ReluOp {
  static constexpr UnaryTraits kTraits{.name = "relu", .gradient = UnaryGradient::kFromOutput};
  TERN_ELEMENT forward(T x, T, T) { return x < T(0) ? T(0) : x; }
  TERN_ELEMENT backward(T g, T y, T, T) { return y <= T(0) ? T(0) : g; }
};
TERN_UNARY(ReluOp)

/// min(max(x, low), high); unlike ClampOp's, the gradient at the bounds and at NaN is 0.
struct HardTanhOp {
  static constexpr UnaryTraits kTraits{.name = "hardtanh", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T low, T high) {
    const T raised = x < low ? low : x;
    return raised > high ? high : raised;
  }
  TERN_ELEMENT backward(T g, T x, T low, T high) { return x > low && x < high ? g : T(0); }
};
TERN_UNARY(HardTanhOp)

struct LeakyReluOp {
  static constexpr UnaryTraits kTraits{.name = "leaky_relu", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T slope, T) { return x > T(0) ? x : x * slope; }
  TERN_ELEMENT backward(T g, T x, T slope, T) { return x > T(0) ? g : g * slope; }
};
TERN_UNARY(LeakyReluOp)

struct EluOp {
  static constexpr UnaryTraits kTraits{.name = "elu", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T alpha, T scale) { return x > T(0) ? scale * x : scale * alpha * M::expm1(x); }
  TERN_ELEMENT backward(T g, T x, T alpha, T scale) { return x > T(0) ? g * scale : g * (alpha * scale) * M::exp(x); }
};
TERN_UNARY(EluOp)

struct CeluOp {
  static constexpr UnaryTraits kTraits{.name = "celu", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T alpha, T) { return x > T(0) ? x : alpha * M::expm1(x / alpha); }
  TERN_ELEMENT backward(T g, T x, T alpha, T) { return x > T(0) ? g : g * M::exp(x / alpha); }
};
TERN_UNARY(CeluOp)

struct GeluErfOp {
  static constexpr UnaryTraits kTraits{.name = "gelu", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T, T) { return M::gelu_erf(x); }
  TERN_ELEMENT backward(T g, T x, T, T) { return g * M::gelu_erf_slope(x); }
};
TERN_UNARY(GeluErfOp)

struct GeluTanhOp {
  static constexpr UnaryTraits kTraits{.name = "gelu", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T, T) { return M::gelu_tanh(x); }
  TERN_ELEMENT backward(T g, T x, T, T) { return g * M::gelu_tanh_slope(x); }
};
TERN_UNARY(GeluTanhOp)

struct SigmoidOp {
  static constexpr UnaryTraits kTraits{.name = "sigmoid", .gradient = UnaryGradient::kFromOutput};
  TERN_ELEMENT forward(T x, T, T) { return M::sigmoid(x); }
  TERN_ELEMENT backward(T g, T y, T, T) { return g * (y * (T(1) - y)); }
};
TERN_UNARY(SigmoidOp)

struct LogSigmoidOp {
  static constexpr UnaryTraits kTraits{.name = "logsigmoid", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T, T) { return (x < T(0) ? x : T(0)) - M::log1p(M::exp(-M::absolute(x))); }
  TERN_ELEMENT backward(T g, T x, T, T) { return g * M::sigmoid(-x); }
};
TERN_UNARY(LogSigmoidOp)

struct TanhOp {
  static constexpr UnaryTraits kTraits{.name = "tanh", .gradient = UnaryGradient::kFromOutput};
  TERN_ELEMENT forward(T x, T, T) { return M::tanh(x); }
  TERN_ELEMENT backward(T g, T y, T, T) { return g * (T(1) - y * y); }
};
TERN_UNARY(TanhOp)

struct SiluOp {
  static constexpr UnaryTraits kTraits{.name = "silu", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T, T) { return M::silu(x); }
  TERN_ELEMENT backward(T g, T x, T, T) { return g * M::silu_slope(x); }
};
TERN_UNARY(SiluOp)

struct MishOp {
  static constexpr UnaryTraits kTraits{.name = "mish", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T, T) { return M::mish(x); }
  TERN_ELEMENT backward(T g, T x, T, T) { return g * M::mish_slope(x); }
};
TERN_UNARY(MishOp)

struct SoftSignOp {
  static constexpr UnaryTraits kTraits{.name = "softsign", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T, T) { return x / (T(1) + M::absolute(x)); }
  TERN_ELEMENT backward(T g, T x, T, T) {
    const T scale = T(1) / (T(1) + M::absolute(x));
    return g * scale * scale;
  }
};
TERN_UNARY(SoftSignOp)

struct TanhShrinkOp {
  static constexpr UnaryTraits kTraits{.name = "tanhshrink", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T, T) { return x - M::tanh(x); }
  TERN_ELEMENT backward(T g, T x, T, T) {
    const T t = M::tanh(x);
    return g * (t * t);
  }
};
TERN_UNARY(TanhShrinkOp)

struct HardShrinkOp {
  static constexpr UnaryTraits kTraits{.name = "hardshrink", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T edge, T) { return x >= -edge && x <= edge ? T(0) : x; }
  TERN_ELEMENT backward(T g, T x, T edge, T) { return x > edge || x < -edge ? g : T(0); }
};
TERN_UNARY(HardShrinkOp)

struct SoftShrinkOp {
  static constexpr UnaryTraits kTraits{.name = "softshrink", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T edge, T) {
    const T shrunk = x > T(0) ? x - edge : x + edge;
    return x >= -edge && x <= edge ? T(0) : shrunk;
  }
  TERN_ELEMENT backward(T g, T x, T edge, T) { return x > edge || x < -edge ? g : T(0); }
};
TERN_UNARY(SoftShrinkOp)

struct ThresholdOp {
  static constexpr UnaryTraits kTraits{.name = "threshold", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T edge, T value) { return x <= edge ? value : x; }
  TERN_ELEMENT backward(T g, T x, T edge, T) { return x <= edge ? T(0) : g; }
};
TERN_UNARY(ThresholdOp)

struct HardSigmoidOp {
  static constexpr UnaryTraits kTraits{.name = "hardsigmoid", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T, T) {
    const T shifted = x + T(3);
    const T low = shifted < T(0) ? T(0) : shifted;
    return (low > T(6) ? T(6) : low) / T(6);
  }
  TERN_ELEMENT backward(T g, T x, T, T) { return x > T(-3) && x < T(3) ? g / T(6) : T(0); }
};
TERN_UNARY(HardSigmoidOp)

struct HardSwishOp {
  static constexpr UnaryTraits kTraits{.name = "hardswish", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T, T) { return x * HardSigmoidOp::forward<M>(x, T(0), T(0)); }
  TERN_ELEMENT backward(T g, T x, T, T) {
    const T inside = g * (x / T(3) + T(0.5));
    return x < T(-3) ? T(0) : x > T(3) ? g : inside;
  }
};
TERN_UNARY(HardSwishOp)

struct SoftplusOp {
  static constexpr UnaryTraits kTraits{.name = "softplus", .gradient = UnaryGradient::kFromInput};
  TERN_ELEMENT forward(T x, T beta, T threshold) {
    const T z = x * beta;
    return z > threshold ? x : M::log1p(M::exp(z > threshold ? T(0) : z)) / beta;
  }
  TERN_ELEMENT backward(T g, T x, T beta, T threshold) { return x * beta > threshold ? g : g * M::sigmoid(x * beta); }
};
TERN_UNARY(SoftplusOp)

#undef TERN_ELEMENT
#undef TERN_UNARY

}  // namespace tern
