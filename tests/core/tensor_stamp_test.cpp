// A stamp tells every way in which a tensor may have become another.
#include <gtest/gtest.h>

#include <tern/core/ops/create.h>
#include <tern/core/ops/shape.h>
#include <tern/core/tensor_stamp.h>

namespace tern {
namespace {

TEST(TensorStampTest, KnowsTheViewAndItsWrites) {
  Tensor x = arange(0, 12).reshape({3, 4});
  const TensorStamp stamp(x);
  EXPECT_TRUE(stamp.is_of(x));
  EXPECT_TRUE(stamp.is_of(x.detach()));
  EXPECT_FALSE(stamp.is_of(x.clone()));
  EXPECT_FALSE(stamp.is_of(x.transpose(0, 1)));
  EXPECT_FALSE(stamp.is_of(x.reshape({4, 3})));
  const TensorStamp row(x.slice(0, 0, 1));
  EXPECT_FALSE(row.is_of(x.slice(0, 1, 2)));
  EXPECT_TRUE(row.is_of(x.slice(0, 0, 1)));
  x.slice(0, 2, 3).fill_(0);
  EXPECT_FALSE(stamp.is_of(x));
  EXPECT_FALSE(row.is_of(x.slice(0, 0, 1))) << "writes are counted for the memory";
}

TEST(TensorStampTest, OfNothing) {
  EXPECT_FALSE(TensorStamp().is_of(Tensor()));
  EXPECT_FALSE(TensorStamp().is_of(ones({2})));
  EXPECT_FALSE(TensorStamp(ones({2})).is_of(Tensor()));
  EXPECT_FALSE(TensorStamp(Tensor()).is_of(Tensor()));
}

TEST(TensorStampTest, HoldsTheMemory) {
  TensorStamp stamp(ones({1000}));
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(stamp.is_of(ones({1000}))) << "none is made where the first one lies";
}

}  // namespace
}  // namespace tern
