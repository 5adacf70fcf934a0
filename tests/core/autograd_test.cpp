#include <cmath>
#include <thread>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/autograd/custom_op.h>
#include <tern/core/autograd/gradcheck.h>
#include <tern/core/error.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/operators.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>

#include "core/numeric.h"
#include "message_of.h"

namespace tern {
namespace {

using test::leaf;

using test::message_of;

Tensor f64(const std::vector<double>& v) {
  return tensor(v);
}
std::vector<double> list(const Tensor& x) {
  return x.to_vector<double>();
}

TEST(Engine, ADiamondSumsBothPaths) {
  const Tensor x = leaf({2, 3});
  const Tensor a = x * 2, b = x * x;
  (a * b).backward(ones_like(x));  // 2 x^3
  EXPECT_EQ(list(x.grad()), (std::vector<double>{24, 54}));
}

TEST(Engine, TheSameInputTwiceCountsTwice) {
  const Tensor x = leaf({3});
  (x * x).backward();
  EXPECT_EQ(x.grad().item(), 6);
  x.impl().autograd->grad = Tensor();
  add(x, x).backward();
  EXPECT_EQ(x.grad().item(), 2);
}

TEST(Engine, AGradientWhoseMemoryOthersHoldIsNotAddedTo) {
  // What reaches x first is a view of y's gradient, which b's branch and the caller still need; then comes t's.
  const Tensor b = leaf({5, 6}), a = leaf({1, 2});
  const Tensor v = b.reshape({2, 1}), x = a * 1, t = x * 3, u = x.reshape({2, 1});
  const Tensor y = u + v + t.reshape({2, 1}), seed = f64({10, 20}).reshape({2, 1});
  y.backward(seed);
  EXPECT_EQ(list(a.grad()), (std::vector<double>{40, 80}));
  EXPECT_EQ(list(b.grad()), (std::vector<double>{10, 20}));
  EXPECT_EQ(list(seed), (std::vector<double>{10, 20}));
}

TEST(Engine, AChainOf200000NodesNeedsNoDeepStack) {
  const int64_t nodes = autograd::live_nodes();
  const Tensor x = leaf({1});
  {
    Tensor y = x;
    for (int i = 0; i < 200000; ++i) y = y + 1e-6;
    EXPECT_EQ(autograd::live_nodes(), nodes + 200000);
    y.backward();
    EXPECT_EQ(x.grad().item(), 1);
    Tensor unused = x;
    for (int i = 0; i < 200000; ++i) unused = unused * 1.0;
  }  // both chains are deleted here, one of them unused
  EXPECT_EQ(autograd::live_nodes(), nodes);
}

TEST(Engine, AChainThroughSavedTensorsIsDeletedWithoutDeepStack) {
  const int64_t nodes = autograd::live_nodes();
  const Tensor x = leaf({1});
  {
    Tensor y = x;
    for (int i = 0; i < 100000; ++i) y = y * x;  // every node keeps its input, and with it the node before
  }
  EXPECT_EQ(autograd::live_nodes(), nodes);
}

TEST(Engine, OrderOfAccumulationIsFixed) {
  // Sums of numbers of very different size depend on their order; two runs must agree in every bit.
  const auto gradient = [] {
    const Tensor x = leaf({0.1, 0.7, 1.3});
    Tensor total = zeros({3}, DType::kF64);
    for (int i = 0; i < 50; ++i) total = total + x * std::pow(10.0, (i * 7) % 30 - 15) * (i % 2 ? 1 : -1) + x * x;
    total.backward(ones_like(total));
    return list(x.grad());
  };
  const auto first = gradient();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(gradient(), first);
}

TEST(Engine, ASecondBackwardIsAnError) {
  const Tensor x = leaf({3});
  const Tensor y = x * x, z = y * 2;
  z.backward();
  EXPECT_EQ(message_of<StateError>([&] { z.backward(); }),
            "[backward] the graph was already used by a backward, which freed it (at mul); run the forward again");
  EXPECT_THROW((y * 3).backward(), StateError) << "a new op on a freed part";
  EXPECT_EQ(x.grad().item(), 12);
}

TEST(Engine, GradientsOfGradientsAreRefusedClearly) {
  const Tensor x = leaf({3});
  (x * x).backward();
  EXPECT_FALSE(x.grad().requires_grad());
  EXPECT_NE(message_of<StateError>([&] { x.grad().backward(); }).find("gradients of gradients are not recorded"),
            std::string::npos);
}

TEST(Engine, SavedTensorsAreFreedByTheBackward) {
  const Tensor x = leaf({1, 2});
  const int64_t live = memory_stats().live_bytes;
  Tensor y = exp(x);
  y = exp(y);
  y.backward(ones_like(y));
  const int64_t after = memory_stats().live_bytes;
  y = Tensor();
  EXPECT_LE(after - live, 3 * 64) << "the output and the leaf's gradient, not the intermediate result";
}

TEST(Engine, BackwardNeedsAFittingGradient) {
  const Tensor x = leaf({1, 2});
  EXPECT_EQ(message_of<ShapeError>([&] { (x * 2).backward(); }),
            "[backward] expected a gradient for an output of more than one element, got none for shape [2]");
  EXPECT_EQ(message_of<ShapeError>([&] {
              (x * 2).backward(f64({1, 2, 3}));
            }),
            "[backward] expected a gradient of the output's shape [2], got [3]");
  EXPECT_EQ(message_of<DTypeError>([&] {
              (x * 2).backward(tensor({1.0, 2.0}));
            }),
            "[backward] expected a gradient of the output's dtype f64, got f32");
  EXPECT_THROW(f64({1}).backward(), StateError);
}

TEST(Engine, IsReentrant) {
  // An op whose backward recomputes its forward with a graph of its own: what a checkpointed block does.
  const CustomOp cube(
      "cube",
      [](CustomContext& context, std::span<const Tensor> in) {
        context.save(in[0]);
        return in[0] * in[0] * in[0];
      },
      [](const CustomContext& context, const Tensor& grad_output) -> Gradients {
        const EnableGradGuard enable;
        Tensor again = context.saved(0).detach();
        again.requires_grad_();
        (again * again * again).backward(grad_output);
        return {again.grad()};
      });
  const Tensor x = leaf({2, -1});
  cube({cube({x}) * 0.5}).backward(ones_like(x));
  const auto expected = [](double v) { return 9 * std::pow(v, 8) / 8; };
  EXPECT_NEAR(list(x.grad())[0], expected(2), 1e-12);
  EXPECT_NEAR(list(x.grad())[1], expected(-1), 1e-12);
}

TEST(Engine, ThreadsHaveGraphsOfTheirOwn) {
  std::vector<std::thread> threads;
  std::vector<double> results(4);
  for (size_t t = 0; t < 4; ++t)
    threads.emplace_back([t, &results] {
      EXPECT_TRUE(grad_enabled());
      const Tensor x = leaf({static_cast<double>(t + 1)});
      Tensor y = x;
      for (int i = 0; i < 100; ++i) y = y * 1.01;
      (y * y).backward();
      results[t] = x.grad().item();
    });
  const NoGradGuard no_grad;  // of this thread only
  for (std::thread& thread : threads) thread.join();
  for (size_t t = 0; t < 4; ++t) EXPECT_NEAR(results[t], 2.0 * static_cast<double>(t + 1) * std::pow(1.01, 200), 1e-9);
}

TEST(Leaves, GradientsAccumulateAndStayTheUsersOwn) {
  const Tensor x = leaf({1, 2});
  Tensor given = f64({1, 10});
  (x * 1).backward(given);
  add(x, 0).backward(given);  // passes the gradient on unchanged
  EXPECT_EQ(list(x.grad()), (std::vector<double>{2, 20}));
  EXPECT_EQ(list(given), (std::vector<double>{1, 10})) << "the caller's tensor is not written to";
  Tensor y = leaf({1, 2});
  add(y, 0).backward(given);
  given.fill_(-1);
  EXPECT_EQ(list(y.grad()), (std::vector<double>{1, 10})) << "and not shared";
  y.zero_grad();
  EXPECT_FALSE(y.grad().defined());
  y.set_grad(full({}, 3, DType::kF64).expand({2}));
  (y * 1).backward(f64({1, 2}));
  EXPECT_EQ(list(y.grad()), (std::vector<double>{4, 5}));
}

TEST(Leaves, TwoLeavesNeverShareAGradient) {
  const Tensor x = leaf({1, 2}), y = leaf({3, 4});
  add(x, y).backward(f64({1, 1}));
  EXPECT_FALSE(x.grad().shares_storage_with(y.grad()));
  Tensor gx = x.grad();
  gx.mul_(5);
  EXPECT_EQ(list(y.grad()), (std::vector<double>{1, 1}));
}

TEST(Leaves, RequiresGradIsForFloatingLeaves) {
  EXPECT_EQ(message_of<DTypeError>([] { arange(3).requires_grad_(); }),
            "[requires_grad_] expected a floating-point tensor, got i64 [3]");
  const Tensor x = leaf({1});
  Tensor y = x * 2;
  EXPECT_FALSE(y.is_leaf());
  EXPECT_TRUE(y.requires_grad());
  EXPECT_THROW(y.requires_grad_(), StateError);
  EXPECT_EQ(message_of<ShapeError>([&] {
              Tensor(x).set_grad(f64({1, 2}));
            }),
            "[set_grad] expected a gradient of shape [1], got [2]");
  EXPECT_THROW(Tensor(x).set_grad(tensor({1.0})), DTypeError);
}

TEST(Detach, CutsTheGraph) {
  const Tensor x = leaf({3});
  const Tensor d = (x * x).detach();
  EXPECT_FALSE(d.requires_grad());
  (x * d).backward();
  EXPECT_EQ(x.grad().item(), 9);
}

TEST(RetainGrad, KeepsAnIntermediateGradient) {
  const Tensor x = leaf({2});
  Tensor y = x * 3;
  y.retain_grad();
  const Tensor z = y * y + y;
  z.backward();
  EXPECT_EQ(y.grad().item(), 13) << "the sum of both uses";
  EXPECT_EQ(x.grad().item(), 39);
  EXPECT_FALSE(z.grad().defined());
  EXPECT_THROW(f64({1}).retain_grad(), StateError);
}

TEST(GradModes, NestAndRestore) {
  EXPECT_TRUE(grad_enabled());
  const Tensor x = leaf({1});
  {
    const NoGradGuard no_grad;
    EXPECT_FALSE(grad_enabled());
    EXPECT_FALSE((x * 2).requires_grad());
    {
      const EnableGradGuard enable;
      EXPECT_TRUE((x * 2).requires_grad());
    }
    EXPECT_FALSE(grad_enabled());
  }
  try {
    const NoGradGuard no_grad;
    throw 1;
  } catch (int) {
  }
  EXPECT_TRUE(grad_enabled());
}

TEST(InPlaceChecks, RefuseWhatWouldLoseAGradient) {
  Tensor x = leaf({1, 2});
  EXPECT_EQ(message_of<StateError>([&] { x.add_(1); }),
            "[add_] cannot write in place to a tensor that requires a gradient; use NoGradGuard for weight updates");
  EXPECT_THROW(x.slice(0, 0, 1).fill_(0), StateError) << "a view of it";
  Tensor plain = zeros({2}, DType::kF64);
  EXPECT_EQ(message_of<StateError>([&] { plain.copy_(x * 2); }),
            "[copy_] cannot write a tensor that requires a gradient in place, as the operation would not be recorded; "
            "detach it or use the operation that returns a new tensor");
  const NoGradGuard no_grad;
  x.add_(1);
  plain.copy_(x);
  EXPECT_EQ(list(plain), (std::vector<double>{2, 3}));
}

TEST(InPlaceChecks, AChangeOfASavedTensorIsNoticed) {
  Tensor x = leaf({1, 2});
  Tensor alias = x.detach();  // same storage, outside the graph
  const Tensor y = x * x;
  alias.fill_(5);
  EXPECT_EQ(message_of<StateError>([&] {
              y.backward(f64({1, 1}));
            }),
            "[backward] a tensor needed for the backward pass (f64 [2]) was changed in place after the operation that "
            "saved it");
  const Tensor z = exp(x);  // saves its output
  Tensor result = z.detach();
  result.mul_(2);
  EXPECT_THROW(z.backward(f64({1, 1})), StateError);
  const Tensor w = x + 1;  // saves nothing
  alias.fill_(7);
  w.backward(f64({1, 1}));
  EXPECT_EQ(list(x.grad()), (std::vector<double>{1, 1}));
}

TEST(InPlaceChecks, EveryChangeInPlaceCounts) {
  using Change = void (*)(Tensor&);
  const std::pair<const char*, Change> changes[] = {{"fill_", [](Tensor& x) { x.fill_(3); }},
                                                    {"zero_", [](Tensor& x) { x.zero_(); }},
                                                    {"mul_", [](Tensor& x) { x.mul_(2); }},
                                                    {"add_", [](Tensor& x) { x.add_(1); }},
                                                    {"copy_", [](Tensor& x) {
                                                       x.copy_(f64({7, 8}));
                                                     }}};
  for (const auto& [name, change] : changes) {
    const Tensor x = leaf({1, 2});
    Tensor alias = x.detach();
    const Tensor y = x * x;
    const uint64_t before = x.version();
    change(alias);
    EXPECT_GT(x.version(), before) << name;
    EXPECT_THROW(y.backward(f64({1, 1})), StateError) << name;
  }
}

TEST(GradFunction, GivesGradientsWithoutTouchingLeaves) {
  const Tensor x = leaf({2}), w = leaf({3}), unused = leaf({5});
  const Tensor y = x * w, z = y * y;
  const Tensor outputs[] = {z, y}, inputs[] = {x, y, unused}, upstream[] = {f64({1}), f64({10})};
  const std::vector<Tensor> g = autograd::grad(outputs, inputs, upstream);
  EXPECT_EQ(g[1].item(), 22);  // 2 y + 10
  EXPECT_EQ(g[0].item(), 66);
  EXPECT_FALSE(g[2].defined());
  EXPECT_FALSE(x.grad().defined());
  EXPECT_FALSE(w.grad().defined());
}

TEST(GradFunction, ChecksItsArguments) {
  const Tensor x = leaf({2}), plain = f64({1});
  const Tensor outputs[] = {x * 2}, inputs[] = {plain}, none[] = {plain};
  EXPECT_EQ(message_of<StateError>([&] { (void)autograd::grad(outputs, inputs); }),
            "[grad] expected inputs that require a gradient, got input 0 (f64 [1]) that does not");
  const Tensor leaves[] = {x};
  EXPECT_EQ(message_of<StateError>([&] { (void)autograd::grad(none, leaves); }),
            "[grad] expected an output that requires a gradient, got none");
  const Tensor two[] = {plain, plain};
  EXPECT_EQ(message_of<ValueError>([&] { (void)autograd::grad(outputs, leaves, two); }),
            "[grad] expected one gradient an output (1), got 2");
}

TEST(GradFunction, AcceptsALeafAsOutput) {
  const Tensor x = leaf({2});
  const Tensor outputs[] = {x}, inputs[] = {x};
  EXPECT_EQ(autograd::grad(outputs, inputs)[0].item(), 1);
}

struct SplitBackward {
  static constexpr const char* kName = "halves";
  static inline std::vector<bool> arrived = {};
  Shape shape;
  Gradients backward(std::span<const Tensor> grad_outputs, NeedsGrad) const {
    arrived = {grad_outputs[0].defined(), grad_outputs[1].defined()};
    Tensor g = zeros(shape, DType::kF64);
    for (int64_t i = 0; i < 2; ++i)
      if (grad_outputs[static_cast<size_t>(i)].defined())
        g.slice(0, 2 * i, 2 * i + 2).copy_(grad_outputs[static_cast<size_t>(i)]);
    return {g};
  }
};

TEST(SeveralOutputs, UnusedOnesHaveUndefinedGradients) {
  const Tensor x = leaf({1, 2, 3, 4});
  const auto halves = [&] {
    const Tensor inputs[] = {x};
    return autograd::record_all<SplitBackward>({x.detach().slice(0, 0, 2).clone(), x.detach().slice(0, 2, 4).clone()},
                                               inputs, {.shape = x.shape()});
  };
  const std::vector<Tensor> both = halves();
  (both[0] * both[1]).backward(f64({1, 1}));
  EXPECT_EQ(list(x.grad()), (std::vector<double>{3, 4, 1, 2}));
  EXPECT_EQ(SplitBackward::arrived, (std::vector<bool>{true, true}));
  halves()[1].backward(f64({5, 6}));
  EXPECT_EQ(SplitBackward::arrived, (std::vector<bool>{false, true}));
  EXPECT_EQ(list(x.grad()), (std::vector<double>{3, 4, 6, 8}));
}

struct MaskBackward {
  static constexpr const char* kName = "mask_probe";
  static inline std::vector<bool> asked = {};
  Gradients backward(const Tensor& g, NeedsGrad needs) const {
    asked = {needs[0], needs[1]};
    return {needs[0] ? g : Tensor(), needs[1] ? g : Tensor()};
  }
};

TEST(NeedsGradMask, SaysWhichInputsWantOne) {
  const Tensor x = leaf({1}), plain = f64({1});
  const auto probe = [](const Tensor& a, const Tensor& b) {
    autograd::record<MaskBackward>(f64({1}), {a, b}, {}).backward();
    return MaskBackward::asked;
  };
  EXPECT_EQ(probe(x, plain), (std::vector<bool>{true, false}));
  EXPECT_EQ(probe(plain, x), (std::vector<bool>{false, true}));
  EXPECT_EQ(probe(x, x), (std::vector<bool>{true, true}));
  EXPECT_EQ(probe(x, Tensor()), (std::vector<bool>{true, false}));
}

TEST(Gradcheck, FindsAWrongGradient) {
  const CustomOp wrong(
      "wrong",
      [](CustomContext& context, std::span<const Tensor> in) {
        context.save(in[0]);
        return in[0] * in[0];
      },
      [](const CustomContext& context, const Tensor& g) -> Gradients { return {g * context.saved(0) * 2.001}; });
  const auto result = autograd::gradcheck([&](const std::vector<Tensor>& in) { return wrong({in[0]}); }, {leaf({1, 2})},
                                          {.rtol = 1e-5, .skip = {}});
  EXPECT_FALSE(result);
  EXPECT_NE(result.message.find("input 0 of shape [2], element 0: backward gives "), std::string::npos)
      << result.message;
}

TEST(Gradcheck, SkipsMarkedElementsAndRefusesF32) {
  const auto kink = [](const std::vector<Tensor>& in) { return abs(in[0]); };
  EXPECT_FALSE(autograd::gradcheck(kink, {leaf({1e-9, 2})}));
  EXPECT_TRUE(autograd::gradcheck(kink, {leaf({1e-9, 2})}, {.skip = {tensor({1, 0})}}));
  Tensor single = tensor({1.0});
  single.requires_grad_();
  EXPECT_EQ(message_of<DTypeError>([&] { (void)autograd::gradcheck(kink, {single}); }),
            "[gradcheck] expected f64 inputs, got input 0 of f32");
  EXPECT_EQ(message_of<ShapeError>([&] {
              (void)autograd::gradcheck(kink, {leaf({1, 2})}, {.skip = {tensor({1})}});
            }),
            "[gradcheck] expected a skip of shape [2] for input 0, got [1]");
  EXPECT_EQ(message_of<ValueError>([&] {
              (void)autograd::gradcheck(kink, {leaf({1, 2})}, {.skip = {Tensor(), Tensor()}});
            }),
            "[gradcheck] expected a skip for at most 1 inputs, got 2");
}

}  // namespace
}  // namespace tern
