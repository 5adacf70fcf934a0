// No images, but of a size for whose rows there is no memory, and whose results have sizes that cannot be counted.
#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/ops/conv_transpose.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/resample.h>
#include <tern/core/ops/shuffle.h>

#include "message_of.h"

namespace tern::test {
namespace {

constexpr int64_t kHuge = int64_t{1} << 40, kLargestFactor = (int64_t{1} << 31) - 1;

TEST(EmptyImages, AreResampledAndPaddedWithoutTables) {
  for (const InterpolationMode mode :
       {InterpolationMode::kNearest, InterpolationMode::kBilinear, InterpolationMode::kBicubic}) {
    Tensor x = zeros({0, 2, kHuge, 3}).requires_grad_();
    const Tensor y = interpolate(x, {.size = Size2(5, 4), .mode = mode});
    EXPECT_EQ(y.shape(), (Shape{0, 2, 5, 4}));
    y.backward(ones_like(y));
    EXPECT_EQ(x.grad().shape(), x.shape());
  }
  const Tensor x = zeros({0, 2, kHuge, 3});
  EXPECT_EQ(reflection_pad2d(x, {1, 2, 3, 4}).shape(), (Shape{0, 2, kHuge + 7, 6}));
  EXPECT_EQ(replication_pad2d(x, {1, 2, 3, 4}).shape(), (Shape{0, 2, kHuge + 7, 6}));
}

TEST(EmptyImages, ResultsOfUncountableSizesAreRefused) {
  EXPECT_EQ(message_of<ShapeError>([] {
              return conv_transpose2d(zeros({0, 3, kHuge, 1}), zeros({3, 2, 2, 2}), {}, {.stride = kLargestFactor});
            }),
            "[conv_transpose2d] expected images and a kernel of fewer than 2^31 rows and columns, got input "
            "[0, 3, 1099511627776, 1] and weight [3, 2, 2, 2]");
  EXPECT_EQ(message_of<ShapeError>([] {
              return pixel_shuffle(zeros({1, 0, kHuge, 1}), kLargestFactor);
            }),
            "[pixel_shuffle] expected images of fewer than 2^32 rows and columns, got [1, 0, 1099511627776, 1]");
  EXPECT_EQ(message_of<ShapeError>([] {
              return pixel_unshuffle(zeros({1, 4, 0, 0}), kLargestFactor);
            }),
            "[pixel_unshuffle] expected channels of which 4611686014132420609 times as many can be counted, got "
            "[1, 4, 0, 0]");
}

}  // namespace
}  // namespace tern::test
