#include "op_table/generic.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include <tern/core/autograd/autograd.h>
#include <tern/core/parallel.h>

namespace tern::test {

std::vector<size_t> OpTest::differentiable(const Inputs& sample) const {
  const auto& listed = entry().differentiable;
  std::vector<size_t> all;
  for (size_t i = 0; i < sample.size(); ++i)
    if (sample[i].defined() && sample[i].is_floating() &&
        (!listed || std::find(listed->begin(), listed->end(), i) != listed->end()))
      all.push_back(i);
  return all;
}

std::string entry_name(const ::testing::TestParamInfo<size_t>& info) {
  std::string name = std::to_string(info.param) + "_" + op_table().entries()[info.param].title();
  std::string out;
  for (const char c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)))
      out += c;
    else if (!out.empty() && out.back() != '_')
      out += '_';
  }
  while (out.back() == '_') out.pop_back();
  return out;
}

std::vector<size_t> all_entries() {
  std::vector<size_t> all(op_table().entries().size());
  std::iota(all.begin(), all.end(), size_t{0});
  return all;
}

Inputs fresh(const Inputs& sample, DType dtype) {
  Inputs out;
  for (const Tensor& x : sample) out.push_back(x.defined() ? relaid(x, dtype) : Tensor());
  return out;
}

Arrays as_arrays(const Inputs& sample, DType dtype) {
  Arrays out;
  for (const Tensor& x : fresh(sample, dtype)) out.push_back(to_array(x));
  return out;
}

Inputs rounded_to_f32(const Inputs& sample) {
  return fresh(fresh(sample, DType::kF32), DType::kF64);
}

Tensor upstream(const Tensor& output, size_t k) {
  uint64_t state = 11 + k;
  Array v(output.shape());
  for (double& x : v.v) {
    state = state * 6364136223846793005u + 1442695040888963407u;  // Knuth's linear congruence; its high bits are good
    x = static_cast<double>(state >> 40) * 0x1p-23 - 1;
  }
  return to_tensor(v, output.dtype());
}

Results run(const OpEntry& entry, Inputs inputs, const std::vector<size_t>& wanted,
            const std::function<Tensor(const Tensor&)>& relay) {
  const EnableGradGuard enable;
  for (const size_t i : wanted) inputs[i].requires_grad_();
  Results results;
  results.outputs = entry.call(inputs);
  results.gradients.resize(inputs.size());
  std::vector<Tensor> outputs, firsts, leaves;
  for (size_t k = 0; k < results.outputs.size(); ++k) {
    if (!results.outputs[k].requires_grad()) continue;
    outputs.push_back(results.outputs[k]);
    firsts.push_back(upstream(results.outputs[k], k));
    if (relay) firsts.back() = relay(firsts.back());
  }
  for (const size_t i : wanted) leaves.push_back(inputs[i]);
  if (outputs.empty() || leaves.empty()) return results;
  const std::vector<Tensor> gradients = autograd::grad(outputs, leaves, firsts);
  for (size_t k = 0; k < wanted.size(); ++k) results.gradients[wanted[k]] = gradients[k];
  return results;
}

void poison(const std::vector<Tensor>& sizes) {
  std::vector<Tensor> blocks;
  for (int copy = 0; copy < 3; ++copy) {
    for (const Tensor& x : sizes) {
      if (!x.defined()) continue;
      for (const DType dtype : {DType::kU8, x.dtype(), DType::kF64}) {
        Tensor block = empty(x.shape(), dtype);
        std::memset(block.raw(), 0xff, static_cast<size_t>(block.bytes()));  // all ones is a NaN in every format
        blocks.push_back(block);
      }
    }
  }
}

double scale_of(const Array& x) {
  double scale = 0;
  for (const double v : x.v)
    if (std::isfinite(v)) scale = std::max(scale, std::abs(v));
  return scale;
}

::testing::AssertionResult close(const Tensor& got, const Array& want, const Tolerance& tolerance, double least_scale) {
  if (got.defined() != want.defined)
    return ::testing::AssertionFailure() << (want.defined ? "expected a tensor, got none" : "expected none, got one");
  if (!want.defined) return ::testing::AssertionSuccess();
  if (!(got.shape() == want.shape))
    return ::testing::AssertionFailure() << "expected shape " << to_string(want.shape) << ", got "
                                         << to_string(got.shape());
  const Array have = to_array(got);
  const double scale = std::max(least_scale, scale_of(want));
  for (size_t i = 0; i < have.v.size(); ++i) {
    const double a = have.v[i], b = want.v[i];
    const bool same = (std::isnan(a) && std::isnan(b)) || a == b;
    // Subnormals of the computing dtype come out as zero or as they are.
    const double least = got.dtype() == DType::kF32 ? std::numeric_limits<float>::min() : 0.0;
    if (!same &&
        !(std::isfinite(b) && std::abs(a - b) <= tolerance.relative * std::abs(b) + tolerance.of_scale * scale + least))
      return ::testing::AssertionFailure() << "element " << i << " of " << describe(got) << ": expected " << concat(b)
                                           << ", got " << concat(a) << " (scale " << concat(scale) << ")";
  }
  return ::testing::AssertionSuccess();
}

::testing::AssertionResult identical(const Tensor& got, const Tensor& want) {
  if (got.defined() != want.defined()) return ::testing::AssertionFailure() << "one of the two is undefined";
  if (!got.defined()) return ::testing::AssertionSuccess();
  if (!(got.shape() == want.shape()) || got.dtype() != want.dtype())
    return ::testing::AssertionFailure() << "expected " << describe(want) << ", got " << describe(got);
  const NoGradGuard no_grad;
  const Tensor a = got.contiguous(), b = want.contiguous();
  const int64_t size = size_of(a.dtype());
  if (a.numel() == 0 || std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0)
    return ::testing::AssertionSuccess();
  for (int64_t i = 0; i < a.numel(); ++i) {
    if (std::memcmp(a.raw() + i * size, b.raw() + i * size, static_cast<size_t>(size)) == 0) continue;
    return ::testing::AssertionFailure() << "element " << i << " of " << describe(a) << ": "
                                         << concat(to_array(a).v[static_cast<size_t>(i)]) << " and "
                                         << concat(to_array(b).v[static_cast<size_t>(i)]) << " differ in their bits";
  }
  return ::testing::AssertionSuccess();
}

ThreadCount::ThreadCount(int count) : before_(num_threads()) {
  set_num_threads(count);
}
ThreadCount::~ThreadCount() {
  set_num_threads(before_);
}

std::vector<Inputs> all_samples(const OpEntry& entry) {
  std::vector<Inputs> all = entry.samples;
  all.insert(all.end(), entry.large.begin(), entry.large.end());
  return all;
}

std::string describe_inputs(const Inputs& inputs) {
  std::string out = "inputs";
  for (const Tensor& x : inputs) out += " " + describe(x);
  return out;
}

}  // namespace tern::test
