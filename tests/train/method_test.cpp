// Methods in a training program: one that Tern has never heard of trains, resumes, inspects and reports; two at once.
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/io/json.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/ste.h>
#include <tern/core/random.h>
#include <tern/data/synthetic.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/parametrization.h>
#include <tern/quant/bitnet/convert.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/quant/method.h>
#include <tern/quant/packed/ternary.h>
#include <tern/train/insight/inspect.h>
#include <tern/train/insight/inspection_text.h>
#include <tern/train/insight/model_summary.h>
#include <tern/train/insight/report.h>
#include <tern/train/insight/tensorboard.h>
#include <tern/train/loop/trainer.h>
#include <tern/train/methods/bitnet_method.h>
#include <tern/train/methods/codeq_method.h>
#include <tern/train/methods/distill_method.h>
#include <tern/train/methods/registry.h>
#include <tern/train/vision/classifier.h>
#include <tern/train/vision/classifier_task.h>
#include <tern/train/vision/teacher.h>

#include "message_of.h"
#include "temporary_directory.h"

namespace tern::train {
namespace {

using test::message_of;

// -- a method of a user's: weights that are their mean magnitude, with a sign

struct Signs : nn::Parametrization {
  Signs() : Parametrization("sign") {}
  Tensor effective(const Tensor& latent) override { return mul(ste_sign(latent), mean(abs(latent)).detach()); }
  std::optional<double> weight_bits() const override { return 1; }
};

std::vector<std::pair<std::string, nn::Parameter*>> signed_weights(const nn::Module& model) {
  auto weights = model.named_parameter_objects();
  std::erase_if(weights, [](const auto& w) { return w.second->template parametrization_as<Signs>() == nullptr; });
  return weights;
}

quant::Method sign_method() {
  return {.key = "sign",
          .metadata_key = "tern.sign",
          .title = "Signs",
          .is_in = [](const nn::Module& model) { return !signed_weights(model).empty(); },
          .describe =
              [](const nn::Module& model) {
                io::Json paths = io::Json::array();
                for (const auto& [path, weight] : signed_weights(model)) paths.push_back(path);
                return paths.dump();
              },
          .restore =
              [](nn::Module& model, const std::string& description) {
                const io::Json paths = io::Json::parse("sign", "tern.sign", description);
                for (const io::Json& path : paths.items())
                  model.get_parameter(path.as_string()).parametrize(std::make_shared<Signs>());
              },
          .layer_states =
              [](const nn::Module& model) {
                std::vector<quant::LayerState> states;
                for (const auto& [path, weight] : signed_weights(model)) {
                  const std::string name = path.substr(0, path.rfind(".weight"));
                  states.push_back(quant::full_precision(name, path, (*weight)()));
                  states.back().method = "sign";
                  states.back().bits = 1;
                  states.back().bytes = quant::bytes_at(states.back().weights, 1);
                  states.back().figures = {{"flips", 0.25, quant::LayerFigure::Kind::kShare, "flips"}};
                }
                return states;
              }};
}

struct SignMethod : Method {
  bool on = false;
  nn::Module* model = nullptr;
  int64_t steps = 0;

  void declare(Schema& schema) override { schema.add("sign.on", on, "weights of linear layers are signs"); }
  bool is_enabled() const override { return on; }
  std::string apply(nn::Module& net, const MethodContext&) override {
    if (!on) return {};
    model = &net;
    for (const auto& [path, module] : net.named_modules())
      if (auto* linear = dynamic_cast<nn::Linear*>(module.get()))
        if (linear->weight.parametrization() == nullptr) linear->weight.parametrize(std::make_shared<Signs>());
    return "signs";
  }
  void before_step(int64_t step) override { steps = step + 1; }
  MetricRow metrics() const override { return {{"signs", static_cast<double>(steps)}}; }
  io::Json layers() const override {
    io::Json layers = io::Json::array();
    for (const auto& [path, weight] : signed_weights(*model))
      layers.push_back(io::Json::object({{"name", path.substr(0, path.rfind(".weight"))}, {"bits", 1}}));
    return layers;
  }
};

void register_sign() {
  [[maybe_unused]] static const bool once = [] {
    quant::register_method(sign_method());
    register_method({"sign", [] { return std::make_unique<SignMethod>(); }});
    return true;
  }();
}

// -- a run

std::string rows_text(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct ToyRun {
  data::Synthetic images{{.size = 64, .classes = 4, .height = 8, .width = 8}};
  data::DataLoader loader{images, {.batch_size = 16, .shuffle = true, .seed = 3}};
  data::DataLoader test{images, {.batch_size = 32}};
  ClassifierConfig config;
  std::shared_ptr<nn::models::Model> model;
  std::unique_ptr<optim::Optimizer> optimizer;

  explicit ToyRun(const std::vector<std::string>& settings, const ModelSpec& spec) {
    manual_seed(1);
    Schema schema;
    declare(schema, config);
    for (const std::string& setting : settings) schema.set(setting);
    config.methods.check();
    model = make_image_model(spec);
    config.methods.apply(*model, {.program = "test"});
    optimizer = make_optimizer(*model, config.optim, config.methods);
  }
  FitResult fit(const std::string& out, int64_t max_steps, bool resume) {
    std::unique_ptr<MetricsLog> layers;
    Trainer trainer(*model, {.optimizer = *optimizer,
                             .method = &config.methods,
                             .epochs = 2,
                             .max_steps = max_steps,
                             .out = out,
                             .metadata = model->metadata(),
                             .on_epoch = [&](int64_t epoch, int64_t step) {
                               layers->write(layers_row(epoch, step, config.methods.layers()));
                             }});
    if (resume) trainer.load(out + "/last.safetensors");
    layers = std::make_unique<MetricsLog>(out + "/layers.jsonl",
                                          resume ? MetricsLog::Open::kAppend : MetricsLog::Open::kNew);
    ClassifierTask task({.train = &loader, .test = &test});
    return trainer.fit(task);
  }
};

const ModelSpec kVit{
    .name = "vit", .classes = 4, .image_size = 8, .patch_size = 4, .width = 16, .depth = 2, .heads = 2};
const ModelSpec kMlp{.name = "mlp", .classes = 4, .image_size = 8, .hidden = {12}};

TEST(MethodSet, AMethodThatTernDoesNotKnowTrainsResumesInspectsAndReports) {
  register_sign();
  TemporaryDirectory directory;
  const std::string whole = directory / "whole", parts = directory / "parts";
  for (const std::string& out : {whole, parts}) std::filesystem::create_directory(out);
  ASSERT_TRUE(ToyRun({"sign.on=true"}, kMlp).fit(whole, 0, false).finished);
  EXPECT_FALSE(ToyRun({"sign.on=true"}, kMlp).fit(parts, 3, false).finished);
  ToyRun resumed({"sign.on=true"}, kMlp);
  const FitResult result = resumed.fit(parts, 0, true);
  ASSERT_TRUE(result.finished);
  EXPECT_EQ(load_checkpoint(whole + "/last.safetensors").metadata_at("tern.sign"),
            R"(["layers.0.weight","layers.1.weight"])");
  const Checkpoint a = load_checkpoint(whole + "/last.safetensors"), b = load_checkpoint(parts + "/last.safetensors");
  for (const auto& [name, tensor] : a.weights)
    EXPECT_EQ(tensor.to_vector<float>(), b.weights.at(name).to_vector<float>()) << name;
  EXPECT_NE(rows_text(whole + "/metrics.jsonl").find("\"signs\":8.0"), std::string::npos)
      << rows_text(whole + "/metrics.jsonl");

  // Restored from the file alone.
  const auto model = model_of(a);
  EXPECT_EQ(signed_weights(*model).size(), 2u);
  const quant::LayerTable table = quant::layer_table(*model);
  EXPECT_EQ(table.mean_bits(), 1);
  EXPECT_EQ(table.layers[0].method, "sign");

  const ModelSummary summary = summary_of_file(whole + "/last.safetensors");
  ASSERT_TRUE(summary.compression);
  EXPECT_NE(to_text(summary).find("flips"), std::string::npos) << to_text(summary);
  EXPECT_EQ(to_text(inspect_file(whole + "/last.safetensors")).find("Signs:"), std::string::npos)
      << "without described() the file's values are shown";

  std::ofstream(whole + "/config.json") << R"({"model": {"name": "mlp", "image_size": 8}, "epochs": 2})";
  const RunRecord run = read_run(whole);
  ASSERT_TRUE(run.weights.has_value()) << run.weights_problem;
  const io::Json page = report_data({run}).at("runs")[0];
  EXPECT_EQ(page.at("methods").dump(), R"(["Signs"])");
  EXPECT_EQ(page.at("table").at("layers")[0].at("flips").as_number(), 0.25);
  EXPECT_EQ(page.at("layers").at("bits").dump(), "[[1.0,1.0],[1.0,1.0]]");
  EventWriter events(directory.path());
  const auto empty_size = std::filesystem::file_size(events.path());
  write_layers(events, *model, 1);
  EXPECT_NE(rows_text(events.path()).find("flips/layers.0"), std::string::npos);
  EXPECT_GT(std::filesystem::file_size(events.path()), empty_size);
}

TEST(MethodSet, LoadingIsAllOrNothing) {
  register_sign();
  ToyRun run({"sign.on=true"}, kMlp);
  Checkpoint checkpoint = weights_of(*run.model);
  checkpoint.metadata["tern.version"] = "test";
  const auto other = make_image_model(kMlp);
  const auto before = other->state_dict();
  checkpoint.weights.set("layers.0.weight", zeros({3, 3}));
  EXPECT_THROW(load_weights(*other, checkpoint), ValueError);
  EXPECT_TRUE(signed_weights(*other).empty());
  checkpoint.weights.set("layers.0.weight", run.model->get_parameter("layers.0.weight").latent());
  checkpoint.metadata["tern.sign"] = R"(["layers.0.weight", "nothing"])";
  EXPECT_THROW(load_weights(*other, checkpoint), ValueError);
  EXPECT_TRUE(signed_weights(*other).empty()) << "the first was attached, and is taken off again";
  for (const auto& [name, tensor] : other->state_dict())
    EXPECT_EQ(tensor.to_vector<float>(), before.at(name).to_vector<float>()) << name;

  // BitNet's layers likewise.
  const auto converted = make_image_model(kVit), plain = make_image_model(kVit);
  quant::bitnet::convert(*converted);
  Checkpoint ternary = weights_of(*converted);
  ternary.metadata["tern.version"] = "test";
  ternary.weights.set("head.bias", zeros({5}));
  EXPECT_THROW(load_weights(*plain, ternary), ValueError);
  EXPECT_FALSE(quant::bitnet::is_bitnet(*plain));
  ternary.weights.set("head.bias", zeros({4}));
  load_weights(*plain, ternary);
  EXPECT_TRUE(quant::bitnet::is_bitnet(*plain));
}

TEST(MethodSet, CodeqAndBitnetTakeDifferentLayersOfAVit) {
  TemporaryDirectory directory;
  const std::string out = directory / "run";
  std::filesystem::create_directory(out);
  ToyRun run({"bitnet.enabled=true", "codeq.mode=mixed", "codeq.exclude=head", "bitnet.warmup_steps=3"}, kVit);
  ASSERT_TRUE(run.fit(out, 0, false).finished);
  const auto loaded = model_of(load_checkpoint(out + "/last.safetensors"));
  EXPECT_EQ(quant::codeq::attached_layers(*loaded), std::vector<std::string>{"patch_embed.proj"});
  EXPECT_TRUE(quant::bitnet::is_bitnet(*loaded));
  std::map<std::string, int> methods_of_layers;
  for (const quant::LayerState& layer : quant::layer_table(*loaded).layers) ++methods_of_layers[layer.method];
  EXPECT_EQ(methods_of_layers["codeq"], 1);
  EXPECT_EQ(methods_of_layers["bitnet"], 8);
  const Tensor x = randn({2, 3, 8, 8});
  loaded->eval(), run.model->eval();
  EXPECT_EQ((*loaded)(x).to_vector<float>(), (*run.model)(x).to_vector<float>());
  const std::string rows = rows_text(out + "/metrics.jsonl");
  EXPECT_NE(rows.find("\"sparsity\""), std::string::npos);
  EXPECT_NE(rows.find("\"codeq_sparsity\""), std::string::npos) << rows;
  EXPECT_NE(rows.find("\"lambda\":1"), std::string::npos) << rows;
  EXPECT_EQ(message_of<ValueError>([&] { pack_weights(*loaded, "w"); }),
            "[pack] expected layers of a method that has a packed form in 'w', got those of CoDeQ, which has none");
  EXPECT_TRUE(quant::bitnet::is_bitnet(*loaded)) << "nothing was packed";
}

TEST(MethodSet, RefusesAWeightThatTwoMethodsWant) {
  const auto refused = [](const std::string& setting) {
    return message_of<UsageError>([&] { ToyRun({"bitnet.enabled=true", "codeq.mode=fixed", setting}, kVit); });
  };
  EXPECT_EQ(
      refused("codeq.include=blocks.0.attn.qkv.weight"),
      "[test] [layer_table] expected blocks.0.attn.qkv.weight to be compressed by one method, got CoDeQ and BitNet");
}

TEST(MethodSet, ReportsShowWhatTernaryLayersComputeWith) {
  TemporaryDirectory directory;
  ToyRun run({"bitnet.enabled=true"}, kVit);
  int64_t ternary = 0;
  for (const LayerWeights& layer : examine_weights(*run.model, 8)) {
    if (layer.state.method != "bitnet") continue;
    ++ternary;
    int64_t shown = 0;
    for (const char byte : layer.map.mask) shown += __builtin_popcount(static_cast<unsigned char>(byte));
    EXPECT_EQ(shown, layer.state.weights - layer.state.zeros) << layer.state.name;
  }
  EXPECT_EQ(ternary, 8);
  Checkpoint checkpoint = weights_of(*run.model);
  save_checkpoint(directory / "w.safetensors", checkpoint);
  for (const TensorInspection& t : inspect_file(directory / "w.safetensors", {.filter = "*qkv.weight"}).tensors) {
    ASSERT_TRUE(t.compressed) << t.name;
    EXPECT_EQ(t.compressed->figure("levels"), 3);
  }
}

TEST(MethodSet, PacksAVitOfTernaryLayers) {
  TemporaryDirectory directory;
  ToyRun run({"bitnet.enabled=true"}, kVit);
  run.model->eval();
  const Tensor x = randn({2, 3, 8, 8}), wanted = (*run.model)(x);
  pack_weights(*run.model, "w");
  save_packed(directory / "packed.safetensors", *run.model, packed::pack3_fixed);
  const auto packed = model_of(load_checkpoint(directory / "packed.safetensors"));
  packed->eval();
  const NoGradGuard no_grad;
  const auto a = (*packed)(x).to_vector<float>(), b = wanted.to_vector<float>();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5);
  const auto plain = make_image_model(kVit);
  EXPECT_EQ(message_of<ValueError>([&] { pack_weights(*plain, "w"); }),
            "[pack] expected weights with compressed layers in 'w', got a model in full precision");
}

// Written by an earlier Tern.
TEST(PackedFile, OfAnEarlierTernStaysReadable) {
  const auto model = model_of(load_checkpoint(std::string(TERN_GOLDEN_DIR) + "/packed/llama_pack3_fixed.safetensors"));
  model->eval();
  const NoGradGuard no_grad;
  const Tensor logits = (*model)(arange(8).reshape({1, 8}));
  EXPECT_NEAR(sum(mul(logits, logits)).item(), 234.7387, 1e-3);
}

// -- distillation

TEST(DistillMethod, TeachesAnyModelWithTheTeachersOwnPreprocessing) {
  TemporaryDirectory directory;
  const std::string file = directory / "teacher.safetensors";
  manual_seed(5);
  const auto teacher = make_image_model({.name = "resnet20", .classes = 3});
  Checkpoint checkpoint = weights_of(*teacher);
  checkpoint.metadata.merge(teacher->metadata());
  checkpoint.metadata[meta::kClasses] = R"(["a", "b", "c"])";
  const Preprocessing own{.mean = {0.1, 0.2, 0.3}, .std = {0.5, 0.6, 0.7}, .resize = 16, .crop = 16};
  checkpoint.metadata[meta::kPreprocessing] = to_json(own).dump();
  save_checkpoint(file, checkpoint);
  const Preprocessing students{.mean = {0.4, 0.4, 0.4}, .std = {0.2, 0.2, 0.2}};
  const Teacher opened = open_teacher(file, {{"c", "a", "b"}, students});
  EXPECT_EQ(opened.outputs, (std::vector<int64_t>{2, 0, 1}));
  ASSERT_TRUE(opened.input);
  // A pixel of one value stays one, whatever the size.
  Tensor image = empty({1, 3, 8, 8}).fill_((0.5 - 0.4) / 0.2);
  const Tensor seen = opened.input(image);
  EXPECT_EQ(seen.shape(), (Shape{1, 3, 16, 16}));
  for (int64_t c = 0; c < 3; ++c) {
    const auto channel = seen.slice(1, c, c + 1).to_vector<double>();
    const auto at = static_cast<size_t>(c);
    for (const double v : channel) EXPECT_NEAR(v, (0.5 - own.mean[at]) / own.std[at], 1e-5);
  }
  EXPECT_FALSE(open_teacher(file, {{"a", "b", "c"}, own}).input) << "nothing differs";
  EXPECT_THROW((void)open_teacher(file, {{"a", "b", "x"}, students}), ValueError);
  Checkpoint nameless = checkpoint;
  nameless.metadata.erase(meta::kClasses);
  nameless.metadata[meta::kPreprocessing] = to_json(Preprocessing{}).dump();
  const std::string other = directory / "nameless.safetensors";
  save_checkpoint(other, nameless);
  EXPECT_EQ(message_of<ValueError>([&] {
              (void)open_teacher(other, {{"a", "b"}, students});
            }),
            "[distill] expected a teacher of 2 classes, got 3 in " + other);
  const Tensor raw = open_teacher(other, {{"a", "b", "c"}, students}).input(empty({1, 3, 8, 8}).fill_(0));
  EXPECT_NEAR(raw.to_vector<float>()[0], 0.4, 1e-6) << "a teacher without mean and std sees pixel / 255";

  // The method: whatever else is at work, the loss is the task's and the teacher's.
  for (const char* mode : {"none", "fixed"}) {
    ClassifierConfig config;
    Schema schema;
    declare(schema, config);
    schema.set("bitnet.distill.teacher=" + file);  // the older spelling
    schema.set("distill.temperature=2");
    schema.set(concat("codeq.mode=", mode));
    EXPECT_NE(schema.to_json().find("\"distill\""), std::string::npos);
    EXPECT_EQ(schema.to_json().find("\"bitnet.distill"), std::string::npos);
    config.methods.check();
    const auto student = make_image_model({.name = "resnet20", .classes = 3});
    config.methods.apply(*student, {.program = "test", .teacher = [&](const std::string& weights, const std::string&) {
                                      return open_teacher(weights, {{"a", "b", "c"}, students});
                                    }});
    const Tensor x = randn({2, 3, 8, 8}), task = full({}, 0.5);
    student->eval();
    const Tensor output = (*student)(x);
    const double loss = config.methods.loss(output, {x, zeros({2}, DType::kI64)}, task).item();
    const NoGradGuard no_grad;
    teacher->eval();
    const Tensor taught = (*teacher)(open_teacher(file, {{"a", "b", "c"}, students}).input(x));
    EXPECT_NEAR(loss, 0.5 + quant::logits_distillation(output, taught, 2).item(), 1e-5) << mode;
    EXPECT_TRUE(config.methods.environment().contains("teacher"));
  }
}

}  // namespace
}  // namespace tern::train
