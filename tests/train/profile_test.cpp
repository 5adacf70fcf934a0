#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include <tern/core/io/file.h>
#include <tern/core/io/json.h>
#include <tern/core/random.h>
#include <tern/data/synthetic.h>
#include <tern/nn/models/registry.h>
#include <tern/optim/sgd.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/train/loop/profile.h>
#include <tern/train/loop/trainer.h>
#include <tern/train/vision/classifier_task.h>

#include "message_of.h"
#include "temporary_directory.h"

namespace tern::train {
namespace {

using tern::testing::TemporaryDirectory;
using test::message_of;

constexpr int64_t kSide = 16, kBatch = 4;

// A few steps of a small model, alike each time.
struct ProfiledRun {
  data::Synthetic images{{.size = 6 * kBatch, .classes = 10, .height = kSide, .width = kSide}};
  data::DataLoader loader{images, {.batch_size = kBatch, .shuffle = true, .workers = 1, .seed = 3}};
  std::shared_ptr<nn::models::Model> net;
  std::unique_ptr<optim::Sgd> optimizer;

  explicit ProfiledRun(const std::string& model = "resnet20", const io::Json& config = {}, bool codeq = true) {
    manual_seed(1);
    net = nn::models::create(model, config);
    if (codeq) quant::codeq::attach(*net, {.exclude = {"conv1"}});
    optimizer = std::make_unique<optim::Sgd>(net->named_parameters(), optim::SgdOptions{.lr = 0.05, .momentum = 0.9});
  }
  std::unique_ptr<Profiler> profiler(ProfileOptions options = {.warmup = 1, .steps = 3}) {
    return std::make_unique<Profiler>(nn::summary(*net, {1, 3, kSide, kSide}), options);
  }
  void train(Profiler* profiler, const std::string& out = "", int64_t accumulate = 1, int64_t epochs = 1) {
    (void)Trainer(
        *net, {.optimizer = *optimizer, .epochs = epochs, .accumulate = accumulate, .out = out, .profiler = profiler})
        .fit(ClassifierTask({.train = &loader, .validation = &validation}));
  }
  data::DataLoader validation{images, {.batch_size = 12}};
};

std::map<std::string, ProfileRow> by_name(const std::vector<ProfileRow>& rows) {
  std::map<std::string, ProfileRow> out;
  for (const ProfileRow& row : rows) EXPECT_TRUE(out.emplace(row.name, row).second) << row.name << " comes twice";
  return out;
}

struct TraceEvent {
  std::string name, category, op;
  double begin, end;
};

std::vector<TraceEvent> events_of(const std::string& trace) {
  std::vector<TraceEvent> out;
  const io::Json document = io::Json::parse("test", "trace", trace);
  for (const io::Json& event : document.at("traceEvents").items()) {
    EXPECT_EQ(event.at("pid").as_int(), 1);
    if (event.at("ph").as_string() != "X") continue;
    const double begin = event.at("ts").as_number(), duration = event.at("dur").as_number();
    EXPECT_GE(begin, 0);
    EXPECT_GE(duration, 0);
    const io::Json* op = event.at("args").find("op");
    out.push_back({event.at("name").as_string(), event.at("cat").as_string(), op != nullptr ? op->as_string() : "",
                   begin, begin + duration});
  }
  return out;
}

TEST(Profiler, ChangesNoBit) {
  for (const char* model : {"resnet20", "vit"}) {
    const io::Json config =
        std::string(model) == "vit"
            ? io::Json::object(
                  {{"image_size", kSide}, {"patch_size", 4}, {"width", 24}, {"depth", 2}, {"num_heads", 2}})
            : io::Json();
    ProfiledRun plain(model, config, false), profiled(model, config, false);
    plain.train(nullptr, "", 2);
    const auto profiler = profiled.profiler();
    profiled.train(profiler.get(), "", 2);
    EXPECT_EQ(profiler->steps(), 2) << "three steps, one of them warm-up";
    const auto a = plain.net->state_dict(), b = profiled.net->state_dict();
    ASSERT_EQ(a.size(), b.size());
    for (const auto& [name, tensor] : a) {
      const Tensor x = tensor.contiguous(), y = b.at(name).contiguous();
      ASSERT_EQ(x.bytes(), y.bytes());
      EXPECT_EQ(std::memcmp(x.raw(), y.raw(), static_cast<size_t>(x.bytes())), 0) << model << " " << name;
    }
  }
}

TEST(Profiler, LayersAddUpAndCountTheirWork) {
  ProfiledRun run;
  const auto profiler = run.profiler();
  EXPECT_FALSE(profiler->done());
  run.train(profiler.get());
  EXPECT_TRUE(profiler->done());
  EXPECT_EQ(profiler->steps(), 3);
  const std::vector<ProfileRow> rows = profiler->rows();
  const auto row = by_name(rows);

  // Times are exclusive, so they and the other phases make up the whole.
  double layers = 0, share = 0, phases = 0;
  for (const ProfileRow& r : rows) {
    EXPECT_GE(r.forward_ms, 0) << r.name;
    EXPECT_GE(r.backward_ms, 0) << r.name;
    layers += r.forward_ms + r.backward_ms;
    share += r.share;
  }
  for (const ProfilePhase& phase : profiler->phases()) {
    if (phase.name != "data wait") phases += phase.ms;
    share += phase.share;
  }
  EXPECT_LT(layers, profiler->step_ms());
  EXPECT_NEAR(layers + phases, profiler->step_ms(), 1e-6);
  EXPECT_NEAR(share, 1, 1e-9);
  EXPECT_NEAR(row.at("(model)").forward_total_ms + row.at("(model)").backward_total_ms, layers, 1e-6);
  EXPECT_NEAR(row.at("layer1").forward_total_ms,
              row.at("layer1").forward_ms + row.at("layer1.0").forward_total_ms + row.at("layer1.1").forward_total_ms +
                  row.at("layer1.2").forward_total_ms,
              1e-6);

  // Work: the summary's for the forward; the stem has no gradient for the images.
  const nn::Summary summary = nn::summary(*run.net, {1, 3, kSide, kSide});
  double macs = 0;
  for (const ProfileRow& r : rows) macs += r.forward_macs;
  EXPECT_EQ(macs, static_cast<double>(kBatch * summary.macs));
  EXPECT_EQ(row.at("conv1").forward_macs, kBatch * kSide * kSide * 16.0 * 27);
  EXPECT_EQ(row.at("conv1").backward_macs, row.at("conv1").forward_macs);
  const ProfileRow& conv = row.at("layer1.0.conv1");
  EXPECT_EQ(conv.backward_macs, 2 * conv.forward_macs);
  EXPECT_GT(conv.forward_gflops(), 0);
  EXPECT_DOUBLE_EQ(conv.backward_gflops(), 2e-6 * conv.backward_macs / conv.backward_ms);
  EXPECT_EQ(conv.calls, 1);
  EXPECT_EQ(conv.nodes, 1);
  EXPECT_EQ(conv.type, "Conv2d");
  // Its output, channels-last f32.
  EXPECT_GE(conv.forward_bytes, kBatch * kSide * kSide * 16 * 4);
  // The quantizer has a line of its own behind its layer's; the excluded stem has none.
  const ProfileRow& quantizer = row.at("layer1.0.conv1.weight");
  EXPECT_EQ(quantizer.nodes, 1);
  EXPECT_GT(quantizer.forward_ms, 0);
  EXPECT_FALSE(row.contains("conv1.weight"));
  const auto at = std::find_if(rows.begin(), rows.end(), [](const auto& r) { return r.name == "layer1.0.conv1"; });
  EXPECT_EQ((at + 1)->name, "layer1.0.conv1.weight");
  // Fused, as without a profiler: the batch norms did the activations.
  EXPECT_EQ(row.at("layer1.0.bn1").calls, 1);
  EXPECT_EQ(row.at("layer1.0.bn1").nodes, 1);
}

TEST(Profiler, TraceIsValidAndNests) {
  ProfiledRun run;
  const auto profiler = run.profiler();
  TemporaryDirectory directory;
  run.train(profiler.get(), directory.path(), 1, 2);
  profiler->write(directory.path());
  const std::string text = io::read_file("test", directory / "trace.json");
  EXPECT_EQ(text, profiler->trace());
  const std::vector<TraceEvent> events = events_of(text);

  std::set<std::string> known{"(model)"};
  for (const auto& [name, module] : run.net->named_modules()) known.insert(name);
  for (const auto& [name, parameter] : run.net->named_parameter_objects()) known.insert(name);
  std::map<std::string, int> count, categories;
  std::set<std::string> ops;
  std::vector<const TraceEvent*> open;
  for (const TraceEvent& event : events) {  // in the order of their beginning
    while (!open.empty() && event.begin >= open.back()->end - 1e-6) open.pop_back();
    if (!open.empty()) {
      EXPECT_LE(event.end, open.back()->end + 1e-6) << event.name << " in " << open.back()->name;
    }
    const std::string around = open.empty() ? "" : open.back()->category;
    if (event.category == "forward") {
      EXPECT_TRUE(known.contains(event.name)) << event.name;
      EXPECT_TRUE(around == "forward" || around == "phase") << event.name << " in " << around;
      if (around == "forward") {
        EXPECT_TRUE(event.name.starts_with(open.back()->name + ".")) << event.name << " in " << open.back()->name;
      }
    } else if (event.category == "backward") {
      EXPECT_TRUE(known.contains(event.name) || event.name == "loss backward") << event.name;
      EXPECT_FALSE(event.op.empty());
      EXPECT_EQ(open.back()->name, "backward");
      ops.insert(event.op);
    } else if (event.category == "phase") {
      EXPECT_EQ(around, "step");
    } else {
      EXPECT_EQ(around, "") << event.name;
    }
    ++count[event.name];
    ++categories[event.category];
    open.push_back(&event);
  }
  EXPECT_EQ(categories["step"], 6) << "three steps, with a data wait each";
  EXPECT_EQ(count["data wait"], 3);
  for (const char* phase : {"forward", "loss", "backward", "optimizer", "zero gradients"}) EXPECT_EQ(count[phase], 3);
  EXPECT_EQ(count["layer2.1.conv1.weight"], 6) << "forward and backward";
  EXPECT_EQ(count["evaluation"], 2);
  EXPECT_GE(count["checkpoint"], 2);
  EXPECT_EQ(count["loss backward"], 3);
  EXPECT_TRUE(ops.contains("batch_norm"));
  for (const char* op : {"relu", "add", "add_relu"})
    EXPECT_FALSE(ops.contains(op)) << "fused paths run as they do without a profiler: " << op;

  const io::Json json = io::Json::parse_file("test", directory / "profile.json");
  EXPECT_EQ(json.at("steps").as_int(), 3);
  EXPECT_EQ(json.at("images_a_step").as_number(), kBatch);
  EXPECT_EQ(json.at("step_ms_each").size(), 3u);
  EXPECT_EQ(json.at("layers").size(), profiler->rows().size());
  EXPECT_TRUE(json.at("environment").contains("cpu"));
  const std::string table = profiler->table();
  EXPECT_NE(table.find("\nlayer3.2.conv2 "), std::string::npos) << table;
  EXPECT_NE(table.find("\nall layers"), std::string::npos);
  EXPECT_NE(table.find("\noptimizer"), std::string::npos);
  EXPECT_NE(table.find("means of 3 steps\n"), std::string::npos);
}

// The feed-forward of a ViT runs as one operation in the scope of the block's mlp, which then has the work of both
// layers; attention's products have no weights.
TEST(Profiler, FusedPathsCountForTheModuleThatRunsThem) {
  ProfiledRun run(
      "vit",
      io::Json::object({{"image_size", kSide}, {"patch_size", 4}, {"width", 24}, {"depth", 2}, {"num_heads", 2}}),
      false);
  const auto profiler = run.profiler();
  run.train(profiler.get());
  const auto row = by_name(profiler->rows());
  std::map<std::string, int64_t> macs;
  for (const nn::SummaryRow& r : nn::summary(*run.net, {1, 3, kSide, kSide}).rows) macs[r.name] = r.macs;
  const ProfileRow& mlp = row.at("blocks.0.mlp");
  EXPECT_FALSE(row.contains("blocks.0.mlp.fc1"));
  EXPECT_EQ(mlp.forward_macs,
            static_cast<double>(kBatch * (macs.at("blocks.0.mlp.fc1") + macs.at("blocks.0.mlp.fc2"))));
  EXPECT_EQ(mlp.backward_macs, 2 * mlp.forward_macs);
  const ProfileRow& attention = row.at("blocks.0.attn");
  EXPECT_EQ(attention.forward_macs, static_cast<double>(kBatch * macs.at("blocks.0.attn")));
  EXPECT_GT(attention.forward_macs, 0);
  EXPECT_EQ(attention.backward_macs, 2 * attention.forward_macs);
  // The last block computes what the head reads, which is the class token: one of 17 tokens of 24 values.
  EXPECT_EQ(row.at("blocks.0.attn.proj").forward_macs, kBatch * 17 * 24.0 * 24);
  EXPECT_EQ(row.at("blocks.1.attn.proj").forward_macs, kBatch * 24.0 * 24);
  EXPECT_EQ(row.at("blocks.1.attn").forward_macs, kBatch * 2 * 24.0 * 17);
  EXPECT_EQ(row.at("blocks.1.mlp").forward_macs, kBatch * 2 * 24.0 * 96);
  EXPECT_EQ(row.at("blocks.1.mlp").backward_macs, 2 * row.at("blocks.1.mlp").forward_macs);
}

TEST(Profiler, ARunThatEndsInItsWarmUp) {
  ProfiledRun run;
  const auto profiler = run.profiler({.warmup = 50, .steps = 5});
  run.train(profiler.get());
  EXPECT_EQ(profiler->steps(), 0);
  EXPECT_EQ(profiler->table(), "profile: no step was measured, as the run ended within the 50 steps of warm-up\n");
  EXPECT_EQ(profiler->step_ms(), 0);
  EXPECT_EQ(profiler->to_json().at("steps").as_int(), 0);
  for (const TraceEvent& event : events_of(profiler->trace()))
    EXPECT_TRUE(event.name == "evaluation" || event.name == "checkpoint") << event.name;
}

TEST(Profiler, RefusesOptionsOutOfRange) {
  EXPECT_EQ(message_of<ValueError>([] { Profiler({}, {.warmup = -1}); }),
            "[profile] expected a warm-up of at least 0 steps, got -1");
  EXPECT_EQ(message_of<ValueError>([] { Profiler({}, {.steps = 0}); }),
            "[profile] expected between 1 and 10000 steps to measure, got 0");
}

}  // namespace
}  // namespace tern::train
