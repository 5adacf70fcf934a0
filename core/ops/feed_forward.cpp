#include <algorithm>

#include <tern/core/autograd/autograd.h>
#include <tern/core/cpu.h>
#include <tern/core/error.h>
#include <tern/core/kept_forms.h>
#include <tern/core/linalg/gemm.h>
#include <tern/core/ops/detail/linear.h>
#include <tern/core/ops/feed_forward.h>
#include <tern/core/ops/shape.h>
#include <tern/core/scratch.h>

// Both maps for a block of kRows rows, then the next block: the block's hidden values stay in the second cache between
// the product that makes them and the one that uses them. The weights are brought into panels once a call.

namespace tern {
namespace {

using detail::fold_rows;

constexpr int64_t kRows = 48;  // a multiple of every tile height
constexpr int64_t kFewRows = 2 * kRows;

Tensor row_major(const Tensor& x) {
  const NoGradGuard no_grad;
  return x.defined() ? x.contiguous() : x;
}

template <class T>
const T* pointer(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}

// w [out, in] in panels, for products from the right with w itself: gradients.
template <class T>
gemm::Panels<T> pack(const Tensor& w) {
  const gemm::MatrixView view = gemm::as_matrices(w);
  return gemm::pack_right<T>({view.tensor.data<T>(), view.row_stride, view.col_stride}, view.rows, view.cols);
}

// Calls body(first row, rows, scratch) for every block of rows.
template <class T, class Body>
void for_row_blocks(int64_t rows, int64_t scratch_elements, const Body& body) {
  parallel_for(rows, kRows, [&](int64_t begin, int64_t end) {
    T* scratch = static_cast<T*>(thread_scratch(std::max<int64_t>(scratch_elements, 1) * int64_t{sizeof(T)}));
    body(begin, end - begin, scratch);
  });
}

struct FeedForwardBackward {
  static constexpr const char* kName = "feed_forward";
  SavedTensor x, up_weight, down_weight;
  Tensor before, after;  // [rows, hidden]: the hidden values before and after the activation
  Activation activation = Activation::kNone;

  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    const Tensor g = row_major(fold_rows(grad_output)), rows_of_x = fold_rows(*x);
    const int64_t rows = g.shape()[0], out = g.shape()[1], hidden = before.shape()[1], in = up_weight->shape()[1];
    const bool needs_hidden = needs[0] || needs[1] || needs[2];
    Gradients gradients(5);
    Tensor grad_x, grad_hidden, up_partials, down_partials;
    const int64_t blocks = chunk_count(rows, kRows);
    if (needs[0]) grad_x = empty({rows, in}, g.dtype());
    if (needs_hidden) grad_hidden = empty({rows, hidden}, g.dtype());
    if (needs[2]) up_partials = empty({blocks, hidden}, g.dtype());
    if (needs[4]) down_partials = empty({blocks, out}, g.dtype());
    dispatch_float(kName, g.dtype(), [&]<class T>() {
      gemm::Panels<T> down, up;
      if (needs_hidden) down = pack<T>(*down_weight);
      if (needs[0]) up = pack<T>(*up_weight);
      const int64_t scratch =
          std::max(gemm::multiply_rows_scratch(kRows, out, down), gemm::multiply_rows_scratch(kRows, hidden, up));
      const kernels::LinearAct act = detail::kernel_act(activation);
      const T* saved = activation == Activation::kRelu ? after.data<T>() : before.data<T>();
      for_row_blocks<T>(rows, scratch, [&](int64_t i, int64_t count, T* area) {
        const T* grad = g.data<T>() + i * out;
        if (needs[4]) TERN_KERNEL(column_sums_block<T>)(grad, count, out, down_partials.data<T>() + i / kRows * out);
        if (!needs_hidden) return;
        T* h = grad_hidden.data<T>() + i * hidden;
        gemm::multiply_rows(count, grad, out, down, h, hidden, area);
        TERN_KERNEL(act_backward_block<T>)
        (act, h, saved + i * hidden, h, count, hidden, needs[2] ? up_partials.data<T>() + i / kRows * hidden : nullptr);
        if (needs[0]) gemm::multiply_rows(count, h, hidden, up, grad_x.data<T>() + i * in, in, area);
      });
      const auto add_up = [&](const Tensor& partials, int64_t cols) {
        Tensor sums = empty({cols}, g.dtype());
        TERN_KERNEL(add_partial_sums<T>)(partials.data<T>(), blocks, cols, sums.data<T>());
        return sums;
      };
      if (needs[2]) gradients[2] = add_up(up_partials, hidden);
      if (needs[4]) gradients[4] = add_up(down_partials, out);
    });
    if (needs[0]) gradients[0] = reshape(grad_x, x->shape());
    if (needs[1]) gradients[1] = detail::transposed_product(grad_hidden, rows_of_x);
    if (needs[3]) gradients[3] = detail::transposed_product(g, after);
    return gradients;
  }
};

}  // namespace

void detail::check_down(const char* op, const Tensor& x, const Tensor& up_weight, const Tensor& down_weight,
                        const Tensor& down_bias) {
  check_defined(op, down_weight);
  const int64_t hidden = up_weight.shape()[0];
  TERN_CHECK(down_weight.dim() == 2 && down_weight.shape()[1] == hidden, ShapeError, "[", op,
             "] expected a down_weight [out, ", hidden, "] for an up_weight ", up_weight.shape(), ", got ",
             down_weight.shape());
  const int64_t out = down_weight.shape()[0];
  TERN_CHECK(down_weight.dtype() == x.dtype(), DTypeError, "[", op, "] expected a down_weight of ", x.dtype(), ", got ",
             down_weight.dtype());
  if (!down_bias.defined()) return;
  TERN_CHECK(down_bias.dtype() == x.dtype(), DTypeError, "[", op, "] expected a down_bias of ", x.dtype(), ", got ",
             down_bias.dtype());
  TERN_CHECK(down_bias.shape() == Shape{out}, ShapeError, "[", op, "] expected a down_bias ", Shape{out}, ", got ",
             down_bias.shape());
}

Tensor feed_forward(const Tensor& x, const Tensor& up_weight, const Tensor& up_bias, Activation activation,
                    const Tensor& down_weight, const Tensor& down_bias) {
  const char* op = "feed_forward";
  check_defined(op, x, up_weight, down_weight);
  detail::check_linear(op, x, up_weight, up_bias, "an up_weight", "an up_bias");
  detail::check_down(op, x, up_weight, down_weight, down_bias);
  const int64_t in = up_weight.shape()[1], hidden = up_weight.shape()[0], out = down_weight.shape()[0];
  int64_t rows = 1;
  for (int64_t i = 0; i + 1 < x.dim(); ++i) rows *= x.shape()[i];
  // Few rows do not pay for the panels; without vector kernels of our own the library's product is the fast one.
  if (rows < kFewRows || in == 0 || hidden == 0 || out == 0 || isa() == Isa::kPortable)
    return linear(linear_act(x, up_weight, up_bias, activation), down_weight, down_bias);

  const Tensor inputs[] = {x, up_weight, up_bias, down_weight, down_bias};
  const bool keeps = autograd::detail::wants_grad(inputs);
  const Tensor source = row_major(fold_rows(x)), first_bias = row_major(up_bias), last_bias = row_major(down_bias);
  Shape shape = x.shape();
  shape.back() = out;
  Tensor y = empty(shape, x.dtype()), before, after;
  if (keeps) after = empty({rows, hidden}, x.dtype());
  if (keeps) before = activation == Activation::kNone || activation == Activation::kRelu ? after : empty_like(after);
  dispatch_float(op, x.dtype(), [&]<class T>() {
    const auto panels_of = [&](const Tensor& weight) {
      return detail::weight_panels<T>(weight, !keeps && keeps_forms(weight));
    };
    const gemm::Panels<T> up = panels_of(up_weight), down = panels_of(down_weight);
    const int64_t left =
        std::max(gemm::multiply_rows_scratch(kRows, in, up), gemm::multiply_rows_scratch(kRows, hidden, down));
    const kernels::LinearAct act = detail::kernel_act(activation);
    for_row_blocks<T>(rows, left + (keeps ? 0 : kRows * hidden), [&](int64_t i, int64_t count, T* area) {
      T* z = keeps ? before.data<T>() + i * hidden : area + left;
      T* h = keeps ? after.data<T>() + i * hidden : z;
      T* to = y.data<T>() + i * out;
      gemm::multiply_rows(count, source.data<T>() + i * in, in, up, z, hidden, area);
      TERN_KERNEL(bias_act<T>)(act, z, h, hidden, pointer<T>(first_bias), count, hidden);
      gemm::multiply_rows(count, h, hidden, down, to, out, area);
      TERN_KERNEL(bias_act<T>)(kernels::LinearAct::kNone, to, to, out, pointer<T>(last_bias), count, out);
    });
  });
  return autograd::record<FeedForwardBackward>(y, {x, up_weight, up_bias, down_weight, down_bias},
                                               {.x = x,
                                                .up_weight = up_weight,
                                                .down_weight = down_weight,
                                                .before = before,
                                                .after = after,
                                                .activation = activation});
}

}  // namespace tern
