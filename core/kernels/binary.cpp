#include <tern/core/kernels/binary.h>
#include <tern/core/kernels/detail/elementwise_loops.h>
#include <tern/core/kernels/detail/vec_math.h>

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

template <class T>
BinaryLoop<T, T> forward_loop(BinaryOp op) {
  switch (op) {
    case BinaryOp::kAdd:
      return binary_loop<T, T>([](T x, T y, T, T) { return static_cast<T>(x + y); });
    case BinaryOp::kSub:
      return binary_loop<T, T>([](T x, T y, T, T) { return static_cast<T>(x - y); });
    case BinaryOp::kMul:
      return binary_loop<T, T>([](T x, T y, T, T) { return static_cast<T>(x * y); });
    case BinaryOp::kMaximum:  // x != x: NaN wins on either side
      return binary_loop<T, T>([](T x, T y, T, T) { return x > y || x != x ? x : y; });
    case BinaryOp::kMinimum:
      return binary_loop<T, T>([](T x, T y, T, T) { return x < y || x != x ? x : y; });
    default:
      break;
  }
  if constexpr (kIsFloat<T>) {
    switch (op) {
      case BinaryOp::kDiv:
        return binary_loop<T, T>([](T x, T y, T, T) { return x / y; });
      case BinaryOp::kPow:
        return binary_loop<T, T>([](T x, T y, T, T) { return power(x, y); });
      case BinaryOp::kSwiglu:
        return binary_loop<T, T>([](T x, T y, T, T) { return x * vec::sigmoid(x) * y; });
      case BinaryOp::kGlu:
        return binary_loop<T, T>([](T x, T y, T, T) { return x * vec::sigmoid(y); });
      case BinaryOp::kPrelu:
        return binary_loop<T, T>([](T x, T y, T, T) { return x > T(0) ? x : x * y; });
      case BinaryOp::kAddRelu:
        return binary_loop<T, T>([](T x, T y, T, T) { return x + y < T(0) ? T(0) : x + y; });
      default:
        break;
    }
  }
  return nullptr;  // no such function for T; ops check dtypes first
}

// out = f(first, a, b)
template <class T, class F>
void gradient_loop(const LoopPlan<4>& plan, T* out, const T* first, const T* a, const T* b, F f) {
  run_plan(plan, [=](const int64_t* at, int64_t n, const int64_t* step) {
    T* o = out + at[0];
    const T *g = first + at[1], *x = a + at[2], *y = b + at[3];
    if (step[0] == 1 && step[1] == 1 && step[2] == 1 && step[3] == 1) {
      for (int64_t i = 0; i < n; ++i) o[i] = f(g[i], x[i], y[i]);
    } else if (step[0] == 1 && step[1] == 1 && step[2] == 1 && step[3] == 0) {
      const T repeated = *y;
      for (int64_t i = 0; i < n; ++i) o[i] = f(g[i], x[i], repeated);
    } else {
      for (int64_t i = 0; i < n; ++i) o[i * step[0]] = f(g[i * step[1]], x[i * step[2]], y[i * step[3]]);
    }
  });
}

// Both gradients of a function of two operands in one pass: both(g, x, y, dx, dy).
template <class T, class F>
void both_gradients_loop(const LoopPlan<5>& plan, T* grad_a, T* grad_b, const T* grad_output, const T* a, const T* b,
                         F both) {
  run_plan(plan, [=](const int64_t* at, int64_t n, const int64_t* step) {
    T *dx = grad_a + at[0], *dy = grad_b + at[1];
    const T *g = grad_output + at[2], *x = a + at[3], *y = b + at[4];
    if (step[0] == 1 && step[1] == 1 && step[2] == 1 && step[3] == 1 && step[4] == 1) {
      T* __restrict to_x = dx;
      T* __restrict to_y = dy;
      for (int64_t i = 0; i < n; ++i) both(g[i], x[i], y[i], to_x[i], to_y[i]);
    } else {
      for (int64_t i = 0; i < n; ++i)
        both(g[i * step[2]], x[i * step[3]], y[i * step[4]], dx[i * step[0]], dy[i * step[1]]);
    }
  });
}

template <class T>
BinaryLoop<uint8_t, T> compare_loop(CompareOp op) {
  switch (op) {
    case CompareOp::kEq:
      return binary_loop<uint8_t, T>([](T x, T y, T, T) -> uint8_t { return x == y; });
    case CompareOp::kNe:
      return binary_loop<uint8_t, T>([](T x, T y, T, T) -> uint8_t { return x != y; });
    case CompareOp::kLt:
      return binary_loop<uint8_t, T>([](T x, T y, T, T) -> uint8_t { return x < y; });
    case CompareOp::kLe:
      return binary_loop<uint8_t, T>([](T x, T y, T, T) -> uint8_t { return x <= y; });
    case CompareOp::kGt:
      return binary_loop<uint8_t, T>([](T x, T y, T, T) -> uint8_t { return x > y; });
    case CompareOp::kGe:
      return binary_loop<uint8_t, T>([](T x, T y, T, T) -> uint8_t { return x >= y; });
    case CompareOp::kAnd:
      return binary_loop<uint8_t, T>([](T x, T y, T, T) -> uint8_t { return x != T(0) && y != T(0); });
    case CompareOp::kOr:
      return binary_loop<uint8_t, T>([](T x, T y, T, T) -> uint8_t { return x != T(0) || y != T(0); });
    case CompareOp::kXor:
      return binary_loop<uint8_t, T>([](T x, T y, T, T) -> uint8_t { return (x != T(0)) != (y != T(0)); });
  }
  return nullptr;
}

template <class T, class F>
void classify_loop(const LoopPlan<2>& plan, uint8_t* out, const T* x, F f) {
  run_plan(plan, [=](const int64_t* at, int64_t n, const int64_t* step) {
    for (int64_t i = 0; i < n; ++i) out[at[0] + i * step[0]] = f(x[at[1] + i * step[1]]);
  });
}

}  // namespace

template <class T>
void binary(BinaryOp op, const LoopPlan<3>& plan, T* out, const T* a, const T* b) {
  run_binary_loop(forward_loop<T>(op), plan, out, a, b, T(0), T(0));
}

template <class T>
void binary_gradient(BinaryGradient op, const LoopPlan<4>& plan, T* out, const T* grad_output, const T* a, const T* b) {
  switch (op) {
    case BinaryGradient::kMaximumFirst:
      return gradient_loop(plan, out, grad_output, a, b, [](T g, T x, T y) {
        return x == y ? g * T(0.5) : x < y ? T(0) : g;
      });
    case BinaryGradient::kMinimumFirst:
      return gradient_loop(plan, out, grad_output, a, b, [](T g, T x, T y) {
        return x == y ? g * T(0.5) : x > y ? T(0) : g;
      });
    case BinaryGradient::kDivSecond:
      return gradient_loop(plan, out, grad_output, a, b, [](T g, T x, T y) { return -g * ((x / y) / y); });
    case BinaryGradient::kPowFirst:
      return gradient_loop(plan, out, grad_output, a, b,
                           [](T g, T x, T y) { return y == T(0) ? T(0) : g * (y * power(x, y - T(1))); });
    case BinaryGradient::kPowSecond:
      return gradient_loop(plan, out, grad_output, a, b, [](T g, T x, T y) {
        return x == T(0) && y >= T(0) ? T(0) : g * (power(x, y) * vec::log(x));
      });
    case BinaryGradient::kPreluFirst:
      return gradient_loop(plan, out, grad_output, a, b, [](T g, T x, T y) { return x > T(0) ? g : g * y; });
    case BinaryGradient::kPreluSecond:
      return gradient_loop(plan, out, grad_output, a, b, [](T g, T x, T) { return x > T(0) ? T(0) : g * x; });
  }
}

template <class T>
void swiglu_backward(const LoopPlan<5>& plan, T* grad_gate, T* grad_up, const T* grad_output, const T* gate,
                     const T* up) {
  both_gradients_loop(plan, grad_gate, grad_up, grad_output, gate, up, [](T g, T a, T b, T& da, T& db) {
    const T s = vec::sigmoid(a);
    da = g * b * (s * (T(1) + a * (T(1) - s)));
    db = g * (a * s);
  });
}

template <class T>
void glu_backward(const LoopPlan<5>& plan, T* grad_a, T* grad_b, const T* grad_output, const T* a, const T* b) {
  both_gradients_loop(plan, grad_a, grad_b, grad_output, a, b, [](T g, T x, T y, T& dx, T& dy) {
    const T s = vec::sigmoid(y);
    dx = g * s;
    dy = g * (x * (s * (T(1) - s)));
  });
}

template <class T>
void lerp(const LoopPlan<4>& plan, T* out, const T* a, const T* b, const T* weight) {
  // From the nearer end, so that both ends are met exactly.
  gradient_loop(plan, out, a, b, weight,
                [](T x, T y, T w) { return w < T(0.5) ? x + w * (y - x) : y - (y - x) * (T(1) - w); });
}

template <class T>
void compare(CompareOp op, const LoopPlan<3>& plan, uint8_t* out, const T* a, const T* b) {
  run_binary_loop(compare_loop<T>(op), plan, out, a, b, T(0), T(0));
}

template <class T>
void classify(ClassifyOp op, const LoopPlan<2>& plan, uint8_t* out, const T* x) {
  switch (op) {
    case ClassifyOp::kIsNan:
      return classify_loop(plan, out, x, [](T v) -> uint8_t { return v != v; });
    case ClassifyOp::kIsInf:
      return classify_loop(plan, out, x, [](T v) -> uint8_t { return v == v && v - v != T(0); });
    case ClassifyOp::kIsFinite:
      return classify_loop(plan, out, x, [](T v) -> uint8_t { return v - v == T(0); });
  }
}

template <class T>
void select(const LoopPlan<4>& plan, T* out, const uint8_t* condition, const T* a, const T* b) {
  run_plan(plan, [=](const int64_t* at, int64_t n, const int64_t* step) {
    T* o = out + at[0];
    const uint8_t* c = condition + at[1];
    const T *x = a + at[2], *y = b + at[3];
    if (step[0] == 1 && step[1] == 1 && step[2] == 1 && step[3] == 1) {
      for (int64_t i = 0; i < n; ++i) o[i] = c[i] != 0 ? x[i] : y[i];
    } else {
      for (int64_t i = 0; i < n; ++i) o[i * step[0]] = c[i * step[1]] != 0 ? x[i * step[2]] : y[i * step[3]];
    }
  });
}

#define INSTANTIATE(T)                                                                \
  template void binary(BinaryOp, const LoopPlan<3>&, T*, const T*, const T*);         \
  template void compare(CompareOp, const LoopPlan<3>&, uint8_t*, const T*, const T*); \
  template void select(const LoopPlan<4>&, T*, const uint8_t*, const T*, const T*);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(int64_t)
INSTANTIATE(int32_t)
INSTANTIATE(int8_t)
INSTANTIATE(uint8_t)
#undef INSTANTIATE
#define INSTANTIATE(T)                                                                                 \
  template void binary_gradient(BinaryGradient, const LoopPlan<4>&, T*, const T*, const T*, const T*); \
  template void swiglu_backward(const LoopPlan<5>&, T*, T*, const T*, const T*, const T*);             \
  template void glu_backward(const LoopPlan<5>&, T*, T*, const T*, const T*, const T*);                \
  template void lerp(const LoopPlan<4>&, T*, const T*, const T*, const T*);                            \
  template void classify(ClassifyOp, const LoopPlan<2>&, uint8_t*, const T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
