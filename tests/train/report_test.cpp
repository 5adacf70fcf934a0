#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <span>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/ops/create.h>
#include <tern/data/decode_image.h>
#include <tern/data/synthetic.h>
#include <tern/nn/child.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/models/llama.h>
#include <tern/train/insight/report.h>
#include <tern/train/methods/codeq_method.h>
#include <tern/train/vision/classifier.h>
#include <tern/train/weights/checkpoint.h>

#include "message_of.h"
#include "temporary_directory.h"

namespace tern::train {
namespace {

using io::Json;
using tern::test::message_of;
using tern::testing::TemporaryDirectory;

std::string write(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
  return path;
}

Json json(const std::string& text) {
  return Json::parse("test", "text", text);
}

// Two epochs of a small network, with its checkpoint; layers.jsonl as the run would have written it.
std::string make_run(const std::string& out, const std::string& mode = "fixed") {
  const ModelSpec spec{.name = "mlp", .classes = 3, .image_size = 4, .hidden = {5}};
  const auto model = make_image_model(spec);
  const std::string config = concat(
      R"({"model": {"name": "mlp", "image_size": 4, "weights": ""}, "data": {"dataset": "synthetic"}, "codeq": )",
      R"({"mode": ")", mode, R"("}, "epochs": 3, "seed": 1, "environment": {"threads": 2}})");
  write(out + "/config.json", config);
  write(out + "/metrics.jsonl",
        "{\"epoch\":1,\"step\":2,\"loss\":2.5,\"top1\":0.1,\"lr\":0.2,\"images_per_s\":90.0}\n"
        "{\"epoch\":1,\"step\":4,\"train_loss\":2.0,\"train_top1\":0.25,\"lr\":0.1,\"images_per_s\":100.0,"
        "\"data_wait\":0.5,\"test_top1\":0.25,\"seconds\":10.0}\n"
        "{\"epoch\":2,\"step\":8,\"train_loss\":1.0,\"train_top1\":0.5,\"lr\":0.1,\"images_per_s\":300.0,"
        "\"data_wait\":0.25,\"test_top1\":0.5,\"seconds\":4.0}\n");
  CodeqMethod method;
  method.config = {.mode = mode, .bits = 3, .init_logit_dz = 0.5};
  method.apply(*model, {.program = "test"});
  Checkpoint checkpoint = weights_of(*model);
  checkpoint.metadata.merge(model->metadata());
  checkpoint.metadata[meta::kTrainState] = R"({"epoch": 2, "step": 8})";
  save_checkpoint(out + "/last.safetensors", checkpoint);
  if (mode != "none")
    write(out + "/layers.jsonl",
          layers_row(1, 4, method.layers()).dump() + "\n" + layers_row(2, 8, method.layers()).dump() + "\n");
  return out;
}

TEST(Report, RowsOfAFile) {
  TemporaryDirectory directory;
  const std::string path = directory / "rows.jsonl";
  EXPECT_TRUE(read_rows(path).empty());
  write(path, "{\"a\":1}\n{\"a\":2}\n");
  EXPECT_EQ(read_rows(path).size(), 2u);
  write(path, "{\"a\":1}\n{\"a\":2}");
  EXPECT_EQ(read_rows(path).at(1).at("a").as_int(), 2) << "a whole line without its end counts";
  write(path, "{\"a\":1}\n{\"a\":");
  EXPECT_EQ(read_rows(path).size(), 1u) << "one that was cut off does not";
  for (const char* text :
       {"{\"a\":1}\nnonsense\n{\"a\":2}\n", "{\"a\":1}\n\n", "{\"a\":1}\n[1]\n", "{\"a\":1}\n{\"a\":\n"}) {
    write(path, text);
    EXPECT_EQ(message_of<FormatError>([&] { (void)read_rows(path); }),
              "[report] expected one JSON object a line in " + path + ", got something else in line 2")
        << text;
  }
}

TEST(Report, HistogramCountsEveryValueOnce) {
  const WeightHistogram h = weight_histogram({-2, -1, -0.75, -0.5, 0, 0.25, 0.5, 1, 1.5, 3, std::nan("")}, -1, 1, 4);
  EXPECT_EQ(h.counts, (std::vector<int64_t>{2, 1, 2, 2}));  // [-1, -0.5), [-0.5, 0), [0, 0.5), [0.5, 1]
  EXPECT_EQ(h.below, 1);
  EXPECT_EQ(h.above, 2);
  EXPECT_THROW(weight_histogram({}, 1, 1, 4), ValueError);
  EXPECT_THROW(weight_histogram({}, 0, 1, 0), ValueError);
}

TEST(Report, KernelMapIsTheMaskOfTheWeight) {
  // Two outputs, two inputs, kernels of 1 x 3.
  const Tensor weight = tensor(std::vector<double>{1, 0, 2, 0, 0, 0, 0, 0, 3, 0, 0, 0}, {2, 2, 1, 3});
  const KernelMap map = kernel_map(weight, 100);
  EXPECT_EQ(map.outputs, 2);
  EXPECT_EQ(map.inputs, 2);
  EXPECT_EQ(map.rows, 2);
  EXPECT_EQ(map.columns, 2);
  EXPECT_EQ(map.mask, std::string("\xA0\x80", 2));  // 101 000 001 000
  EXPECT_EQ(map.zero_kernels, 2);
  EXPECT_EQ(map.zero_outputs, 0);
  EXPECT_EQ(map.zero_inputs, 1);

  const KernelMap small = kernel_map(weight, 3);  // room for one kernel; counts are of all
  EXPECT_EQ(small.rows, 1);
  EXPECT_EQ(small.columns, 1);
  EXPECT_EQ(small.mask, std::string("\xA0", 1));
  EXPECT_EQ(small.zero_kernels, 2);

  const KernelMap wide = kernel_map(ones({1000, 400}), 32768);
  EXPECT_EQ(wide.columns, 181);
  EXPECT_EQ(wide.rows, 181);
  EXPECT_EQ(wide.mask.size(), static_cast<size_t>((181 * 181 + 7) / 8));
  EXPECT_THROW(kernel_map(ones({4}), 100), ShapeError);
  EXPECT_THROW(kernel_map(weight, 2), ValueError);
}

// Classes round robin; answers by a table, however the image looks.
struct Oracle : nn::Module {
  std::vector<std::vector<double>> answers;
  size_t next = 0;
  Tensor forward(const Tensor& x) override {
    std::vector<float> logits;
    for (int64_t i = 0; i < x.size(0); ++i, ++next)
      for (const double v : answers[next]) logits.push_back(static_cast<float>(v));
    return tensor(logits, {x.size(0), 3});
  }
};

TEST(Report, ConfusionAndWorstMistakes) {
  const data::Synthetic images({.size = 6, .classes = 3, .height = 8, .width = 8});
  data::DataLoader loader(images, {.batch_size = 4});
  Oracle oracle;
  oracle.answers = {{5, 0, 0},             // 0: right
                    {0, 0, std::log(2)},   // 1 taken for 2, half sure
                    {0, 0, 9},             // 2: right
                    {0, std::log(8), 0},   // 0 taken for 1, 0.8 sure
                    {1, 1, 1},             // 1: a tie is the lower class, a third sure
                    {0, std::log(8), 0}};  // 2 taken for 1, as sure as the other
  const ClassificationReport e = examine(oracle, loader, {.mistakes = 3});
  EXPECT_EQ(e.result.n, 6);
  EXPECT_DOUBLE_EQ(e.result.top1, 2.0 / 6);
  EXPECT_EQ(e.confusion, (std::vector<std::vector<int64_t>>{{1, 1, 0}, {1, 0, 1}, {0, 1, 1}}));
  ASSERT_EQ(e.worst.size(), 3u);
  EXPECT_EQ(e.worst[0].index, 3);
  EXPECT_EQ(e.worst[0].label, 0);
  EXPECT_EQ(e.worst[0].predicted, 1);
  EXPECT_NEAR(e.worst[0].probability, 0.8, 1e-7);
  EXPECT_EQ(e.worst[1].index, 5);
  EXPECT_EQ(e.worst[2].index, 1);
  EXPECT_NEAR(e.worst[2].probability, 0.5, 1e-7);
  EXPECT_EQ(e.worst[0].png.substr(1, 3), "PNG");

  const ClassificationReport again = classification_report_from(to_json(e));
  EXPECT_EQ(e.confused, (std::vector<ConfusedPair>{{0, 1, 1}, {1, 0, 1}, {1, 2, 1}, {2, 1, 1}}));
  EXPECT_EQ(again.confusion, e.confusion);
  EXPECT_EQ(again.confused, e.confused);
  EXPECT_EQ(again.confused_pairs, 4);
  EXPECT_EQ(again.classes, e.classes);
  EXPECT_EQ(again.worst[2].png, e.worst[2].png);
  EXPECT_EQ(again.worst[2].index, 1);

  data::DataLoader shuffled(images, {.batch_size = 6, .shuffle = true, .seed = 2});
  oracle.next = 0;
  EXPECT_EQ(message_of<ValueError>([&] { (void)examine(oracle, shuffled); }).substr(0, 71),
            "[evaluation] expected a loader in the order of the data set, got anothe");
  oracle.next = 0;
  oracle.answers[1][0] = std::nan("");
  EXPECT_THROW((void)examine(oracle, loader), NonFiniteError);
}

TEST(Report, BrokenEvaluations) {
  const std::string good =
      R"({"step": 1, "top1": 0.5, "top5": 1.0, "loss": 1.0, "n": 2, "classes": ["a", "b"], "confusion": [[1, 0], [1, 0]],)"
      R"( "worst": [{"index": 1, "label": 1, "predicted": 0, "probability": 0.9, "png": "QUJD"}]})";
  EXPECT_EQ(classification_report_from(json(good)).worst.at(0).png, "ABC");
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return message_of<FormatError>([&] { (void)classification_report_from(json(text)); });
  };
  EXPECT_EQ(with("[[1, 0], [1, 0]]", "[[1, 0]]"),
            "[evaluation] expected a row of confusion for each of 2 classes, got 1");
  EXPECT_EQ(with("[1, 0]]", "[1]]"), "[evaluation] expected rows of 2 counts, got 1");
  EXPECT_EQ(with("[1, 0]]", "[1, -1]]"), "[evaluation] expected counts of at least 0, got -1");
  EXPECT_EQ(with("\"predicted\": 0", "\"predicted\": 2"), "[evaluation] expected predicted in [0, 2), got 2");
  EXPECT_EQ(with("\"index\": 1", "\"index\": -1"), "[evaluation] expected index at least 0, got -1");
  EXPECT_EQ(with("QUJD", "QUJ!"), "[evaluation] expected base64, got another text");
  EXPECT_NE(with("\"n\": 2", "\"m\": 2").find("expected a member 'n', got none"), std::string::npos);
}

TEST(Report, PicturesAreWhole) {
  const Tensor image = data::Synthetic({.size = 1, .height = 9, .width = 7}).get(0).image;
  const std::string png = encode_png(image);
  const Tensor back = data::decode_image(std::as_bytes(std::span(png)), "png");
  EXPECT_EQ(back.shape(), image.shape());
  EXPECT_EQ(back.to_vector<uint8_t>(), image.to_vector<uint8_t>());
  EXPECT_THROW((void)encode_png(ones({3, 4, 4})), DTypeError);
  EXPECT_THROW((void)encode_png(tensor(std::vector<uint8_t>(8), {2, 2, 2})), ShapeError);

  // Large ones become smaller by a whole factor: means of squares of pixels.
  const data::Synthetic large({.size = 2, .classes = 2, .height = 10, .width = 8});
  data::DataLoader loader(large, {.batch_size = 2});
  Oracle oracle;
  oracle.answers = {{0, 1, 0}, {1, 0, 0}};
  const ClassificationReport e = examine(oracle, loader, {.side = 5});
  ASSERT_EQ(e.worst.size(), 2u);
  const Tensor small = data::decode_image(std::as_bytes(std::span(e.worst[0].png)), "png");
  ASSERT_EQ(small.shape(), (Shape{3, 5, 4}));
  const auto from = large.get(e.worst[0].index).image.to_vector<int64_t>(), to = small.to_vector<int64_t>();
  EXPECT_EQ(to[0], (from[0] + from[1] + from[8] + from[9] + 2) / 4);
  EXPECT_EQ(to[59], (from[230] + from[231] + from[238] + from[239] + 2) / 4);
}

TEST(Report, Base64) {
  for (const auto& [bytes, text] : std::vector<std::pair<std::string, std::string>>{
           {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xFF\xFE\xFD", "//79"}}) {
    EXPECT_EQ(encode_base64(bytes), text);
    EXPECT_EQ(decode_base64(text), bytes);
  }
  for (const char* text : {"Zg=", "Zg", "====", "Z===", "Zg==Zg==", "Z g=", "Zm9-"})
    EXPECT_THROW(decode_base64(text), FormatError) << text;
}

TEST(Report, TextsAreEscaped) {
  EXPECT_EQ(escape_html("<a href=\"x\">'&</a>"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&lt;/a&gt;");
  const std::string hostile = "</script><script>alert(1)</script><!-- & -->";
  const std::string page = report_page(hostile + "{{data}}", Json::object({{"name", hostile + "{{script}}"}}));
  EXPECT_EQ(page.find("alert(1)</script>"), std::string::npos);
  EXPECT_EQ(page.find("<!--"), std::string::npos);
  EXPECT_NE(page.find("{{data}} &#183; Tern report</title>"), std::string::npos) << "not filled in twice";
  EXPECT_NE(page.find(R"(\u003c/script\u003e)"), std::string::npos);
  EXPECT_EQ(json(embed_json(Json(hostile))).as_string(), hostile) << "the same text to whoever parses it";
}

TEST(Report, SettingsAndTheirDifferences) {
  const auto settings = settings_of(json(R"({"a": {"b": 1, "c": {"d": [1, 2]}}, "e": "x", "f": {}})"));
  EXPECT_EQ(settings, (std::vector<Setting>{{"a.b", "1"}, {"a.c.d", "[1,2]"}, {"e", "x"}, {"f", "{}"}}));
  std::vector<RunRecord> runs(3);
  runs[0].config = {{"lr", "0.1"}, {"seed", "1"}};
  runs[1].config = {{"lr", "0.2"}, {"seed", "1"}, {"new", "true"}};
  runs[2].config = {{"lr", "0.1"}, {"seed", "1"}};
  runs[0].environment = runs[1].environment = runs[2].environment = {{"cpu", "x"}};
  runs[2].environment.emplace_back("threads", "4");
  const auto found = config_differences(runs);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].key, "lr");
  EXPECT_EQ(found[0].values, (std::vector<std::string>{"0.1", "0.2", "0.1"}));
  EXPECT_EQ(found[1].key, "new");
  EXPECT_EQ(found[1].values, (std::vector<std::string>{"", "true", ""}));
  EXPECT_EQ(found[2].key, "environment.threads");
}

TEST(Report, ARunInFull) {
  TemporaryDirectory directory;
  const RunRecord run = read_run(make_run(directory / "some_run"));
  EXPECT_EQ(run.name, "some_run");
  EXPECT_FALSE(run.finished());
  EXPECT_EQ(run.epochs.size(), 2u);
  EXPECT_EQ(run.steps.size(), 1u);
  EXPECT_EQ(run.seconds, 14) << "resumed after the first epoch";
  EXPECT_EQ(run.setting("model.name"), "mlp");
  EXPECT_EQ(run.setting("nothing"), "");
  EXPECT_EQ(run.environment, (std::vector<Setting>{{"threads", "2"}}));
  ASSERT_TRUE(run.weights.has_value());
  EXPECT_EQ(run.weights->step, 8);
  ASSERT_EQ(run.weights->layers.size(), 2u);
  const LayerWeights& layer = run.weights->layers[0];
  EXPECT_EQ(layer.shape, (Shape{5, 48}));
  EXPECT_EQ(layer.state.macs, 5 * 48);
  int64_t counted = layer.histogram.below + layer.histogram.above, set = 0;
  for (const int64_t n : layer.histogram.counts) counted += n;
  EXPECT_EQ(counted, 5 * 48);
  for (const char byte : layer.map.mask) set += __builtin_popcount(static_cast<unsigned char>(byte));
  EXPECT_EQ(set, layer.state.weights - layer.state.zeros) << "the mask is of the quantized weights";
  EXPECT_GT(layer.state.zeros, 0);
  EXPECT_DOUBLE_EQ(layer.histogram.high, 1.5 * layer.state.range);

  const Json data = report_data({run});
  const Json& first = data.at("runs")[0];
  EXPECT_EQ(first.at("figures").at("top1").as_number(), 0.5);
  EXPECT_EQ(first.at("figures").at("images_per_s").as_number(), 200);
  EXPECT_EQ(first.at("figures").at("data_wait").as_number(), 0.375);
  EXPECT_EQ(first.at("epochs").at("train_loss").dump(), "[2.0,1.0]");
  EXPECT_FALSE(first.at("epochs").contains("val_loss"));
  EXPECT_EQ(first.at("steps").at("loss").dump(), "[2.5]");
  EXPECT_EQ(first.at("layers").at("bits").dump(), "[[3.0,3.0],[3.0,3.0]]");
  EXPECT_EQ(first.at("table").at("totals").at("weights").as_int(), 5 * 48 + 3 * 5);
  EXPECT_EQ(first.at("weights").size(), 2u);
  EXPECT_FALSE(first.contains("evaluation"));
}

// A language model's run whose method tells of lambda, and of zeros in one layer.
TEST(Report, LanguageModelsAreToldOfInSteps) {
  TemporaryDirectory directory;
  const std::string out = directory / "run", layer = "model.layers.0.self_attn.q_proj";
  nn::models::Llama model({.vocab_size = 11,
                           .hidden_size = 8,
                           .intermediate_size = 8,
                           .num_hidden_layers = 1,
                           .num_attention_heads = 2,
                           .max_position_embeddings = 8});
  Checkpoint checkpoint = weights_of(model);
  checkpoint.metadata.merge(model.metadata());
  checkpoint.metadata[meta::kTrainState] = R"({"epoch": 2, "step": 8})";
  write(out + "/config.json", R"({"data": {"context": 8, "files": ["a.txt"]}, "steps": 8, "eval_every": 4})");
  save_checkpoint(out + "/last.safetensors", checkpoint);
  write(out + "/metrics.jsonl",
        "{\"epoch\":1,\"step\":2,\"loss\":2.5,\"perplexity\":12.2,\"lr\":0.2,\"tokens_per_s\":90.0,\"lambda\":0.5}\n"
        "{\"epoch\":1,\"step\":4,\"train_loss\":2.0,\"train_perplexity\":7.4,\"lr\":0.1,\"tokens_per_s\":100.0,"
        "\"val_loss\":2.1,\"val_perplexity\":8.2,\"seconds\":10.0,\"lambda\":0.75,\"sparsity\":0.1}\n"
        "{\"epoch\":2,\"step\":8,\"train_loss\":1.0,\"train_perplexity\":2.7,\"lr\":0.1,\"tokens_per_s\":300.0,"
        "\"val_loss\":1.1,\"val_perplexity\":3.0,\"seconds\":20.0,\"lambda\":1.0,\"sparsity\":0.3}\n");
  write(out + "/layers.jsonl",
        concat("{\"epoch\":1,\"step\":4,\"layers\":[{\"name\":\"", layer, "\",\"sparsity\":0.1}]}\n",
               "{\"epoch\":2,\"step\":8,\"layers\":[{\"name\":\"", layer, "\",\"sparsity\":0.3}]}\n"));
  write(out + "/samples.jsonl",
        "{\"epoch\":1,\"step\":4,\"text\":\"a </script>\"}\n{\"epoch\":2,\"step\":8,\"text\":\"b\"}\n");
  RunRecord run = read_run(out);
  EXPECT_TRUE(run.is_language());
  EXPECT_FALSE(run.finished());
  write(out + "/summary.json", R"({"val_perplexity": 3.0, "bits_per_byte": 1.5, "steps": 8})");
  run = read_run(out);
  EXPECT_TRUE(run.finished());
  EXPECT_EQ(run.weights->layers.size(), 8u);
  const Json data = report_data({run});
  const Json& first = data.at("runs")[0];
  EXPECT_TRUE(first.at("language").as_bool());
  EXPECT_EQ(first.at("epochs").at("val_perplexity").dump(), "[8.2,3.0]");
  EXPECT_EQ(first.at("epochs").at("sparsity").dump(), "[0.1,0.3]");
  EXPECT_EQ(first.at("further").dump(), R"({"lambda":[0.75,1.0]})");
  EXPECT_EQ(first.at("steps").at("perplexity").dump(), "[12.2]");
  EXPECT_EQ(first.at("layers").at("sparsity").dump(), "[[0.1,0.3]]");
  EXPECT_EQ(first.at("layers").at("unit").as_string(), "step");
  EXPECT_EQ(first.at("layers").at("at").dump(), "[4.0,8.0]");
  EXPECT_EQ(first.at("samples").dump(), R"([{"step":8.0,"text":"b"},{"step":4.0,"text":"a </script>"}])");
  EXPECT_EQ(first.at("figures").at("bits_per_byte").as_number(), 1.5);
  EXPECT_EQ(first.at("figures").at("tokens_per_s").as_number(), 200);
  EXPECT_EQ(report_page("run", data).find("a </script>"), std::string::npos);

  write(out + "/samples.jsonl", "{\"epoch\":1,\"step\":4}\n");
  EXPECT_EQ(message_of<FormatError>([&] { (void)read_run(out); }),
            concat("[report] expected a step and a text in line 1 of ", out, "/samples.jsonl, got another object"));
}

TEST(Report, LongRunsAreThinned) {
  TemporaryDirectory directory;
  const std::string out = make_run(directory / "run");
  std::string rows;
  for (int epoch = 1; epoch <= 1000; ++epoch)
    rows += concat("{\"epoch\":", epoch, ",\"step\":", epoch, ",\"train_loss\":", epoch, "}\n");
  write(out + "/metrics.jsonl", rows);
  const Json data = report_data({read_run(out)}, {.points = 10});
  EXPECT_EQ(data.at("runs")[0].at("epochs").at("train_loss").dump(),
            "[100.0,200.0,300.0,400.0,500.0,600.0,700.0,800.0,900.0,1000.0]");
}

TEST(Report, SecondsGoOnCountingOrFallWhereARunWasResumed) {
  TemporaryDirectory directory;
  const std::string out = make_run(directory / "run", "none");
  const auto seconds = [&](const std::vector<std::string>& of_epochs) {
    std::string rows;
    for (size_t i = 0; i < of_epochs.size(); ++i)
      rows += concat("{\"epoch\":", i + 1, ",\"step\":", 4 * (i + 1), ",\"train_loss\":1.0",
                     of_epochs[i].empty() ? "" : ",\"seconds\":" + of_epochs[i], "}\n");
    write(out + "/metrics.jsonl", rows);
    return read_run(out, false).seconds;
  };
  EXPECT_EQ(seconds({"10.0", "25.0", "40.5"}), 40.5);
  EXPECT_EQ(seconds({"10.0", "25.0", "5.0", "12.0"}), 37) << "resumed after the second epoch, by a Tern of before";
  EXPECT_EQ(seconds({"10.0", "5.0", "25.0", "8.0"}), 43) << "twice";
  EXPECT_EQ(seconds({"10.0", "5.0", "20.0", "35.0"}), 45) << "and then by one that goes on counting";
  EXPECT_EQ(seconds({"10.0", "", "25.0"}), 25) << "a row without counts for nothing";
  EXPECT_EQ(seconds({}), 0);
}

TEST(Report, EndsOfAnEarlierRunDoNotCount) {
  TemporaryDirectory directory;
  const std::string out = make_run(directory / "run", "none");
  const std::string evaluation =
      R"("top1": 0.5, "top5": 1.0, "loss": 1.0, "n": 2, "classes": ["a"], "confusion": [[2]], "worst": []})";
  write(out + "/summary.json", R"({"top1": 0.75, "steps": 4})");
  write(out + "/evaluation.json", "{\"step\": 4, " + evaluation);
  RunRecord run = read_run(out);
  EXPECT_FALSE(run.finished());
  EXPECT_FALSE(run.evaluation.has_value());
  write(out + "/summary.json", R"({"top1": 0.75, "steps": 8})");
  write(out + "/evaluation.json", "{\"step\": 8, " + evaluation);
  run = read_run(out);
  EXPECT_FALSE(run.finished()) << "three epochs were asked for: it went on and was stopped within the third";
  std::string config = io::read_file("test", out + "/config.json");
  write(out + "/config.json", config.replace(config.find("\"epochs\": 3"), 11, "\"epochs\": 2"));
  run = read_run(out);
  EXPECT_TRUE(run.finished());
  ASSERT_TRUE(run.evaluation.has_value());
  const Json data = report_data({run});
  EXPECT_EQ(data.at("runs")[0].at("figures").at("top1").as_number(), 0.75);
  EXPECT_EQ(data.at("runs")[0].at("evaluation").at("confusion").dump(), "[[2]]");
  EXPECT_TRUE(data.at("runs")[0].at("layers").is_null()) << "full precision: no layers.jsonl";
}

TEST(Report, NamesTellRunsApart) {
  TemporaryDirectory directory;
  const std::string a = make_run(directory / "x/run", "none"), b = make_run(directory / "y/run/", "none"),
                    c = make_run(directory / "other", "none");
  const auto runs = read_runs({a, b, c}, false);
  EXPECT_EQ(runs[0].name, "x/run");
  EXPECT_EQ(runs[1].name, "y/run");
  EXPECT_EQ(runs[2].name, "other");
  EXPECT_FALSE(runs[0].weights.has_value());
  EXPECT_EQ(message_of<ValueError>([&] {
              (void)read_runs({a, directory / "x/../x/run"});
            }),
            "[report] expected every run once, got " + (directory / "x/../x/run") + " twice");
}

TEST(Report, AComparisonHasWhatDiffers) {
  TemporaryDirectory directory;
  const Json data = report_data(read_runs({make_run(directory / "a"), make_run(directory / "b", "none")}));
  EXPECT_EQ(data.at("differences").dump(), R"([{"key":"codeq.mode","values":["fixed","none"]}])");
  EXPECT_FALSE(data.at("runs")[0].contains("weights")) << "pictures of weights are for one run";
  EXPECT_EQ(data.at("runs")[1].at("table").at("totals").at("bits").as_number(), 32);
}

TEST(Report, BrokenRunsGetOneSentence) {
  TemporaryDirectory directory;
  const auto reading = [&](const std::string& out) { return message_of([&] { (void)read_run(out); }); };
  EXPECT_EQ(reading(directory / "none"),
            "[report] expected the directory of a run, got " + (directory / "none") + " (not there)");
  EXPECT_EQ(reading(write(directory / "file", "")),
            "[report] expected the directory of a run, got " + (directory / "file") + " (a file)");
  std::filesystem::create_directories(directory / "empty");
  EXPECT_EQ(reading(directory / "empty"),
            "[report] expected a run with config.json or metrics.jsonl in " + (directory / "empty") + ", got neither");

  int count = 0;
  const auto broken = [&](const std::string& file, const std::string& text) {
    const std::string out = make_run((directory / "run") + std::to_string(++count));
    write(out + "/" + file, text);
    std::string message = reading(out);
    for (size_t at; (at = message.find(out)) != std::string::npos;) message.replace(at, out.size(), "RUN");
    return message;
  };
  EXPECT_EQ(broken("metrics.jsonl", "{\"epoch\":1,\"step\":1,\"train_loss\":1}\nx\n"),
            "[report] expected one JSON object a line in RUN/metrics.jsonl, got something else in line 2");
  EXPECT_EQ(broken("metrics.jsonl", "{\"epoch\":1}\n"),
            "[report] expected an epoch and a step in line 1 of RUN/metrics.jsonl, got another object");
  EXPECT_EQ(broken("layers.jsonl", "{\"epoch\":1,\"layers\":[{\"bits\":1}]}\n"),
            "[report] expected an epoch and a list of named layers in line 1 of RUN/layers.jsonl, got another object");
  EXPECT_EQ(broken("layers.jsonl", "{\"epoch\":1,\"layers\":[{\"name\":\"a\"}]}\n{\"epoch\":2,\"layers\":[]}\n"),
            "[report] expected the layers of line 1 in line 2 of RUN/layers.jsonl, got others");
  EXPECT_EQ(broken("config.json", "[1]"), "[report] expected a JSON object in RUN/config.json, got an array");
  EXPECT_NE(broken("config.json", "{").find("RUN/config.json"), std::string::npos);
  EXPECT_NE(broken("summary.json", "{\"top1\": ").find("RUN/summary.json"), std::string::npos);
  EXPECT_EQ(broken("evaluation.json", R"({"step": 8, "n": 1})").substr(0, 42),
            "[report] cannot use RUN/evaluation.json: [");
}

TEST(Report, WeightsThatCannotBeShownLeaveTheRest) {
  TemporaryDirectory directory;
  int count = 0;
  const auto problem = [&](const std::function<void(const std::string& out)>& damage) {
    const std::string out = make_run((directory / "run") + std::to_string(++count)), page = directory / "page.html";
    damage(out);
    RunRecord run = read_run(out);
    EXPECT_FALSE(run.weights.has_value());
    EXPECT_EQ(run.epochs.size(), 2u);
    const Json shown = report_data({run}).at("runs")[0];
    EXPECT_EQ(shown.at("weights_problem").as_string(), run.weights_problem);
    EXPECT_FALSE(shown.contains("weights"));
    EXPECT_EQ(shown.at("figures").at("top1").as_number(), 0.5);
    EXPECT_TRUE(report_data({run, run}).at("runs")[1].contains("weights_problem"));
    write_report(page, {out});
    EXPECT_NE(io::read_file("test", page).find("\"weights_problem\":"), std::string::npos);
    EXPECT_EQ(read_run(out, false).weights_problem, "") << "not looked at";
    for (size_t at; (at = run.weights_problem.find(out)) != std::string::npos;)
      run.weights_problem.replace(at, out.size(), "RUN");
    return run.weights_problem;
  };
  const auto replaced = [&](const std::string& file, const std::string& text) {
    return problem([&](const std::string& out) { write(out + "/" + file, text); });
  };
  EXPECT_EQ(replaced("layers.jsonl", "{\"epoch\":1,\"layers\":[{\"name\":\"a\"}]}\n"),
            "[report] expected the layers that layers.jsonl names, got others in RUN/last.safetensors");
  EXPECT_EQ(replaced("config.json", R"({"model": {"name": "resnet20"}})"),
            "[report] expected a checkpoint of resnet20, as the run's config.json says, got one of mlp in "
            "RUN/last.safetensors");
  EXPECT_NE(replaced("last.safetensors", "too short").find("RUN/last.safetensors"), std::string::npos);
  EXPECT_NE(problem([](const std::string& out) {
              const std::string file = out + "/last.safetensors", bytes = io::read_file("test", file);
              write(file, bytes.substr(0, bytes.size() - 1));
            }).find("RUN/last.safetensors"),
            std::string::npos);
  // What a Trainer leaves that was given a model of one's own and no metadata: no settings either.
  EXPECT_EQ(problem([](const std::string& out) {
              std::filesystem::remove(out + "/config.json");
              save_checkpoint(out + "/last.safetensors", Checkpoint());
            }),
            "[report] expected a checkpoint of a run, got RUN/last.safetensors, which does not name its model");

  const RunRecord whole = read_run(make_run(directory / "whole"));
  EXPECT_EQ(whole.weights_problem, "");
  EXPECT_FALSE(report_data({whole}).at("runs")[0].contains("weights_problem"));
}

TEST(Report, ThePageStandsAlone) {
  TemporaryDirectory directory;
  const std::string page = directory / "page.html";
  write_report(page, {make_run(directory / "run")});
  std::string text = io::read_file("test", page);
  for (const std::string name : {"http://www.w3.org/2000/svg"})
    for (size_t at; (at = text.find(name)) != std::string::npos;) text.erase(at, name.size());
  for (const char* outside : {"http:", "https:", "url(", "@import", "src=\"", "href=", "{{"})
    EXPECT_EQ(text.find(outside), std::string::npos) << outside;
  EXPECT_LT(text.size(), 200000u);
  EXPECT_THROW(write_report(page, {}), ValueError);
  EXPECT_THROW(write_report(directory / "nowhere/page.html", {directory / "run"}), IoError);
}

}  // namespace
}  // namespace tern::train
