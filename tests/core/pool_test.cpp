// Windows that no entry of the op table can have: their results are infinite.
#include <cmath>

#include <gtest/gtest.h>

#include <tern/core/ops/create.h>
#include <tern/core/ops/pool.h>

namespace tern {
namespace {

// Size 2, padding 1 and dilation 3: the taps are at -1 and 2, both in the padding.
TEST(MaxPool, AWindowOfNothingButPaddingIsMinusInfinityAndPassesNoGradient) {
  const Size2 sizes[] = {{2, 2}, {2, 6}, {6, 2}};
  for (const DType dtype : {DType::kF32, DType::kF64})
    for (const MemoryFormat format : {MemoryFormat::kContiguous, MemoryFormat::kChannelsLast})
      for (const Size2 size : sizes) {
        Tensor x = rand({2, 3, size.h, size.w}, dtype).contiguous(format).requires_grad_();
        const Size2 dilation{size.h == 2 ? 3 : 1, size.w == 2 ? 3 : 1};
        const Tensor y = max_pool2d(x, {.kernel_size = 2, .stride = 1, .padding = 1, .dilation = dilation});
        EXPECT_EQ(y.shape(), (Shape{2, 3, size.h == 2 ? 1 : 7, size.w == 2 ? 1 : 7}));
        for (const double v : y.to_vector<double>()) EXPECT_EQ(v, -INFINITY);
        y.backward(ones_like(y));
        for (const double g : x.grad().to_vector<double>()) EXPECT_EQ(g, 0);
      }
}

}  // namespace
}  // namespace tern
