// What elementwise.cpp, activation.cpp and ste.cpp share. Not for users.
#pragma once

#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/kernels/binary.h>
#include <tern/core/kernels/unary.h>
#include <tern/core/tensor.h>

namespace tern::detail {

/// What the gradient of a function is computed from.
enum class Keeps { kInput, kOutput, kNothing };

/// Throws DTypeError unless x is f32 or f64.
void check_real(const char* op, const Tensor& x);

/// y = f(x; a, b), nothing recorded.
Tensor apply_unary(const char* name, UnaryOp op, const Tensor& x, double a = 0, double b = 0);

/// The same, recorded. `name` must be a literal. Functions that keep nothing must be linear or flat (see
/// UnaryBackward).
Tensor unary(const char* name, UnaryOp op, Keeps keeps, const Tensor& x, double a = 0, double b = 0);

/// An uninitialised result of that shape in the format of the first operand that has the shape and is dense.
Tensor result_like(const Shape& shape, DType dtype, std::initializer_list<const Tensor*> operands);

/// out = f(a, b) with broadcasting, nothing recorded. a and b: same dtype.
Tensor apply_binary(const char* name, BinaryOp op, const Tensor& a, const Tensor& b);

/// f(grad_output, a, b), summed to a shape to which a and b were broadcast from. All of one dtype.
Tensor binary_gradient(const char* name, BinaryGradient op, const Tensor& grad_output, const Tensor& a, const Tensor& b,
                       const Shape& shape);

/// The backward of a unary function.
struct UnaryBackward {
  const char* name = "";
  UnaryOp op = UnaryOp::kNeg;
  SavedTensor saved;
  double a = 0, b = 0;
  std::vector<Tensor> backward(const Tensor& grad_output) const;
};

}  // namespace tern::detail
