// What the generic tests share: running an entry, and comparing.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "op_table/op_table.h"

namespace tern::test {

/// One fixture for all generic tests; the parameter is the entry's place in the table.
class OpTest : public ::testing::TestWithParam<size_t> {
 protected:
  const OpEntry& entry() const { return op_table().entries()[GetParam()]; }
  /// Inputs whose gradients the op gives, for a sample.
  std::vector<size_t> differentiable(const Inputs& sample) const;
};
std::string entry_name(const ::testing::TestParamInfo<size_t>& info);
std::vector<size_t> all_entries();

#define TERN_INSTANTIATE_OP_TESTS(Fixture)                \
  GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Fixture); \
  INSTANTIATE_TEST_SUITE_P(Table, Fixture, ::testing::ValuesIn(::tern::test::all_entries()), ::tern::test::entry_name)

/// A fresh copy of every input: same layout, floating-point ones in `dtype`. Nothing is shared with the sample.
Inputs fresh(const Inputs& sample, DType dtype);
/// The inputs as arrays, after rounding floating-point ones to `dtype`.
Arrays as_arrays(const Inputs& sample, DType dtype);
/// The inputs in f64 after rounding to f32.
Inputs rounded_to_f32(const Inputs& sample);

/// An upstream gradient for an output: f32-representable numbers in [-1, 1] that depend on the shape and `k` alone.
Tensor upstream(const Tensor& output, size_t k);

struct Results {
  std::vector<Tensor> outputs;
  std::vector<Tensor> gradients;  ///< one an input, undefined where none was asked for or none arrived
};
/// Runs the op on inputs (which it turns into leaves) and, if any is asked for, backward from all its outputs.
/// `wanted` are the inputs whose gradients are asked for; `relay` may change the layout of upstream gradients.
Results run(const OpEntry& entry, Inputs inputs, const std::vector<size_t>& wanted,
            const std::function<Tensor(const Tensor&)>& relay = {});

/// Makes the allocator's free blocks of these tensors' sizes hold NaN, so that reading what was never written shows.
void poison(const std::vector<Tensor>& sizes);

/// `scale` is the least that counts as the largest element, where cancellation may leave nothing else.
::testing::AssertionResult close(const Tensor& got, const Array& want, const Tolerance& tolerance, double scale = 0);
/// The largest finite magnitude.
double scale_of(const Array& x);
/// Same shape, dtype and bits, whatever the strides.
::testing::AssertionResult identical(const Tensor& got, const Tensor& want);

/// Restores the number of threads at the end of a scope.
class ThreadCount {
 public:
  explicit ThreadCount(int count);
  ~ThreadCount();
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

/// All samples of an entry, the small ones first.
std::vector<Inputs> all_samples(const OpEntry& entry);
std::string describe_inputs(const Inputs& inputs);

}  // namespace tern::test
