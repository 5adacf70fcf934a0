#include <tern/core/autograd/autograd.h>
#include <tern/core/cpu.h>
#include <tern/core/error.h>
#include <tern/core/kept_forms.h>
#include <tern/core/kernels/linear.h>
#include <tern/core/linalg/gemm.h>
#include <tern/core/ops/detail/linear.h>
#include <tern/core/ops/linear.h>
#include <tern/core/ops/shape.h>

namespace tern {

using gemm::as_matrices;
using gemm::MatrixView;

namespace detail {

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

template <class T>
gemm::Panels<T> weight_panels(const Tensor& weight, bool keep) {
  const gemm::MatrixView b = gemm::as_matrices(weight).transposed();
  const auto pack = [&] {
    return gemm::pack_right<T>({b.tensor.data<T>(), b.row_stride, b.col_stride}, b.rows, b.cols);
  };
  if (!keep) return pack();
  return {kept_form(weight, Form::kPanels, 0, [&] { return pack().memory; }), b.rows, b.cols};
}
template gemm::Panels<float> weight_panels(const Tensor&, bool);
template gemm::Panels<double> weight_panels(const Tensor&, bool);

kernels::LinearAct kernel_act(Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return kernels::LinearAct::kRelu;
    case Activation::kGelu:
      return kernels::LinearAct::kGeluErf;
    case Activation::kGeluTanh:
      return kernels::LinearAct::kGeluTanh;
    case Activation::kSilu:
      return kernels::LinearAct::kSilu;
    default:
      return kernels::LinearAct::kNone;
  }
}

void check_linear(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias, const char* weight_name,
                  const char* bias_name) {
  check_defined(op, x, weight);
  dispatch_float(op, x.dtype(), []<class T>() {});
  TERN_CHECK(weight.dtype() == x.dtype(), DTypeError, "[", op, "] expected ", weight_name, " of ", x.dtype(), ", got ",
             weight.dtype());
  TERN_CHECK(weight.dim() == 2, ShapeError, "[", op, "] expected ", weight_name, " [out, in], got ", weight.shape());
  TERN_CHECK(x.dim() >= 1 && x.size(-1) == weight.shape()[1], ShapeError, "[", op, "] expected x [..., ",
             weight.shape()[1], "] for ", weight_name, " ", weight.shape(), ", got ", x.shape());
  if (!bias.defined()) return;
  TERN_CHECK(bias.dtype() == x.dtype(), DTypeError, "[", op, "] expected ", bias_name, " of ", x.dtype(), ", got ",
             bias.dtype());
  TERN_CHECK(bias.shape() == Shape{weight.shape()[0]}, ShapeError, "[", op, "] expected ", bias_name, " [",
             weight.shape()[0], "] for ", weight_name, " ", weight.shape(), ", got ", bias.shape());
}

}  // namespace detail

namespace {

using detail::check_linear;
using detail::column_sums;
using detail::fold_rows;
using detail::kernel_act;

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

// The gradient of act(z) with respect to z, and its column sums where `sums` is wanted. saved: y for relu, else z.
Tensor act_gradient(Activation activation, const Tensor& grad_output, const Tensor& saved, bool wants_sums,
                    Tensor& sums) {
  const Tensor g = fold_rows(grad_output).contiguous(), s = fold_rows(saved);
  const int64_t rows = g.shape()[0], cols = g.shape()[1];
  Tensor grad_z = empty(g.shape(), g.dtype()), partials;
  if (wants_sums) {
    sums = empty({cols}, g.dtype());
    partials = empty({kernels::column_sum_blocks(rows, cols), cols}, g.dtype());
  }
  dispatch_float("linear_act", g.dtype(), [&]<class T>() {
    TERN_KERNEL(act_backward<T>)
    (kernel_act(activation), g.data<T>(), s.data<T>(), grad_z.data<T>(), rows, cols,
     wants_sums ? partials.data<T>() : nullptr, wants_sums ? sums.data<T>() : nullptr);
  });
  return grad_z;
}

Gradients linear_gradients(const Tensor& grad_z, const Tensor& x, const Tensor& weight, NeedsGrad needs) {
  const MatrixView g = as_matrices(grad_z);
  Gradients gradients(3);
  if (needs[0]) gradients[0] = reshape(product(g, as_matrices(weight)), x.shape());
  if (needs[1]) gradients[1] = product(g.transposed(), as_matrices(fold_rows(x)));
  return gradients;
}

struct LinearBackward {
  static constexpr const char* kName = "linear";
  SavedTensor x, weight;
  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    const Tensor grad_z = fold_rows(grad_output);
    Gradients gradients = linear_gradients(grad_z, *x, *weight, needs);
    if (needs[2]) gradients[2] = column_sums(grad_z);
    return gradients;
  }
};

struct LinearActBackward {
  static constexpr const char* kName = "linear_act";
  SavedTensor x, weight, saved;
  Activation activation = Activation::kNone;
  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    Tensor sums;
    const Tensor grad_z = act_gradient(activation, grad_output, *saved, needs[2], sums);
    Gradients gradients = linear_gradients(grad_z, *x, *weight, needs);
    gradients[2] = sums;
    return gradients;
  }
};

// Whether the product with `rows` rows reads the weight's panels rather than the weight, if it keeps them. A single row
// is as fast without: each weight is read once.
bool reads_panels(int64_t rows, const Tensor& weight) {
  return keeps_forms(weight) && rows > 1 && weight.shape()[0] >= 4 && weight.shape()[1] >= 4 && isa() != Isa::kPortable;
}

// z = x w^T + b and y = act(z), each block right after it has been computed. y may be z.
void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation, bool records, Tensor& z,
             Tensor& y) {
  const MatrixView a = as_matrices(fold_rows(x)), b = as_matrices(weight).transposed();
  Tensor dense_bias;
  if (bias.defined()) {
    const NoGradGuard no_grad;
    dense_bias = bias.contiguous();
  }
  dispatch_float("linear", x.dtype(), [&]<class T>() {
    struct Context {
      T *z, *y;
      const T* bias;
      int64_t ld;
      kernels::LinearAct act;
    } context{z.data<T>(), y.data<T>(), bias.defined() ? dense_bias.data<T>() : nullptr, b.cols,
              kernel_act(activation)};
    gemm::Product<T> p{.m = a.rows,
                       .n = b.cols,
                       .k = a.cols,
                       .a = {a.tensor.data<T>(), a.row_stride, a.col_stride},
                       .b = {b.tensor.data<T>(), b.row_stride, b.col_stride},
                       .c = {z.data<T>(), b.cols, 1}};
    gemm::Panels<T> panels;
    if (!records && reads_panels(a.rows, weight)) {
      panels = detail::weight_panels<T>(weight, true);
      p.panels = &panels;
    }
    if (bias.defined() || activation != Activation::kNone) {
      p.epilogue = [](const void* pointer, int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
        const auto& c = *static_cast<const Context*>(pointer);
        const int64_t at = i0 * c.ld + j0;
        TERN_KERNEL(bias_act<T>)
        (c.act, c.z + at, c.y + at, c.ld, c.bias != nullptr ? c.bias + j0 : nullptr, i1 - i0, j1 - j0);
      };
      p.context = &context;
    }
    gemm::multiply(p);
  });
}

Tensor empty_result(const Tensor& x, const Tensor& weight) {
  Shape shape = x.shape();
  shape.back() = weight.shape()[0];
  return empty(shape, x.dtype());
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check_linear("linear", x, weight, bias);
  Tensor y = empty_result(x, weight);
  const Tensor inputs[] = {x, weight, bias};
  forward(x, weight, bias, Activation::kNone, autograd::detail::wants_grad(inputs), y, y);
  return autograd::record<LinearBackward>(y, {x, weight, bias}, {.x = x, .weight = weight});
}

Tensor linear_act(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation) {
  if (activation == Activation::kNone) return linear(x, weight, bias);
  check_linear("linear_act", x, weight, bias);
  Tensor y = empty_result(x, weight), z = y;
  const Tensor inputs[] = {x, weight, bias};
  const bool records = autograd::detail::wants_grad(inputs);
  // relu's slope can be told from its result; the others need what went in.
  if (activation != Activation::kRelu && records) z = empty_result(x, weight);
  forward(x, weight, bias, activation, records, z, y);
  return autograd::record<LinearActBackward>(y, {x, weight, bias},
                                             {.x = x, .weight = weight, .saved = z, .activation = activation});
}

Tensor detail::transposed_product(const Tensor& a, const Tensor& b) {
  return product(as_matrices(a).transposed(), as_matrices(b));
}

}  // namespace tern
