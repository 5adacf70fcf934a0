// Trains a language model of llama's architecture on texts, from scratch or from weights.
#include <cmath>
#include <iostream>
#include <limits>

#include <tern/tern.h>

using namespace tern;

namespace {

constexpr const char* kProgram = "train_lm";

// Made so small that a mistake in any part shows within seconds.
void shrink(train::LanguageConfig& config) {
  config.steps = config.eval_every = 3;
  config.save_every = config.sample.every = 0;
  config.sample.tokens = std::min<int64_t>(config.sample.tokens, 40);
  config.schedule.warmup = 0;
}

// Reads the command line and the settings and opens the run's directory; false if only help was wanted.
bool parse(int argc, char** argv, train::RunArguments& a, train::LanguageConfig& config, train::Schema& schema,
           std::unique_ptr<const train::RunDirectory>& out) {
  train::Cli cli(
      kProgram,
      "Trains a language model on texts, from scratch or from weights, and writes weights, tokenizer, metrics "
      "and samples.");
  std::vector<std::string> data;
  std::string tokenizer;
  cli.option("--data", data, "FILE", "texts to learn from, one or more (data.files)");
  cli.option("--tokenizer", tokenizer, "FILE", "tokenizer of llama2.c, or one that a run left (tokenizer.file)");
  a.declare(cli, schema);
  if (!cli.parse(argc, argv)) return false;
  auto resumed = a.settle(kProgram, cli, schema);
  if (cli.given("--data")) config.data.files = data;
  if (cli.given("--tokenizer")) schema.set_text("tokenizer.file", tokenizer);
  train::check(config);
  if (a.fast_dev_run) shrink(config);
  out = a.open(std::move(resumed));
  return true;
}

// What a run learns from, and the model that learns it.
struct Subject {
  train::Texts texts;
  train::TextTokenizer tokenizer;
  train::TokenText text;
  std::shared_ptr<nn::models::Llama> model;
};

std::shared_ptr<nn::models::Llama> start_from(const train::LanguageConfig& config) {
  auto model = train::load_llama(config.weights, config.weights_config);
  if (quant::is_packed(*model))
    throw train::UsageError(
        concat("[train_lm] expected weights that can be trained, got packed ones in ", config.weights));
  return model;
}

Subject open_subject(train::LanguageConfig& config, const io::FilePath& checkpoint, bool fast) {
  train::Texts texts = train::read_texts(config.data);
  train::TextTokenizer tokenizer =
      checkpoint.empty() ? train::make_tokenizer(config, texts) : train::TextTokenizer::beside(checkpoint);
  const int64_t most = fast ? 4 * config.data.context : std::numeric_limits<int64_t>::max();
  train::TokenText text = train::tokenize(texts, tokenizer, config.data.val_fraction, most);
  std::shared_ptr<nn::models::Llama> model;
  if (!checkpoint.empty())
    model = train::llama_of(train::load_checkpoint(checkpoint));  // with the structure that the run has
  else if (!config.weights.empty())
    model = start_from(config);
  else
    model = train::make_llama(config, tokenizer.vocab_size());
  const std::string name = config.tokenizer.file.empty() ? tokenizer.kind() : config.tokenizer.file;
  train::need_same_vocabulary(*model, config.weights, tokenizer, name);
  if (checkpoint.empty() && !config.weights.empty()) train::need_same_tokenizer(config.weights, tokenizer, name);
  if (!config.weights.empty()) config.model = train::describe_llama(model->options());
  const int64_t positions = model->options().max_position_embeddings;
  if (config.data.context > positions)
    throw train::UsageError(concat("[train_lm] expected data.context of at most ", positions,
                                   ", the model's positions, got ", config.data.context));
  const auto tokens = static_cast<int64_t>(text.tokens.size());
  std::cout << concat("llama: ", model->parameter_count(), " parameters, ", tokens - text.held_out, " training and ",
                      text.held_out, " held-out tokens of ", texts.documents.size(),
                      texts.documents.size() == 1 ? " document, " : " documents, ", tokenizer.kind(), " vocabulary of ",
                      tokenizer.vocab_size(), ", ", num_threads(), " threads, ", name_of(isa()))
            << std::endl;
  return {std::move(texts), std::move(tokenizer), std::move(text), std::move(model)};
}

// Applies the methods that the settings name.
void apply_methods(train::LanguageConfig& config, const Subject& subject) {
  const auto calibrate = [&](nn::Module& module) {  // the text's first windows
    const nn::EvalModeGuard eval(module);
    const auto& tokens = subject.text.tokens;
    const int64_t context = config.data.context, all = static_cast<int64_t>(tokens.size()) - subject.text.held_out;
    const int64_t windows = std::max<int64_t>(1, std::min<int64_t>(16, all / context));
    for (int64_t i = 0; i < windows; ++i) module(from_data(tokens.data() + i * context, {1, std::min(context, all)}));
  };
  const auto open_teacher = [&](const std::string& weights, const std::string& teacher_config) {
    const auto teacher = train::load_llama(weights, teacher_config);
    train::need_same_vocabulary(*teacher, weights, subject.tokenizer, subject.tokenizer.kind());
    train::need_same_tokenizer(weights, subject.tokenizer, subject.tokenizer.kind());
    return train::Teacher{.model = teacher};
  };
  const std::string lines = config.methods.apply(
      *subject.model,
      {.program = kProgram, .weights = config.weights, .calibrate = calibrate, .teacher = open_teacher});
  if (!lines.empty()) std::cout << lines << std::endl;
}

// The settings and what they met with: what config.json holds, and every checkpoint.
io::Json describe_run(const train::LanguageConfig& config, const train::Schema& schema, const Subject& subject) {
  io::Json json = io::Json::parse("config", "settings", schema.to_json());
  json["environment"] = train::environment();
  const io::Json more = config.methods.environment();
  for (const auto& [name, value] : more.members()) json["environment"][name] = value;
  json["environment"]["data"] = io::Json::object({{"kind", "text"},
                                                  {"bytes", subject.texts.bytes},
                                                  {"fingerprint", io::hex(subject.texts.fingerprint)},
                                                  {"tokenizer", subject.tokenizer.kind()},
                                                  {"vocab_size", subject.tokenizer.vocab_size()},
                                                  {"tokens", subject.text.tokens.size()},
                                                  {"held_out", subject.text.held_out}});
  return json;
}

// Writes and prints what came of a run: summary.json, and the last line.
void report(const Subject& subject, const train::LanguageConfig& config, const train::FitResult& result,
            const train::TrainingRun& run) {
  const train::EvalResult& measured = result.validation;
  train::MetricRow figures;
  if (result.train.n > 0) figures.push_back({"train_loss", result.train.loss});
  if (measured.n > 0) {
    figures.push_back({"val_loss", measured.loss});
    figures.push_back({"val_perplexity", std::exp(measured.loss)});
    figures.push_back({"bits_per_byte", train::bits_per_byte(measured.loss, measured.n, subject.text.held_out_bytes)});
  }
  if (config.methods.is_enabled()) {
    const quant::LayerTable layers = quant::layer_table(*subject.model, [&] {
      (*subject.model)(zeros({1, config.data.context}, DType::kI64));
    });
    std::cout << layers << "\n";
    train::add_compression(figures, layers, config.methods);
  }
  run.write_summary(figures, io::Json::object({{"n", measured.n}, {"epochs", result.epochs}, {"steps", result.steps}}));
}

int run(int argc, char** argv) {
  train::RunArguments a;
  train::LanguageConfig config;
  train::Schema schema;
  train::declare(schema, config);
  std::unique_ptr<const train::RunDirectory> out;
  if (!parse(argc, argv, a, config, schema, out)) return 0;
  const auto seed = static_cast<uint64_t>(config.seed);
  train::TrainingRun run(kProgram, a, seed, std::move(out), std::cout, std::cerr);
  const Subject subject = open_subject(config, run.checkpoint(), a.fast_dev_run);
  if (const int status = run.interrupted("before the first step")) return status;
  nn::models::Llama& model = *subject.model;
  apply_methods(config, subject);

  train::LanguageTask task(subject.text.tokens, {.context = config.data.context,
                                                 .batch_size = config.data.batch_size,
                                                 .batches = config.eval_every * config.optim.accumulate,
                                                 .held_out = subject.text.held_out,
                                                 .seed = seed});
  const auto optimizer = train::make_optimizer(model, config.optim, config.methods);
  const auto schedule = train::make_schedule(*optimizer, config.schedule, config.steps, 1);
  const auto ema = train::make_ema(model, config.optim);
  const io::Json description = describe_run(config, schema, subject);
  io::Metadata metadata = model.metadata();
  metadata[train::meta::kConfig] = description.dump();

  std::unique_ptr<train::MetricsLog> samples, layers;
  run.profile([&] { return nn::summary(model, [&] {
                      model(empty({1, config.data.context}, DType::kI64).fill_(0));
                    }); },
              "windows");
  const auto sample = [&](int64_t epoch, int64_t step) {
    const std::string text = train::sample_text(model, subject.tokenizer, config.sample, seed);
    std::cout << concat("---- sample after step ", step, "\n", train::without_controls(text), "\n----") << std::endl;
    if (samples != nullptr)
      samples->write(
          io::Json::object({{"epoch", epoch}, {"step", step}, {"prompt", config.sample.prompt}, {"text", text}}));
  };
  train::Trainer trainer(
      model,
      run.watch(model, {.optimizer = *optimizer,
                        .schedule = schedule.get(),
                        .ema = ema.get(),
                        .method = &config.methods,
                        .epochs = config.steps / config.eval_every,
                        .accumulate = config.optim.accumulate,
                        .clip_norm = config.optim.clip_norm,
                        .clip_value = config.optim.clip_value,
                        .save_every_steps = config.save_every,
                        .metadata = metadata,
                        .on_epoch = [&](int64_t epoch, int64_t step) {
                          if (step == config.steps || (config.sample.every > 0 && step % config.sample.every == 0))
                            sample(epoch, step);
                          if (layers != nullptr) layers->write(train::layers_row(epoch, step, config.methods.layers()));
                        }}));
  run.begin(trainer, schema, description,
            {"steps", "save_every", "data.files", "tokenizer.file", "sample.every", "sample.prompt", "sample.tokens",
             "sample.temperature", "sample.top_p"});
  if (run.out() != nullptr && run.checkpoint().empty()) subject.tokenizer.save(run.out()->handle());
  if (run.is_over()) {
    if (run.lacks_page()) run.write_page();
    return 0;
  }
  samples = run.log("samples.jsonl", trainer);
  if (!config.methods.layers().is_null()) layers = run.log("layers.jsonl", trainer);

  const train::FitResult result = trainer.fit(task);
  if (const int status = run.stopped(result, concat("stopped after ", result.steps, " of ", config.steps, " steps")))
    return status;
  std::unique_ptr<optim::WeightEma::Swapped> averaged;
  if (ema != nullptr) averaged = std::make_unique<optim::WeightEma::Swapped>(*ema);
  report(subject, config, result, run);
  run.write_page();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return train::run_program(
      kProgram, [&] { return run(argc, argv); }, train::Output::kProgress);
}
