#include <tern/core/kernels/detail/activation_math.h>
#include <tern/core/kernels/detail/elementwise_loops.h>
#include <tern/core/kernels/detail/vec_math.h>
#include <tern/core/kernels/unary.h>
#include <tern/core/rounding.h>

namespace tern::kernels::TERN_ISA {
namespace {

template <class T>
constexpr bool kIsFloat = T(0.5) != T(0);

inline float power(float x, float a) {
  return static_cast<float>(__builtin_pow(static_cast<double>(x), static_cast<double>(a)));
}
inline double power(double x, double a) {
  return __builtin_pow(x, a);
}
inline float arc_tangent(float x) {
  return __builtin_atanf(x);
}
inline double arc_tangent(double x) {
  return __builtin_atan(x);
}
inline float rounded_down(float x) {
  return __builtin_floorf(x);
}
inline double rounded_down(double x) {
  return __builtin_floor(x);
}
inline float rounded_up(float x) {
  return __builtin_ceilf(x);
}
inline double rounded_up(double x) {
  return __builtin_ceil(x);
}
inline float without_fraction(float x) {
  return __builtin_truncf(x);
}
inline double without_fraction(double x) {
  return __builtin_trunc(x);
}

template <class T>
inline T hard_sigmoid(T x) {
  const T shifted = x + T(3);
  const T low = shifted < T(0) ? T(0) : shifted;
  return (low > T(6) ? T(6) : low) / T(6);
}

// The common exponents by multiplications and roots, the others by the general function.
template <class T>
UnaryLoop<T> power_loop(T a) {
  if (a == T(0)) return unary_loop<T>([](T, T, T) { return T(1); });
  if (a == T(1)) return unary_loop<T>([](T x, T, T) { return x; });
  if (a == T(2)) return unary_loop<T>([](T x, T, T) { return x * x; });
  if (a == T(3)) return unary_loop<T>([](T x, T, T) { return x * x * x; });
  if (a == T(-1)) return unary_loop<T>([](T x, T, T) { return T(1) / x; });
  if (a == T(-2)) return unary_loop<T>([](T x, T, T) { return T(1) / (x * x); });
  if (a == T(0.5)) return unary_loop<T>([](T x, T, T) { return vec::sqrt(x); });
  if (a == T(-0.5)) return unary_loop<T>([](T x, T, T) { return T(1) / vec::sqrt(x); });
  return unary_loop<T>([](T x, T exponent, T) { return power(x, exponent); });
}

template <class T>
UnaryLoop<T> forward_loop(UnaryOp op, [[maybe_unused]] T a) {
  switch (op) {
    case UnaryOp::kNeg:
      return unary_loop<T>([](T x, T, T) { return static_cast<T>(-x); });
    case UnaryOp::kAbs:
      return unary_loop<T>([](T x, T, T) {
        if constexpr (kIsFloat<T>)
          return vec::fabs(x);
        else
          return static_cast<T>(x < T(0) ? -x : x);
      });
    case UnaryOp::kSign:
      return unary_loop<T>([](T x, T, T) { return x > T(0) ? T(1) : x < T(0) ? static_cast<T>(-1) : T(0); });
    case UnaryOp::kSquare:
      return unary_loop<T>([](T x, T, T) { return static_cast<T>(x * x); });
    case UnaryOp::kAddScalar:
      return unary_loop<T>([](T x, T v, T) { return static_cast<T>(x + v); });
    case UnaryOp::kSubFrom:
      return unary_loop<T>([](T x, T v, T) { return static_cast<T>(v - x); });
    case UnaryOp::kMulScalar:
      return unary_loop<T>([](T x, T v, T) { return static_cast<T>(x * v); });
    case UnaryOp::kClamp:
      return unary_loop<T>([](T x, T low, T high) {
        const T raised = x < low ? low : x;
        return raised > high ? high : raised;
      });
    default:
      break;
  }
  if constexpr (kIsFloat<T>) {
    switch (op) {
      case UnaryOp::kDivScalar:
        return unary_loop<T>([](T x, T v, T) { return x / v; });
      case UnaryOp::kDivide:
        return unary_loop<T>([](T x, T v, T) { return v / x; });
      case UnaryOp::kPowScalar:
        return power_loop<T>(a);
      case UnaryOp::kScalarPow:
        return unary_loop<T>([](T x, T base, T) { return power(base, x); });
      case UnaryOp::kExp:
        return unary_loop<T>([](T x, T, T) { return vec::exp(x); });
      case UnaryOp::kExpm1:
        return unary_loop<T>([](T x, T, T) { return vec::expm1(x); });
      case UnaryOp::kLog:
        return unary_loop<T>([](T x, T, T) { return vec::log(x); });
      case UnaryOp::kLog2:
        return unary_loop<T>([](T x, T, T) { return vec::log2(x); });
      case UnaryOp::kLog1p:
        return unary_loop<T>([](T x, T, T) { return vec::log1p(x); });
      case UnaryOp::kSqrt:
        return unary_loop<T>([](T x, T, T) { return vec::sqrt(x); });
      case UnaryOp::kRsqrt:
        return unary_loop<T>([](T x, T, T) { return T(1) / vec::sqrt(x); });
      case UnaryOp::kReciprocal:
        return unary_loop<T>([](T x, T, T) { return T(1) / x; });
      case UnaryOp::kSin:
        return unary_loop<T>([](T x, T, T) { return vec::sin(x); });
      case UnaryOp::kCos:
        return unary_loop<T>([](T x, T, T) { return vec::cos(x); });
      case UnaryOp::kAtan:
        return unary_loop<T>([](T x, T, T) { return arc_tangent(x); });
      case UnaryOp::kErf:
        return unary_loop<T>([](T x, T, T) { return vec::erf(x); });
      case UnaryOp::kFloor:
        return unary_loop<T>([](T x, T, T) { return rounded_down(x); });
      case UnaryOp::kCeil:
        return unary_loop<T>([](T x, T, T) { return rounded_up(x); });
      case UnaryOp::kTrunc:
        return unary_loop<T>([](T x, T, T) { return without_fraction(x); });
      case UnaryOp::kRound:
        return unary_loop<T>([](T x, T, T) { return round_half_even(x); });
      case UnaryOp::kRelu:
        return unary_loop<T>([](T x, T, T) { return x < T(0) ? T(0) : x; });
      case UnaryOp::kHardTanh:
        return unary_loop<T>([](T x, T low, T high) {
          const T raised = x < low ? low : x;
          return raised > high ? high : raised;
        });
      case UnaryOp::kLeakyRelu:
        return unary_loop<T>([](T x, T slope, T) { return x > T(0) ? x : x * slope; });
      case UnaryOp::kElu:
        return unary_loop<T>(
            [](T x, T alpha, T scale) { return x > T(0) ? scale * x : scale * alpha * vec::expm1(x); });
      case UnaryOp::kCelu:
        return unary_loop<T>([](T x, T alpha, T) { return x > T(0) ? x : alpha * vec::expm1(x / alpha); });
      case UnaryOp::kGeluErf:
        return unary_loop<T>([](T x, T, T) { return vec::gelu_erf(x); });
      case UnaryOp::kGeluTanh:
        return unary_loop<T>([](T x, T, T) { return vec::gelu_tanh(x); });
      case UnaryOp::kSigmoid:
        return unary_loop<T>([](T x, T, T) { return vec::sigmoid(x); });
      case UnaryOp::kLogSigmoid:
        return unary_loop<T>([](T x, T, T) { return (x < T(0) ? x : T(0)) - vec::log1p(vec::exp(-vec::fabs(x))); });
      case UnaryOp::kTanh:
        return unary_loop<T>([](T x, T, T) { return vec::tanh(x); });
      case UnaryOp::kSilu:
        return unary_loop<T>([](T x, T, T) { return vec::silu(x); });
      case UnaryOp::kMish:
        return unary_loop<T>([](T x, T, T) { return vec::mish(x); });
      case UnaryOp::kSoftSign:
        return unary_loop<T>([](T x, T, T) { return x / (T(1) + vec::fabs(x)); });
      case UnaryOp::kTanhShrink:
        return unary_loop<T>([](T x, T, T) { return x - vec::tanh(x); });
      case UnaryOp::kHardShrink:
        return unary_loop<T>([](T x, T edge, T) { return x >= -edge && x <= edge ? T(0) : x; });
      case UnaryOp::kSoftShrink:
        return unary_loop<T>([](T x, T edge, T) {
          const T shrunk = x > T(0) ? x - edge : x + edge;
          return x >= -edge && x <= edge ? T(0) : shrunk;
        });
      case UnaryOp::kThreshold:
        return unary_loop<T>([](T x, T edge, T value) { return x <= edge ? value : x; });
      case UnaryOp::kHardSigmoid:
        return unary_loop<T>([](T x, T, T) { return hard_sigmoid(x); });
      case UnaryOp::kHardSwish:
        return unary_loop<T>([](T x, T, T) { return x * hard_sigmoid(x); });
      case UnaryOp::kSoftplus:
        return unary_loop<T>([](T x, T beta, T threshold) {
          const T z = x * beta;
          return z > threshold ? x : vec::log1p(vec::exp(z > threshold ? T(0) : z)) / beta;
        });
      default:
        break;
    }
  }
  return nullptr;  // no such function for T; ops check dtypes first
}

// grad_input = f(grad_output, saved, a, b)
template <class T>
BinaryLoop<T, T> backward_loop(UnaryOp op, T a) {
  switch (op) {
    case UnaryOp::kAbs:
      return binary_loop<T, T>([](T g, T x, T, T) { return x > T(0) ? g : x < T(0) ? -g : T(0); });
    case UnaryOp::kSquare:
      return binary_loop<T, T>([](T g, T x, T, T) { return T(2) * g * x; });
    case UnaryOp::kClamp:
      return binary_loop<T, T>([](T g, T x, T low, T high) { return x >= low && x <= high ? g : T(0); });
    case UnaryOp::kDivide:
      return binary_loop<T, T>([](T g, T x, T v, T) { return -g * v / (x * x); });
    case UnaryOp::kPowScalar:
      if (a == T(2)) return binary_loop<T, T>([](T g, T x, T, T) { return T(2) * g * x; });
      if (a == T(3)) return binary_loop<T, T>([](T g, T x, T, T) { return T(3) * g * (x * x); });
      if (a == T(0.5)) return binary_loop<T, T>([](T g, T x, T, T) { return g * (T(0.5) / vec::sqrt(x)); });
      return binary_loop<T, T>(
          [](T g, T x, T exponent, T) { return exponent == T(0) ? T(0) : g * (exponent * power(x, exponent - T(1))); });
    case UnaryOp::kScalarPow:
      // 0 to a power of at least 0 is 0 or 1: no slope
      return binary_loop<T, T>([](T g, T y, T base, T log_base) {
        return base == T(0) && y >= T(-1) && y <= T(1) ? T(0) : g * y * log_base;
      });
    case UnaryOp::kExp:
      return binary_loop<T, T>([](T g, T y, T, T) { return g * y; });
    case UnaryOp::kExpm1:
      return binary_loop<T, T>([](T g, T y, T, T) { return g * (y + T(1)); });
    case UnaryOp::kLog:
      return binary_loop<T, T>([](T g, T x, T, T) { return g / x; });
    case UnaryOp::kLog2:
      return binary_loop<T, T>([](T g, T x, T, T) { return g / (x * T(0.69314718055994531)); });
    case UnaryOp::kLog1p:
      return binary_loop<T, T>([](T g, T x, T, T) { return g / (T(1) + x); });
    case UnaryOp::kSqrt:
      return binary_loop<T, T>([](T g, T y, T, T) { return g / (T(2) * y); });
    case UnaryOp::kRsqrt:
      return binary_loop<T, T>([](T g, T y, T, T) { return T(-0.5) * g * (y * y * y); });
    case UnaryOp::kReciprocal:
      return binary_loop<T, T>([](T g, T y, T, T) { return -g * (y * y); });
    case UnaryOp::kSin:
      return binary_loop<T, T>([](T g, T x, T, T) { return g * vec::cos(x); });
    case UnaryOp::kCos:
      return binary_loop<T, T>([](T g, T x, T, T) { return -g * vec::sin(x); });
    case UnaryOp::kAtan:
      return binary_loop<T, T>([](T g, T x, T, T) { return g / (T(1) + x * x); });
    case UnaryOp::kErf:
      return binary_loop<T, T>([](T g, T x, T, T) { return g * (T(1.1283791670955126) * vec::exp(-x * x)); });
    case UnaryOp::kRelu:
      return binary_loop<T, T>([](T g, T y, T, T) { return y <= T(0) ? T(0) : g; });
    case UnaryOp::kHardTanh:
      return binary_loop<T, T>([](T g, T x, T low, T high) { return x > low && x < high ? g : T(0); });
    case UnaryOp::kLeakyRelu:
      return binary_loop<T, T>([](T g, T x, T slope, T) { return x > T(0) ? g : g * slope; });
    case UnaryOp::kElu:
      return binary_loop<T, T>(
          [](T g, T x, T alpha, T scale) { return x > T(0) ? g * scale : g * (alpha * scale) * vec::exp(x); });
    case UnaryOp::kCelu:
      return binary_loop<T, T>([](T g, T x, T alpha, T) { return x > T(0) ? g : g * vec::exp(x / alpha); });
    case UnaryOp::kGeluErf:
      return binary_loop<T, T>([](T g, T x, T, T) { return g * vec::gelu_erf_slope(x); });
    case UnaryOp::kGeluTanh:
      return binary_loop<T, T>([](T g, T x, T, T) { return g * vec::gelu_tanh_slope(x); });
    case UnaryOp::kSigmoid:
      return binary_loop<T, T>([](T g, T y, T, T) { return g * (y * (T(1) - y)); });
    case UnaryOp::kLogSigmoid:
      return binary_loop<T, T>([](T g, T x, T, T) { return g * vec::sigmoid(-x); });
    case UnaryOp::kTanh:
      return binary_loop<T, T>([](T g, T y, T, T) { return g * (T(1) - y * y); });
    case UnaryOp::kSilu:
      return binary_loop<T, T>([](T g, T x, T, T) { return g * vec::silu_slope(x); });
    case UnaryOp::kMish:
      return binary_loop<T, T>([](T g, T x, T, T) { return g * vec::mish_slope(x); });
    case UnaryOp::kSoftSign:
      return binary_loop<T, T>([](T g, T x, T, T) {
        const T scale = T(1) / (T(1) + vec::fabs(x));
        return g * scale * scale;
      });
    case UnaryOp::kTanhShrink:
      return binary_loop<T, T>([](T g, T x, T, T) {
        const T t = vec::tanh(x);
        return g * (t * t);
      });
    case UnaryOp::kHardShrink:
    case UnaryOp::kSoftShrink:
      return binary_loop<T, T>([](T g, T x, T edge, T) { return x > edge || x < -edge ? g : T(0); });
    case UnaryOp::kThreshold:
      return binary_loop<T, T>([](T g, T x, T edge, T) { return x <= edge ? T(0) : g; });
    case UnaryOp::kHardSigmoid:
      return binary_loop<T, T>([](T g, T x, T, T) { return x > T(-3) && x < T(3) ? g / T(6) : T(0); });
    case UnaryOp::kHardSwish:
      return binary_loop<T, T>([](T g, T x, T, T) {
        const T inside = g * (x / T(3) + T(0.5));
        return x < T(-3) ? T(0) : x > T(3) ? g : inside;
      });
    case UnaryOp::kSoftplus:
      return binary_loop<T, T>(
          [](T g, T x, T beta, T threshold) { return x * beta > threshold ? g : g * vec::sigmoid(x * beta); });
    default:
      return nullptr;  // linear or flat: ops do without a kernel
  }
}

// Angles that vec::sin does not reduce well enough are done over with the C library, element by element.
void correct_wide_angles(UnaryOp op, const LoopPlan<2>& plan, float* y, const float* x) {
  run_plan(plan, [=](const int64_t* at, int64_t n, const int64_t* step) {
    for (int64_t i = 0; i < n; ++i) {
      const float v = x[at[1] + i * step[1]];
      if (__builtin_fabsf(v) < vec::kTrigonometricLimit) continue;
      y[at[0] + i * step[0]] = op == UnaryOp::kSin ? __builtin_sinf(v) : __builtin_cosf(v);
    }
  });
}

void correct_wide_angles(UnaryOp op, const LoopPlan<3>& plan, float* gi, const float* g, const float* x) {
  run_plan(plan, [=](const int64_t* at, int64_t n, const int64_t* step) {
    for (int64_t i = 0; i < n; ++i) {
      const float v = x[at[2] + i * step[2]];
      if (__builtin_fabsf(v) < vec::kTrigonometricLimit) continue;
      gi[at[0] + i * step[0]] = g[at[1] + i * step[1]] * (op == UnaryOp::kSin ? __builtin_cosf(v) : -__builtin_sinf(v));
    }
  });
}

}  // namespace

template <class T>
void unary(UnaryOp op, const LoopPlan<2>& plan, T* y, const T* x, T a, T b) {
  const UnaryLoop<T> loop = forward_loop<T>(op, a);
  run_plan(plan, [=](const int64_t* at, int64_t n, const int64_t* step) {
    loop(y + at[0], step[0], x + at[1], step[1], n, a, b);
  });
  if constexpr (sizeof(T) == sizeof(float) && kIsFloat<T>)
    if (op == UnaryOp::kSin || op == UnaryOp::kCos) correct_wide_angles(op, plan, y, x);
}

template <class T>
void unary_backward(UnaryOp op, const LoopPlan<3>& plan, T* grad_input, const T* grad_output, const T* saved, T a,
                    T b) {
  run_binary_loop(backward_loop<T>(op, a), plan, grad_input, grad_output, saved, a, b);
  if constexpr (sizeof(T) == sizeof(float) && kIsFloat<T>)
    if (op == UnaryOp::kSin || op == UnaryOp::kCos) correct_wide_angles(op, plan, grad_input, grad_output, saved);
}

#define INSTANTIATE(T) template void unary(UnaryOp, const LoopPlan<2>&, T*, const T*, T, T);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(int64_t)
INSTANTIATE(int32_t)
INSTANTIATE(int8_t)
INSTANTIATE(uint8_t)
#undef INSTANTIATE
template void unary_backward(UnaryOp, const LoopPlan<3>&, float*, const float*, const float*, float, float);
template void unary_backward(UnaryOp, const LoopPlan<3>&, double*, const double*, const double*, double, double);

}  // namespace tern::kernels::TERN_ISA
