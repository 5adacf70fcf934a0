// Gradients: against central differences, masked, accumulated, and absent where they should be.
#include <algorithm>
#include <cmath>
#include <cstring>

#include <tern/core/autograd/autograd.h>
#include <tern/core/autograd/gradcheck.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/reduce.h>

#include "op_table/generic.h"

namespace tern::test {
namespace {

class OpGradient : public OpTest {};

TEST_P(OpGradient, MatchesCentralDifferences) {
  for (const Inputs& sample : entry().samples) {
    SCOPED_TRACE(describe_inputs(sample));
    const std::vector<size_t> wanted = differentiable(sample);
    if (wanted.empty()) continue;
    Inputs inputs = fresh(sample, DType::kF64);
    for (const size_t i : wanted) {
      const Strides strides = inputs[i].strides();
      if (std::find(strides.begin(), strides.end(), 0) != strides.end())
        inputs[i] = inputs[i].contiguous();  // an element of an expanded view cannot be moved alone
      inputs[i].requires_grad_();
    }
    autograd::GradcheckOptions options{entry().gradcheck.eps, entry().gradcheck.atol, entry().gradcheck.rtol, {}};
    if (entry().avoid)
      for (const Array& skip : entry().avoid(as_arrays(sample, DType::kF64)))
        options.skip.push_back(skip.defined ? to_tensor(map(skip, [](double v) { return v != 0; }), DType::kU8)
                                            : Tensor());
    const size_t outputs = entry().call(fresh(sample, DType::kF64)).size();
    bool any = false;
    for (size_t k = 0; k < outputs; ++k) {
      const auto output_k = [&](const std::vector<Tensor>& in) {
        if (entry().mutates.empty()) return entry().call(in)[k];
        Inputs own = in;
        for (const size_t m : entry().mutates)
          if (own[m].defined()) own[m] = own[m].clone();
        return entry().call(own)[k];
      };
      if (!output_k(inputs).requires_grad()) continue;
      any = true;
      const auto result = autograd::gradcheck(output_k, inputs, options);
      EXPECT_TRUE(result) << "output " << k << ": " << result.message;
    }
    EXPECT_TRUE(any) << "no output requires a gradient";
  }
}

// Moving every element would take too long here: all move at once, each by an amount of its own. What only large
// tensors meet (several blocks, tiles, partial sums) is otherwise compared with itself alone.
TEST_P(OpGradient, OfLargeSamplesMatchesADirectionalDerivative) {
  for (const Inputs& sample : entry().large) {
    SCOPED_TRACE(describe_inputs(sample));
    const std::vector<size_t> wanted = differentiable(sample);
    if (wanted.empty()) continue;
    const Results at = run(entry(), fresh(sample, DType::kF64), wanted);
    std::vector<Tensor> weights(at.outputs.size());  // what run() weighs the outputs by
    for (size_t k = 0; k < weights.size(); ++k)
      if (at.outputs[k].requires_grad()) weights[k] = upstream(at.outputs[k], k);
    Arrays avoided;
    if (entry().avoid) avoided = entry().avoid(as_arrays(sample, DType::kF64));
    const auto& [step, atol, rtol] = entry().gradcheck;
    for (const size_t i : wanted) {
      Array direction = to_array(upstream(sample[i], 100 + i));
      for (size_t k = 0; i < avoided.size() && k < avoided[i].v.size(); ++k)
        if (avoided[i].v[k] != 0) direction.v[k] = 0;
      const Tensor along = to_tensor(direction, DType::kF64);
      double size = 0;  // of what is added up, which says how exact the sum can be
      const auto moved_by = [&](double distance) {
        const NoGradGuard no_grad;
        Inputs inputs = fresh(sample, DType::kF64);
        inputs[i].add_(along, distance);
        const std::vector<Tensor> outputs = entry().call(inputs);
        double total = 0;
        size = 0;
        for (size_t k = 0; k < outputs.size(); ++k) {
          if (!weights[k].defined()) continue;
          const Tensor terms = mul(outputs[k], weights[k]);
          total += sum(terms).item(), size += sum(abs(terms)).item();
        }
        return total;
      };
      const double numeric = (moved_by(step) - moved_by(-step)) / (2 * step);
      double given = 0, squares = 0;
      const Array gradient = at.gradients[i].defined() ? to_array(at.gradients[i]) : Array(direction.shape);
      for (size_t e = 0; e < direction.v.size(); ++e) {
        const double product = gradient.v[e] * direction.v[e];
        given += product, squares += product * product;
      }
      EXPECT_NEAR(given, numeric, atol + rtol * std::sqrt(squares) + 0x1p-50 * size / step) << "input " << i;
    }
  }
}

TEST_P(OpGradient, OnlyRequestedGradientsAreMade) {
  for (const Inputs& sample : entry().samples) {
    SCOPED_TRACE(describe_inputs(sample));
    const std::vector<size_t> wanted = differentiable(sample);
    const Results all = run(entry(), fresh(sample, DType::kF64), wanted);
    for (const size_t only : wanted) {
      SCOPED_TRACE("only input " + std::to_string(only));
      const Results one = run(entry(), fresh(sample, DType::kF64), {only});
      EXPECT_TRUE(close(one.gradients[only], to_array(all.gradients[only]), entry().f64));

      Inputs inputs = fresh(sample, DType::kF64);
      inputs[only].requires_grad_();
      std::vector<Tensor> outputs = entry().call(inputs);
      for (size_t k = 0; k < outputs.size(); ++k) {
        const std::shared_ptr<autograd::Node> node = outputs[k].grad_fn();
        if (node == nullptr) continue;
        std::vector<Tensor> upstreams(static_cast<size_t>(node->output_count));
        for (size_t j = k; j < outputs.size(); ++j)
          if (outputs[j].grad_fn() == node)
            upstreams[static_cast<size_t>(outputs[j].impl().autograd->output_index)] = upstream(outputs[j], j);
        const NoGradGuard no_grad;
        const autograd::Gradients gradients = node->apply(upstreams);
        ASSERT_EQ(gradients.size(), node->edges.size());
        for (size_t e = 0; e < gradients.size(); ++e) {
          if (node->edges[e].needed()) continue;
          EXPECT_FALSE(gradients[e].defined()) << "gradient " << e << " was not asked for";
        }
        break;
      }
    }
  }
}

TEST_P(OpGradient, AccumulatesIntoGrad) {
  for (const Inputs& sample : entry().samples) {
    SCOPED_TRACE(describe_inputs(sample));
    const std::vector<size_t> wanted = differentiable(sample);
    if (wanted.empty()) continue;
    Inputs inputs = fresh(sample, DType::kF64);
    for (const size_t i : wanted) inputs[i].requires_grad_();
    const auto backward = [&] {
      Inputs own = inputs;
      for (const size_t m : entry().mutates)
        if (own[m].defined()) own[m] = own[m].clone();
      std::vector<Tensor> outputs = entry().call(own);
      for (size_t k = 0; k < outputs.size(); ++k) {
        if (!outputs[k].requires_grad()) continue;
        outputs[k].backward(upstream(outputs[k], k));
        break;  // the first differentiable output's graph; others may share it
      }
    };
    backward();
    std::vector<Array> first;
    for (const size_t i : wanted) first.push_back(to_array(inputs[i].grad()));
    backward();
    for (size_t k = 0; k < wanted.size(); ++k) {
      if (!first[k].defined) continue;
      const Array doubled = map(first[k], [](double v) { return 2 * v; });
      EXPECT_TRUE(close(inputs[wanted[k]].grad(), doubled, tol::kExact)) << "gradient " << wanted[k];
    }
  }
}

TEST_P(OpGradient, NoGraphWithoutGradModeOrNeed) {
  const int64_t nodes = autograd::live_nodes();
  for (const Inputs& sample : entry().samples) {
    SCOPED_TRACE(describe_inputs(sample));
    {
      const std::vector<Tensor> outputs = entry().call(fresh(sample, DType::kF64));
      for (const Tensor& y : outputs) EXPECT_FALSE(y.requires_grad()) << "without an input that requires a gradient";
      EXPECT_EQ(autograd::live_nodes(), nodes);
    }
    const NoGradGuard no_grad;
    Inputs inputs = fresh(sample, DType::kF64);
    for (const size_t i : differentiable(sample)) inputs[i].requires_grad_();
    const std::vector<Tensor> outputs = entry().call(inputs);
    for (const Tensor& y : outputs) EXPECT_TRUE(!y.requires_grad() || y.is_leaf()) << "without grad mode";
    EXPECT_EQ(autograd::live_nodes(), nodes);
  }
}

TEST_P(OpGradient, GraphIsFreedWithItsOutputs) {
  const int64_t nodes = autograd::live_nodes();
  for (const Inputs& sample : entry().samples) {
    SCOPED_TRACE(describe_inputs(sample));
    {
      Inputs inputs = fresh(sample, DType::kF64);
      for (const size_t i : differentiable(sample)) inputs[i].requires_grad_();
      const std::vector<Tensor> outputs = entry().call(inputs);
    }
    EXPECT_EQ(autograd::live_nodes(), nodes) << "a node keeps itself alive";
  }
}

TEST_P(OpGradient, InputsStayAsTheyWere) {
  for (const Inputs& sample : entry().samples) {
    SCOPED_TRACE(describe_inputs(sample));
    Inputs inputs = fresh(sample, DType::kF64);
    const std::vector<size_t> wanted = differentiable(sample);
    for (const size_t i : wanted) inputs[i].requires_grad_();
    std::vector<std::vector<std::byte>> before;
    std::vector<uint64_t> versions;
    for (const Tensor& x : inputs) {
      before.emplace_back();
      versions.push_back(x.defined() ? x.version() : 0);
      if (x.defined()) before.back().assign(x.storage()->data(), x.storage()->data() + x.storage()->bytes());
    }
    run(entry(), inputs, wanted);
    for (size_t i = 0; i < inputs.size(); ++i) {
      const auto& mutates = entry().mutates;
      if (!inputs[i].defined() || std::find(mutates.begin(), mutates.end(), i) != mutates.end()) continue;
      EXPECT_EQ(std::memcmp(before[i].data(), inputs[i].storage()->data(), before[i].size()), 0)
          << "input " << i << " was written to";
      EXPECT_EQ(inputs[i].version(), versions[i]) << "input " << i;
    }
  }
}

TERN_INSTANTIATE_OP_TESTS(OpGradient);

}  // namespace
}  // namespace tern::test
