// Four models: equal to PyTorch in double precision, trained with CoDeQ in float, saved, read by `inspect`.
//
//   models MODEL GOLDEN_DIRECTORY DATA WORK_DIRECTORY [INSPECT]
//
// DATA is a directory with CIFAR-10, for char_lstm a text file. INSPECT is the path of Tern's program; without it the
// file that was saved is only loaded again.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include <tern/tern.h>

#include "char_lstm.h"
#include "golden.h"
#include "mobilenetv2.h"
#include "resnext29.h"
#include "unet.h"

using namespace tern;
using namespace models;
namespace codeq = tern::quant::codeq;

namespace {

struct Paths {
  std::string golden, data, work, inspect;
};

/// Keeps the losses of a run.
struct Losses {
  std::vector<double> values;
  void operator()(const train::MetricRow& row) {
    const double loss = train::number_of(row, "loss", -1);
    if (loss >= 0) values.push_back(loss);
  }
  void check() const {
    TERN_CHECK(values.size() == 20, ValueError, "expected 20 steps, got ", values.size());
    const double first = std::accumulate(values.begin(), values.begin() + 4, 0.0) / 4;
    const double last = std::accumulate(values.end() - 4, values.end(), 0.0) / 4;
    std::cout << "loss of the first and the last four steps: " << first << ", " << last << "\n";
    TERN_CHECK(last < first, ValueError, "the loss has not fallen");
  }
};

/// Every parameter of two or more axes is in the report: quantized, or left out with a reason.
void check_report(const nn::Module& net, const codeq::AttachReport& attached, const quant::LayerTable& report) {
  std::cout << report << "\n";
  std::map<std::string, std::string> left;
  for (const auto& [path, reason] : attached.left) {
    std::cout << "left out: " << path << ": " << reason << "\n";
    left[path] = reason;
  }
  for (const auto& [name, parameter] : net.named_parameters()) {
    if (parameter.dim() < 2) continue;
    const auto layer = std::find_if(report.layers.begin(), report.layers.end(),
                                    [&name = name](const auto& row) { return row.parameter == name; });
    TERN_CHECK(layer != report.layers.end(), ValueError, name, " is not in the report");
    TERN_CHECK(layer->quantized() != left.contains(name), ValueError, name, " is neither quantized nor left out");
  }
}

/// The file gives another model the same weights, and `inspect` knows all of its tensors.
void check_file(const nn::Module& net, nn::Module& other, const std::string& file, const std::string& inspect) {
  train::load_weights(other, train::load_checkpoint(file));
  for (const auto& [name, value] : other.state_dict())
    TERN_CHECK(equal(value, net.state_dict().at(name)), ValueError, name, " was not saved as it is");
  if (inspect.empty()) return;
  FILE* pipe = popen(("'" + inspect + "' '" + file + "'").c_str(), "r");
  TERN_CHECK(pipe != nullptr, ValueError, "cannot run ", inspect);
  std::string text;
  for (int c = 0; (c = std::fgetc(pipe)) != EOF;) text += static_cast<char>(c);
  TERN_CHECK(pclose(pipe) == 0, ValueError, inspect, " failed: ", text);
  for (const auto& [name, value] : net.state_dict())
    TERN_CHECK(text.find(name) != std::string::npos, ValueError, inspect, " does not show ", name);
  std::cout << "inspect: " << text.substr(text.rfind('\n', text.size() - 2) + 1);
}

data::DataLoader cifar_loader(const Paths& paths) {
  const data::Cifar10 images(paths.data, data::Split::kTrain);
  return data::DataLoader(
      data::first_of_each_class(images, 100),
      {.batch_size = 50, .shuffle = true, .transform = data::normalize(images.mean(), images.std())});
}

template <class Net>
void run_classifier(const std::string& name, const typename Net::Options& options, const Shape& input,
                    const codeq::AttachOptions& compression, const Paths& paths) {
  Net reference(options);
  compare_with_torch(reference, paths.golden + "/" + name + ".safetensors", image_input(input),
                     label_input({input[0]}, 10), [&](const Tensor& x) { return reference(x); });

  Net net(options);
  const codeq::AttachReport attached = codeq::attach(net, compression);
  optim::AdamW opt({.lr = 2e-3}, {{.params = codeq::base_parameters(net)},
                                  {.params = codeq::dead_zone_logits(net), .weight_decay = 0.1},
                                  {.params = codeq::bit_width_logits(net), .weight_decay = 0.1}});
  data::DataLoader loader = cifar_loader(paths);
  Losses losses;
  train::Trainer trainer(net, {.optimizer = opt,
                               .epochs = 10,
                               .out = paths.work + "/" + name,
                               .overwrite = true,
                               .log_every = 1,
                               .on_row = std::ref(losses)});
  trainer.fit(train::ClassifierTask({.train = &loader}));
  losses.check();
  check_report(net, attached, codeq::report(net, {1, 3, 32, 32}));
  Net other(options);
  check_file(net, other, paths.work + "/" + name + "/last.safetensors", paths.inspect);
}

void run_mobilenetv2(const Paths& paths) {
  run_classifier<MobileNetV2>("mobilenetv2", {.width = 0.25}, {4, 3, 32, 32}, {.exclude = {"linear"}}, paths);
}

void run_resnext29(const Paths& paths) {
  run_classifier<ResNeXt29>("resnext29", {.cardinality = 4, .bottleneck_width = 4}, {4, 3, 16, 16},
                            {.exclude = {"linear"}, .bits = codeq::Learnable{.max_bits = 8}}, paths);
}

/// Segmentation: which of the three colours is the strongest, pixel by pixel.
void run_unet(const Paths& paths) {
  const UNetOptions options{.num_classes = 3, .width = 8, .depth = 3};
  UNet reference(options);
  compare_with_torch(reference, paths.golden + "/unet.safetensors", image_input({2, 3, 26, 22}),
                     label_input({2, 26, 22}, 3), [&](const Tensor& x) { return reference(x); });

  UNet net(options);
  const codeq::AttachReport attached = codeq::attach(net, {.exclude = {"outc.conv"}, .include = {"up?.up.weight"}});
  optim::AdamW opt(net.parameters(), {.lr = 2e-3});
  data::DataLoader loader = cifar_loader(paths);
  Losses losses;
  for (int epoch = 0; epoch < 10; ++epoch) {
    for (const auto& [images, labels] : loader) {
      opt.zero_grad();
      const Tensor loss = cross_entropy(net(images), argmax(images, 1));
      loss.backward();
      opt.step();
      losses.values.push_back(loss.item());
    }
  }
  losses.check();
  check_report(net, attached, codeq::report(net, {1, 3, 32, 32}));
  const std::string file = paths.work + "/unet.safetensors";
  train::save_checkpoint(file, train::weights_of(net));
  UNet other(options);
  check_file(net, other, file, paths.inspect);
}

void run_char_lstm(const Paths& paths) {
  CharLstm reference({.vocabulary = 40, .width = 24, .layers = 2});
  compare_with_torch(reference, paths.golden + "/char_lstm.safetensors", label_input({3, 14}, 40),
                     label_input({42}, 40), [&](const Tensor& tokens) {
                       const auto [first, state] = reference.forward(tokens.slice(1, 0, 6), {});
                       return cat({first, reference.forward(tokens.slice(1, 6, 14), state).output}, 1).flatten(0, 1);
                     });

  const std::string text = io::read_file("char_lstm", paths.data);
  const std::set<char> characters(text.begin(), text.end());
  const Alphabet alphabet{{characters.begin(), characters.end()}};
  const CharLstmOptions options{.vocabulary = static_cast<int64_t>(characters.size()), .width = 64, .dropout = 0.1};
  CharLstm net(options);
  const codeq::AttachReport attached = codeq::attach(net, {.include = {"rnn.weight_*"}});
  optim::AdamW opt(net.parameters(), {.lr = 5e-3});
  train::LanguageTask task(alphabet.encode(text), {.context = 64, .batch_size = 8, .batches = 20});
  Losses losses;
  train::Trainer trainer(net, {.optimizer = opt,
                               .out = paths.work + "/char_lstm",
                               .overwrite = true,
                               .log_every = 1,
                               .on_row = std::ref(losses)});
  trainer.fit(task);
  losses.check();
  const Tensor tokens = zeros({1, 64}, DType::kI64);
  check_report(net, attached, codeq::report(net, [&] { static_cast<void>(net(tokens)); }));
  Generator random(1);
  std::cout << "sample: " << printable(continued(net, alphabet, "Tern ", 60, random)) << "\n";
  CharLstm other(options);
  check_file(net, other, paths.work + "/char_lstm/last.safetensors", paths.inspect);
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, std::function<void(const Paths&)>> models{
      {"mobilenetv2", run_mobilenetv2}, {"resnext29", run_resnext29}, {"unet", run_unet}, {"char_lstm", run_char_lstm}};
  if (argc < 5 || argc > 6 || !models.contains(argv[1])) {
    std::cerr << "usage: models mobilenetv2|resnext29|unet|char_lstm GOLDEN_DIRECTORY DATA WORK_DIRECTORY [INSPECT]\n";
    return 2;
  }
  try {
    manual_seed(1);
    models.at(argv[1])({.golden = argv[2], .data = argv[3], .work = argv[4], .inspect = argc > 5 ? argv[5] : ""});
  } catch (const Error& error) {
    std::cerr << argv[1] << ": " << error.what() << "\n";
    return 1;
  }
  return 0;
}
