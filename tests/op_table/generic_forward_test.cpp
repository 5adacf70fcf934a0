// Forward results: against the references, in both precisions, on any layout and at any number of threads.
#include <tern/core/autograd/autograd.h>

#include "op_table/generic.h"

namespace tern::test {
namespace {

class OpForward : public OpTest {
 protected:
  void against_reference(DType dtype, const Tolerance& tolerance) const {
    if (!entry().reference) {
      ASSERT_FALSE(entry().no_reference.empty()) << "an entry without a reference must say why";
      return;
    }
    for (const Inputs& sample : all_samples(entry())) {
      SCOPED_TRACE(describe_inputs(sample));
      const NoGradGuard no_grad;
      poison(entry().call(fresh(sample, dtype)));
      const std::vector<Tensor> outputs = entry().call(fresh(sample, dtype));
      const Arrays wanted = entry().reference(as_arrays(sample, dtype));
      ASSERT_EQ(outputs.size(), wanted.size());
      for (size_t k = 0; k < outputs.size(); ++k)
        EXPECT_TRUE(close(outputs[k], wanted[k], tolerance)) << "output " << k;
    }
  }
};

TEST_P(OpForward, HasSamples) {
  EXPECT_FALSE(entry().samples.empty());
  EXPECT_TRUE(entry().call);
}

TEST_P(OpForward, MatchesTheReferenceInF64) {
  against_reference(DType::kF64, entry().f64);
}

TEST_P(OpForward, MatchesTheReferenceInF32) {
  against_reference(DType::kF32, entry().f32);
}

TEST_P(OpForward, OutputsHaveTheInputsDtype) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    for (const Inputs& sample : entry().samples) {
      SCOPED_TRACE(describe_inputs(sample));
      bool floating = false;
      for (const Tensor& x : sample) floating |= x.defined() && x.is_floating();
      for (const Tensor& y : entry().call(fresh(sample, dtype))) {
        if (entry().output_dtype) {
          EXPECT_EQ(y.dtype(), *entry().output_dtype);
        } else if (floating && y.is_floating()) {
          EXPECT_EQ(y.dtype(), dtype);
        }
      }
    }
  }
}

TEST_P(OpForward, F32AgreesWithF64) {
  const Tolerance gradient_tolerance = entry().f32_gradient.value_or(entry().f32);
  for (const Inputs& sample : all_samples(entry())) {
    SCOPED_TRACE(describe_inputs(sample));
    const auto wanted = differentiable(sample);
    const Results single = run(entry(), fresh(sample, DType::kF32), wanted);
    const Results twice = run(entry(), rounded_to_f32(sample), wanted);
    ASSERT_EQ(single.outputs.size(), twice.outputs.size());
    for (size_t k = 0; k < single.outputs.size(); ++k)
      EXPECT_TRUE(close(single.outputs[k], to_array(twice.outputs[k]), entry().f32)) << "output " << k;
    for (size_t i = 0; i < sample.size(); ++i)
      EXPECT_TRUE(close(single.gradients[i], to_array(twice.gradients[i]), gradient_tolerance)) << "gradient " << i;
  }
}

TEST_P(OpForward, SameBitsAtAnyNumberOfThreads) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    for (const Inputs& sample : all_samples(entry())) {
      SCOPED_TRACE(describe_inputs(sample));
      const auto at = [&](int threads) {
        const ThreadCount count(threads);
        return run(entry(), fresh(sample, dtype), differentiable(sample));
      };
      const Results one = at(1);
      for (const int threads : {2, 3}) {
        const Results more = at(threads);
        for (size_t k = 0; k < one.outputs.size(); ++k)
          EXPECT_TRUE(identical(more.outputs[k], one.outputs[k])) << "output " << k << " at " << threads << " threads";
        for (size_t i = 0; i < sample.size(); ++i)
          EXPECT_TRUE(identical(more.gradients[i], one.gradients[i]))
              << "gradient " << i << " at " << threads << " threads";
      }
    }
  }
}

TEST_P(OpForward, LayoutDoesNotChangeResults) {
  using Relay = Tensor (*)(const Tensor&);
  const Relay holes = strided, order = permuted,
              nhwc = [](const Tensor&x) { return x.dim() == 4 ? channels_last(x) : permuted(strided(x)); };
  const Relay repeated = [](const Tensor& x) {  // what the gradient of a sum is: one element under every index
    return x.numel() == 0 ? x : to_tensor(Array(Shape(x.dim(), 1), 0.75), x.dtype()).expand(x.shape());
  };
  for (const Inputs& sample : entry().samples) {
    SCOPED_TRACE(describe_inputs(sample));
    const auto wanted = differentiable(sample);
    const auto with = [&](Relay inputs_as, const std::function<Tensor(const Tensor&)>& upstream_as) {
      Inputs inputs;
      for (const Tensor& x : fresh(sample, DType::kF64)) inputs.push_back(x.defined() ? inputs_as(x) : x);
      return run(entry(), inputs, wanted, upstream_as);
    };
    const Relay plain = [](const Tensor& x) { return x.contiguous(); };
    // `usual`: results for an ordinary upstream gradient, whose size says how far rounding errors may reach.
    const auto compare = [&](const Results& got, const Results& want, const Results& usual) {
      for (size_t k = 0; k < want.outputs.size(); ++k)
        EXPECT_TRUE(close(got.outputs[k], to_array(want.outputs[k]), entry().f64)) << "output " << k;
      for (size_t i = 0; i < sample.size(); ++i)
        EXPECT_TRUE(
            close(got.gradients[i], to_array(want.gradients[i]), entry().f64, scale_of(to_array(usual.gradients[i]))))
            << "gradient " << i;
    };
    const Results base = with(plain, {});
    int layout = 0;
    for (const Relay relay : {holes, order, nhwc}) {
      SCOPED_TRACE("layout " + std::to_string(layout++) + " of holes, permuted, channels-last");
      compare(with(relay, {}), base, base);
      compare(with(relay, plain), base, base);
      compare(with(plain, relay), base, base);
    }
    SCOPED_TRACE("a repeated upstream gradient");
    const Results same = with(plain, [&](const Tensor& x) { return repeated(x).contiguous(); });
    compare(with(plain, repeated), same, base);
    compare(with(nhwc, repeated), same, base);
  }
}

TEST_P(OpForward, KeepsTheMemoryFormatWhereItSaysSo) {
  if (!entry().keeps_format) return;
  for (const Inputs& sample : entry().samples) {
    for (const auto relay : {+[](const Tensor& x) { return x.contiguous(); }, &permuted,
                             +[](const Tensor& x) { return x.dim() == 4 ? channels_last(x) : x.contiguous(); }}) {
      Inputs inputs;
      for (const Tensor& x : fresh(sample, DType::kF64)) inputs.push_back(x.defined() ? relay(x) : x);
      const std::vector<Tensor> outputs = entry().call(inputs);
      if (inputs[0].numel() == 0 || !(outputs[0].shape() == inputs[0].shape())) continue;
      for (int64_t a = 0; a < inputs[0].dim(); ++a) {
        if (inputs[0].shape()[a] == 1) continue;
        EXPECT_EQ(outputs[0].strides()[a], inputs[0].strides()[a])
            << describe_inputs(sample) << ", strides " << to_string(inputs[0].strides()) << " became "
            << to_string(outputs[0].strides());
      }
    }
  }
}

TERN_INSTANTIATE_OP_TESTS(OpForward);

}  // namespace
}  // namespace tern::test
