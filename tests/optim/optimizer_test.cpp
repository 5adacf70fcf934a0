#include <limits>
#include <random>

#include <tern/core/autograd/autograd.h>
#include <tern/core/io/safetensors.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>
#include <tern/core/parallel.h>
#include <tern/optim/accumulate.h>
#include <tern/optim/adam.h>
#include <tern/optim/clip.h>
#include <tern/optim/ema.h>
#include <tern/optim/sgd.h>

#include "optim/support.h"

namespace tern {
namespace {

Tensor noise(const Shape& shape, uint32_t seed, DType dtype = DType::kF32) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> values(-1, 1);
  Tensor x = empty(shape, DType::kF64);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<double>()[i] = values(random);
  return x.to(dtype);
}

std::vector<uint8_t> bits(const Tensor& x) {
  const Tensor rows = x.detach().contiguous();
  const auto* p = reinterpret_cast<const uint8_t*>(rows.raw());
  return {p, p + rows.bytes()};
}

// Sizes around the grain of the parallel loops, and many small ones.
std::vector<Tensor> many_params() {
  std::vector<Tensor> params;
  uint32_t seed = 0;
  for (const int64_t n : {1, 16, 16383, 16384, 16385, 40000, 7, 0, 64}) params.push_back(noise({n}, ++seed));
  for (int i = 0; i < 50; ++i) params.push_back(noise({static_cast<int64_t>(i)}, ++seed));
  params.push_back(noise({33}, ++seed, DType::kF64));
  for (Tensor& p : params) p.requires_grad_();
  return params;
}

void set_gradients(const std::vector<Tensor>& params, uint32_t seed) {
  for (size_t i = 0; i < params.size(); ++i) {
    Tensor handle = params[i];
    handle.set_grad(noise(params[i].shape(), seed * 1000 + static_cast<uint32_t>(i), params[i].dtype()));
  }
}

template <class Make>
void expect_same_bits_at_any_thread_count(const Make& make) {
  std::vector<std::vector<uint8_t>> wanted;
  for (const int threads : {1, 2, 5}) {
    set_num_threads(threads);
    const auto params = many_params();
    const auto optimizer = make(params);
    optim::WeightEma ema(params, {.decay = 0.9});
    std::vector<std::vector<uint8_t>> got;
    for (uint32_t t = 0; t < 4; ++t) {
      set_gradients(params, t);
      const double norm = optim::clip_grad_norm_(params, 10.0);
      optimizer->step();
      ema.update();
      got.push_back(bits(empty({}, DType::kF64).fill_(norm)));
    }
    for (const Tensor& p : params) got.push_back(bits(p));
    for (const auto& [name, tensor] : ema.state_dict()) got.push_back(bits(tensor));
    if (wanted.empty()) wanted = got;
    EXPECT_EQ(got, wanted) << threads << " threads";
  }
  set_num_threads(0);
}

TEST(Optimizer, SameBitsAtAnyThreadCount) {
  expect_same_bits_at_any_thread_count([](const auto& params) {
    return std::make_unique<optim::Sgd>(params, optim::SgdOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 1e-2});
  });
  expect_same_bits_at_any_thread_count(
      [](const auto& params) { return std::make_unique<optim::AdamW>(params, optim::AdamWOptions{.amsgrad = true}); });
}

TEST(Optimizer, ManySmallParametersEqualOneLarge) {
  // The same elements cut into parameters differently get the same values.
  const Tensor whole = noise({20000}, 1).requires_grad_();
  const Tensor gradient = noise({20000}, 2);
  std::vector<Tensor> pieces;
  for (int64_t begin = 0; begin < 20000;) {
    const int64_t end = std::min<int64_t>(20000, begin + 1 + begin % 777);
    pieces.push_back(whole.detach().slice(0, begin, end).clone().requires_grad_());
    pieces.back().set_grad(gradient.slice(0, begin, end).clone());
    begin = end;
  }
  Tensor handle = whole;
  handle.set_grad(gradient);
  optim::Adam a({whole}), b(pieces);
  a.step();
  b.step();
  int64_t at = 0;
  for (const Tensor& piece : pieces) {
    const auto wanted = whole.detach().slice(0, at, at + piece.numel()).to_vector<float>();
    const auto got = piece.to_vector<float>();
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], wanted[i], 1e-7);
    at += piece.numel();
  }
}

TEST(Optimizer, GradientsOfAnotherLayoutAreReadElementByElement) {
  for (const bool momentum : {false, true}) {
    const Tensor plain = noise({3, 4, 2, 5}, 1).requires_grad_();
    const Tensor last = plain.detach().contiguous(MemoryFormat::kChannelsLast).clone().requires_grad_();
    const Tensor gradient = noise({3, 4, 2, 5}, 2);
    Tensor p = plain, l = last;
    p.set_grad(gradient.contiguous(MemoryFormat::kChannelsLast));
    l.set_grad(gradient);
    optim::Sgd opt({plain, last}, {.lr = 0.5, .momentum = momentum ? 0.9 : 0.0});
    opt.step();
    opt.step();
    EXPECT_EQ(plain.to_vector<float>(), last.to_vector<float>());
    EXPECT_NEAR(plain.to_vector<float>()[7],
                noise({3, 4, 2, 5}, 1).to_vector<float>()[7] - (momentum ? 1.45 : 1.0) * gradient.to_vector<float>()[7],
                1e-6);
  }
}

TEST(Optimizer, GroupsOfTheDesignDocument) {
  const Tensor a = noise({4}, 1).requires_grad_(), b = noise({4}, 2).requires_grad_(),
               c = noise({4}, 3).requires_grad_();
  optim::Sgd opt({.momentum = 0.9}, {{.params = std::vector<Tensor>{a}, .lr = 0.1, .weight_decay = 1e-4},
                                     {.params = {b, c}, .lr = 1e-3, .weight_decay = 0.03}});
  EXPECT_EQ(opt.group_count(), 2);
  EXPECT_EQ(opt.lr(1), 1e-3);
  EXPECT_EQ(opt.weight_decay(0), 1e-4);
  EXPECT_EQ(opt.params(1)[1].first, "1.1");
  EXPECT_EQ(opt.all_params().size(), 3u);
  optim::Sgd single({.lr = 0.5}, {{.params = {a}}});
  EXPECT_EQ(single.lr(), 0.5);
  optim::Sgd simple({b, c}, {.lr = 0.1, .momentum = 0.9});
  EXPECT_EQ(simple.params().size(), 2u);
  optim::AdamW adamw({.lr = 1e-3}, {{.params = {a}, .betas = {{0.8, 0.9}}}, {.params = {b}, .weight_decay = 0}});
  EXPECT_EQ(adamw.weight_decay(0), 1e-2);
  EXPECT_EQ(adamw.weight_decay(1), 0.0);
  optim::Adam adam({a}, {.betas = {0.5, 0.6}});
  EXPECT_EQ(adam.weight_decay(), 0.0);
}

TEST(Optimizer, StepsBumpVersionsAndZeroGradDropsGradients) {
  Tensor a = noise({4}, 1).requires_grad_(), b = noise({4}, 2).requires_grad_();
  a.set_grad(noise({4}, 3));
  const uint64_t before_a = a.version(), before_b = b.version();
  optim::Sgd opt({a, b}, {.lr = 0.1});
  opt.step();
  EXPECT_GT(a.version(), before_a);
  EXPECT_EQ(b.version(), before_b);  // nothing was written
  opt.zero_grad();
  EXPECT_FALSE(a.grad().defined());
}

// Saving at any step and loading into a fresh optimizer continues bit by bit, through a file.
template <class Make>
void expect_resumes(const Make& make) {
  const ScratchDir dir;
  std::vector<Tensor> straight, stopped;
  for (uint32_t i = 0; i < 3; ++i) {
    straight.push_back(noise({5, 3}, i).requires_grad_());
    stopped.push_back(noise({5, 3}, i).requires_grad_());
  }
  straight[1] = straight[1].detach().t().clone().requires_grad_();  // and one that does not lie row-major
  stopped[1] = stopped[1].detach().t().clone().requires_grad_();
  const auto whole = make(straight), first = make(stopped);
  for (uint32_t t = 0; t < 10; ++t) {
    set_gradients(straight, t);
    set_gradients(stopped, t);
    straight[2].zero_grad();  // one parameter is not trained at first
    stopped[2].zero_grad();
    whole->step();
    first->step();
  }
  whole->set_lr(0, 0.037);
  first->set_lr(0, 0.037);
  io::save_safetensors(dir / "state", first->state_dict());
  const auto second = make(stopped);
  second->load_state_dict(io::load_safetensors(dir / "state").tensors);
  EXPECT_EQ(second->lr(), 0.037);
  for (uint32_t t = 10; t < 20; ++t) {
    set_gradients(straight, t);
    set_gradients(stopped, t);
    whole->step();
    second->step();
  }
  for (size_t i = 0; i < straight.size(); ++i) EXPECT_EQ(bits(straight[i]), bits(stopped[i])) << i;
}

TEST(Optimizer, StateResumesBitByBit) {
  expect_resumes([](const auto& params) {
    return std::make_unique<optim::Sgd>(params, optim::SgdOptions{.lr = 0.1, .momentum = 0.9, .nesterov = true});
  });
  expect_resumes([](const auto& params) {
    return std::make_unique<optim::Adam>(params, optim::AdamOptions{.weight_decay = 0.1, .amsgrad = true});
  });
  expect_resumes([](const auto& params) { return std::make_unique<optim::AdamW>(params); });
  expect_resumes([](const auto& params) { return std::make_unique<optim::Sgd>(params, optim::SgdOptions{.lr = 0.1}); });
}

TEST(Optimizer, StateIsNamedAfterTheParameters) {
  using Named = std::vector<std::pair<std::string, Tensor>>;
  Tensor w = noise({2}, 1).requires_grad_();
  w.set_grad(noise({2}, 2));
  optim::Sgd opt(Named{{"conv1.weight", w}}, {.lr = 0.1, .momentum = 0.9});
  EXPECT_EQ(opt.state_dict().size(), 2u);  // rate and decay only
  opt.step();
  const io::TensorMap state = opt.state_dict();
  EXPECT_EQ(state.at("state.conv1.weight.step").item_i64(), 1);
  EXPECT_EQ(state.at("state.conv1.weight.momentum_buffer").to_vector<float>(), w.grad().to_vector<float>());
  EXPECT_EQ(state.at("groups.0.lr").item(), 0.1);
}

TEST(Optimizer, BadStateChangesNothing) {
  Tensor w = noise({2}, 1).requires_grad_(), v = noise({3}, 1).requires_grad_();
  w.set_grad(noise({2}, 2));
  v.set_grad(noise({3}, 2));
  optim::Sgd opt({w}, {.lr = 0.1, .momentum = 0.9}), other({v}, {.lr = 0.1, .momentum = 0.9});
  optim::Sgd plain({w}, {.lr = 0.1});
  optim::Adam adam({w}, {.lr = 0.1});
  opt.step();
  other.step();
  plain.step();
  adam.step();
  const auto before = opt.state_dict();
  const auto expect_unchanged = [&] {
    EXPECT_EQ(opt.state_dict().at("state.0.0.momentum_buffer").to_vector<float>(),
              before.at("state.0.0.momentum_buffer").to_vector<float>());
    EXPECT_EQ(opt.lr(), 0.1);
  };
  EXPECT_EQ(sentence_of<ShapeError>([&] { opt.load_state_dict(other.state_dict()); }),
            "[load_state_dict] expected state.0.0.momentum_buffer of shape [2], got [3]");
  expect_unchanged();
  EXPECT_EQ(sentence_of<ValueError>([&] { opt.load_state_dict(adam.state_dict()); }),
            "[load_state_dict] expected the state of this sgd optimizer, got one with unknown state.0.0.exp_avg, "
            "state.0.0.exp_avg_sq and without state.0.0.momentum_buffer");
  EXPECT_EQ(sentence_of<ValueError>([&] { opt.load_state_dict({}); }),
            "[load_state_dict] expected the state of this sgd optimizer, got one without groups.0.lr, "
            "groups.0.weight_decay");
  io::TensorMap bad = before;
  bad.set("groups.0.lr", empty({}, DType::kF64).fill_(-3));
  EXPECT_EQ(sentence_of<ValueError>([&] { opt.load_state_dict(bad); }),
            "[load_state_dict] expected a learning rate of at least 0, got -3");
  bad = before;
  bad.set("groups.0.lr", empty({}).fill_(1));
  EXPECT_EQ(sentence_of<DTypeError>([&] { opt.load_state_dict(bad); }),
            "[load_state_dict] expected groups.0.lr of f64, got f32");
  bad = before;
  bad.set("state.0.0.step", empty({}, DType::kI64).fill_(0));
  EXPECT_EQ(sentence_of<ValueError>([&] { opt.load_state_dict(bad); }),
            "[load_state_dict] expected state.0.0.step above 0, got 0");
  expect_unchanged();
}

TEST(Optimizer, RefusesBadParameters) {
  const Tensor w = noise({2}, 1).requires_grad_();
  const auto refusal = [](const optim::ParamList& params) {
    return sentence_of<Error>([&] { optim::Sgd(params, {.lr = 0.1}); });
  };
  EXPECT_EQ(refusal({w, w}), "[sgd] expected every parameter once, got parameter 1 of group 0 again");
  EXPECT_EQ(refusal({Tensor()}), "[sgd] expected parameter 0.0 to be a tensor, got an undefined one");
  EXPECT_EQ(refusal({w.clone()}),
            "[sgd] expected parameter 0.0 to be a leaf tensor, got one that an operation produced");
  EXPECT_EQ(refusal({empty({2}, DType::kI64)}), "[sgd] expected parameter 0.0 of f32 or f64, got i64 [2]");
  EXPECT_EQ(refusal({empty({2}, DType::kBF16)}), "[sgd] expected parameter 0.0 of f32 or f64, got bf16 [2]");
  EXPECT_EQ(refusal({noise({4}, 1).slice(0, 0, 4, 2).detach()}),
            "[sgd] expected parameter 0.0 to fill its memory without holes, got shape [2] with strides [2]");
  using Named = std::vector<std::pair<std::string, Tensor>>;
  EXPECT_EQ(refusal(Named{{"w", w}, {"w", noise({2}, 2)}}), "[sgd] expected every name once, got w again");
  EXPECT_EQ(sentence_of<ValueError>([&] {
              optim::Sgd({.lr = 0.1}, {{.params = {w}}, {.params = {w}}});
            }),
            "[sgd] expected every parameter once, got parameter 0 of group 1 again");
  EXPECT_EQ(refusal(Named{{"w", w}, {"v", w}}), "[sgd] expected every parameter once, got parameter v again");
}

TEST(Optimizer, NamesFewOfManyUnknownEntries) {
  optim::Sgd opt({noise({2}, 1).requires_grad_()}, {.lr = 0.1});
  io::TensorMap state = opt.state_dict();
  for (int i = 10; i < 33; ++i) state.insert(concat("x", i), noise({2}, 1));
  EXPECT_EQ(sentence_of<ValueError>([&] { opt.load_state_dict(state); }),
            "[load_state_dict] expected the state of this sgd optimizer, got one with unknown x10, x11, x12, x13, x14, "
            "x15, x16, x17 and 15 more");
}

TEST(Optimizer, RefusesBadSettings) {
  const Tensor w = noise({2}, 1).requires_grad_();
  const auto sgd = [&](const optim::SgdOptions& o) { return sentence_of<ValueError>([&] { optim::Sgd({w}, o); }); };
  EXPECT_EQ(sgd({}), "[sgd] expected a learning rate for group 0, got none there nor in the options");
  EXPECT_EQ(sgd({.lr = -1}), "[sgd] expected a learning rate of at least 0, got -1");
  EXPECT_EQ(sgd({.lr = std::nan("")}), "[sgd] expected a learning rate of at least 0, got nan");
  EXPECT_EQ(sgd({.lr = 1, .momentum = -0.1}), "[sgd] expected a momentum of at least 0, got -0.1");
  EXPECT_EQ(sgd({.lr = 1, .weight_decay = -2}), "[sgd] expected a weight decay of at least 0, got -2");
  EXPECT_EQ(sgd({.lr = 1, .nesterov = true}),
            "[sgd] expected a momentum above 0 and no dampening with nesterov, got momentum 0 and dampening 0");
  EXPECT_EQ(sgd({.lr = 1, .momentum = 0.9, .dampening = 0.1, .nesterov = true}),
            "[sgd] expected a momentum above 0 and no dampening with nesterov, got momentum 0.9 and dampening 0.1");
  const auto adam = [&](const optim::AdamOptions& o) { return sentence_of<ValueError>([&] { optim::Adam({w}, o); }); };
  EXPECT_EQ(adam({.betas = {0.9, 1.0}}), "[adam] expected betas in [0, 1), got 1");
  EXPECT_EQ(adam({.betas = {-0.1, 0.9}}), "[adam] expected betas in [0, 1), got -0.1");
  EXPECT_EQ(adam({.eps = -1}), "[adam] expected an eps of at least 0, got -1");
  EXPECT_EQ(sentence_of<ValueError>([&] { optim::AdamW({w}, {.lr = -1}); }),
            "[adamw] expected a learning rate of at least 0, got -1");
  optim::Adam opt({w});
  EXPECT_EQ(sentence_of<ValueError>([&] { opt.set_lr(1, 0.1); }), "[adam] expected a group in [0, 1), got 1");
  EXPECT_EQ(sentence_of<ValueError>([&] { opt.set_lr(0, -0.1); }),
            "[adam] expected a learning rate of at least 0, got -0.1");
  EXPECT_EQ(sentence_of<ValueError>([&] { opt.set_weight_decay(0, -0.1); }),
            "[adam] expected a weight decay of at least 0, got -0.1");
}

TEST(Clip, NormsOfEveryKindAgreeWithTheirDefinition) {
  const auto params = many_params();
  set_gradients(params, 3);
  double one = 0, two = 0, largest = 0;
  for (const Tensor& p : params)
    for (const double g : p.grad().to_vector<double>()) {
      one += std::abs(g);
      two += g * g;
      largest = std::max(largest, std::abs(g));
    }
  EXPECT_NEAR(optim::grad_norm(params, 1), one, 1e-9 * one);
  EXPECT_NEAR(optim::grad_norm(params), std::sqrt(two), 1e-12 * std::sqrt(two));
  EXPECT_EQ(optim::grad_norm(params, std::numeric_limits<double>::infinity()), largest);
  EXPECT_EQ(optim::grad_norm({noise({2}, 1)}), 0.0);
}

TEST(Clip, BelowTheLimitNothingChanges) {
  const auto params = many_params();
  set_gradients(params, 3);
  const auto before = bits(params[5].grad());
  EXPECT_GT(optim::clip_grad_norm_(params, 1e6), 0.0);
  EXPECT_EQ(bits(params[5].grad()), before);
  const double norm = optim::grad_norm(params);
  EXPECT_EQ(optim::clip_grad_norm_(params, 0.5), norm);
  EXPECT_NEAR(optim::grad_norm(params), 0.5, 1e-5);
}

TEST(Clip, NonFiniteGradients) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  for (const double bad : {std::nan(""), kInf, -kInf}) {
    Tensor a = noise({20}, 1), b = noise({5}, 2, DType::kF64);
    a.set_grad(noise({20}, 3));
    b.set_grad(noise({5}, 4, DType::kF64));
    Tensor gradient = a.grad();
    gradient.data<float>()[13] = static_cast<float>(bad);
    const auto before = bits(a.grad());
    for (const double type : {1.0, 2.0, kInf})
      EXPECT_TRUE(sentence_of<NonFiniteError>([&] {
                    optim::clip_grad_norm_({a, b}, 1.0, {.norm_type = type, .error_if_nonfinite = true});
                  }).starts_with("[clip_grad_norm_] expected gradients with a finite norm, got "));
    EXPECT_EQ(bits(a.grad()), before);
    const double norm = optim::clip_grad_norm_({a, b}, 1.0);
    EXPECT_FALSE(std::isfinite(norm));
    // As in PyTorch: an infinite norm makes the others 0, NaN makes all NaN.
    EXPECT_EQ(std::isnan(b.grad().to_vector<double>()[0]), std::isnan(bad));
    EXPECT_TRUE(std::isnan(a.grad().to_vector<double>()[13]));
  }
}

TEST(Clip, ValueClampsEachElement) {
  Tensor a = noise({4}, 1);
  a.set_grad(test::tensor_from({-3, 0.25, 2, std::nan("")}, DType::kF32));
  optim::clip_grad_value_({a}, 0.5);
  const auto got = a.grad().to_vector<float>();
  EXPECT_EQ(got[0], -0.5f);
  EXPECT_EQ(got[1], 0.25f);
  EXPECT_EQ(got[2], 0.5f);
  EXPECT_TRUE(std::isnan(got[3]));
  EXPECT_EQ(sentence_of<ValueError>([&] { optim::clip_grad_value_({a}, -1); }),
            "[clip_grad_value_] expected clip_value of at least 0, got -1");
  EXPECT_EQ(sentence_of<ValueError>([&] { optim::clip_grad_norm_({a}, -1); }),
            "[clip_grad_norm_] expected max_norm of at least 0, got -1");
  EXPECT_EQ(sentence_of<ValueError>([&] { optim::clip_grad_norm_({a}, 1, {.norm_type = 3}); }),
            "[clip_grad_norm_] expected norm_type 1, 2 or infinity, got 3");
}

TEST(WeightEma, SwapsInAndOut) {
  Tensor w = test::tensor_from({1, 2});
  optim::WeightEma ema({w}, {.decay = 0.75});
  {
    const NoGradGuard no_grad;
    w.fill_(5);
  }
  ema.update();
  const uint64_t version = w.version();
  {
    const optim::WeightEma::Swapped averages(ema);
    EXPECT_EQ(w.to_vector<double>(), (std::vector<double>{2, 2.75}));
    EXPECT_GT(w.version(), version);
    EXPECT_EQ(sentence_of<StateError>([&] { ema.update(); }),
              "[weight_ema] expected update() with the trained values in place, got the averages");
    EXPECT_THROW(static_cast<void>(ema.state_dict()), StateError);
  }
  EXPECT_EQ(w.to_vector<double>(), (std::vector<double>{5, 5}));
}

TEST(WeightEma, WarmupFollowsTheValuesAtFirst) {
  Tensor w = test::tensor_from({0});
  optim::WeightEma ema({w}, {.decay = 0.999, .warmup = true});
  w.fill_(1);
  double wanted = 0;
  for (int n = 0; n < 20; ++n) {
    ema.update();
    const double decay = (1.0 + n) / (10.0 + n);
    wanted = decay * wanted + (1 - decay);
  }
  EXPECT_NEAR(ema.state_dict().at("average.0.0").item(), wanted, 1e-14);
}

TEST(WeightEma, StateContinues) {
  Tensor w = noise({7}, 1), v = noise({7}, 1);
  optim::WeightEma straight({w}, {.warmup = true}), before({v}, {.warmup = true});
  const auto move = [](Tensor& x, int t) { x.add_(0.1 * t); };
  for (int t = 0; t < 5; ++t) move(w, t), straight.update(), move(v, t), before.update();
  optim::WeightEma after({v}, {.warmup = true});
  after.load_state_dict(before.state_dict());
  for (int t = 5; t < 10; ++t) move(w, t), straight.update(), move(v, t), after.update();
  EXPECT_EQ(bits(straight.state_dict().at("average.0.0")), bits(after.state_dict().at("average.0.0")));
  EXPECT_EQ(after.updates(), 10);
  EXPECT_EQ(sentence_of<ValueError>([&] { after.load_state_dict({}); }),
            "[weight_ema] expected 'updates' in the saved state, got none");
  io::TensorMap extra = before.state_dict();
  extra.insert("more", noise({1}, 1));
  EXPECT_EQ(sentence_of<ValueError>([&] { after.load_state_dict(extra); }),
            "[weight_ema] expected 2 entries in the saved state, got 3");
}

TEST(WeightEma, RefusesBadInput) {
  const Tensor w = noise({2}, 1);
  EXPECT_EQ(sentence_of<ValueError>([&] { optim::WeightEma({w}, {.decay = 1.5}); }),
            "[weight_ema] expected decay in [0, 1], got 1.5");
  EXPECT_EQ(sentence_of<ValueError>([&] {
              optim::WeightEma({w, w});
            }),
            "[weight_ema] expected every tensor and name once, got 0.1 again");
  EXPECT_EQ(sentence_of<DTypeError>([&] { optim::WeightEma({empty({1}, DType::kI64)}); }),
            "[weight_ema] expected 0.0 of f32 or f64, got i64 [1]");
}

TEST(GradAccumulator, AveragesOverItsBatches) {
  Tensor w = test::tensor_from({1, 1, 1}).requires_grad_();
  optim::Sgd opt({w}, {.lr = 1.0});
  optim::GradAccumulator accumulate(opt, 4);
  const auto batch = [&](double scale) { accumulate.backward(sum(w.expand({static_cast<int64_t>(scale), 3}))); };
  for (int i = 1; i <= 3; ++i) {
    batch(i);  // gradient i, divided by 4
    EXPECT_FALSE(accumulate.step());
  }
  batch(4);
  EXPECT_TRUE(accumulate.step());
  EXPECT_EQ(w.to_vector<double>(), (std::vector<double>(3, 1 - 2.5)));
  EXPECT_FALSE(w.grad().defined());
  batch(3);
  batch(5);
  EXPECT_EQ(accumulate.pending(), 2);
  EXPECT_TRUE(accumulate.flush());  // the mean over two
  EXPECT_EQ(w.to_vector<double>(), (std::vector<double>(3, 1 - 2.5 - 4)));
  EXPECT_FALSE(accumulate.flush());
  EXPECT_EQ(sentence_of<ShapeError>([&] { accumulate.backward(w); }),
            "[grad_accumulator] expected a loss of one element, got shape [3]");
  EXPECT_EQ(sentence_of<ValueError>([&] { optim::GradAccumulator(opt, 0); }),
            "[grad_accumulator] expected at least 1 batch a step, got 0");
}

}  // namespace
}  // namespace tern
