// generate: continues a text with a llama-architecture language model.
#include <algorithm>
#include <cstdio>

#include <tern/core/error.h>
#include <tern/core/parallel.h>
#include <tern/train/language/generation.h>
#include <tern/train/language/language_model.h>
#include <tern/train/loop/process.h>
#include <tern/train/settings/cli.h>

namespace tern {
namespace {

void write_out(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  TERN_CHECK(written, IoError, "[generate] expected to write to standard output, got an error after part of the text");
}

int generate(int argc, char** argv) {
  std::string weights, config, tokenizer_path, prompt;
  train::GenerateOptions options{.steps = 256, .sample = {.temperature = 1.0, .top_p = 0.9}};
  int64_t seed = 0, threads = 0;
  bool packed = false;
  train::Cli cli("generate", "Continues a text with a language model, as llama2.c does.");
  cli.option("--weights", weights, "FILE", "llama2.c checkpoint or safetensors").required();
  cli.option("--tokenizer", tokenizer_path, "FILE",
             "tokenizer of llama2.c, or one that train_lm left; that beside the weights if not given");
  cli.option("--config", config, "FILE", "config.json of a safetensors file that does not carry its own");
  cli.option("--prompt", prompt, "TEXT", "what to continue; nothing if not given");
  cli.option("--steps", options.steps, {.min = 0}, "N",
             "positions in all, the prompt's included; 0 for all the model has; 256 if not given");
  cli.option("--temperature", options.sample.temperature, {.min = 0}, "T",
             "0 takes the likeliest token each time; 1.0 if not given");
  cli.option("--top-k", options.sample.top_k, {.min = 0}, "K",
             "draw from the K likeliest tokens; 0 (all) if not given");
  cli.option("--top-p", options.sample.top_p, {.min = 0, .max = 1, .above = true}, "P",
             "draw from the likeliest tokens that reach P together; 0.9 if not given");
  cli.option("--seed", seed, {.min = 0}, "S", "the same seed gives the same text; 0 if not given");
  cli.flag("--packed", packed, "computes compressed layers with packed integers, where their method has such");
  cli.option("--threads", threads, {.min = 0, .max = 1024}, "N", "threads; 0 for as many as there are processors");
  if (!cli.parse(argc, argv)) return 0;
  set_num_threads(static_cast<int>(threads));
  options.seed = static_cast<uint64_t>(seed);

  const auto [model, tokenizer] = train::load_language_model(weights, tokenizer_path, config);
  if (packed) train::pack_weights(*model, weights);
  const int64_t positions = model->options().max_position_embeddings;
  if (options.steps > positions)
    std::fprintf(stderr, "generate: the model has %lld positions; --steps %lld is cut to that\n",
                 static_cast<long long>(positions), static_cast<long long>(options.steps));
  if (options.steps == 0 || options.steps > positions) options.steps = positions;
  const std::vector<int64_t> tokens = tokenizer.encode(prompt);
  if (static_cast<int64_t>(tokens.size()) > options.steps + 1)
    std::fprintf(stderr, "generate: the prompt has %zu tokens; --steps %lld shows only the first ones\n",
                 tokens.size() - 1, static_cast<long long>(options.steps));

  options.stop_token = tokenizer.start_token();
  int64_t previous = tokens.front();
  options.on_token = [&, &pieces = tokenizer](int64_t token) {
    write_out(train::without_controls(pieces.decode(previous, token)));
    previous = token;
  };
  const train::Generated result = train::generate(*model, tokens, options);
  write_out("\n");
  std::fprintf(stderr, "generate: %lld tokens after a prompt of %lld, %.1f tokens/s\n",
               static_cast<long long>(result.generated()), static_cast<long long>(result.prompt_tokens),
               result.tokens_per_second());
  return 0;
}

}  // namespace
}  // namespace tern

int main(int argc, char** argv) {
  return tern::train::run_program("generate", [&] { return tern::generate(argc, argv); });
}
