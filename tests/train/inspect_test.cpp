#include <cmath>
#include <filesystem>
#include <limits>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/io/file.h>
#include <tern/core/io/npy.h>
#include <tern/core/io/safetensors.h>
#include <tern/core/ops/create.h>
#include <tern/core/random.h>
#include <tern/nn/models/registry.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/train/insight/inspect.h>
#include <tern/train/insight/inspection_text.h>
#include <tern/train/insight/model_summary.h>
#include <tern/train/weights/checkpoint.h>

#include "apps/chain_model.h"
#include "message_of.h"
#include "temporary_directory.h"

namespace tern::train {
namespace {

using tern::testing::TemporaryDirectory;
using test::message_of;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(ValueStats, FiguresOfAFewValues) {
  const ValueStats s = value_stats(tensor<double>({-2.0, 0.0, -0.0, 1.0, 1.0, 6.0}, {2, 3}).t(), 4);
  EXPECT_EQ(s.count, 6);
  EXPECT_EQ(s.min, -2);
  EXPECT_EQ(s.max, 6);
  EXPECT_DOUBLE_EQ(s.mean, 1);
  EXPECT_DOUBLE_EQ(s.deviation, std::sqrt((9 + 1 + 1 + 0 + 0 + 25) / 6.0));
  EXPECT_EQ(s.zeros, 2) << "of either sign";
  EXPECT_EQ(s.distinct, 4);
  EXPECT_EQ(s.non_finite, 0);
  EXPECT_EQ(s.histogram, (std::vector<int64_t>{1, 4, 0, 1}));
  EXPECT_DOUBLE_EQ(s.zero_share(), 1.0 / 3);
}

TEST(ValueStats, ValuesThatAreNoNumbers) {
  const ValueStats s = value_stats(tensor({std::nan(""), kInfinity, 3.0, -kInfinity}), 3);
  EXPECT_EQ(s.non_finite, 3);
  EXPECT_EQ(s.finite(), 1);
  EXPECT_EQ(s.min, 3);
  EXPECT_EQ(s.max, 3);
  EXPECT_EQ(s.mean, 3);
  EXPECT_EQ(s.deviation, 0);
  EXPECT_EQ(s.histogram, (std::vector<int64_t>{1, 0, 0}));
  const ValueStats none = value_stats(tensor({std::nan("")}));
  EXPECT_EQ(none.distinct, 0);
  EXPECT_EQ(value_stats(empty({0, 3})).count, 0);
  EXPECT_EQ(value_stats(empty({0, 3})).zero_share(), 0);
}

TEST(ValueStats, ExtremesAndIntegers) {
  const ValueStats wide = value_stats(tensor(std::vector<double>{-1.7e308, 1.7e308}), 2);
  EXPECT_EQ(wide.histogram, (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(wide.mean, 0);
  const ValueStats bytes = value_stats(arange(200).to(DType::kU8));
  EXPECT_EQ(bytes.distinct, 200);
  EXPECT_EQ(bytes.max, 199);
  EXPECT_EQ(value_stats(arange(kMaxDistinct)).distinct, kMaxDistinct);
  EXPECT_EQ(value_stats(arange(kMaxDistinct + 500)).distinct, kMaxDistinct + 1) << "stands for more";
  EXPECT_EQ(value_stats(arange(200'000)).mean, 99'999.5);
  EXPECT_EQ(message_of<ValueError>([] { (void)value_stats(ones({2}), 0); }),
            "[inspect] expected at least 1 bin, got 0");
}

TEST(Inspect, Sketches) {
  EXPECT_EQ(histogram_sketch({0, 1, 50, 100}, false), " .+@");
  EXPECT_EQ(histogram_sketch({0, 1, 50, 100}, true), " \xe2\x96\x81\xe2\x96\x84\xe2\x96\x88");
  EXPECT_EQ(histogram_sketch({0, 0}, false), "  ");
  EXPECT_EQ(histogram_sketch({}, false), "");
}

TEST(Inspect, NamesFromFilesNeitherDriveATerminalNorFillIt) {
  TemporaryDirectory directory;
  const std::string path = directory / "names.safetensors";
  io::save_safetensors(path, {{"w\x1b]0;title\x07\n\xc2\x9b", ones({1})}, {std::string(1 << 20, 'n'), ones({1})}},
                       {{std::string(100'000, 'k'), "a\x1b[2J"}});
  const std::string text = to_text(inspect_file(path));
  EXPECT_LT(text.size(), 4000u);
  EXPECT_NE(text.find("w\\x1b]0;title\\x07\\x0a\\x9b "), std::string::npos) << text;
  EXPECT_NE(text.find(": a\\x1b[2J\n"), std::string::npos) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  const std::string json = to_json(inspect_file(path)).dump(2);
  EXPECT_EQ(json.find('\x1b'), std::string::npos);
  EXPECT_EQ(json.find('\xc2'), std::string::npos);
  EXPECT_NE(json.find("\\u009b"), std::string::npos);
}

TEST(Inspect, ElementTypesOfOtherPrograms) {
  TemporaryDirectory directory;
  const auto file_with = [&](const std::string& type, int64_t count, size_t bytes) {
    std::string header = concat(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":")", type,
                                R"(","shape":[)", count, R"(],"data_offsets":[4,)", 4 + bytes, "]}}");
    const uint64_t length = header.size();
    io::write_file_atomic(
        "test", directory / "f",
        std::string(reinterpret_cast<const char*>(&length), 8) + header + std::string(4 + bytes, '\1'));
    return inspect_file(directory / "f");
  };
  const Inspection mask = file_with("BOOL", 3, 3);
  EXPECT_EQ(mask.tensors.at(0).type, "f32");
  EXPECT_EQ(mask.tensors.at(1).type, "bool");
  EXPECT_EQ(mask.tensors[1].bits(), 8);
  EXPECT_EQ(mask.tensors[1].values.mean, 1);
  EXPECT_TRUE(mask.tensors[1].readable);
  const Inspection narrow = file_with("U16", 2, 4);
  EXPECT_EQ(narrow.tensors.at(1).bytes, 4) << "as stored";
  EXPECT_EQ(narrow.tensors[1].values.max, 257);
  for (const auto& [type, count, bytes, bits] : std::vector<std::tuple<std::string, int64_t, size_t, int64_t>>{
           {"C64", 2, 16, 64}, {"F4", 6, 3, 4}, {"I128", 2, 32, 128}, {"I128", 0, 0, 0}}) {
    const Inspection other = file_with(type, count, bytes);
    const TensorInspection& t = other.tensors.at(1);
    EXPECT_FALSE(t.readable) << type;
    EXPECT_EQ(t.bits(), bits) << type;
    EXPECT_EQ(t.shape, Shape{count});
    EXPECT_EQ(other.elements(), 1 + count);
    EXPECT_EQ(other.bytes(), 4 + static_cast<int64_t>(bytes));
    const std::string text = to_text(other);
    EXPECT_NE(text.find("\nx     " + t.type + " "), std::string::npos) << text;
    EXPECT_EQ(to_json(other).at("tensors")[1].at("readable").as_bool(), false);
    EXPECT_TRUE(to_json(other).at("tensors")[1].at("mean").is_null());
  }
}

// A checkpoint as Trainer leaves it: a model with quantizers, and the state of a run.
struct SavedModel {
  TemporaryDirectory directory;
  std::shared_ptr<nn::models::Model> net;
  std::string path = directory / "last.safetensors";

  SavedModel() {
    manual_seed(2);
    net = nn::models::create("resnet20");
    quant::codeq::attach(*net, {.exclude = {"conv1"}, .bits = quant::codeq::Learnable{.max_bits = 6}});
    const NoGradGuard no_grad;
    Tensor logit = net->get_parameter("layer1.0.conv1.weight.codeq.logit_dz").latent();
    logit.fill_(0.5);
    Checkpoint checkpoint = weights_of(*net);
    checkpoint.metadata.merge(net->metadata());
    checkpoint.state.insert("optimizer.conv1.weight.momentum", zeros({16, 3, 3, 3}));
    save_checkpoint(path, checkpoint);
  }
};

TEST(Inspect, CheckpointWithQuantizers) {
  const SavedModel saved;
  const Inspection all = inspect_file(saved.path);
  EXPECT_EQ(all.format, "safetensors");
  EXPECT_EQ(all.file_bytes, static_cast<int64_t>(std::filesystem::file_size(saved.path)));
  EXPECT_EQ(all.tensors.size(), saved.net->state_dict().size());
  EXPECT_EQ(all.left_out, 1);
  EXPECT_EQ(all.left_out_bytes, 16 * 27 * 4);
  EXPECT_EQ(all.metadata.at("tern.model"), "resnet20");
  const auto find = [&](const std::string& name) {
    for (const TensorInspection& t : all.tensors)
      if (t.name == name) return t;
    throw ValueError(name);
  };
  const TensorInspection stem = find("conv1.weight");
  EXPECT_FALSE(stem.compressed);
  EXPECT_EQ(stem.bits(), 32);
  EXPECT_EQ(stem.shape, (Shape{16, 3, 3, 3}));
  EXPECT_EQ(stem.bytes, 16 * 27 * 4);

  // The same as the library's own report on the model.
  size_t quantized = 0;
  for (const quant::LayerState& layer : quant::layer_table(*saved.net).layers) {
    const TensorInspection t = find(layer.name + ".weight");
    EXPECT_EQ(t.compressed.has_value(), layer.quantized()) << layer.name;
    if (!t.compressed) continue;
    ++quantized;
    EXPECT_EQ(t.bits(), layer.bits);
    EXPECT_EQ(t.compressed->zeros, layer.zeros);
    for (const char* name : {"clamped", "dead_zone", "logit_bit"})
      EXPECT_EQ(t.compressed->figure(name), layer.figure(name)) << name;
    EXPECT_NEAR(t.zero_share(), 1 - layer.density(), 1e-12);
    const ValueStats effective = value_stats(saved.net->get_parameter(layer.name + ".weight")());
    EXPECT_EQ(t.compressed->figure("levels"), static_cast<double>(effective.distinct)) << layer.name;
    EXPECT_EQ(t.compressed->zeros, effective.zeros) << layer.name;
  }
  EXPECT_EQ(quantized, 19u);
  EXPECT_GT(find("layer1.0.conv1.weight").zero_share(), 0.4);

  const std::string text = to_text(all);
  EXPECT_NE(text.find("\nlayer1.0.conv1.weight "), std::string::npos) << text;
  EXPECT_NE(text.find("dead zone"), std::string::npos);
  EXPECT_NE(text.find("\n  tern.model: resnet20\n"), std::string::npos) << text;
  EXPECT_NE(text.find(" bytes)\n"), std::string::npos) << "the quantizers' description is long and cut";
  EXPECT_NE(text.find("left out: 1 tensors with the state of the run"), std::string::npos) << text;
  EXPECT_EQ(text.find('\xe2'), std::string::npos) << "plain ASCII";
  EXPECT_NE(to_text(all, true).find("\xe2\x96\x88"), std::string::npos);

  const io::Json json = to_json(all);
  EXPECT_EQ(io::Json::parse("test", "json", json.dump(2)), json);
  EXPECT_EQ(json.at("tensors").size(), all.tensors.size());
  EXPECT_EQ(json.at("totals").at("elements").as_int(), all.elements());
  EXPECT_EQ(json.at("metadata").at("tern.quantizers").as_string(), all.metadata.at("tern.quantizers"));
}

TEST(Inspect, FiltersAndSorts) {
  const SavedModel saved;
  EXPECT_EQ(inspect_file(saved.path, {.filter = "layer1.?.conv1.weight"}).tensors.size(), 3u);
  EXPECT_EQ(inspect_file(saved.path, {.filter = "train_state.*"}).tensors.size(), 1u);
  EXPECT_EQ(inspect_file(saved.path, {.all = true}).left_out, 0);
  const size_t in_file = inspect_file(saved.path, {.all = true}).tensors.size();
  EXPECT_EQ(message_of<ValueError>([&] { (void)inspect_file(saved.path, {.filter = "nope*"}); }),
            concat("[inspect] expected a filter that one of the ", in_file, " names fits, got 'nope*'"));
  const auto is_sorted = [&](InspectSort sort, auto&& in_order) {
    const auto tensors = inspect_file(saved.path, {.sort = sort}).tensors;
    return std::is_sorted(tensors.begin(), tensors.end(), in_order);
  };
  const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
  EXPECT_TRUE(is_sorted(InspectSort::kName, by_name));
  EXPECT_FALSE(is_sorted(InspectSort::kElements, by_name));
  EXPECT_TRUE(
      is_sorted(InspectSort::kElements, [](const auto& a, const auto& b) { return a.values.count > b.values.count; }));
  EXPECT_TRUE(
      is_sorted(InspectSort::kZeros, [](const auto& a, const auto& b) { return a.zero_share() > b.zero_share(); }));
  EXPECT_TRUE(is_sorted(InspectSort::kBits, [](const auto& a, const auto& b) { return a.bits() > b.bits(); }));
  EXPECT_TRUE(is_sorted(InspectSort::kDeviation,
                        [](const auto& a, const auto& b) { return a.values.deviation > b.values.deviation; }));
}

TEST(Inspect, WeightsThatAreNotFiniteHaveNoQuantizer) {
  const SavedModel saved;
  Checkpoint checkpoint = load_checkpoint(saved.path);
  Tensor weight = checkpoint.weights.at("layer1.0.conv1.weight");
  weight.slice(0, 0, 1).fill_(kInfinity);
  save_checkpoint(saved.path, checkpoint);
  const Inspection one = inspect_file(saved.path, {.filter = "layer1.0.conv1.weight"});
  EXPECT_EQ(one.tensors[0].values.non_finite, 144);
  EXPECT_FALSE(one.tensors[0].compressed);
  EXPECT_NE(to_text(one).find("not finite"), std::string::npos);
}

TEST(Inspect, OtherFormats) {
  TemporaryDirectory directory;
  io::save_npy(directory / "a.npy", tensor<float>({1, 2, 4, 4}, {2, 2}));
  const Inspection npy = inspect_file(directory / "a.npy");
  EXPECT_EQ(npy.format, "npy");
  ASSERT_EQ(npy.tensors.size(), 1u);
  EXPECT_EQ(npy.tensors[0].values.distinct, 3);
  EXPECT_EQ(npy.tensors[0].shape, (Shape{2, 2}));
  EXPECT_NE(to_text(npy).find("(array)"), std::string::npos);

  tern::testing::ChainModel chain;
  chain.chain({"a", "b"});
  chain.write_checkpoint(directory / "model.bin");
  const Inspection llama = inspect_file(directory / "model.bin");
  EXPECT_EQ(llama.format, "llama2.c");
  EXPECT_EQ(llama.tensors[0].name, "model.embed_tokens.weight");
  EXPECT_EQ(llama.tensors[0].values.max, 1);
  const ModelSummary summary = summary_of_file(directory / "model.bin", {.tokens = 5});
  EXPECT_FALSE(summary.compression);
  EXPECT_EQ(summary.modules.rows[0].output, (Shape{1, 5, chain.vocabulary()}));
}

TEST(Inspect, BrokenFilesGiveOneSentence) {
  TemporaryDirectory directory;
  const auto write = [&](const std::string& name, const std::string& bytes) {
    io::write_file_atomic("test", directory / name, bytes);
    return directory / name;
  };
  const auto text_of = [&](const std::string& path) { return message_of([&] { (void)inspect_file(path); }); };
  EXPECT_NE(text_of(directory / "none").find("[inspect] "), std::string::npos);
  EXPECT_NE(text_of(directory / "none").find("No such file"), std::string::npos);
  EXPECT_NE(text_of(directory.path()).find("[inspect] "), std::string::npos);
  for (const std::string& bytes : {std::string(), std::string("\x93NUMPY"), std::string("\x93NUMPY\x01\x00", 8),
                                   std::string("this is no weight file"), std::string(8, '\xff')}) {
    const std::string text = text_of(write("bad", bytes));
    EXPECT_NE(text.find(directory / "bad"), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
  // Metadata that do not fit the tensors beside them.
  const auto quantized = [&](const std::string& description, io::TensorMap tensors) {
    tensors.insert("w", ones({2, 2}));
    io::save_safetensors(directory / "q.safetensors", tensors, {{"tern.quantizers", description}});
    return text_of(directory / "q.safetensors");
  };
  const SavedModel saved;
  std::string good = load_checkpoint(saved.path).metadata.at("tern.quantizers");
  const std::string full = good.substr(0, good.find("}}") + 2) + "]}";
  const auto named = [&](const std::string& name) {
    std::string out = full;
    return out.replace(out.find("layer1.0.conv1.weight"), 21, name);
  };
  EXPECT_EQ(quantized(named("w"), {}),
            "[codeq] expected 'w.codeq.logit_dz', as the metadata describe a quantizer of 'w', got none");
  EXPECT_EQ(quantized(named("v"), {{"v.codeq.logit_dz", ones({})}, {"v.codeq.logit_bit", ones({})}}),
            "[inspect] expected 'v', as the metadata describe how CoDeQ compresses it, got none");
  EXPECT_EQ(quantized(named("w"), {{"w.codeq.logit_dz", ones({2})}, {"w.codeq.logit_bit", ones({})}}),
            "[codeq] expected 'w.codeq.logit_dz' of one element, got f32 [2]");
  EXPECT_EQ(quantized(named("w"), {{"w.codeq.logit_dz", ones({})}, {"w.codeq.logit_bit", ones({})}}),
            "nothing was thrown");
  EXPECT_NE(quantized("{", {}).find("[codeq] expected valid JSON in 'attached quantizers'"), std::string::npos)
      << quantized("{", {});
}

TEST(SummaryOfFile, KnowsOurOwnAndIsToldOthers) {
  const SavedModel saved;
  const ModelSummary whole = summary_of_file(saved.path);
  const nn::Summary& ours = whole.modules;
  EXPECT_EQ(ours.rows[0].output, (Shape{1, 10}));
  EXPECT_EQ(ours.macs, 40551040);  // 640 of these in the last layer
  // Bits and zeros are those of the quantizers.
  for (const nn::SummaryRow& row : ours.rows) {
    if (row.name == "layer1.0.conv1") {
      EXPECT_EQ(row.bits, 6);
      EXPECT_GT(row.zeros, row.parameters / 3);
    }
    if (row.name == "conv1") {
      EXPECT_EQ(row.bits, 32);
    }
  }
  EXPECT_EQ(to_json(whole).at("layers").size(), ours.rows.size());
  EXPECT_EQ(to_json(whole).at("macs").as_int(), ours.macs);
  ASSERT_TRUE(whole.compression);
  EXPECT_EQ(whole.compression->macs(), ours.macs);
  EXPECT_EQ(to_json(whole).at("compression").at("mean_bits").as_number(), whole.compression->mean_bits());
  EXPECT_NE(to_text(whole).find("% of dense fp32"), std::string::npos);
  EXPECT_EQ(summary_of_file(saved.path, {.side = 16}).modules.rows[1].output, (Shape{1, 16, 16, 16}));
  EXPECT_EQ(message_of([&] { (void)summary_of_file(saved.path, {.model = "resnet32"}); }),
            "[inspect] expected --model resnet20 or none, as " + saved.path + " says, got resnet32");
  EXPECT_EQ(message_of([&] { (void)summary_of_file(saved.path, {.set = {"model.width=3"}}); }),
            "[inspect] expected no --set, as " + saved.path + " says what its model is");

  // Without metadata; the number of classes is that of the last layer.
  const auto other = nn::models::create("resnet20", io::Json::object({{"num_classes", 7}}));
  const std::string foreign = saved.directory / "foreign.safetensors";
  io::save_safetensors(foreign, io::TensorMap(other->state_dict()));
  EXPECT_EQ(summary_of_file(foreign, {.model = "resnet20"}).modules.rows[0].output, (Shape{1, 7}));
  EXPECT_EQ(message_of([&] { (void)summary_of_file(foreign); }),
            "[inspect] expected --model NAME, a model of the zoo, as " + foreign +
                " does not say which one it is of; the tensors of any other model are listed without --summary");
  EXPECT_NE(message_of([&] { (void)summary_of_file(foreign, {.model = "resnet32"}); }).find("missing: layer1.3"),
            std::string::npos);
}

}  // namespace
}  // namespace tern::train
