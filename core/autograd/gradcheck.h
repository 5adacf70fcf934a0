// Comparing gradients with central differences.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <tern/core/tensor.h>

namespace tern::autograd {

/// Settings of gradcheck.
struct GradcheckOptions {
  double eps = 1e-6;   ///< half the step of the difference
  double atol = 1e-5;  ///< |analytic - numeric| <= atol + rtol * |numeric|
  double rtol = 1e-3;
  std::vector<Tensor>
      skip;  ///< per input, u8 of its shape: 1 marks elements not to test (kinks); may be shorter or undefined
};

/// Whether the gradients agree.
struct GradcheckResult {
  bool ok = true;
  std::string message;  ///< the first disagreement: input, element, both values
  explicit operator bool() const { return ok; }
};

/// Checks the gradients of sum(function(inputs) * v), v fixed and arbitrary, with respect to every f64 input that
/// requires a gradient. function is called twice an element and must give the same each time; the elements are changed
/// in place and put back. Throws StateError if its result requires no gradient, DTypeError if an input that requires a
/// gradient is not f64: single precision cannot tell a right gradient from a wrong one; ShapeError for a skip of
/// another shape than its input's, ValueError for more of them than inputs.
GradcheckResult gradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& function,
                          const std::vector<Tensor>& inputs, const GradcheckOptions& options = {});

}  // namespace tern::autograd
