// Statistics of activations: against plain loops, at any number of threads, however the rows are cut.
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/ops/activation.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/join.h>
#include <tern/core/parallel.h>
#include <tern/core/random.h>
#include <tern/nn/child.h>
#include <tern/nn/layers/conv2d.h>
#include <tern/nn/layers/embedding.h>
#include <tern/nn/layers/linear.h>
#include <tern/quant/capture.h>

#include "message_of.h"

namespace tern::quant {
namespace {

using test::message_of;

const RowStatisticsOptions kAll{.gram = true, .reservoir = 40, .seed = 7};

// Everything that a RowStatistics tells.
std::vector<std::vector<double>> told(const RowStatistics& s) {
  return {s.min().to_vector<double>(),           s.max().to_vector<double>(),  s.mean().to_vector<double>(),
          s.second_moment().to_vector<double>(), s.gram().to_vector<double>(), s.sample().to_vector<double>()};
}

TEST(RowStatistics, AreThoseOfPlainLoops) {
  manual_seed(1);
  const int64_t rows = 700, features = 5;
  const Tensor x = randn({rows, features});
  RowStatistics s(features, kAll);
  s.add(x);
  EXPECT_EQ(s.rows(), rows);
  const float* v = x.data<float>();
  for (int64_t c = 0; c < features; ++c) {
    double low = v[c], high = v[c], sum = 0, squares = 0;
    for (int64_t r = 0; r < rows; ++r) {
      const double value = v[r * features + c];
      low = std::min(low, value), high = std::max(high, value), sum += value, squares += value * value;
    }
    EXPECT_EQ(s.min().data<double>()[c], low);
    EXPECT_EQ(s.max().data<double>()[c], high);
    EXPECT_NEAR(s.mean().data<double>()[c], sum / rows, 1e-12);
    EXPECT_NEAR(s.second_moment().data<double>()[c], squares / rows, 1e-12);
    for (int64_t d = 0; d < features; ++d) {
      double product = 0;
      for (int64_t r = 0; r < rows; ++r) product += double{v[r * features + c]} * double{v[r * features + d]};
      EXPECT_NEAR(s.gram().data<double>()[c * features + d], product, 1e-9);
      EXPECT_EQ(s.gram().data<double>()[c * features + d], s.gram().data<double>()[d * features + c]);
    }
  }
  EXPECT_LE(s.min_value(), s.min().data<double>()[0]);
  EXPECT_GE(s.max_value(), s.max().data<double>()[4]);
}

TEST(RowStatistics, NeitherThreadsNorCutsChangeABit) {
  manual_seed(2);
  const Tensor x = randn({1000, 130});
  const int threads = num_threads();
  std::vector<std::vector<double>> reference;
  for (const int count : {1, 2, 3})
    for (const int64_t cut : {1000, 1, 7, 256, 300}) {
      set_num_threads(count);
      RowStatistics s(130, kAll);
      for (int64_t r = 0; r < 1000; r += cut) s.add(x.slice(0, r, std::min<int64_t>(r + cut, 1000)));
      if (reference.empty()) reference = told(s);
      EXPECT_EQ(told(s), reference) << count << " threads, cut " << cut;
    }
  set_num_threads(threads);
}

TEST(RowStatistics, TheSampleIsAllUpToItsSizeAndUniformBeyond) {
  Tensor numbers = arange(30).to(DType::kF64).reshape({30, 1});
  RowStatistics few(1, {.reservoir = 40});
  few.add(numbers);
  EXPECT_EQ(few.sample().to_vector<double>(), numbers.to_vector<double>());
  // Chi-square over ten bins of 4,000 rows of which 100 are kept, 200 seeds: 9 degrees of freedom, 27.9 at p = 0.001.
  const Tensor many = arange(4000).to(DType::kF64).reshape({4000, 1});
  std::vector<double> bins(10, 0);
  for (uint64_t seed = 0; seed < 200; ++seed) {
    RowStatistics s(1, {.reservoir = 100, .seed = seed});
    s.add(many);
    for (const double v : s.sample().to_vector<double>()) bins[static_cast<size_t>(v / 400)] += 1;
  }
  double chi = 0;
  for (const double count : bins) chi += (count - 2000) * (count - 2000) / 2000;
  EXPECT_LT(chi, 27.9);
  EXPECT_GT(chi, 0.5) << "more even than chance allows";
  RowStatistics values(4, {.reservoir = 6, .values = true});
  values.add(arange(20).to(DType::kF32).reshape({5, 4}));
  EXPECT_EQ(values.sample().shape(), Shape{6});
}

TEST(RowStatistics, BadInputIsOneSentenceAndAddsNothing) {
  RowStatistics s(3, kAll);
  EXPECT_EQ(message_of<StateError>([&] { (void)s.mean(); }), "[capture] expected rows before mean(), got none");
  s.add(ones({2, 3}));
  const auto before = told(s);
  Tensor bad = ones({4, 3});
  bad.data<float>()[7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(message_of<NonFiniteError>([&] { s.add(bad); }),
            "[capture] expected finite values, got nan in row 2, feature 1");
  EXPECT_THROW(s.add(ones({4, 2})), ShapeError);
  EXPECT_THROW(s.add(zeros({4, 3}, DType::kI64)), DTypeError);
  s.add(empty({0, 3}));
  EXPECT_EQ(told(s), before);
  EXPECT_THROW((void)RowStatistics(3).gram(), StateError);
  EXPECT_THROW((void)RowStatistics(3).sample(), StateError);
  EXPECT_THROW(RowStatistics(0), ValueError);
  EXPECT_THROW(RowStatistics(1, {.reservoir = -1}), ValueError);
}

struct Net : nn::Module {
  nn::Child<nn::Conv2d> conv{this, "conv", {.in_channels = 2, .out_channels = 3, .kernel_size = 3}};
  nn::Child<nn::Linear> a{this, "a", {.in_features = 3, .out_features = 3}};
  nn::Child<nn::Linear> b{this, "b", {.in_features = 3, .out_features = 3}};
  nn::Child<nn::Linear> never{this, "never", {.in_features = 3, .out_features = 3}};
  Tensor forward(const Tensor& x) override {
    const Tensor y = a(conv(x).flatten(2).transpose(1, 2));
    return b(relu(a(y)));
  }
};

TEST(Capture, SeesInputsOfAllCallsWithoutChangingWhatIsComputed) {
  manual_seed(3);
  Net net;
  const Tensor x = randn({2, 2, 6, 6}), plain = net(x);
  Capture capture(net, {.layers = {"a", "b", "never"}, .gram = true, .reservoir = 1000});
  EXPECT_EQ(capture.layers(), (std::vector<std::string>{"a", "b", "never"}));
  EXPECT_EQ(net(x).to_vector<float>(), plain.to_vector<float>());
  EXPECT_EQ(capture.at("a").rows(), 2 * 2 * 16) << "called twice";
  EXPECT_EQ(capture.at("b").rows(), 2 * 16);
  EXPECT_GE(capture.at("b").min_value(), 0) << "after the ReLU";
  EXPECT_EQ(message_of<StateError>([&] { (void)capture.at("never"); }),
            "[capture] expected a layer that has been called, got never, which has not");
  EXPECT_EQ(message_of<ValueError>([&] { (void)capture.at("conv"); }),
            "[capture] expected a layer that is watched, got conv");
  capture.stop();
  net(x);
  EXPECT_EQ(capture.at("b").rows(), 2 * 16);
  EXPECT_FALSE(net.a->has_hooks());
}

TEST(Capture, TakesOutputsAlongAnyAxisAndViews) {
  manual_seed(4);
  Net net;
  const Tensor x = randn({2, 2, 6, 6});
  Capture outputs(net, {.layers = {"conv"}, .side = CaptureOptions::Side::kOutput, .channel_axis = 1, .reservoir = 5});
  Capture halves(net, {.layers = {"Conv2d"}, .channel_axis = -3, .view = [](nn::Module&, const Tensor& t) {
                         return t.slice(0, 0, 1);
                       }});
  net(x);
  EXPECT_EQ(outputs.at("conv").features(), 3);
  EXPECT_EQ(outputs.at("conv").rows(), 2 * 16);
  EXPECT_EQ(halves.at("conv").features(), 2);
  EXPECT_EQ(halves.at("conv").rows(), 36);
}

TEST(Capture, ALayerInSeveralPlacesIsOne) {
  Net net;
  net.replace("b", net.get_module("a"));
  Capture capture(net, {.layers = {"b"}});
  EXPECT_EQ(capture.layers(), std::vector<std::string>{"a"});
  net(randn({1, 2, 6, 6}));
  EXPECT_EQ(&capture.at("a"), &capture.at("b"));
  EXPECT_EQ(capture.at("b").rows(), 3 * 16);
}

TEST(Capture, LeavesNoHookBehindWhateverHappens) {
  Net net;
  {
    Capture capture(net, {.layers = {"*"}});
    EXPECT_THROW(net(randn({1, 2, 1, 1})), Error);
  }
  for (const auto& [path, module] : net.named_modules()) EXPECT_FALSE(module->has_hooks()) << path;
  EXPECT_EQ(message_of<ValueError>([&] {
              Capture(net, {.layers = {"a", "nothing"}});
            }),
            "[capture] expected patterns that match a layer, got \"nothing\", which matches none");
  EXPECT_THROW(Capture(net, {.layers = {"a"}, .reservoir = -1}), ValueError);
  EXPECT_FALSE(net.a->has_hooks());
  Tensor bad = ones({1, 2, 6, 6});
  bad.data<float>()[0] = std::numeric_limits<float>::infinity();
  Capture capture(net, {.layers = {"conv"}});
  EXPECT_EQ(message_of<NonFiniteError>([&] { net(bad); }).substr(0, 63),
            "[capture] expected finite values, got inf in row 0, feature 0 a");
}

TEST(Capture, TokensAreNoValues) {
  nn::Embedding embedding({.num_embeddings = 5, .embedding_dim = 2});
  Capture capture(embedding, {.layers = {"Embedding"}});
  EXPECT_EQ(message_of<DTypeError>([&] {
              embedding(zeros({1, 2}, DType::kI64));
            }),
            "[capture] expected values of dtype f32 or f64, got i64 at ");
}

}  // namespace
}  // namespace tern::quant
