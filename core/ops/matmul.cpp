#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/linalg/gemm.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/matmul.h>
#include <tern/core/ops/shape.h>

namespace tern {

using gemm::as_matrices;
using gemm::MatrixView;

namespace {

// Strides for the axes of `batch`, to which v's own batch axes broadcast.
Strides broadcast_strides(const MatrixView& v, const Dims& batch) {
  Strides strides(batch.size(), 0);
  const int64_t shift = batch.size() - v.batch.size();
  for (int64_t i = 0; i < v.batch.size(); ++i)
    if (v.batch[i] != 1) strides[i + shift] = v.batch_strides[i];
  return strides;
}

bool all_zero(const Strides& strides, const Dims& sizes) {
  for (int64_t i = 0; i < sizes.size(); ++i)
    if (sizes[i] != 1 && strides[i] != 0) return false;
  return true;
}

// Whether the batch axes (sizes, strides) and `rows` rows a row_stride apart make one axis with that stride.
bool extends_rows(const Dims& sizes, const Strides& strides, int64_t rows, int64_t row_stride) {
  int64_t step = rows * row_stride;
  for (int64_t i = sizes.size() - 1; i >= 0; --i) {
    if (sizes[i] == 1) continue;
    if (strides[i] != step) return false;
    step *= sizes[i];
  }
  return true;
}

// C = A B with C's batch axes `out`; where `out` has size 1 and `batch` has not, the products are added up.
// out_rows x out_cols matrices, contiguous.
Tensor product(const MatrixView& a, const MatrixView& b, const Dims& batch, const Dims& out) {
  Shape shape = out;
  shape.push_back(a.rows);
  shape.push_back(b.cols);
  Tensor c = empty(shape, a.tensor.dtype());
  Strides c_strides(batch.size(), 0);
  const int64_t shift = batch.size() - out.size();
  for (int64_t i = 0; i < out.size(); ++i)
    if (out[i] != 1) c_strides[i + shift] = c.strides()[i];
  const Strides a_strides = broadcast_strides(a, batch), b_strides = broadcast_strides(b, batch);
  const int64_t count = numel_of(batch);

  dispatch_float("matmul", c.dtype(), [&]<class T>() {
    gemm::Product<T> p{.m = a.rows,
                       .n = b.cols,
                       .k = a.cols,
                       .batch = batch,
                       .a = {a.tensor.data<T>(), a.row_stride, a.col_stride, a_strides},
                       .b = {b.tensor.data<T>(), b.row_stride, b.col_stride, b_strides},
                       .c = {c.data<T>(), b.cols, 1, c_strides}};
    if (count > 1 && all_zero(b_strides, batch) && a.col_stride == 1 &&
        extends_rows(batch, c_strides, a.rows, b.cols) && extends_rows(batch, a_strides, a.rows, a.row_stride)) {
      p.m *= count;  // one matrix B for all: the batch is more rows of A
      p.batch = {}, p.a.batch_strides = {}, p.b.batch_strides = {}, p.c.batch_strides = {};
    } else if (count > 1 && all_zero(c_strides, batch) && a.row_stride == 1 && b.col_stride == 1 &&
               extends_rows(batch, a_strides, a.cols, a.col_stride) &&
               extends_rows(batch, b_strides, b.rows, b.row_stride)) {
      p.k *= count;  // one result for all: the batch is more of the inner axis
      p.batch = {}, p.a.batch_strides = {}, p.b.batch_strides = {}, p.c.batch_strides = {};
    }
    gemm::multiply(p);
  });
  return c;
}

// 1-D operands get the axis that they stand for: a row on the left, a column on the right.
Tensor with_row(const Tensor& a) {
  return a.dim() == 1 ? alias_with(a, {{1, a.shape()[0]}, {a.shape()[0], a.strides()[0]}, a.offset()}) : a;
}
Tensor with_column(const Tensor& b) {
  return b.dim() == 1 ? alias_with(b, {{b.shape()[0], 1}, {b.strides()[0], 1}, b.offset()}) : b;
}

struct MatmulBackward {
  static constexpr const char* kName = "matmul";
  SavedTensor a, b;
  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    const Tensor left = with_row(*a), right = with_column(*b);
    const MatrixView va = as_matrices(left), vb = as_matrices(right);
    const Dims batch = broadcast_shapes("matmul", va.batch, vb.batch);
    Shape shape = batch;
    shape.push_back(va.rows);
    shape.push_back(vb.cols);
    const MatrixView g = as_matrices(reshape(grad_output, shape));
    Gradients gradients(2);
    if (needs[0]) gradients[0] = reshape(product(g, vb.transposed(), batch, va.batch), a->shape());
    if (needs[1]) gradients[1] = reshape(product(va.transposed(), g, batch, vb.batch), b->shape());
    return gradients;
  }
};

Tensor record_matmul(const char* op, const Tensor& a, const Tensor& b) {
  check_defined(op, a, b);
  TERN_CHECK(a.dim() >= 1 && b.dim() >= 1, ShapeError, "[", op, "] expected tensors with at least one axis, got ",
             a.shape(), " and ", b.shape());
  TERN_CHECK(a.dtype() == b.dtype(), DTypeError, "[", op, "] expected two tensors of one dtype, got ", a.dtype(),
             " and ", b.dtype());
  dispatch_float(op, a.dtype(), []<class T>() {});
  const Tensor left = with_row(a), right = with_column(b);
  TERN_CHECK(left.size(-1) == right.size(-2), ShapeError, "[", op, "] expected matching inner sizes, got ", a.shape(),
             " and ", b.shape());
  const MatrixView va = as_matrices(left), vb = as_matrices(right);
  const Dims batch = broadcast_shapes(op, va.batch, vb.batch);
  const Tensor c = product(va, vb, batch, batch);
  Shape shape = batch;
  if (a.dim() > 1) shape.push_back(va.rows);
  if (b.dim() > 1) shape.push_back(vb.cols);
  const Tensor out = a.dim() > 1 && b.dim() > 1 ? c : alias_with(c, {shape, dense_strides(shape), 0});
  return autograd::record<MatmulBackward>(out, {a, b}, {.a = a, .b = b});
}

void check_dims(const char* op, const Tensor& a, int64_t a_dim, const Tensor& b, int64_t b_dim) {
  check_defined(op, a, b);
  TERN_CHECK(a.dim() == a_dim && b.dim() == b_dim, ShapeError, "[", op, "] expected tensors of ", a_dim, " and ", b_dim,
             " axes, got ", a.shape(), " and ", b.shape());
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  return record_matmul("matmul", a, b);
}

Tensor mm(const Tensor& a, const Tensor& b) {
  check_dims("mm", a, 2, b, 2);
  return record_matmul("mm", a, b);
}

Tensor bmm(const Tensor& a, const Tensor& b) {
  check_dims("bmm", a, 3, b, 3);
  TERN_CHECK(a.shape()[0] == b.shape()[0], ShapeError, "[bmm] expected equal batch sizes, got ", a.shape(), " and ",
             b.shape());
  return record_matmul("bmm", a, b);
}

Tensor mv(const Tensor& a, const Tensor& x) {
  check_dims("mv", a, 2, x, 1);
  return record_matmul("mv", a, x);
}

Tensor dot(const Tensor& a, const Tensor& b) {
  check_dims("dot", a, 1, b, 1);
  return record_matmul("dot", a, b);
}

}  // namespace tern
