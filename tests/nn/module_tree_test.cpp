// Modules in several places, in themselves, nested deep or in great numbers, and the mistakes that their first use
// reports.
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/ops/create.h>
#include <tern/core/ops/operators.h>
#include <tern/nn/layers/activations.h>
#include <tern/nn/layers/batch_norm.h>
#include <tern/nn/layers/containers.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/layers/parameter_list.h>
#include <tern/nn/places.h>
#include <tern/nn/summary.h>

#include "message_of.h"
#include "nn/toys.h"

namespace tern::nn {
namespace {

using test::message_of;

struct Twins : Module {
  Child<Scale> a{this, "a", {.size = 2}}, b{this, "b", {.size = 2}};
  Tensor forward(const Tensor& x) override { return b(a(x)); }
};

TEST(SharedModule, IsReplacedInAllItsPlacesOrInOne) {
  Twins net;
  net.replace("b", net.get_module("a"));
  EXPECT_EQ(net.named_modules().size(), 2u);
  EXPECT_EQ(net.named_modules(true).size(), 3u);
  EXPECT_EQ(module_places(net).at(1).paths, (std::vector<std::string>{"a", "b"}));
  const auto held = net.get_module("a");
  Twins other;  // holds it too, but is another tree
  other.replace("a", held);

  net.replace_everywhere("b", make<Shift>(1.0));
  EXPECT_EQ(net.get_module("a"), net.get_module("b"));
  EXPECT_EQ(net(filled({2}, {1, 2})).to_vector<double>(), (std::vector<double>{3, 4}));
  EXPECT_EQ(other.get_module("a"), held);
  net.replace("a", make<Shift>(2.0));
  EXPECT_NE(net.get_module("a"), net.get_module("b")) << "replace changes one place";
  net.eval();
  net.replace_everywhere("a", make<Shift>(3.0));
  EXPECT_FALSE(net.get_module("a")->is_training());
  EXPECT_THROW(net.replace_everywhere("c", make<Shift>(3.0)), ValueError);
  EXPECT_THROW(net.replace_everywhere("a", std::shared_ptr<Shift>()), ValueError);
}

TEST(SharedModule, IsReplacedInAllPlacesOrNone) {
  struct Wide : Module {
    Tensor forward(const Tensor& a, const Tensor& b) { return a + b; }
  };
  struct Net : Module {
    Child<Module> any{this, "any", std::make_shared<Wide>()};
    Child<Wide> wide{this, "wide"};
    Net() { wide.set(any.module()); }
  } net;
  const auto before = net.get_module("any");
  EXPECT_THROW(net.replace_everywhere("any", make<Shift>(1.0)), StateError) << "wide cannot call a Shift";
  EXPECT_EQ(net.get_module("any"), before);
  EXPECT_EQ(net.get_module("wide"), before);
}

TEST(SharedModule, ManyPathsAreWalkedOnce) {
  auto inner = make<Sequential>();
  inner->append(make<Scale>(Scale::Options{.size = 2}));
  for (int level = 0; level < 40; ++level) {  // 2^40 paths
    auto outer = make<Sequential>();
    outer->append(inner);
    outer->append(inner);
    inner = outer;
  }
  EXPECT_EQ(inner->parameters().size(), 1u);
  EXPECT_EQ(inner->named_modules().size(), 42u);
  inner->eval();
  EXPECT_FALSE(inner->named_modules().back().second->is_training());
  EXPECT_EQ(clone(*inner)->parameters().size(), 1u);
  EXPECT_THROW((void)inner->named_modules(true), StateError);
  EXPECT_THROW((void)inner->named_parameter_objects(true), StateError);
}

TEST(Ring, IsRefusedWhereItWouldClose) {
  const std::string refusal = "[child] expected a module for 0 that does not contain its own parent, got Sequential";
  const auto one = make<Sequential>();
  EXPECT_EQ(message_of<StateError>([&] { one->append(one); }), refusal);
  EXPECT_EQ(one->size(), 0);
  const auto two = make<Sequential>(), three = make<Sequential>();
  one->append(two);
  two->append(three);
  EXPECT_EQ(message_of<StateError>([&] { three->append(one); }), refusal);
  EXPECT_EQ(three->size(), 0);
  EXPECT_THROW(two->replace("0", one), StateError);
  EXPECT_EQ(two->get_module("0"), three) << "nothing changed";
}

TEST(Ring, IsRefusedThroughAParametrization) {
  struct Holder : Parametrization {
    Child<Sequential> held{this, "held"};
    Holder() : Parametrization("holder") {}
    Tensor effective(const Tensor& latent) override { return latent; }
  };
  const auto model = make<Sequential>();
  Scale& layer = model->add<Scale>({.size = 2});
  const auto map = std::make_shared<Holder>();
  layer.weight.parametrize(map);
  EXPECT_THROW(map->held->append(model), StateError);
  layer.weight.remove_parametrization();
  map->held->append(model);
  EXPECT_THROW(layer.weight.parametrize(map), StateError);
  EXPECT_FALSE(layer.weight.is_parametrized());
}

std::shared_ptr<Sequential> nested(int64_t levels, bool from_outside) {
  auto top = make<Sequential>();
  if (from_outside) {
    std::shared_ptr<Sequential> at = top;
    for (int64_t i = 1; i < levels; ++i) {
      const auto inner = make<Sequential>();
      at->append(inner);
      at = inner;
    }
  } else {
    for (int64_t i = 1; i < levels; ++i) {
      auto outer = make<Sequential>();
      outer->append(top);
      top = outer;
    }
  }
  return top;
}

TEST(Nesting, IsBoundedFromBothSides) {
  for (const bool from_outside : {false, true}) {
    const auto tree = nested(kMaxNesting, from_outside);
    EXPECT_EQ(tree->named_modules().size(), static_cast<size_t>(kMaxNesting));
    tree->eval();
    EXPECT_EQ(tree->state_dict().size(), 0u);
    EXPECT_EQ(clone(*tree)->named_modules().size(), static_cast<size_t>(kMaxNesting));
    const auto outer = make<Sequential>();
    EXPECT_EQ(message_of<StateError>([&] { outer->append(tree); }),
              "[child] expected modules nested at most 4096 deep, got 4097 with Sequential for 0");
    EXPECT_EQ(outer->size(), 0);
  }
  EXPECT_THROW(nested(kMaxNesting + 1, true), StateError);
}

TEST(Nesting, CountsWhatStandsThereNow) {
  const auto deep = nested(kMaxNesting, false);
  deep->replace("0", make<Identity>());
  const auto outer = make<Sequential>();
  outer->append(deep);
  EXPECT_EQ(outer->named_modules().size(), 3u);
}

TEST(ManyChildren, AreNamedFoundAndReplacedInLinearTime) {
  constexpr int64_t kLayers = 65'536;  // with quadratic steps this takes minutes
  ModuleListOf<Scale> list;
  for (int64_t i = 0; i < kLayers; ++i) list.add({.size = 1});
  EXPECT_EQ(list.named_parameters().back().first, "65535.weight");
  EXPECT_EQ(list.state_dict().size(), static_cast<size_t>(2 * kLayers));  // with their counters of calls
  for (int64_t i = 0; i < kLayers; ++i) {
    EXPECT_EQ(&list.get_parameter(std::to_string(i) + ".weight"), &list.at<Scale>(i).weight);
    list.replace_everywhere(std::to_string(i), make<Scale>(Scale::Options{.size = 1, .value = 3}));
  }
  EXPECT_EQ(list.at<Scale>(kLayers - 1).options().value, 3);
}

TEST(ManyChildren, NorDoManyParametersTakeLong) {
  constexpr int64_t kParameters = 262'144;  // with quadratic steps this takes minutes
  const Tensor value = zeros({1});
  ParameterList list;
  for (int64_t i = 0; i < kParameters; ++i) list.append(value);
  EXPECT_EQ(list.named_parameters().size(), static_cast<size_t>(kParameters));
  EXPECT_EQ(&list.get_parameter("262143"), &list[-1]);
}

TEST(Members, HaveNamesOnceHoweverMany) {
  ModuleDict dict;
  for (int i = 0; i < 40; ++i) dict.insert(concat("m", i), make<Shift>(i));
  EXPECT_THROW(dict.insert("m7", make<Shift>(0.0)), ValueError);
  dict.erase("m7");
  EXPECT_THROW((void)dict.get_module("m7"), ValueError);
  dict.insert("m7", make<Shift>(1.0));
  EXPECT_EQ(dict.get_module("m7")->type_name(), "Shift");
}

// -- the mistakes that a first use reports

TEST(FirstUse, RefusesAModuleThatIsNoChild) {
  const std::string refusal =
      "[Net] expected modules inside it to be children, nn::Child<Linear> name{this, \"name\", ...}, got a plain "
      "Linear "
      "as a member, which would be neither listed, trained nor saved";
  struct Net : Module {
    Linear plain{{.in_features = 2, .out_features = 2}};
    Child<ReLU> act{this, "act"};
    Tensor forward(const Tensor& x) override { return act(plain(x)); }
  };
  EXPECT_EQ(message_of<StateError>([] { (void)Net().parameters(); }), refusal);
  EXPECT_EQ(message_of<StateError>([] { (void)Net()(zeros({1, 2})); }), refusal);
  EXPECT_EQ(message_of<StateError>([] { (void)make<Net>()->state_dict(); }), refusal);
  struct Outer : Module {
    Child<Net> net{this, "net"};
  };
  EXPECT_EQ(message_of<StateError>([] { (void)Outer().named_modules(); }), refusal);
}

TEST(FirstUse, RefusesAPlainMemberOfAModuleWithoutAnythingElse) {
  struct Net : Module {
    Linear plain{{.in_features = 2, .out_features = 2}};
    Tensor forward(const Tensor& x) override { return plain(x); }
  };
  EXPECT_THROW((void)Net().parameters(), StateError);
  EXPECT_THROW((void)Net()(zeros({1, 2})), StateError);
  EXPECT_THROW((void)make<Net>()->parameters(), StateError);
}

TEST(FirstUse, AllowsModulesThatAreNotMembers) {
  struct Swish : Module {
    Tensor forward(const Tensor& x) override { return x; }
  };
  Swish one;
  Linear outside({.in_features = 2, .out_features = 2});
  struct Net : Module {
    Linear* shared = nullptr;
    Child<ReLU> act{this, "act"};
    Tensor forward(const Tensor& x) override { return act((*shared)(x)); }
  } net;
  net.shared = &outside;
  EXPECT_NO_THROW((void)net(one(zeros({1, 2}))));
  EXPECT_TRUE(net.parameters().empty());
}

// Whatever lies behind a module in memory: another variable, the next block of the heap.
TEST(FirstUse, AllowsModulesThatLieBehindOneWithoutMembers) {
  struct Ensemble : Module {
    std::vector<Linear*> models;
    Tensor forward(const Tensor& x) override {
      Tensor sum = zeros({1, 2});
      for (Linear* model : models) sum += (*model)(x);
      return sum;
    }
  };
  struct Variables {
    Ensemble ensemble;
    Linear first{{.in_features = 2, .out_features = 2}}, second{{.in_features = 2, .out_features = 2}};
  } variables;
  variables.ensemble.models = {&variables.first, &variables.second};
  EXPECT_NO_THROW((void)variables.ensemble(zeros({1, 2})));
  EXPECT_TRUE(variables.ensemble.parameters().empty());
}

TEST(Construction, SaysThatOptionsBehindAChildHaveNoValue) {
  struct Wrong : Module {
    struct Options {
      int64_t in = 0;
    };
    explicit Wrong(const Options& options) : options_(options) {}
    const Options& options() const { return options_; }
    Child<BatchNorm2d> bn{this, "bn", {.num_features = -1}};  // as if read from options_
    Options options_;
  };
  const std::string text = message_of<StateError>([] { Wrong wrong({.in = 3}); });
  EXPECT_NE(text.find("the options of the Wrong are declared behind bn"), std::string::npos) << text;
  struct Right : Module {
    struct Options {
      int64_t in = 1;
    };
    explicit Right(const Options& options) : scale(this, "scale", {.size = options.in}), options_(options) {}
    const Options& options() const { return options_; }
    Child<Scale> scale;  // made of the constructor's argument
    Options options_;
  };
  EXPECT_EQ(Right({.in = 3}).parameters()[0].shape(), (Shape{3}));
}

// -- short forms

struct BranchOptions {
  int64_t size = 2;
  bool shift = false;
};
struct Branch : ModuleOf<BranchOptions> {
  using ModuleOf::ModuleOf;
  Child<Scale> scale{this, "scale", {.size = options().size}};
  std::optional<Child<Scale>> again;
  Branch(const BranchOptions& options) : ModuleOf(options) {
    if (options.shift) again.emplace(this, "again", {.size = options.size, .value = 5});
  }
  Tensor forward(const Tensor& x) override { return again ? (*again)(scale(x)) : scale(x); }
};

TEST(ShortForms, OptionsAndOptionalChildren) {
  Branch without({.size = 3});
  EXPECT_EQ(without.parameters().size(), 1u);
  Branch with({.size = 1, .shift = true});
  EXPECT_EQ(with(filled({1}, {1})).item(), 10);
  EXPECT_EQ(clone(with)->named_parameters().back().first, "again.weight");
  with.again.reset();
  EXPECT_EQ(with.parameters().size(), 1u);
}

TEST(ShortForms, VectorsOfChildren) {
  struct Net : Module {
    std::vector<Child<Scale>> layers;
    Net() {
      for (int i = 0; i < 30; ++i) layers.push_back(Child<Scale>(this, concat("layer", i), {.size = 1, .value = 1}));
    }
    Tensor forward(const Tensor& x) override {
      Tensor y = x;
      for (const auto& layer : layers) y = layer(y);
      return y;
    }
  } net;
  EXPECT_EQ(net.named_parameters().at(29).first, "layer29.weight");
  net.replace_everywhere("layer7", make<Shift>(1.0));
  EXPECT_EQ(net(filled({1}, {1})).item(), 2);
  EXPECT_EQ(clone(net)->parameters().size(), 29u);
  net.layers.pop_back();
  EXPECT_EQ(net.parameters().size(), 28u);
}

#ifndef __clang__  // clang 14 asks whether Tree can be made by default while it is incomplete
struct Tree : Module {
  explicit Tree(int64_t level) {
    if (level > 0) sub.emplace(this, "sub", level - 1);
  }
  std::optional<Child<Tree>> sub;
};

TEST(ShortForms, ChildrenOfTheSameType) {
  EXPECT_EQ(Tree(3).named_modules().back().first, "sub.sub.sub");
}
#endif

struct Cross : Module {
  Tensor forward(const Tensor& a, const Tensor& b) { return a + b; }
};
struct Split : Module {
  std::pair<Tensor, Tensor> forward(Tensor x) { return {x, x * 2.0}; }
};

TEST(ShortForms, OtherForwards) {
  struct Net : Module {
    Child<Cross> cross{this, "cross"};
    Child<Split> split{this, "split"};
    Tensor forward(const Tensor& x) override {
      const auto [a, b] = split(x);
      return cross(a, b);
    }
  } net;
  EXPECT_EQ(net(filled({1}, {1})).item(), 3);
  std::vector<double> seen;
  net.split->register_forward_hook([&](Module&, std::span<const Tensor> inputs, const Tensor& output) {
    seen = {static_cast<double>(inputs.size()), output.item()};
  });
  net.cross->register_forward_hook([&](Module&, std::span<const Tensor> inputs, const Tensor& output) {
    seen.push_back(static_cast<double>(inputs.size()));
    seen.push_back(output.item());
  });
  net(filled({1}, {1}));
  EXPECT_EQ(seen, (std::vector<double>{1, 1, 2, 3}));
  EXPECT_THROW(net.replace("cross", make<Shift>(1.0)), StateError) << "a Shift does not take two tensors";
  EXPECT_EQ(message_of<StateError>([] { (void)Cross()(zeros({1})); }),
            "[forward] Cross has no forward of one tensor: it declares no `Tensor forward(const Tensor& x) override`");
}

struct Between : Module {
  using Module::forward;
  Tensor forward(const Tensor& a, const Tensor& b) { return a + b; }
};

TEST(Child, OfATypeThatKeepsTheNameOfModulesForwardIsStillCalledInItsOwnWay) {
  struct Net : Module {
    Child<Between> between{this, "between"};
    Tensor forward(const Tensor& x) override { return between(x, x); }
  };
  static_assert(detail::OwnForward<Between> && !detail::OwnForward<Linear> && !detail::OwnForward<Net>);
  Net net;
  EXPECT_EQ(net(filled({1}, {2})).item(), 4);
  EXPECT_THROW(net.replace("between", make<Identity>()), StateError);
  net.replace("between", make<Between>());
}

TEST(TypeName, IsThatOfALocalClass) {
  const auto local = [] {
    struct N : Module {};
    return N().type_name();
  };
  EXPECT_EQ(local(), "N");
  struct M : Module {};
  EXPECT_EQ(M().type_name(), "M");
  EXPECT_EQ(ModuleListOf<M>().type_name(), "ModuleListOf<M>");
}

}  // namespace
}  // namespace tern::nn
