// pack: writes a compressed model with its weights packed.
#include <filesystem>
#include <iostream>

#include <tern/core/error.h>
#include <tern/quant/layers/packed_linear.h>
#include <tern/train/loop/process.h>
#include <tern/train/settings/cli.h>
#include <tern/train/weights/checkpoint.h>

namespace tern {
namespace {

// In f32, of a model that may be packed already.
int64_t float_bytes(const nn::Module& model) {
  int64_t elements = model.parameter_count(false);
  for (const auto& [path, module] : model.named_modules())
    if (const auto* layer = dynamic_cast<const quant::PackedLinear*>(module.get()))
      elements += layer->options().out_features * (layer->options().in_features + (layer->options().bias ? 1 : 0));
  return 4 * elements;
}

int pack(int argc, char** argv) {
  std::string weights, out, format = "pack3_fixed";
  train::Cli cli("pack", "Writes a compressed model with its weights packed, for eval, generate and perplexity.");
  cli.option("--weights", weights, "FILE", "checkpoint of train_classifier or train_lm").required();
  cli.option("--out", out, "FILE", "what to write; of a language model, put it beside the run's tokenizer.json")
      .required();
  std::string known;
  for (const packed::Format* f : packed::formats())
    known += concat(known.empty() ? "" : ", ", f->name, " (", f->bits, " bits per weight)");
  cli.option("--format", format, "NAME", concat(known, "; pack3_fixed if not given"));
  if (!cli.parse(argc, argv)) return 0;
  const packed::Format& chosen = packed::format_of(format);
  const train::Checkpoint checkpoint = train::load_checkpoint(weights);
  const auto model = train::model_of(checkpoint);
  const int64_t before = float_bytes(*model);
  train::pack_weights(*model, weights);
  train::save_packed(out, *model, chosen, checkpoint.metadata);
  std::error_code ignored;
  std::cout << concat("wrote ", out, ": ", std::filesystem::file_size(out, ignored),
                      " bytes; in f32 its parameters take ", before)
            << std::endl;
  return 0;
}

}  // namespace
}  // namespace tern

int main(int argc, char** argv) {
  return tern::train::run_program("pack", [&] { return tern::pack(argc, argv); });
}
