#include <tern/core/kernels/binary.h>
#include <tern/core/kernels/detail/elementwise_loops.h>
#include <tern/core/kernels/detail/elementwise_math.h>

namespace tern::kernels::TERN_ISA {
namespace {

// The loop over o[i] = f(x[i], y[i], z[i]). f: a lambda without captures.
template <class T, class F>
constexpr TernaryLoop<T> ternary_loop(F) {
  return [](T* o, int64_t o_step, const T* x, int64_t x_step, const T* y, int64_t y_step, const T* z, int64_t z_step,
            int64_t n) {
    if (o_step == 1 && x_step == 1 && y_step == 1 && z_step == 1) {
      for (int64_t i = 0; i < n; ++i) o[i] = F{}(x[i], y[i], z[i]);
    } else if (o_step == 1 && x_step == 1 && y_step == 1 && z_step == 0) {
      const T repeated = *z;
      for (int64_t i = 0; i < n; ++i) o[i] = F{}(x[i], y[i], repeated);
    } else {
      for (int64_t i = 0; i < n; ++i) o[i * o_step] = F{}(x[i * x_step], y[i * y_step], z[i * z_step]);
    }
  };
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

template <class Op, class T>
constexpr void fill(BinaryLoopsOf<T>& out) {
  out.forward = binary_loop<T, T>([](T x, T y, T, T) { return Op::template forward<Math>(x, y); });
  if constexpr (kIsFloat<T> && requires(T v) { Op::template first<Math>(v, v, v); })
    out.first = ternary_loop<T>([](T g, T x, T y) { return Op::template first<Math>(g, x, y); });
  if constexpr (kIsFloat<T> && requires(T v) { Op::template second<Math>(v, v, v); })
    out.second = ternary_loop<T>([](T g, T x, T y) { return Op::template second<Math>(g, x, y); });
}

template <class Op, class T>
constexpr void fill(CompareLoopsOf<T>& out) {
  out.forward = binary_loop<uint8_t, T>([](T x, T y, T, T) -> uint8_t { return Op::forward(x, y); });
}

template <class Op, class T>
constexpr void fill(ClassifyLoopsOf<T>& out) {
  out.forward = [](uint8_t* o, int64_t o_step, const T* x, int64_t x_step, int64_t n) {
    for (int64_t i = 0; i < n; ++i) o[i * o_step] = Op::forward(x[i * x_step]);
  };
}

}  // namespace

template <class Op>
const BinaryLoops& binary_loops() {
  static constexpr BinaryLoops kLoops =
      loops_of_types<BinaryLoops, Op::kTraits.integers>([]<class T>(BinaryLoopsOf<T>& out) { fill<Op, T>(out); });
  return kLoops;
}
template <class Op>
const CompareLoops& compare_loops() {
  static constexpr CompareLoops kLoops =
      loops_of_types<CompareLoops, true>([]<class T>(CompareLoopsOf<T>& out) { fill<Op, T>(out); });
  return kLoops;
}
template <class Op>
const ClassifyLoops& classify_loops() {
  static constexpr ClassifyLoops kLoops =
      loops_of_types<ClassifyLoops, false>([]<class T>(ClassifyLoopsOf<T>& out) { fill<Op, T>(out); });
  return kLoops;
}

template <class T>
void binary(BinaryLoop<T, T> loop, const LoopPlan<3>& plan, T* out, const T* a, const T* b) {
  run_binary_loop(loop, plan, out, a, b, T(0), T(0));
}

template <class T>
void binary_gradient(TernaryLoop<T> loop, const LoopPlan<4>& plan, T* out, const T* grad_output, const T* a,
                     const T* b) {
  run_plan(plan, [=](const int64_t* at, int64_t n, const int64_t* step) {
    loop(out + at[0], step[0], grad_output + at[1], step[1], a + at[2], step[2], b + at[3], step[3], n);
  });
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
  constexpr TernaryLoop<T> loop =
      ternary_loop<T>([](T x, T y, T w) { return w < T(0.5) ? x + w * (y - x) : y - (y - x) * (T(1) - w); });
  binary_gradient(loop, plan, out, a, b, weight);
}

template <class T>
void compare(BinaryLoop<uint8_t, T> loop, const LoopPlan<3>& plan, uint8_t* out, const T* a, const T* b) {
  run_binary_loop(loop, plan, out, a, b, T(0), T(0));
}

template <class T>
void classify(TruthLoop<T> loop, const LoopPlan<2>& plan, uint8_t* out, const T* x) {
  run_plan(plan, [=](const int64_t* at, int64_t n, const int64_t* step) {
    loop(out + at[0], step[0], x + at[1], step[1], n);
  });
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

#define INSTANTIATE(T)                                                                             \
  template void binary(BinaryLoop<T, T>, const LoopPlan<3>&, T*, const T*, const T*);              \
  template void compare(BinaryLoop<uint8_t, T>, const LoopPlan<3>&, uint8_t*, const T*, const T*); \
  template void select(const LoopPlan<4>&, T*, const uint8_t*, const T*, const T*);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(int64_t)
INSTANTIATE(int32_t)
INSTANTIATE(int8_t)
INSTANTIATE(uint8_t)
#undef INSTANTIATE
#define INSTANTIATE(T)                                                                                 \
  template void binary_gradient(TernaryLoop<T>, const LoopPlan<4>&, T*, const T*, const T*, const T*); \
  template void swiglu_backward(const LoopPlan<5>&, T*, T*, const T*, const T*, const T*);             \
  template void glu_backward(const LoopPlan<5>&, T*, T*, const T*, const T*, const T*);                \
  template void lerp(const LoopPlan<4>&, T*, const T*, const T*, const T*);                            \
  template void classify(TruthLoop<T>, const LoopPlan<2>&, uint8_t*, const T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA

// The structs, each followed by the instantiation of its loops.
#define TERN_BINARY(Op) template const BinaryLoops& kernels::TERN_ISA::binary_loops<Op>();
#define TERN_COMPARE(Op) template const CompareLoops& kernels::TERN_ISA::compare_loops<Op>();
#define TERN_CLASSIFY(Op) template const ClassifyLoops& kernels::TERN_ISA::classify_loops<Op>();
#include <tern/core/kernels/detail/binary_functions.h>
