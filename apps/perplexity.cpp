// perplexity: how well a language model predicts a text file.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/parallel.h>
#include <tern/train/language/language_model.h>
#include <tern/train/language/perplexity.h>
#include <tern/train/loop/metrics.h>
#include <tern/train/loop/process.h>
#include <tern/train/settings/cli.h>

namespace tern {
namespace {

struct Settings {
  std::string weights, config, tokenizer, text, separator;
  int64_t context = 0, stride = 0, limit = 0, threads = 0;
  bool json = false;
};

// Settings that contradict each other, and those that the model does not allow.
void check(const train::Cli& cli, const Settings& settings) {
  const bool documents = cli.given("--separator");
  TERN_CHECK(!documents || !settings.separator.empty(), train::UsageError,
             "[perplexity] expected --separator to have at least one character, got none");
  TERN_CHECK(documents || !cli.given("--limit"), train::UsageError,
             "[perplexity] expected --separator with --limit, which counts the documents between separators");
  TERN_CHECK(!documents || !cli.given("--stride"), train::UsageError,
             "[perplexity] expected --stride without --separator, as documents are cut to the context, got both");
  TERN_CHECK(settings.context == 0 || settings.stride <= settings.context, train::UsageError,
             "[perplexity] expected --stride of at most --context ", settings.context, ", got ", settings.stride);
}

int perplexity(int argc, char** argv) {
  Settings settings;
  train::Cli cli("perplexity",
                 "Mean negative log-likelihood (nats) and perplexity of a text, over all predicted tokens.\n"
                 "With --separator, the text is documents: each is stripped, encoded after a beginning-of-text token\n"
                 "and cut to the context. Without, it is one running text: every token is predicted once, in windows\n"
                 "of the context that begin every --stride tokens.");
  cli.option("--weights", settings.weights, "FILE", "llama2.c checkpoint or safetensors").required();
  cli.option("--tokenizer", settings.tokenizer, "FILE",
             "tokenizer of llama2.c, or one that train_lm left; that beside the weights if not given");
  cli.option("--text", settings.text, "FILE", "text to predict").required();
  cli.option("--config", settings.config, "FILE", "config.json of a safetensors file that does not carry its own");
  cli.option("--context", settings.context, {.min = 2}, "N", "tokens the model sees at once; all it can if not given");
  cli.option("--stride", settings.stride, {.min = 1}, "N", "tokens between windows; the context if not given");
  cli.option("--separator", settings.separator, "TEXT", "what stands between documents");
  cli.option("--limit", settings.limit, {.min = 1}, "N", "only the first N documents");
  cli.option("--threads", settings.threads, {.min = 0, .max = 1024}, "N",
             "threads; 0 for as many as there are processors");
  cli.flag("--json", settings.json, "one JSON line");
  if (!cli.parse(argc, argv)) return 0;
  check(cli, settings);
  set_num_threads(static_cast<int>(settings.threads));

  const auto [model, tokenizer] = train::load_language_model(settings.weights, settings.tokenizer, settings.config);
  const int64_t positions = model->options().max_position_embeddings;
  TERN_CHECK(settings.context <= positions, train::UsageError, "[perplexity] expected --context of at most ", positions,
             ", the model's positions, got ", settings.context);
  const int64_t context = settings.context == 0 ? positions : settings.context;
  TERN_CHECK(settings.stride <= context, train::UsageError, "[perplexity] expected --stride of at most the context of ",
             context, ", got ", settings.stride);
  const std::string text = io::read_file("perplexity", settings.text);

  const auto start = std::chrono::steady_clock::now();
  train::TokenNll nll;
  int64_t documents = 1;
  if (settings.separator.empty()) {
    nll = train::text_nll(*model, tokenizer.encode(text), {.context = context, .stride = settings.stride});
  } else {
    std::vector<std::vector<int64_t>> encoded;
    for (const std::string& document : train::split_documents(text, settings.separator, settings.limit))
      encoded.push_back(tokenizer.encode(document));
    documents = static_cast<int64_t>(encoded.size());
    nll = train::document_nll(*model, encoded, {.context = context});
  }
  TERN_CHECK(nll.tokens > 0, FormatError, "[perplexity] expected text to predict in '", settings.text, "', got none");
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  if (settings.json) {
    const train::MetricRow row{{"perplexity", nll.perplexity()}, {"nll", nll.mean()},  {"tokens", nll.tokens},
                               {"documents", documents},         {"context", context}, {"seconds", seconds}};
    std::printf("%s\n", train::to_json(row).dump().c_str());
  } else {
    std::printf("perplexity %.4f (%.4f nats a token) over %lld tokens of %lld %s, %.0f tokens/s\n", nll.perplexity(),
                nll.mean(), static_cast<long long>(nll.tokens), static_cast<long long>(documents),
                documents == 1 ? "document" : "documents", static_cast<double>(nll.tokens) / std::max(seconds, 1e-9));
  }
  return 0;
}

}  // namespace
}  // namespace tern

int main(int argc, char** argv) {
  return tern::train::run_program("perplexity", [&] { return tern::perplexity(argc, argv); });
}
