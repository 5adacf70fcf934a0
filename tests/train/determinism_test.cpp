// One seed gives the same bits, however many threads compute and however many workers load, with every build of
// OpenBLAS; and models that train in threads of one process leave each other alone.
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <tern/core/autograd/node.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/loss.h>
#include <tern/core/ops/shape.h>
#include <tern/core/parallel.h>
#include <tern/core/random.h>
#include <tern/core/storage.h>
#include <tern/data/loader.h>
#include <tern/data/synthetic.h>
#include <tern/nn/models/llama.h>
#include <tern/nn/models/registry.h>
#include <tern/nn/models/vit.h>
#include <tern/optim/adam.h>
#include <tern/optim/sgd.h>
#include <tern/quant/bitnet/convert.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/train/loop/trainer.h>
#include <tern/train/vision/classifier_task.h>
#include <tern/train/weights/checkpoint.h>

#include "apps/process.h"
#include "openblas_build.h"

namespace tern::train {
namespace {

std::string hash_of(const nn::Module& model) {
  return checksum(io::TensorMap(model.state_dict()), {});
}

void attach_codeq_to(nn::Module& model) {
  quant::codeq::attach(model, {.bits = quant::codeq::Learnable{.max_bits = 6}});
}

// A few steps of an image model over augmented images.
std::string image_run(nn::Module& model, bool codeq, int64_t workers) {
  if (codeq) attach_codeq_to(model);
  const data::Synthetic images({.size = 20, .noise = 0.3});
  data::DataLoader loader(images, {.batch_size = 8,
                                   .shuffle = true,
                                   .workers = workers,
                                   .seed = 2,
                                   .transform = data::compose(data::random_crop(32, 4), data::horizontal_flip())});
  optim::Sgd optimizer(model.named_parameters(), {.lr = 0.1, .momentum = 0.9, .weight_decay = 5e-4, .nesterov = true});
  (void)Trainer(model, {.optimizer = optimizer, .epochs = 1}).fit(ClassifierTask({.train = &loader}));
  return hash_of(model);
}

std::string resnet_run(bool codeq, int64_t workers) {
  manual_seed(3);
  const auto model = nn::models::create("resnet20", io::Json::object({{"num_classes", 10}}));
  return image_run(*model, codeq, workers);
}

std::string vit_run(bool codeq, int64_t workers) {
  manual_seed(3);
  nn::models::Vit model({.image_size = 32,
                         .patch_size = 8,
                         .num_classes = 10,
                         .width = 48,
                         .depth = 2,
                         .num_heads = 3,
                         .dropout = 0.1,
                         .drop_path = 0.1});
  return image_run(model, codeq, workers);
}

std::string vit_bitnet_run(bool codeq, int64_t workers) {
  manual_seed(3);
  nn::models::Vit model(
      {.image_size = 32, .patch_size = 4, .num_classes = 10, .width = 48, .depth = 3, .num_heads = 3});
  (void)quant::bitnet::convert(model);
  return image_run(model, codeq, workers);
}

std::string decoder_run(bool codeq, int64_t) {
  manual_seed(3);
  nn::models::Llama model({.vocab_size = 97,
                           .hidden_size = 48,
                           .intermediate_size = 80,
                           .num_hidden_layers = 2,
                           .num_attention_heads = 6,
                           .num_key_value_heads = 2,
                           .max_position_embeddings = 64});
  if (codeq) attach_codeq_to(model);
  optim::AdamW optimizer(model.named_parameters(), {.lr = 1e-2});
  Generator random(8);
  for (int step = 0; step < 3; ++step) {
    Tensor tokens = empty({3, 41}, DType::kI64);
    for (int64_t i = 0; i < tokens.numel(); ++i) tokens.data<int64_t>()[i] = static_cast<int64_t>(random.below(97));
    const Tensor logits = model(tokens.slice(1, 0, 40).contiguous());
    const Tensor loss =
        cross_entropy(reshape(logits, {3 * 40, 97}), reshape(tokens.slice(1, 1, 41).contiguous(), {3 * 40}));
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
  }
  return hash_of(model);
}

struct Case {
  const char* name;
  std::string (*run)(bool codeq, int64_t workers);
  bool codeq;
  bool has_loader;
};

class Determinism : public ::testing::TestWithParam<Case> {
 protected:
  ~Determinism() override { set_num_threads(threads_); }
  int threads_ = num_threads();
};

TEST_P(Determinism, SameBitsAtAnyNumberOfThreadsAndWorkers) {
  const auto& [name, run, codeq, has_loader] = GetParam();
  set_num_threads(1);
  const std::string expected = run(codeq, 0);
  for (const int threads : {1, 2, 4}) {
    set_num_threads(threads);
    for (const int64_t workers : {0, 1, 3}) {
      if (!has_loader && workers > 0) continue;
      EXPECT_EQ(run(codeq, workers), expected) << threads << " threads, " << workers << " workers";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Determinism,
                         ::testing::Values(Case{"resnet20", resnet_run, false, true},
                                           Case{"resnet20_codeq", resnet_run, true, true},
                                           Case{"vit", vit_run, false, true}, Case{"vit_codeq", vit_run, true, true},
                                           Case{"vit_bitnet", vit_bitnet_run, false, true},
                                           Case{"decoder", decoder_run, false, false},
                                           Case{"decoder_codeq", decoder_run, true, false}),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

// What a process with one build of OpenBLAS computes: a line for each model and number of threads.
TEST(OpenBlas, WritesHashes) {
  if (testing::wanted_openblas_build().empty()) GTEST_SKIP() << "OpenBlasBuild runs this in a process of its own";
  std::cout << "build " << testing::openblas_build() << "\n";
  const int before = num_threads();
  for (const Case& c : {Case{"resnet20_codeq", resnet_run, true, true}, Case{"vit_bitnet", vit_bitnet_run, false, true},
                        Case{"decoder", decoder_run, false, false}}) {
    for (const int threads : {1, 2, 3}) {
      set_num_threads(threads);
      std::cout << "hash " << c.name << " " << c.run(c.codeq, 0) << " " << threads << std::endl;
    }
  }
  set_num_threads(before);
}

// The hashes of a process with that build, by model; empty where the build is not installed.
std::map<std::string, std::string> hashes_with(const std::string& build) {
  const std::string directory = std::string(TERN_OPENBLAS_BUILDS) + "/openblas-" + build;
  if (!std::filesystem::exists(directory + "/libopenblas.so.0")) return {};
  const testing::ProcessResult run = testing::run_command(
      "/usr/bin/env", {"LD_LIBRARY_PATH=" + directory, "TERN_OPENBLAS_BUILD=" + build,
                       std::filesystem::read_symlink("/proc/self/exe"), "--gtest_filter=OpenBlas.WritesHashes"});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_NE(run.out.find("build " + build + "\n"), std::string::npos) << run.out;
  std::map<std::string, std::string> hashes;
  std::istringstream lines(run.out);
  int count = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word, model, hash, threads;
    if (!(words >> word >> model >> hash >> threads) || word != "hash") continue;
    ++count;
    EXPECT_EQ(hashes.emplace(model, hash).first->second, hash)
        << model << " on " << threads << " threads, the " << build << " build";
  }
  EXPECT_EQ(count, 9) << run.out;
  return hashes;
}

class OpenBlasBuild : public ::testing::TestWithParam<const char*> {};

TEST_P(OpenBlasBuild, SameBitsAtAnyNumberOfThreadsAndAsOtherBuilds) {
  const auto hashes = hashes_with(GetParam());
  if (hashes.empty() && !HasFailure()) GTEST_SKIP() << "libopenblas0-" << GetParam() << " is not installed";
  for (const std::string other : {"pthread", "openmp", "serial"}) {
    if (other == GetParam()) continue;
    if (const auto expected = hashes_with(other); !expected.empty()) {
      EXPECT_EQ(hashes, expected) << other;
      return;  // which is compared with the third by that one's test
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Builds, OpenBlasBuild, ::testing::Values("serial", "openmp", "pthread"),
                         [](const auto& parameter) { return std::string(parameter.param); });

TEST(Manners, TwoModelsTrainInTwoThreads) {
  const std::string vit = [] {
    Generator random(1);
    const GeneratorGuard guard(random);
    return vit_run(true, 1);
  }();
  const std::string resnet = [] {
    Generator random(1);
    const GeneratorGuard guard(random);
    return resnet_run(true, 1);
  }();
  std::string side_by_side[2];
  std::thread other([&] {
    Generator random(1);
    const GeneratorGuard guard(random);
    side_by_side[0] = vit_run(true, 1);
  });
  {
    Generator random(1);
    const GeneratorGuard guard(random);
    side_by_side[1] = resnet_run(true, 1);
  }
  other.join();
  EXPECT_EQ(side_by_side[0], vit);
  EXPECT_EQ(side_by_side[1], resnet);
}

TEST(Manners, FiveHundredStepsLeaveNothingBehind) {
  manual_seed(3);
  nn::models::Vit model(
      {.image_size = 8, .patch_size = 4, .num_classes = 4, .width = 16, .depth = 2, .num_heads = 2, .drop_path = 0.1});
  attach_codeq_to(model);
  optim::AdamW optimizer(model.named_parameters(), {.lr = 1e-3});
  Trainer trainer(model, {.optimizer = optimizer, .clip_norm = 1});
  const ClassifierTask task({});
  const TaskBatch batch{.inputs = rand({4, 3, 8, 8}), .targets = tensor<int64_t>({0, 1, 2, 3})};
  const auto steps = [&](int n) {
    for (int i = 0; i < n; ++i) {
      (void)trainer.step(task, {&batch, 1});
      ASSERT_EQ(autograd::live_nodes(), 0) << "after step " << trainer.global_step();
    }
  };
  steps(10);
  const MemoryStats early = memory_stats();
  steps(490);
  const MemoryStats late = memory_stats();
  EXPECT_EQ(late.live_bytes, early.live_bytes);
  EXPECT_EQ(late.peak_bytes, early.peak_bytes);
  if (late.cached_bytes > 0) {  // under sanitizers nothing is kept
    EXPECT_EQ(late.system_allocations, early.system_allocations);
  }
}

}  // namespace
}  // namespace tern::train
