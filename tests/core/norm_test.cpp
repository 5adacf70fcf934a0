#include <tern/core/ops/norm.h>

#include "core/numeric.h"

namespace tern {
namespace {

using test::bit_equal;
using test::normal;
using test::relative_error;

TEST(Norm, ARowOfOneElementIsTheBiasAndHasNoInputGradient) {
  const Tensor x = normal({3, 1}, 1).requires_grad_(), w = normal({1}, 2), b = normal({1}, 3);
  const Tensor y = layer_norm(x, {1}, w, b);
  for (double v : y.to_vector<double>()) EXPECT_EQ(v, b.item());
  y.backward(normal({3, 1}, 4));
  for (double v : x.grad().to_vector<double>()) EXPECT_NEAR(v, 0, 1e-12);
}

TEST(Norm, KeepsItsPrecisionFarFromZero) {
  const Tensor x = normal({4, 300}, 1).add_(3000.0);
  EXPECT_LE(relative_error(layer_norm(x.to(DType::kF32), {300}), layer_norm(x.to(DType::kF32).to(DType::kF64), {300})),
            3e-4);  // the mean itself is known to 2^-24 of 3000 only
}

TEST(Norm, GroupNormStaysChannelsLastForwardAndBackward) {
  Tensor x = normal({2, 6, 3, 5}, 1).contiguous(MemoryFormat::kChannelsLast).requires_grad_();
  const Tensor y = group_norm(x, 3, normal({6}, 2), normal({6}, 3));
  EXPECT_TRUE(y.is_contiguous(MemoryFormat::kChannelsLast));
  const Tensor inputs[] = {x}, outputs[] = {y}, upstream[] = {normal(x.shape(), 4)};
  EXPECT_TRUE(autograd::grad(outputs, inputs, upstream)[0].is_contiguous(MemoryFormat::kChannelsLast));
}

TEST(Norm, ResidualFormsAreTheirParts) {
  const Tensor x = normal({5, 40}, 1, DType::kF32), r = normal({5, 40}, 2, DType::kF32),
               w = normal({40}, 3, DType::kF32), b = normal({40}, 4, DType::kF32);
  const Tensor sum = x.clone().add_(r);
  const ResidualNorm layer = residual_layer_norm(x, r, w, b), rms = residual_rms_norm(x, r, w);
  EXPECT_TRUE(bit_equal(layer.sum, sum) && bit_equal(rms.sum, sum));
  EXPECT_TRUE(bit_equal(layer.normalized, layer_norm(sum, {40}, w, b)));
  EXPECT_TRUE(bit_equal(rms.normalized, rms_norm(sum, w)));
}

TEST(Norm, AnUnusedOutputOfAResidualNormSendsNoGradient) {
  const Tensor x = normal({2, 4}, 1).requires_grad_(), r = normal({2, 4}, 2).requires_grad_(),
               w = normal({4}, 3).requires_grad_();
  residual_rms_norm(x, r, w).sum.backward(normal({2, 4}, 4));
  EXPECT_TRUE(bit_equal(x.grad(), normal({2, 4}, 4)) && bit_equal(r.grad(), x.grad()));
  EXPECT_FALSE(w.grad().defined());
}

}  // namespace
}  // namespace tern
