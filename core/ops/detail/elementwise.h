// What elementwise.cpp, activation.cpp and ste.cpp share. Not for users.
#pragma once

#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/kernels/binary.h>
#include <tern/core/kernels/detail/binary_functions.h>
#include <tern/core/kernels/detail/unary_functions.h>
#include <tern/core/kernels/unary.h>
#include <tern/core/tensor.h>

namespace tern::detail {

/// Throws DTypeError unless x is f32 or f64.
void check_real(const char* op, const Tensor& x);

/// A struct of unary_functions.h as an object.
struct UnaryFunction {
  UnaryTraits traits;
  const UnaryLoops& (*loops)();  ///< for this processor
};
template <class Op>
const UnaryFunction& unary_function() {
  static constexpr UnaryFunction kFunction{Op::kTraits,
                                           +[]() -> const UnaryLoops& { return TERN_KERNEL(unary_loops<Op>)(); }};
  return kFunction;
}

/// y = f(x; a, b), nothing recorded. `name`, here and below: of the public function, a literal.
Tensor apply_unary(const UnaryFunction& f, const char* name, const Tensor& x, double a = 0, double b = 0);

/// The same, recorded.
Tensor unary(const UnaryFunction& f, const char* name, const Tensor& x, double a = 0, double b = 0);
template <class Op>
Tensor unary(const Tensor& x, double a = 0, double b = 0, const char* name = Op::kTraits.name) {
  return unary(unary_function<Op>(), name, x, a, b);
}

/// The backward of a unary function. saved: as traits.gradient says.
struct UnaryBackward {
  const char* name = "";
  const UnaryFunction* function = nullptr;
  SavedTensor saved;
  double a = 0, b = 0;
  std::vector<Tensor> backward(const Tensor& grad_output) const;
};

/// An uninitialised result of that shape in the format of the first operand that has the shape and is dense.
Tensor result_like(const Shape& shape, DType dtype, std::initializer_list<const Tensor*> operands);

/// A struct of binary_functions.h as an object.
struct BinaryFunction {
  BinaryTraits traits;
  const BinaryLoops& (*loops)();  ///< for this processor
};
template <class Op>
const BinaryFunction& binary_function() {
  static constexpr BinaryFunction kFunction{Op::kTraits,
                                            +[]() -> const BinaryLoops& { return TERN_KERNEL(binary_loops<Op>)(); }};
  return kFunction;
}

/// out = f(a, b) with broadcasting, nothing recorded. a and b: same dtype.
Tensor apply_binary(const BinaryFunction& f, const char* name, const Tensor& a, const Tensor& b);
template <class Op>
Tensor apply_binary(const Tensor& a, const Tensor& b, const char* name = Op::kTraits.name) {
  return apply_binary(binary_function<Op>(), name, a, b);
}

/// The gradient of the first or the second operand of f(a, b) from the function's own loop, summed to the operand's
/// shape. All of one dtype.
enum class Operand { kFirst, kSecond };
Tensor binary_gradient(const BinaryFunction& f, Operand operand, const Tensor& grad_output, const Tensor& a,
                       const Tensor& b);

/// The backward of a function whose gradients both come from its own loops.
struct BinaryBackward {
  const char* name = "";
  const BinaryFunction* function = nullptr;
  SavedTensor a, b;
  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const;
};

}  // namespace tern::detail
