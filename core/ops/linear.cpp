#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/gemm.h>
#include <tern/core/kernels/linear.h>
#include <tern/core/linear.h>
#include <tern/core/shape.h>

namespace tern {
namespace {

using gemm::as_matrices;
using gemm::MatrixView;

// [..., n] as [rows, n], without a copy where the strides allow it.
Tensor fold_rows(const Tensor& x) {
  const NoGradGuard no_grad;
  int64_t rows = 1;
  for (int64_t i = 0; i + 1 < x.dim(); ++i) rows *= x.shape()[i];
  return reshape(x, {rows, x.size(-1)});
}

Tensor column_sums(const Tensor& x) {
  const int64_t rows = x.shape()[0], cols = x.shape()[1];
  const Tensor dense = x.contiguous();
  Tensor sums = empty({cols}, x.dtype());
  Tensor partials = empty({kernels::column_sum_blocks(rows, cols), cols}, x.dtype());
  dispatch_float("linear", x.dtype(), [&]<class T>() {
    TERN_KERNEL(column_sums<T>)(dense.data<T>(), rows, cols, partials.data<T>(), sums.data<T>());
  });
  return sums;
}

// [m, n] = a b, dense.
Tensor product(const MatrixView& a, const MatrixView& b) {
  Tensor c = empty({a.rows, b.cols}, a.tensor.dtype());
  dispatch_float("linear", c.dtype(), [&]<class T>() {
    gemm::multiply(gemm::Product<T>{.m = a.rows,
                                    .n = b.cols,
                                    .k = a.cols,
                                    .a = {a.tensor.data<T>(), a.row_stride, a.col_stride},
                                    .b = {b.tensor.data<T>(), b.row_stride, b.col_stride},
                                    .c = {c.data<T>(), b.cols, 1}});
  });
  return c;
}

struct LinearBackward {
  static constexpr const char* kName = "linear";
  SavedTensor x, weight;
  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    const MatrixView g = as_matrices(fold_rows(grad_output));
    Gradients gradients(3);
    if (needs[0]) gradients[0] = reshape(product(g, as_matrices(*weight)), x->shape());
    if (needs[1]) gradients[1] = product(g.transposed(), as_matrices(fold_rows(*x)));
    if (needs[2]) gradients[2] = column_sums(g.tensor);
    return gradients;
  }
};

void check_linear(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  dispatch_float(op, x.dtype(), []<class T>() {});
  TERN_CHECK(weight.dtype() == x.dtype(), DTypeError, "[", op, "] expected a weight of ", x.dtype(), ", got ",
             weight.dtype());
  TERN_CHECK(weight.dim() == 2, ShapeError, "[", op, "] expected a weight [out, in], got ", weight.shape());
  TERN_CHECK(x.dim() >= 1 && x.size(-1) == weight.shape()[1], ShapeError, "[", op, "] expected x [..., ",
             weight.shape()[1], "] for a weight ", weight.shape(), ", got ", x.shape());
  if (!bias.defined()) return;
  TERN_CHECK(bias.dtype() == x.dtype(), DTypeError, "[", op, "] expected a bias of ", x.dtype(), ", got ",
             bias.dtype());
  TERN_CHECK(bias.shape() == Shape{weight.shape()[0]}, ShapeError, "[", op, "] expected a bias [", weight.shape()[0],
             "] for a weight ", weight.shape(), ", got ", bias.shape());
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check_linear("linear", x, weight, bias);
  Shape shape = x.shape();
  shape.back() = weight.shape()[0];
  Tensor y = empty(shape, x.dtype());
  const MatrixView a = as_matrices(fold_rows(x)), b = as_matrices(weight).transposed();
  Tensor dense_bias;
  if (bias.defined()) {
    const NoGradGuard no_grad;
    dense_bias = bias.contiguous();
  }
  dispatch_float("linear", x.dtype(), [&]<class T>() {
    struct Context {
      T* y;
      const T* bias;
      int64_t ldy;
    } context{y.data<T>(), bias.defined() ? dense_bias.data<T>() : nullptr, b.cols};
    gemm::Product<T> p{.m = a.rows,
                       .n = b.cols,
                       .k = a.cols,
                       .a = {a.tensor.data<T>(), a.row_stride, a.col_stride},
                       .b = {b.tensor.data<T>(), b.row_stride, b.col_stride},
                       .c = {y.data<T>(), b.cols, 1}};
    if (bias.defined()) {
      p.epilogue = [](const void* pointer, int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
        const auto& c = *static_cast<const Context*>(pointer);
        TERN_KERNEL(add_bias<T>)(c.y + i0 * c.ldy + j0, c.ldy, c.bias + j0, i1 - i0, j1 - j0);
      };
      p.context = &context;
    }
    gemm::multiply(p);
  });
  return autograd::record<LinearBackward>(y, {x, weight, bias}, {.x = x, .weight = weight});
}

}  // namespace tern
