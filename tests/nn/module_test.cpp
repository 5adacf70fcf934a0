#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/shape.h>
#include <tern/nn/child.h>
#include <tern/nn/module.h>

#include "message_of.h"
#include "nn/toys.h"

namespace tern::nn {
namespace {

template <class Tensors>
std::vector<std::string> names(const Tensors& tensors) {
  std::vector<std::string> out;
  for (const auto& [name, tensor] : tensors) out.push_back(name);
  return out;
}

using test::message_of;

TEST(Module, ListsWhatItsMembersRegistered) {
  Block block(2);
  EXPECT_EQ(names(block.named_parameters()),
            (std::vector<std::string>{"first.weight", "second.weight", "second.bias"}));
  EXPECT_EQ(names(block.named_buffers()), (std::vector<std::string>{"first.calls"}));
  EXPECT_EQ(names(block.state_dict()),
            (std::vector<std::string>{"first.weight", "first.calls", "second.weight", "second.bias"}));
  std::vector<std::string> modules;
  for (const auto& [name, module] : block.named_modules()) modules.push_back(name + ":" + module->type_name());
  EXPECT_EQ(modules, (std::vector<std::string>{":Block", "first:Scale", "second:Scale"}));
  EXPECT_EQ(block.children().size(), 2u);
  EXPECT_EQ(block.parameter_count(), 6);
  EXPECT_TRUE(block.first->weight.latent().requires_grad());
  EXPECT_EQ(block.get_module("second")->type_name(), "Scale");
  EXPECT_EQ(&block.get_parameter("second.bias"), &block.second->bias);
}

TEST(Module, CallsItsChildren) {
  Block block(2);
  EXPECT_EQ(block(filled({2}, {1, 2})).to_vector<double>(), (std::vector<double>{6, 12}));
  EXPECT_EQ((*block.first->find_buffer("calls"))().item<int64_t>(), 1);
}

TEST(Module, RefusesBadNames) {
  struct Twice : Module {
    Parameter a{this, "a", Tensor()}, b{this, "a", Tensor()};
  };
  EXPECT_EQ(message_of<ValueError>([] { Twice(); }), "[Twice] expected every name once, got a second 'a'");
  struct Dotted : Module {
    Buffer a{this, "a.b", Tensor()};
  };
  EXPECT_EQ(message_of<ValueError>([] { Dotted(); }), "[Dotted] expected a name without dots, got 'a.b'");
  struct Clash : Module {
    Parameter a{this, "a", Tensor()};
    Child<Block> b{this, "a", 2};
  };
  EXPECT_EQ(message_of<ValueError>([] { Clash(); }), "[Clash] expected every name once, got a second 'a'");
}

TEST(Module, WithoutForwardSaysSo) {
  struct Empty : Module {};
  Empty empty;
  EXPECT_EQ(message_of<StateError>([&] { empty(filled({1}, {1})); }),
            "[forward] Empty has no forward of one tensor: it declares no `Tensor forward(const Tensor& x) override`");
}

TEST(Module, TrainEvalRequiresGradAndZeroGradReachEverything) {
  Block block(2);
  auto half = std::make_shared<Halve>();
  block.first->weight.parametrize(half);
  EXPECT_TRUE(block.second->is_training());
  block.eval();
  EXPECT_FALSE(block.is_training() || block.second->is_training() || half->is_training());
  block.train();
  EXPECT_TRUE(half->is_training());

  block(filled({2}, {1, 2})).sum().backward();
  for (const Tensor& parameter : block.parameters()) EXPECT_TRUE(parameter.grad().defined());
  block.zero_grad();
  for (const Tensor& parameter : block.parameters()) EXPECT_FALSE(parameter.grad().defined());
  block.requires_grad_(false);
  EXPECT_EQ(block.parameter_count(), 0);
  EXPECT_FALSE(block(filled({2}, {1, 2})).requires_grad());
}

TEST(Module, ConvertsInPlaceSoThatHandlesFollow) {
  Block block(2);
  const std::vector<Tensor> held = block.parameters();
  const uint64_t version = held[0].version();
  block.to(DType::kF32);
  EXPECT_EQ(held[0].dtype(), DType::kF32);
  EXPECT_EQ(held[0].to_vector<double>(), (std::vector<double>{2, 2}));
  EXPECT_GT(held[0].version(), version);
  EXPECT_TRUE(held[0].requires_grad());
  EXPECT_EQ(block.first->calls().dtype(), DType::kI64);
  EXPECT_EQ(message_of<DTypeError>([&] { block.to(DType::kI64); }),
            "[to] expected a floating-point dtype for Block, got i64");
}

TEST(Module, ApplyVisitsChildrenFirst) {
  Block block(2);
  std::string order;
  block.apply([&](Module& module) { order += module.type_name() + " "; });
  EXPECT_EQ(order, "Scale Scale Block ");
}

TEST(Replace, ParentCallsTheNewModule) {
  Block block(2);
  block.eval();
  block.replace("first", make<Shift>(10.0));
  EXPECT_EQ(block(filled({2}, {1, 2})).to_vector<double>(), (std::vector<double>{33, 36}));
  EXPECT_FALSE(block.get_module("first")->is_training()) << "follows the mode of what it replaces";
  EXPECT_EQ(block.first.get_if<Scale>(), nullptr);
  EXPECT_NE(block.first.get_if<Shift>(), nullptr);
  EXPECT_EQ(block.first.plain(), nullptr);
  EXPECT_NE(block.second.plain(), nullptr);
  EXPECT_EQ(message_of<StateError>([&] { return block.first->weight(); }),
            "[child] expected first to be a Scale, got Shift, which replaced it; ask with get_if");
}

TEST(Replace, RefusesWhatTheParentCannotCall) {
  Block block(2);
  EXPECT_EQ(message_of<StateError>([&] { block.replace("first", make<Pairing>()); }),
            "[child] expected a module called with one tensor for first, got Pairing (in first)");
  EXPECT_EQ(message_of<ValueError>([&] { block.replace("first.inner", make<Shift>(1.0)); }),
            "[get_module] expected a module at 'first.inner', got none: Scale has no children");
  EXPECT_EQ(message_of<ValueError>([&] { block.replace("third", make<Shift>(1.0)); }),
            "[get_module] expected a module at 'third', got none: Block has the children first, second");
  EXPECT_EQ(message_of<ValueError>([&] { block.replace("first", std::shared_ptr<Module>()); }),
            "[replace] expected a module for first, got none");
  struct Pairs : Module {
    Child<Pairing> pairing{this, "pairing"};
  } pairs;
  EXPECT_EQ(message_of<StateError>([&] { pairs.replace("pairing", make<Shift>(1.0)); }),
            "[child] expected a module with the interface PairInterface for pairing, got Shift (in pairing)");
  const Tensor x = filled({1}, {3});
  EXPECT_EQ(pairs.pairing(x, x, 2.0).output.item(), 12);
  struct Other : Module, PairInterface {
    PairOutput forward(const Tensor& a, const Tensor&, double) override { return {a, a}; }
    bool has_forward() const override { return false; }
  };
  pairs.replace("pairing", make<Other>());
  EXPECT_EQ(pairs.pairing(x, x, 2.0).output.item(), 3);
}

TEST(Replace, RefusesACycle) {
  struct Wrapper : Module {
    explicit Wrapper(std::shared_ptr<Module> m) : inner(this, "inner", std::move(m)) {}
    Child<Module> inner;
  };
  auto inner = make<Wrapper>(make<Shift>(1.0));
  auto outer = make<Wrapper>(inner);
  EXPECT_EQ(message_of<StateError>([&] { inner->replace("inner", outer); }),
            "[child] expected a module for inner that does not contain its own parent, got Wrapper (in inner)");
}

TEST(Errors, CarryTheModulePath) {
  struct Net : Module {
    Child<Block> body{this, "body", 2};
    Tensor forward(const Tensor& x) override { return body(x); }
  } net;
  EXPECT_EQ(message_of<ShapeError>([&] {
              net(filled({3}, {1, 2, 3}));
            }),
            "[scale] expected 2 values, got [3] (in body.first)");
  EXPECT_EQ(autograd::current_module_path(), "");
  net.body->replace("second", make<Pairing>().get() != nullptr ? make<Shift>(0.0) : nullptr);
  EXPECT_EQ(net(filled({2}, {1, 2})).to_vector<double>(), (std::vector<double>{2, 4}));
}

TEST(Hooks, SeeInputsAndOutputsUntilRemoved) {
  Block block(2);
  std::string log;
  HookHandle after = block.first->register_forward_hook([&](Module& m, std::span<const Tensor> in, const Tensor& out) {
    log += concat(m.type_name(), " ", in[0][0].item(), "->", out[0].item(), "; ");
  });
  HookHandle before = block.first->register_forward_pre_hook(
      [&](Module&, std::span<const Tensor> in, const Tensor& out) { log += concat(in.size(), out.defined(), " "); });
  EXPECT_TRUE(block.first->has_hooks());
  EXPECT_EQ(block.first.plain(), nullptr) << "fused paths must leave it alone";
  block(filled({2}, {1, 2}));
  EXPECT_EQ(log, "1false Scale 1->2; ");
  after.remove();
  after.remove();
  before.remove();
  block(filled({2}, {1, 2}));
  EXPECT_EQ(log, "1false Scale 1->2; ");
  EXPECT_FALSE(block.first->has_hooks());
}

TEST(Hooks, SeeTheTensorsOfAnyInterface) {
  struct Pairs : Module {
    Child<Pairing> pairing{this, "pairing"};
  } pairs;
  int64_t inputs = 0;
  double output = 0;
  HookHandle handle;
  handle = pairs.pairing->register_forward_hook([&](Module&, std::span<const Tensor> in, const Tensor& out) {
    inputs = static_cast<int64_t>(in.size());
    output = out.item();
    handle.remove();  // from inside
  });
  const Tensor x = filled({1}, {3});
  pairs.pairing(x, x, 1.0);
  EXPECT_EQ(inputs, 2);
  EXPECT_EQ(output, 6);
  EXPECT_FALSE(pairs.pairing->has_hooks());
}

TEST(StateDict, LoadsStrictlyOrNotAtAll) {
  Block block(2);
  const io::TensorMap bad = {{"first.weight", filled({3}, {1, 2, 3})},
                             {"second.weight", filled({2}, {7, 7})},
                             {"second.scale", filled({1}, {1})}};
  EXPECT_EQ(message_of<ValueError>([&] { block.load_state_dict(bad); }),
            "[load_state_dict] expected the 4 tensors of Block, got 3; missing: first.calls, second.bias; unexpected: "
            "second.scale; misshapen: first.weight (expected f64 [2], got f64 [3])");
  EXPECT_EQ(block.second->weight.latent().to_vector<double>(), (std::vector<double>{3, 3})) << "nothing has changed";

  const io::TensorMap partial = {{"second.weight", filled({2}, {7, 7})}, {"other", filled({1}, {1})}};
  const LoadReport report = block.load_state_dict(partial, false);
  EXPECT_EQ(report.missing, (std::vector<std::string>{"first.weight", "first.calls", "second.bias"}));
  EXPECT_EQ(report.unexpected, (std::vector<std::string>{"other"}));
  EXPECT_EQ(block.second->weight.latent().to_vector<double>(), (std::vector<double>{7, 7}));

  const io::TensorMap wrong_kind = {{"second.weight", empty({2}, DType::kI64).zero_()}};
  EXPECT_EQ(
      message_of<ValueError>([&] { block.load_state_dict(wrong_kind, false); }),
      "[load_state_dict] expected the 4 tensors of Block, got 1; missing: first.weight, first.calls, second.bias; "
      "misshapen: second.weight (expected f64 [2], got i64 [2])");
}

TEST(StateDict, NamesFewOfManyUnexpectedEntries) {
  Block block(2);
  io::TensorMap state = block.state_dict();
  for (int i = 0; i < 10; ++i) state.insert(concat("x", i), filled({1}, {1}));
  EXPECT_EQ(message_of<ValueError>([&] { block.load_state_dict(state); }),
            "[load_state_dict] expected the 4 tensors of Block, got 14; unexpected: x0, x1, x2, x3, x4, x5, x6, x7 and "
            "2 more");
}

TEST(StateDict, RoundTripsAndConverts) {
  Block a(2), b(2);
  {
    const NoGradGuard no_grad;
    for (Tensor& p : a.parameters()) p.fill_(0.5);
  }
  io::TensorMap state;
  for (const auto& [name, tensor] : a.state_dict())
    state.insert(name, tensor.is_floating() ? tensor.detach().to(DType::kF32) : tensor);
  const uint64_t version = b.first->weight.latent().version();
  b.load_state_dict(state);
  EXPECT_EQ(b.first->weight.latent().to_vector<double>(), (std::vector<double>{0.5, 0.5}));
  EXPECT_EQ(b.first->weight.latent().dtype(), DType::kF64);
  EXPECT_GT(b.first->weight.latent().version(), version);
}

TEST(StateDict, ToleratesMissingBatchCounters) {
  struct Counted : Module {
    Buffer counter{this, "num_batches_tracked", empty({}, DType::kI64).zero_()};
    Buffer scratch{this, "scratch", empty({2}).zero_(), /*persistent=*/false};
  } counted;
  EXPECT_TRUE(counted.load_state_dict({}).missing.empty());
  EXPECT_EQ(names(counted.state_dict()), (std::vector<std::string>{"num_batches_tracked"}));
  EXPECT_EQ(counted.named_buffers().size(), 2u);
}

TEST(Tying, IsOneParameterUnderTwoNames) {
  Block block(2);
  block.second->weight.tie(block.first->weight);
  EXPECT_EQ(names(block.named_parameters()), (std::vector<std::string>{"first.weight", "second.bias"}));
  EXPECT_EQ(block.named_parameter_objects(true).size(), 3u);
  EXPECT_EQ(names(block.state_dict()), (std::vector<std::string>{"first.weight", "first.calls", "second.bias"}));
  EXPECT_EQ(block(filled({2}, {1, 1})).to_vector<double>(), (std::vector<double>{4, 4}));
  block(filled({2}, {1, 1})).sum().backward();
  EXPECT_EQ(block.first->weight.latent().grad().to_vector<double>(), (std::vector<double>{4, 4})) << "both uses";

  const Tensor count = empty({}, DType::kI64).zero_(), bias = filled({2}, {0, 0}), w = filled({2}, {5, 5});
  block.load_state_dict({{"second.weight", w}, {"first.calls", count}, {"second.bias", bias}});
  EXPECT_EQ(block.first->weight.latent()[0].item(), 5);
  block.load_state_dict({{"first.weight", w}, {"second.weight", w}, {"first.calls", count}, {"second.bias", bias}});
  EXPECT_EQ(message_of<ValueError>([&] {
              block.load_state_dict({{"first.weight", w}, {"second.weight", bias}, {"first.calls", count}});
            }),
            "[load_state_dict] expected the 4 tensors of Block, got 3; missing: second.bias; misshapen: second.weight "
            "(tied to first.weight, but the values differ)");
  EXPECT_EQ(message_of<ValueError>([&] {
              block.load_state_dict({{"first.calls", count}, {"second.bias", bias}});
            }),
            "[load_state_dict] expected the 4 tensors of Block, got 2; missing: first.weight");

  EXPECT_EQ(message_of<StateError>([&] { block.first->weight.parametrize(std::make_shared<Halve>()); }),
            "[parametrize] expected weight to be untied, got a parameter with 2 names; untie it first");
  block.second->weight.untie();
  EXPECT_FALSE(block.first->weight.is_tied());
  block.first->weight.parametrize(std::make_shared<Halve>());
  EXPECT_EQ(message_of<StateError>([&] { block.second->weight.tie(block.first->weight); }),
            "[tie] expected parameters without parametrization, got weight with halve");
  Block other(3);
  EXPECT_EQ(message_of<ShapeError>([&] { block.second->weight.tie(other.first->weight); }),
            "[tie] expected weight and weight of one shape, got [2] and [3]");
}

TEST(Clone, KeepsStructureValuesTiesAndModes) {
  struct Net : Module {
    Child<Block> a{this, "a", 2};
    Child<Block> b{this, "b", 2};
    Tensor forward(const Tensor& x) override { return b(a(x)); }
  } net;
  net.a->second->weight.tie(net.b->second->weight);
  net.a->replace("first", make<Shift>(1.0));
  auto half = std::make_shared<Halve>();
  net.b->first->weight.parametrize(half);
  net.b->second->bias.set(Tensor());
  net.b->second->requires_grad_(false);
  net.b->eval();
  net.a->register_forward_hook([](Module&, std::span<const Tensor>, const Tensor&) {});
  const Tensor x = filled({2}, {1, 2});
  const auto copy = clone(net);
  EXPECT_EQ((*copy)(x).to_vector<double>(), net(x).to_vector<double>());
  EXPECT_EQ(names(copy->state_dict()), names(net.state_dict()));
  EXPECT_TRUE(copy->a->second->weight.is_tied_with(copy->b->second->weight));
  EXPECT_FALSE(copy->a->second->weight.is_tied_with(net.a->second->weight));
  EXPECT_FALSE(copy->b->is_training());
  EXPECT_TRUE(copy->a->is_training());
  EXPECT_FALSE(copy->b->second->weight.latent().requires_grad());
  EXPECT_FALSE(copy->a->has_hooks());
  EXPECT_NE(copy->b->first->weight.parametrization(), half.get());
  {
    const NoGradGuard no_grad;
    for (Tensor& p : copy->parameters()) p.fill_(0);
  }
  EXPECT_EQ(net.b->first->weight.latent()[0].item(), 2) << "values are not shared";
  EXPECT_NE(copy->clone(), nullptr) << "a clone can be cloned without its static type";
}

TEST(Clone, SaysWhatCannotBeBuilt) {
  Block block(2);
  EXPECT_NO_THROW((void)block.first->clone());
  struct Args : Module {
    explicit Args(int) {}
  } args(1);
  EXPECT_EQ(message_of<StateError>([&] { return clone(args); }),
            "[clone] expected a module that can be built again, got Args, which has neither options() nor a default "
            "constructor nor its own new_like()");
}

}  // namespace
}  // namespace tern::nn
