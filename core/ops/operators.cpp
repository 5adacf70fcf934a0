#include <tern/core/error.h>
#include <tern/core/ops/operators.h>

namespace tern::detail {

Tensor& assign(const char* op, Tensor& y, const Tensor& result) {
  TERN_CHECK(!(y.is_leaf() && y.requires_grad()), StateError, "[", op,
             "] expected a tensor that is not a leaf with a gradient, got ", describe(y),
             "; to change it in place, use add_, mul_ or copy_ under a NoGradGuard");
  TERN_CHECK(result.shape() == y.shape(), ShapeError, "[", op, "] expected a result of the shape ", y.shape(),
             " that the left side has, got ", result.shape());
  TERN_CHECK(result.dtype() == y.dtype(), DTypeError, "[", op, "] expected a result of the left side's ", y.dtype(),
             ", got ", result.dtype());
  return y = result;
}

}  // namespace tern::detail
