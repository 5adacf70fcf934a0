#include <tern/core/kernels/detail/elementwise_loops.h>
#include <tern/core/kernels/detail/elementwise_math.h>
#include <tern/core/kernels/unary.h>

namespace tern::kernels::TERN_ISA {
namespace {

template <class Op>
concept HasExceptions = requires(float x) {
  Op::template is_exceptional<Math>(x);
};
template <class Op, class T>
constexpr bool kCorrects = false;
template <HasExceptions Op>
constexpr bool kCorrects<Op, float> = true;

template <class Op, class T>
constexpr UnaryLoop<T> forward_loop() {
  constexpr UnaryLoop<T> loop = unary_loop<T>([](T x, T a, T b) { return Op::template forward<Math>(x, a, b); });
  if constexpr (!kCorrects<Op, T>)
    return loop;
  else
    return [](T* y, int64_t y_step, const T* x, int64_t x_step, int64_t n, T a, T b) {
      loop(y, y_step, x, x_step, n, a, b);
      for (int64_t i = 0; i < n; ++i)
        if (const T v = x[i * x_step]; Op::template is_exceptional<Math>(v)) y[i * y_step] = Op::exceptional(v);
    };
}

template <class Op, class T>
constexpr BinaryLoop<T, T> backward_loop() {
  constexpr BinaryLoop<T, T> loop =
      binary_loop<T, T>([](T g, T saved, T a, T b) { return Op::template backward<Math>(g, saved, a, b); });
  if constexpr (!kCorrects<Op, T>)
    return loop;
  else
    return [](T* o, int64_t o_step, const T* g, int64_t g_step, const T* x, int64_t x_step, int64_t n, T a, T b) {
      loop(o, o_step, g, g_step, x, x_step, n, a, b);
      for (int64_t i = 0; i < n; ++i)
        if (const T v = x[i * x_step]; Op::template is_exceptional<Math>(v))
          o[i * o_step] = Op::exceptional_backward(g[i * g_step], v);
    };
}

template <class Op, class T>
constexpr void fill(UnaryLoopsOf<T>& out) {
  constexpr UnaryGradient gradient = Op::kTraits.gradient;
  out.forward = forward_loop<Op, T>();
  if constexpr (!kIsFloat<T>) return;
  if constexpr (gradient == UnaryGradient::kLinear)
    out.linear_backward = unary_loop<T>([](T g, T a, T b) { return Op::template backward<Math>(g, a, b); });
  if constexpr (gradient == UnaryGradient::kFromInput || gradient == UnaryGradient::kFromOutput)
    out.backward = backward_loop<Op, T>();
}

}  // namespace

template <class Op>
const UnaryLoops& unary_loops() {
  static constexpr UnaryLoops kLoops =
      loops_of_types<UnaryLoops, Op::kTraits.integers>([]<class T>(UnaryLoopsOf<T>& out) { fill<Op, T>(out); });
  return kLoops;
}

template <class T>
void unary(UnaryLoop<T> loop, const LoopPlan<2>& plan, T* y, const T* x, T a, T b) {
  run_plan(plan, [=](const int64_t* at, int64_t n, const int64_t* step) {
    loop(y + at[0], step[0], x + at[1], step[1], n, a, b);
  });
}

template <class T>
void unary_backward(BinaryLoop<T, T> loop, const LoopPlan<3>& plan, T* grad_input, const T* grad_output, const T* saved,
                    T a, T b) {
  run_binary_loop(loop, plan, grad_input, grad_output, saved, a, b);
}

#define INSTANTIATE(T) template void unary(UnaryLoop<T>, const LoopPlan<2>&, T*, const T*, T, T);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(int64_t)
INSTANTIATE(int32_t)
INSTANTIATE(int8_t)
INSTANTIATE(uint8_t)
#undef INSTANTIATE
template void unary_backward(BinaryLoop<float, float>, const LoopPlan<3>&, float*, const float*, const float*, float,
                             float);
template void unary_backward(BinaryLoop<double, double>, const LoopPlan<3>&, double*, const double*, const double*,
                             double, double);

}  // namespace tern::kernels::TERN_ISA

// The structs, each followed by the instantiation of its loops.
#define TERN_UNARY(Op) template const UnaryLoops& kernels::TERN_ISA::unary_loops<Op>();
#include <tern/core/kernels/detail/unary_functions.h>
