// Products of strided matrices and of batches of them, cut into pieces by shape and run on all threads. The ops matmul,
// linear and convolution stand on this; blas.h does the pieces.
#pragma once

#include <cstdint>

#include <tern/core/dims.h>
#include <tern/core/tensor.h>

namespace tern::gemm {

/// Matrices in memory: element (i, j) of matrix b is data[sum of b's indices times batch_strides + i * row_stride +
/// j * col_stride]. One of the two strides is 1 and the other at least as large as the length of what it steps over.
template <class T>
struct Matrices {
  T* data = nullptr;
  int64_t row_stride = 0;
  int64_t col_stride = 1;
  Strides batch_strides = {};  ///< one an axis of Product::batch; 0 where the matrix is the same for all
};

/// A right operand brought into panels (kernels/panel_gemm.h), for several products with it.
template <class T>
struct Panels {
  Tensor memory;
  int64_t k = 0, n = 0;
};

/// C[b] = A[b] B[b] for every index b of `batch`. A is [m, k], B [k, n], C [m, n] with col_stride 1. Where a batch
/// stride of C is 0 the products along that axis are added up, in order. With `accumulate`, they are added to what C
/// holds. The epilogue, if there is one, is called for every finished block of C (rows i0..i1, columns j0..j1), on the
/// thread that computed it; products with a batch have none.
template <class T>
struct Product {
  int64_t m = 0, n = 0, k = 0;
  Dims batch = {};
  Matrices<const T> a, b;
  Matrices<T> c;
  const Panels<T>* panels = nullptr;  ///< B, read in place of `b`; only without a batch
  bool accumulate = false;
  void (*epilogue)(const void* context, int64_t i0, int64_t i1, int64_t j0, int64_t j1) = nullptr;
  const void* context = nullptr;
};

/// Computes a product, T = float or double. The pieces depend on the sizes alone: bit-identical at any thread count.
template <class T>
void multiply(const Product<T>& product);

/// B is [k, n]. All threads work.
template <class T>
Panels<T> pack_right(const Matrices<const T>& b, int64_t k, int64_t n);
/// Elements of scratch memory that multiply_rows needs for up to `rows` rows.
template <class T>
int64_t multiply_rows_scratch(int64_t rows, int64_t a_row_stride, const Panels<T>& b);
/// C = A B for some rows, on the calling thread: a [rows, k] and c [rows, n], dense rows that far apart.
template <class T>
void multiply_rows(int64_t rows, const T* a, int64_t a_row_stride, const Panels<T>& b, T* c, int64_t c_row_stride,
                   T* scratch);

/// A tensor of at least two axes, f32 or f64, read as matrices: the last two axes are rows and columns, the others the
/// batch. The strides obey the rule of Matrices.
struct MatrixView {
  Tensor tensor;  ///< what was given, or a row-major copy of it where its strides break the rule
  int64_t rows = 0, cols = 0, row_stride = 0, col_stride = 0;
  Dims batch;
  Strides batch_strides;

  MatrixView transposed() const;  ///< of every matrix; no copy
};
/// Copies x where it must, outside the graph.
MatrixView as_matrices(const Tensor& x);

}  // namespace tern::gemm
