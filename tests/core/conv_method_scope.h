// Chooses the kernels of convolutions for a block of a test.
#pragma once

#include <tern/core/conv_method.h>

namespace tern::test {

class MethodScope {
 public:
  explicit MethodScope(ConvMethod method) : before_(conv_method()) { set_conv_method(method); }
  ~MethodScope() { set_conv_method(before_); }
  MethodScope(const MethodScope&) = delete;
  MethodScope& operator=(const MethodScope&) = delete;

 private:
  ConvMethod before_;
};

}  // namespace tern::test
