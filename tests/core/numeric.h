// Small tools that the tests of the matrix, attention and norm ops share.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/autograd/gradcheck.h>
#include <tern/core/error.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/shape.h>
#include <tern/core/parallel.h>
#include <tern/core/random.h>
#include <tern/core/tensor.h>

namespace tern::test {

/// Standard normal numbers that depend on the seed alone.
inline Tensor normal(const Shape& shape, uint64_t seed, DType dtype = DType::kF64) {
  Tensor x = empty(shape, DType::kF64);
  Generator generator(seed);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<double>()[i] = generator.normal();
  return x.to(dtype);
}

/// An f64 tensor that gradients are collected for.
inline Tensor leaf(const std::vector<double>& v) {
  Tensor x = tensor(v);
  x.requires_grad_();
  return x;
}

/// Root mean square of the error of x, relative to that of the exact y.
inline double rms_error(const Tensor& x, const Tensor& y) {
  EXPECT_EQ(x.shape(), y.shape());
  const auto a = x.to_vector<double>(), b = y.to_vector<double>();
  double error = 0, scale = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += (a[i] - b[i]) * (a[i] - b[i]);
    scale += b[i] * b[i];
  }
  return std::sqrt(error / scale);
}

/// The largest |x - y| divided by the largest |y| (at least `floor`); infinity where one holds a NaN.
inline double relative_error(const Tensor& x, const Tensor& y, double floor = 1e-30) {
  EXPECT_EQ(x.shape(), y.shape());
  const auto a = x.to_vector<double>(), b = y.to_vector<double>();
  double worst = 0, scale = floor;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = a[i] == b[i] ? 0 : std::abs(a[i] - b[i]);
    worst = std::isnan(difference) ? HUGE_VAL : std::max(worst, difference);
    scale = std::max(scale, std::abs(b[i]));
  }
  return worst / scale;
}

inline bool bit_equal(const Tensor& x, const Tensor& y) {
  const NoGradGuard no_grad;
  const Tensor a = x.contiguous(), b = y.contiguous();
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0;
}

using Function = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;

/// The function's outputs, then the gradients of sum(output * v) with respect to the inputs, v fixed and arbitrary.
inline std::vector<Tensor> outputs_and_gradients(const Function& function, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> leaves, wanted;
  for (const Tensor& x : inputs) {
    // A leaf with x's own strides: a view's layout must reach the op.
    Tensor leaf = x.defined() ? x.detach() : Tensor();
    if (leaf.defined() && leaf.is_floating()) wanted.push_back(leaf.requires_grad_());
    leaves.push_back(leaf);
  }
  std::vector<Tensor> results = function(leaves), upstream;
  for (size_t i = 0; i < results.size(); ++i)
    upstream.push_back(normal(results[i].shape(), 1000 + i).to(results[i].dtype()));
  const std::vector<Tensor> gradients = autograd::grad(results, wanted, upstream);
  for (Tensor& y : results) y = y.detach();
  results.insert(results.end(), gradients.begin(), gradients.end());
  return results;
}

/// Outputs and gradients must be the same, bit for bit, with 1, 2 and 3 threads.
inline void expect_thread_invariant(const Function& function, const std::vector<Tensor>& inputs) {
  const int before = num_threads();
  set_num_threads(1);
  const auto one = outputs_and_gradients(function, inputs);
  for (int threads : {2, 3}) {
    set_num_threads(threads);
    const auto several = outputs_and_gradients(function, inputs);
    for (size_t i = 0; i < one.size(); ++i)
      EXPECT_TRUE(!one[i].defined() || bit_equal(one[i], several[i]))
          << "result " << i << " with " << threads << " threads";
  }
  set_num_threads(before);
}

/// Outputs and gradients of two functions must agree: those of `fast` in f32 with `reference` in f64 to `f32`, and in
/// f64 to `f64`, relative to the largest element.
inline void expect_same(const Function& fast, const Function& reference, const std::vector<Tensor>& inputs,
                        double f32 = 2e-5, double f64 = 1e-12) {
  const auto want = outputs_and_gradients(reference, inputs);
  const auto got = outputs_and_gradients(fast, inputs);
  std::vector<Tensor> narrow;
  for (const Tensor& x : inputs) {
    if (!x.defined() || x.dtype() != DType::kF64) {
      narrow.push_back(x);
      continue;
    }
    narrow.push_back(
        x.is_dense()
            ? x.to(DType::kF32)
            : alias_with(Tensor(x.storage(), {{static_cast<int64_t>(x.storage()->bytes() / 8)}, {1}, 0}, DType::kF64)
                             .to(DType::kF32),
                         {x.shape(), x.strides(), x.offset()}));
  }
  const auto single = outputs_and_gradients(fast, narrow);
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_EQ(got[i].defined(), want[i].defined()) << "result " << i;
    if (!want[i].defined()) continue;
    EXPECT_LE(relative_error(got[i], want[i]), f64) << "result " << i << " in f64";
    EXPECT_LE(relative_error(single[i], want[i]), f32) << "result " << i << " in f32";
  }
}

/// The message of the tern::Error that the call throws; empty if it throws none.
template <class F>
std::string error_of(F&& call) {
  try {
    call();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace tern::test
