// A small model with all that a run of it needs.
#pragma once

#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/io/json.h>
#include <tern/core/ops/activation.h>
#include <tern/core/random.h>
#include <tern/data/loader.h>
#include <tern/data/synthetic.h>
#include <tern/nn/child.h>
#include <tern/nn/layers/batch_norm.h>
#include <tern/nn/layers/conv2d.h>
#include <tern/nn/layers/dropout.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/layers/pool.h>
#include <tern/optim/sgd.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/train/loop/trainer.h>
#include <tern/train/vision/classifier_task.h>

namespace tern::train {

struct SmallNet : nn::Module {
  nn::Child<nn::Conv2d> conv{
      this, "conv", {.in_channels = 3, .out_channels = 8, .kernel_size = 3, .stride = 2, .padding = 1}};
  nn::Child<nn::BatchNorm2d> bn{this, "bn", {.num_features = 8}};
  nn::Child<nn::Dropout> dropout{this, "dropout", {.p = 0.1}};
  nn::Child<nn::Linear> head{this, "head", {.in_features = 8, .out_features = 4}};
  Tensor forward(const Tensor& x) override { return head(dropout(global_avg_pool(relu(bn(conv(x)))))); }
};

// Everything that a run of the small model needs, alike each time it is made.
struct SmallRun {
  data::Synthetic images{{.size = 100, .classes = 4, .height = 16, .width = 16, .noise = 0.2}};
  data::DataLoader loader{images,
                          {.batch_size = 16,
                           .shuffle = true,
                           .workers = 1,
                           .seed = 3,
                           .transform = data::compose(data::random_crop(16, 2), data::horizontal_flip())}};
  data::DataLoader test{images, {.batch_size = 25}};
  SmallNet net;
  std::unique_ptr<optim::Sgd> optimizer;
  std::unique_ptr<optim::CosineLr> schedule;
  std::unique_ptr<optim::WeightEma> ema;

  explicit SmallRun(bool codeq = true, bool averages = false) {
    manual_seed(1);
    SmallNet fresh;
    net.load_state_dict(fresh.state_dict());
    if (codeq) quant::codeq::attach(net, {.bits = quant::codeq::Learnable{}});
    optimizer = std::make_unique<optim::Sgd>(net.named_parameters(), optim::SgdOptions{.lr = 0.1, .momentum = 0.9});
    schedule =
        std::make_unique<optim::CosineLr>(*optimizer, optim::CosineLrOptions{.total_steps = 28, .warmup_steps = 2});
    if (averages) {
      std::vector<optim::ParamList::Entry> entries;
      for (const auto& [name, tensor] : net.state_dict())
        if (tensor.is_floating()) entries.emplace_back(name, tensor);
      ema = std::make_unique<optim::WeightEma>(entries, optim::EmaOptions{.decay = 0.9});
    }
  }
  // Measured on the same images, if at all.
  ClassifierTask task(bool validation, bool tested) {
    return ClassifierTask(
        {.train = &loader, .validation = validation ? &test : nullptr, .test = tested ? &test : nullptr});
  }
  TrainerOptions options(int64_t max_steps = 0) {
    return {.optimizer = *optimizer, .schedule = schedule.get(), .ema = ema.get(), .epochs = 4, .max_steps = max_steps};
  }
};

inline void expect_same_bits(const nn::Module& a, const nn::Module& b) {
  const auto left = a.state_dict(), right = b.state_dict();
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) {
    ASSERT_EQ(left[i].first, right[i].first);
    const Tensor x = left[i].second.contiguous(), y = right[i].second.contiguous();
    ASSERT_EQ(x.bytes(), y.bytes());
    EXPECT_EQ(std::memcmp(x.raw(), y.raw(), static_cast<size_t>(x.bytes())), 0) << left[i].first;
  }
}

inline std::vector<io::Json> rows_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<io::Json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(io::Json::parse("test", path, line));
  return rows;
}

}  // namespace tern::train
