// Shows what is in a file of weights.
#include <cstdio>

#include <langinfo.h>
#include <locale.h>

#include <tern/tern.h>

using namespace tern;

namespace {

// Of the terminal, as LC_ALL, LC_CTYPE and LANG say.
bool speaks_utf8() {
  const locale_t locale = newlocale(LC_CTYPE_MASK, "", static_cast<locale_t>(nullptr));
  if (locale == static_cast<locale_t>(nullptr)) return false;
  const bool utf8 = std::string_view(nl_langinfo_l(CODESET, locale)) == "UTF-8";
  freelocale(locale);
  return utf8;
}

int run(int argc, char** argv) {
  const std::vector<std::string> orders{"file", "name", "elements", "zeros", "bits", "std"};  // as train::InspectSort
  std::string file, sort = "file";
  train::InspectOptions options;
  train::ModelQuestion question;
  bool json = false, summary = false;
  std::vector<std::string> models = train::image_model_names();
  models.push_back("llama");
  train::Cli cli(
      "inspect",
      "Shows what is in a file of weights (safetensors, .npy, llama2.c): every tensor's range, zeros, bits and "
      "how its values are spread; with --summary the model that the weights belong to.");
  cli.positional("FILE", file, "the file").required();
  cli.option("--filter", options.filter, "PATTERN",
             "tensors whose names fit this only; * stands for anything, ? for one");
  cli.option("--sort", sort, "ORDER", "file, name, elements, zeros, bits or std; the last four falling", orders);
  cli.flag("--all", options.all, "also the state of a training run (optimizer, averages)");
  cli.flag("--json", json, "one JSON document");
  cli.flag("--summary", summary, "the model's layers with output shapes, MACs, bits and zeros, for one example");
  cli.option("--model", question.model, "NAME", "model of weights that do not name theirs", models);
  cli.option("--config", question.config, "FILE", "config.json of a foreign llama");
  cli.option("--set", question.set, "KEY=VALUE",
             "a size of that model, such as model.depth=6; may be given several times");
  cli.option("--side", question.side, {.min = 1, .max = 4096}, "N", "side of the input image for --summary");
  cli.option("--tokens", question.tokens, {.min = 1, .max = 1e6}, "N",
             "length of a language model's input for --summary");
  if (!cli.parse(argc, argv)) return 0;
  for (const char* name : {"--model", "--config", "--set", "--side", "--tokens"})
    if (cli.given(name) && !summary) throw train::UsageError(concat("[inspect] expected --summary with ", name));
  for (const char* name : {"--filter", "--sort", "--all"})
    if (cli.given(name) && summary) throw train::UsageError(concat("[inspect] expected no ", name, " with --summary"));

  std::string text;
  if (summary) {
    const train::ModelSummary layers = train::summary_of_file(file, question);
    text = json ? train::to_json(layers).dump(2) + "\n" : train::to_text(layers);
  } else {
    options.sort = static_cast<train::InspectSort>(std::find(orders.begin(), orders.end(), sort) - orders.begin());
    const train::Inspection inspection = train::inspect_file(file, options);
    text = json ? train::to_json(inspection).dump(2) + "\n" : train::to_text(inspection, speaks_utf8());
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return train::run_program("inspect", [&] { return run(argc, argv); });
}
