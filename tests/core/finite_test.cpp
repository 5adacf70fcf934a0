// One value that is not finite is found wherever it stands.
#include <limits>

#include <gtest/gtest.h>

#include <tern/core/finite.h>
#include <tern/core/ops/create.h>

namespace tern {
namespace {

TEST(AllFinite, FindsOneValueAnywhere) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kBF16})
    for (const int64_t n : {1, 7, 8, 9, 1000, 70000}) {
      Tensor x = ones({n}, dtype);
      EXPECT_TRUE(all_finite(x)) << n;
      for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                               -std::numeric_limits<double>::infinity()})
        for (const int64_t at : {int64_t{0}, n / 2, n - 1}) {
          Tensor y = x.clone();
          Tensor(y.slice(0, at, at + 1)).fill_(bad);
          EXPECT_FALSE(all_finite(y)) << n << " " << at << " " << bad;
        }
    }
  EXPECT_TRUE(all_finite(empty({0})));
  EXPECT_TRUE(all_finite(zeros({3}, DType::kI64)));
  Tensor x = ones({6, 4});
  Tensor(x.slice(1, 0, 1)).fill_(std::numeric_limits<double>::infinity());
  EXPECT_TRUE(all_finite(x.slice(1, 1, 4))) << "what a view leaves out does not count";
  EXPECT_TRUE(all_finite(full({2}, std::numeric_limits<float>::max()))) << "no sum overflows";
}

}  // namespace
}  // namespace tern
