#include <cmath>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/shape.h>
#include <tern/core/tensor.h>

#include "message_of.h"

namespace tern {
namespace {

using test::message_of;

Tensor counted(const Shape& shape) {
  return arange(numel_of(shape)).to(DType::kF32).reshape(shape);
}

TEST(Tensor, DescribesItself) {
  const Tensor x = zeros({2, 3}, DType::kF64);
  EXPECT_EQ(x.dim(), 2);
  EXPECT_EQ(x.size(-1), 3);
  EXPECT_EQ(x.numel(), 6);
  EXPECT_EQ(x.bytes(), 48);
  EXPECT_TRUE(x.is_floating());
  EXPECT_EQ(describe(x), "f64 [2, 3]");
  EXPECT_EQ(describe(Tensor()), "undefined");
  EXPECT_THROW((void)x.size(2), ShapeError);
}

TEST(Tensor, UndefinedThrowsInsteadOfCrashing) {
  const Tensor none;
  EXPECT_FALSE(none.defined());
  EXPECT_EQ(message_of<StateError>([&] { (void)none.shape(); }),
            "[tensor] expected a defined tensor, got an undefined one");
  EXPECT_THROW((void)none.requires_grad(), StateError);
  EXPECT_THROW((void)none.clone(), StateError);
}

TEST(Tensor, OpsNameThemselvesWhenGivenAnUndefinedOne) {
  const Tensor none, x = zeros({2, 2});
  const auto sentence = [](const char* op) {
    return concat("[", op, "] expected a defined tensor, got an undefined one");
  };
  EXPECT_EQ(message_of<StateError>([&] { (void)abs(none); }), sentence("abs"));
  EXPECT_EQ(message_of<StateError>([&] { (void)mul(x, none); }), sentence("mul"));
  EXPECT_EQ(message_of<StateError>([&] { (void)none.reshape({1}); }), sentence("reshape"));
  EXPECT_EQ(message_of<StateError>([&] { (void)none.clone(); }), sentence("clone"));
  EXPECT_EQ(message_of<StateError>([&] { (void)none.sum(); }), sentence("sum"));
  EXPECT_EQ(message_of<StateError>([&] { (void)zeros({2}).copy_(none); }), sentence("copy_"));
  EXPECT_EQ(message_of<StateError>([&] { (void)zeros({2}).add_(none); }), sentence("add_"));
  EXPECT_EQ(message_of<StateError>([&] { (void)none.shape(); }), sentence("tensor"));
}

TEST(Tensor, DataChecksTheElementType) {
  const Tensor x = zeros({2});
  EXPECT_EQ(message_of<DTypeError>([&] { (void)x.data<double>(); }), "[data] expected a tensor of f64, got f32 [2]");
}

TEST(Tensor, LayoutMustStayInsideItsStorage) {
  const auto block = Storage::allocate(64);
  EXPECT_NO_THROW(Tensor(block, {{4, 4}, {4, 1}, 0}, DType::kF32));
  EXPECT_THROW(Tensor(block, {{4, 4}, {4, 1}, 1}, DType::kF32), ShapeError);
  EXPECT_THROW(Tensor(block, {{4, 4}, {5, 1}, 0}, DType::kF32), ShapeError);
  EXPECT_THROW(Tensor(block, {{2}, {1}, -1}, DType::kF32), ShapeError);
  EXPECT_THROW(Tensor(block, {{2}, {-1}, 0}, DType::kF32), ShapeError);
  EXPECT_NO_THROW(Tensor(block, {{2}, {-1}, 1}, DType::kF32));
  EXPECT_THROW(Tensor(block, {{2, 2}, {1}, 0}, DType::kF32), ShapeError);
  EXPECT_NO_THROW(Tensor(block, {{0, 100}, {100, 1}, 0}, DType::kF32));
}

TEST(Tensor, ItemConvertsAndRefusesMany) {
  EXPECT_EQ(full({1, 1}, 2.5).item(), 2.5);
  EXPECT_EQ(full({}, 3, DType::kI64).item<int>(), 3);
  EXPECT_EQ(full({}, 1.5, DType::kBF16).item<float>(), 1.5f);
  Tensor large = zeros({}, DType::kI64);
  *large.data<int64_t>() = (int64_t{1} << 60) + 1;
  EXPECT_EQ(large.item_i64(), (int64_t{1} << 60) + 1);  // a double would lose the 1
  EXPECT_EQ(message_of<ShapeError>([] { (void)zeros({2}).item(); }),
            "[item] expected a tensor of one element, got shape [2]");
  EXPECT_THROW((void)zeros({0}).item(), ShapeError);
}

TEST(Tensor, ToVectorIsRowMajorWhateverTheStrides) {
  const Tensor x = counted({2, 3});
  EXPECT_EQ(x.t().to_vector<int64_t>(), (std::vector<int64_t>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(x.slice(1, 0, 3, 2).to_vector<double>(), (std::vector<double>{0, 2, 3, 5}));
}

TEST(MemoryFormat, DenseStridesOfBoth) {
  EXPECT_EQ(dense_strides({2, 3, 4, 5}), (Strides{60, 20, 5, 1}));
  EXPECT_EQ(dense_strides({2, 3, 4, 5}, MemoryFormat::kChannelsLast), (Strides{60, 1, 15, 3}));
  EXPECT_EQ(dense_strides({}), (Strides{}));
  EXPECT_EQ(dense_strides({2, 0, 3}), (Strides{3, 3, 1}));
  EXPECT_THROW((void)dense_strides({2, 3}, MemoryFormat::kChannelsLast), ShapeError);
}

TEST(MemoryFormat, IsRecognisedAndKept) {
  const Tensor x = counted({2, 3, 4, 5});
  const Tensor y = x.contiguous(MemoryFormat::kChannelsLast);
  EXPECT_EQ(x.memory_format(), MemoryFormat::kContiguous);
  EXPECT_EQ(y.memory_format(), MemoryFormat::kChannelsLast);
  EXPECT_TRUE(y.is_dense());
  EXPECT_FALSE(y.is_contiguous());
  EXPECT_EQ(y.to_vector<float>(), x.to_vector<float>());
  EXPECT_EQ(y.clone().strides(), y.strides());
  EXPECT_EQ(empty_like(y).strides(), y.strides());
  EXPECT_EQ(empty_like(y, DType::kU8, MemoryFormat::kContiguous).strides(), x.strides());
  EXPECT_EQ(y.to(DType::kF64).strides(), y.strides());
  EXPECT_EQ(y.contiguous().strides(), x.strides());
  EXPECT_TRUE(y.contiguous(MemoryFormat::kChannelsLast).is_same(y)) << "no copy where none is needed";
  // With one channel or one pixel both formats are the same.
  EXPECT_TRUE(counted({2, 1, 4, 5}).is_contiguous(MemoryFormat::kChannelsLast));
  EXPECT_EQ(counted({2, 1, 4, 5}).memory_format(), MemoryFormat::kContiguous);
}

TEST(MemoryFormat, DensityMeansNoHolesAndNoOverlap) {
  const Tensor x = counted({4, 6});
  EXPECT_TRUE(x.t().is_dense());
  EXPECT_TRUE(x.slice(0, 1, 3).is_dense());
  EXPECT_FALSE(x.slice(1, 0, 3).is_dense());
  EXPECT_FALSE(x.slice(0, 0, 4, 2).is_dense());
  EXPECT_FALSE(x.select(1, 0).is_dense());
  EXPECT_FALSE(counted({1, 3}).expand({2, 3}).is_dense());
  EXPECT_TRUE(counted({1, 3}).expand({1, 3}).is_dense());
  EXPECT_TRUE(zeros({0, 3}).is_dense());
  EXPECT_TRUE(full({}, 1).is_dense());
  EXPECT_TRUE(dense(x.t()).is_same(dense(x.t())) || dense(x.t()).strides() == x.t().strides());
  EXPECT_TRUE(dense(x.slice(1, 0, 3)).is_contiguous());
}

TEST(Views, ShareStorageAndVersion) {
  Tensor x = counted({3, 4});
  Tensor row = x.select(0, 1);
  EXPECT_TRUE(row.shares_storage_with(x));
  row.fill_(-1);
  EXPECT_EQ(x.to_vector<float>(), (std::vector<float>{0, 1, 2, 3, -1, -1, -1, -1, 8, 9, 10, 11}));
  EXPECT_EQ(x.version(), row.version());
  EXPECT_TRUE(x.reshape({4, 3}).shares_storage_with(x));
  EXPECT_TRUE(x.t().unsqueeze(0).shares_storage_with(x));
  EXPECT_FALSE(x.t().reshape({12}).shares_storage_with(x)) << "these elements cannot be regrouped in place";
  EXPECT_TRUE(x.detach().shares_storage_with(x));
  EXPECT_FALSE(x.clone().shares_storage_with(x));
}

TEST(Views, ReshapeFindsAViewWhereThereIsOne) {
  const Tensor x = counted({2, 3, 4});
  const Tensor part = x.slice(2, 0, 4, 2);  // [2, 3, 2] with strides [12, 4, 2]
  EXPECT_TRUE(part.reshape({6, 2}).shares_storage_with(x));
  EXPECT_TRUE(part.reshape({2, 6}).shares_storage_with(x)) << "4 = 2 * 2: rows lie one behind the other";
  const Tensor gap = x.slice(2, 0, 3);
  EXPECT_FALSE(gap.reshape({2, 9}).shares_storage_with(x));
  EXPECT_EQ(gap.reshape({2, 9}).to_vector<int64_t>(), gap.contiguous().to_vector<int64_t>());
  EXPECT_TRUE(gap.reshape({2, 3, 1, 3}).shares_storage_with(x));
  EXPECT_EQ(zeros({0, 3}).reshape({3, 0}).shape(), (Shape{3, 0}));
  EXPECT_EQ(full({}, 4).reshape({1, 1}).item(), 4);
  EXPECT_EQ(message_of<ShapeError>([&] {
              (void)x.reshape({-1, int64_t{1} << 32, int64_t{1} << 32});
            }),
            "[shape] expected at most 2^62 elements, got shape [1, 4294967296, 4294967296]");
}

TEST(Views, SliceFollowsPython) {
  const Tensor x = counted({7});
  const auto got = [&](int64_t begin, int64_t end, int64_t step) {
    return x.slice(0, begin, end, step).to_vector<int64_t>();
  };
  EXPECT_EQ(got(1, 5, 1), (std::vector<int64_t>{1, 2, 3, 4}));
  EXPECT_EQ(got(-3, 100, 1), (std::vector<int64_t>{4, 5, 6}));
  EXPECT_EQ(got(-100, -5, 1), (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(got(0, 7, 3), (std::vector<int64_t>{0, 3, 6}));
  EXPECT_EQ(got(5, 2, 1), (std::vector<int64_t>{}));
  EXPECT_EQ(got(9, 12, 2), (std::vector<int64_t>{}));
  EXPECT_EQ(x[-1].item(), 6);
  EXPECT_EQ(got(2, 7, INT64_MAX), (std::vector<int64_t>{2}));
  EXPECT_EQ(got(5, 2, INT64_MAX), (std::vector<int64_t>{}));
  const Tensor leaf = full({7}, 1).requires_grad_();
  leaf.slice(0, 3, 7, INT64_MAX).backward(full({1}, 2));
  EXPECT_EQ(leaf.grad().to_vector<int64_t>(), (std::vector<int64_t>{0, 0, 0, 2, 0, 0, 0}));
}

TEST(InPlace, WritesBroadcastConvertedAndStrided) {
  Tensor x = zeros({2, 3});
  x.slice(1, 0, 3, 2).copy_(tensor({1, 2}));
  EXPECT_EQ(x.to_vector<int64_t>(), (std::vector<int64_t>{1, 0, 2, 1, 0, 2}));
  x.add_(tensor({10.0, 20.0, 30.0}), 0.5);
  EXPECT_EQ(x.to_vector<double>(), (std::vector<double>{6, 10, 17, 6, 10, 17}));
  x.t().mul_(tensor(std::vector<double>{1, 2}, {2}));
  EXPECT_EQ(x.to_vector<double>(), (std::vector<double>{6, 10, 17, 12, 20, 34}));
  x.sub_(full({}, 6)).mul_(0.5).add_(1);
  EXPECT_EQ(x.to_vector<double>(), (std::vector<double>{1, 3, 6.5, 4, 8, 15}));
  EXPECT_EQ(message_of<ShapeError>([&] {
              x.add_(zeros({2, 2, 3}));
            }),
            "[add_] expected a tensor that broadcasts to [2, 3], got [2, 2, 3]");
  EXPECT_EQ(message_of<ShapeError>([&] { x.copy_(zeros({4})); }),
            "[copy_] expected shapes that broadcast together, got [2, 3] and [4]");
}

TEST(InPlace, HandlesOverlapOfSourceAndDestination) {
  Tensor x = counted({3, 3});
  const Tensor sum = add(x, x.t());
  x.add_(x.t());
  EXPECT_EQ(x.to_vector<float>(), sum.to_vector<float>());
  Tensor y = counted({5});
  y.slice(0, 1, 5).copy_(y.slice(0, 0, 4));
  EXPECT_EQ(y.to_vector<int64_t>(), (std::vector<int64_t>{0, 0, 1, 2, 3}));
  Tensor z = counted({4});
  z.add_(z);
  EXPECT_EQ(z.to_vector<int64_t>(), (std::vector<int64_t>{0, 2, 4, 6}));
}

TEST(InPlace, RefusesExpandedTensorsAndLossyIntegers) {
  Tensor x = zeros({1, 3}).expand({2, 3});
  EXPECT_EQ(message_of<StateError>([&] { x.add_(1); }),
            "[add_] cannot write in place to an expanded tensor, whose elements share memory (shape [2, 3], strides "
            "[0, 1]); clone it first");
  EXPECT_THROW(x.fill_(1), StateError);
  EXPECT_THROW(x.copy_(zeros({3})), StateError);
  Tensor i = arange(3);
  EXPECT_EQ(message_of<DTypeError>([&] {
              i.add_(tensor({0.5, 1.5, 2.5}));
            }),
            "[add_] expected an integer operand for i64, got f32");
  EXPECT_EQ(message_of<ValueError>([&] { i.mul_(0.5); }), "[mul_] expected a number that i64 can hold, got 0.5");
  EXPECT_EQ(i.mul_(3).add_(1).to_vector<int64_t>(), (std::vector<int64_t>{1, 4, 7}));
}

TEST(InPlace, NumbersMustFitIntegers) {
  const auto says = [](std::string_view op, std::string_view dtype, std::string_view got, auto&& call) {
    EXPECT_EQ(message_of<ValueError>(call),
              concat("[", op, "] expected a number that ", dtype, " can hold, got ", got));
  };
  Tensor i = arange(3), u = full({3}, 7, DType::kU8);
  const Tensor byte = full({3}, 2, DType::kU8);
  says("add_", "i64", "0.5", [&] { i.add_(arange(3), 0.5); });
  says("sub_", "i64", "0.5", [&] { i.sub_(arange(3), 0.5); });
  says("add_", "u8", "300", [&] { u.add_(300); });
  says("mul_", "u8", "256", [&] { u.mul_(256); });
  says("add_", "i64", "inf", [&] { i.add_(INFINITY); });
  says("add_", "i64", "nan", [&] { i.add_(arange(3), NAN); });
  says("fill_", "u8", "-1", [&] { u.fill_(-1); });
  says("fill_", "u8", "nan", [&] { u.fill_(NAN); });
  says("fill_", "i64", "-inf", [&] { i.fill_(-INFINITY); });
  EXPECT_EQ(i.to_vector<int64_t>(), (std::vector<int64_t>{0, 1, 2})) << "nothing was written";
  EXPECT_EQ(u.sub_(byte).to_vector<int64_t>(), (std::vector<int64_t>{5, 5, 5})) << "unsigned numbers have no -1";
  EXPECT_EQ(u.sub_(byte, 2).add_(byte, 3).to_vector<int64_t>(), (std::vector<int64_t>{7, 7, 7}));
  EXPECT_EQ(u.fill_(3.9).to_vector<int64_t>(), (std::vector<int64_t>{3, 3, 3})) << "fractions are cut off";
}

TEST(InPlace, StorageFormatsComputeInSinglePrecision) {
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    Tensor x = tensor({1.0, 2.0}).to(dtype);
    x.add_(tensor({0.5, -0.25}), 2);
    EXPECT_EQ(x.dtype(), dtype);
    EXPECT_EQ(x.to_vector<double>(), (std::vector<double>{2, 1.5}));
    x.mul_(2);
    EXPECT_EQ(x.to_vector<double>(), (std::vector<double>{4, 3}));
  }
}

TEST(InPlace, CountsVersions) {
  Tensor x = zeros({2});
  const uint64_t before = x.version();
  x.add_(1).mul_(2);
  x.copy_(ones({2}));
  EXPECT_EQ(x.version(), before + 3);
}

TEST(Copies, AreIndependentAndDifferentiable) {
  Tensor x = tensor({1.0, 2.0});
  Tensor y = x.clone();
  y.fill_(7);
  EXPECT_EQ(x.to_vector<double>(), (std::vector<double>{1, 2}));
  x.requires_grad_();
  mul(x.to(DType::kF64), 3).backward(tensor(std::vector<double>{1, 2}));
  EXPECT_EQ(x.grad().dtype(), DType::kF32) << "a gradient takes its parameter's dtype";
  EXPECT_EQ(x.grad().to_vector<double>(), (std::vector<double>{3, 6}));
}

TEST(Copies, BetweenAllDtypes) {
  for (const DType from :
       {DType::kF32, DType::kF64, DType::kBF16, DType::kF16, DType::kI64, DType::kI32, DType::kI8, DType::kU8})
    for (const DType to :
         {DType::kF32, DType::kF64, DType::kBF16, DType::kF16, DType::kI64, DType::kI32, DType::kI8, DType::kU8}) {
      const Tensor x = tensor({0, 1, 2, 100}).to(from).reshape({2, 2}).t();
      EXPECT_EQ(x.to(to).to_vector<int64_t>(), (std::vector<int64_t>{0, 2, 1, 100}));
    }
}

}  // namespace
}  // namespace tern
