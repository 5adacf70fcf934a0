// Trains an image classifier as one JSON file says: fp32, CoDeQ with fixed bits, CoDeQ with learned bits.
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include <tern/tern.h>

using namespace tern;

namespace {

struct Arguments {
  std::string config, data, out, weights;
  std::vector<std::string> set;
  int64_t seed = 0, threads = 0, log_every = 0;
  bool fast_dev_run = false, resume = false, overwrite = false;
};

std::string in(const std::string& directory, const char* name) {
  return (std::filesystem::path(directory) / name).string();
}

bool is_used(const std::string& out) {
  for (const char* name : {"config.json", "metrics.jsonl", "last.safetensors", "best.safetensors", "summary.json"})
    if (std::filesystem::exists(in(out, name))) return true;
  return false;
}

// The last settings win: the file's, then --set, then options of their own.
void settle(train::Schema& schema, const train::Cli& cli, const Arguments& a) {
  if (!a.config.empty())
    schema.read_file(a.config);
  else if (a.resume)
    schema.read_file(in(a.out, "config.json"));
  for (const std::string& assignment : a.set) schema.set(assignment);
  if (cli.given("--data")) schema.set_text("data.path", a.data);
  if (cli.given("--weights")) schema.set_text("model.weights", a.weights);
  if (cli.given("--seed")) schema.set("seed", std::to_string(a.seed), "--seed");
}

// Made so small that a mistake in any part shows within seconds.
void shrink(train::ClassifierConfig& config) {
  config.epochs = 1;
  config.data.train_limit = 3 * config.data.batch_size + (config.data.val_fraction > 0 ? 40 : 0);
  config.data.test_limit = 2 * config.data.eval_batch_size;
  config.schedule.warmup_epochs = 0;
}

io::Json describe_run(const train::Schema& schema) {
  io::Json json = io::Json::parse("config", "settings", schema.to_json());
  json["environment"] = train::environment();
  return json;
}

// From the weights' own preprocessing, else what the settings say, else the published one of the model, else the data
// set's.
train::Preprocessing settle_preprocessing(const train::ClassifierConfig& config, const train::ImageData& data,
                                          const train::Checkpoint* start) {
  train::Preprocessing p;
  if (start != nullptr && start->is_ours() && start->metadata.contains(train::meta::kPreprocessing))
    p = train::preprocessing_from(
        io::Json::parse("checkpoint", config.weights, start->metadata_at(train::meta::kPreprocessing)));
  else if (start != nullptr)
    p = train::published_preprocessing(config.model.name);
  const train::Preprocessing& given = config.data.preprocessing;
  if (!given.mean.empty()) p.mean = given.mean;
  if (!given.std.empty()) p.std = given.std;
  if (given.resize > 0) p.resize = given.resize;
  if (given.crop > 0) p.crop = given.crop;
  if (p.mean.empty()) p.mean = data.mean;
  if (p.std.empty()) p.std = data.std;
  return p;
}

int run(int argc, char** argv) {
  Arguments a;
  train::ClassifierConfig config;
  train::Schema schema;
  train::declare(schema, config);

  train::Cli cli(
      "train_classifier",
      "Trains an image classifier, in full precision or with compression, and writes weights, metrics and a summary.");
  cli.option("--config", a.config, "FILE", "JSON file with the settings below; those it lacks keep their defaults");
  cli.option("--data", a.data, "DIR", "directory of the data set (data.path)");
  cli.option("--out", a.out, "DIR", "where the run's files go");
  cli.option("--set", a.set, "KEY=VALUE", "changes one setting; may be given several times");
  cli.option("--weights", a.weights, "FILE", "weights to start from (model.weights)");
  cli.option("--seed", a.seed, {.min = 0, .max = 0x1p53}, "N", "seed");
  cli.option("--threads", a.threads, {.min = 1, .max = 4096}, "N", "threads; as many as processors if not given");
  cli.option("--log-every", a.log_every, {.min = 0, .max = 1e9}, "N", "also write metrics every N steps");
  cli.flag("--fast-dev-run", a.fast_dev_run, "three steps and a short evaluation, to see that everything works");
  cli.flag("--resume", a.resume, "go on from DIR/last.safetensors; without --config, with the settings of that run");
  cli.flag("--overwrite", a.overwrite, "allow a directory that holds another run");
  cli.epilogue([&] { return "Settings, with their defaults:\n\n" + schema.describe(); });
  if (!cli.parse(argc, argv)) return 0;

  if (a.out.empty() && !a.fast_dev_run) throw train::UsageError("[train_classifier] expected --out DIR (see --help)");
  if (a.resume && (a.out.empty() || a.overwrite))
    throw train::UsageError("[train_classifier] expected --resume with --out and without --overwrite");
  settle(schema, cli, a);
  if (config.data.path.empty() && config.data.dataset != "synthetic")
    throw train::UsageError("[train_classifier] expected --data DIR (see --help)");
  if (!a.out.empty() && !a.resume && !a.overwrite && is_used(a.out))
    throw train::UsageError(concat("[train_classifier] expected an unused directory, got ", a.out,
                                   " with a run in it; give --resume to go on, --overwrite to replace it"));
  if (a.fast_dev_run) shrink(config);
  if (a.threads > 0) set_num_threads(static_cast<int>(a.threads));
  manual_seed(static_cast<uint64_t>(config.seed));
  const train::StopSignal signals;

  // Data and model.
  const train::ImageData images = train::open_image_data(config.data.dataset, config.data.path, true,
                                                         config.data.train_limit, config.data.test_limit);
  std::unique_ptr<train::Checkpoint> start;
  if (!config.weights.empty() && !a.resume)
    start = std::make_unique<train::Checkpoint>(train::load_checkpoint(config.weights));
  const train::Preprocessing preprocessing = settle_preprocessing(config, images, start.get());
  const int64_t side = preprocessing.crop > 0  ? preprocessing.crop
                       : images.image_size > 0 ? images.image_size
                                               : preprocessing.resize;
  if (config.model.classes == 0) config.model.classes = images.test->num_classes();
  if (config.model.image_size == 0) config.model.image_size = side;
  const std::shared_ptr<nn::models::Model> model = train::make_image_model(config.model);
  if (start != nullptr) train::load_weights(*model, *start);
  std::printf("%s: %lld parameters, %lld training and %lld test images of %s, %d threads, %s\n",
              config.model.name.c_str(), static_cast<long long>(model->parameter_count()),
              static_cast<long long>(images.train->size()), static_cast<long long>(images.test->size()),
              images.kind.c_str(), num_threads(), std::string(name_of(isa())).c_str());
  if (const std::string attached = train::attach_codeq(*model, config.codeq); !attached.empty())
    std::printf("%s\n", attached.c_str());
  std::fflush(stdout);

  // Loaders.
  std::shared_ptr<const data::Dataset> training = images.train, validation;
  if (config.data.val_fraction > 0) {
    const auto count = static_cast<int64_t>(config.data.val_fraction * static_cast<double>(training->size()));
    const data::HoldOut parts = data::hold_out(training, {.count = count, .seed = static_cast<uint64_t>(config.seed)});
    training = data::share(parts.train);
    if (count > 0) validation = data::share(parts.held_out);
  }
  data::DataLoader loader(training, {.batch_size = config.data.batch_size,
                                     .shuffle = true,
                                     .workers = config.data.workers,
                                     .seed = static_cast<uint64_t>(config.seed),
                                     .transform = train::train_transform(config.data, preprocessing, side),
                                     .batch_transform = train::batch_transform(config.data, config.model.classes)});
  const data::LoaderOptions measured{.batch_size = config.data.eval_batch_size,
                                     .workers = config.data.workers,
                                     .transform = train::eval_transform(preprocessing)};
  data::DataLoader test_loader(images.test, measured);
  std::unique_ptr<data::DataLoader> validation_loader;
  if (validation != nullptr) validation_loader = std::make_unique<data::DataLoader>(validation, measured);

  // Optimizer, schedule and the trainer.
  const auto optimizer = train::make_optimizer(*model, config);
  const int64_t steps = (loader.size() + config.optim.accumulate - 1) / config.optim.accumulate;
  const auto schedule = train::make_schedule(*optimizer, config, steps);
  std::unique_ptr<optim::WeightEma> ema = train::make_ema(*model, config);
  io::Metadata metadata = model->metadata();
  metadata[train::meta::kConfig] = describe_run(schema).dump();
  metadata[train::meta::kPreprocessing] = train::to_json(preprocessing).dump();
  train::Trainer trainer(*model, {.optimizer = *optimizer,
                                  .schedule = schedule.get(),
                                  .ema = ema.get(),
                                  .epochs = config.epochs,
                                  .accumulate = config.optim.accumulate,
                                  .clip_norm = config.optim.clip_norm,
                                  .clip_value = config.optim.clip_value,
                                  .loss =
                                      [&](const Tensor& output, const Tensor& labels) {
                                        return cross_entropy(output, labels,
                                                             {.label_smoothing = config.optim.label_smoothing});
                                      },
                                  .test = &test_loader,
                                  .test_every = config.test_every,
                                  .out = a.out,
                                  .save_every = config.save_every,
                                  .log_every = a.log_every,
                                  .metadata = metadata,
                                  .progress = &std::cout,
                                  .terminal = train::stdout_is_terminal(),
                                  .observe = [&] { return train::observe_codeq(*model); },
                                  .stop = [] { return train::StopSignal::received() != 0; }});
  if (a.resume) trainer.load(in(a.out, "last.safetensors"));
  if (!a.out.empty()) {
    std::filesystem::create_directories(a.out);
    if (a.overwrite)
      for (const char* name : {"metrics.jsonl", "last.safetensors", "best.safetensors", "summary.json"})
        std::filesystem::remove(in(a.out, name));
    io::write_file_atomic("config", in(a.out, "config.json"), describe_run(schema).dump(2) + "\n");
  }

  const train::FitResult result = trainer.fit(loader, validation_loader.get());
  if (!result.finished) {
    const int signal = train::StopSignal::received();
    std::printf("stopped after step %lld of epoch %lld%s\n", static_cast<long long>(result.steps),
                static_cast<long long>(result.epochs + 1),
                a.out.empty() ? "" : concat("; go on with --resume --out ", a.out).c_str());
    return 128 + signal;
  }

  // What came of it.
  std::unique_ptr<optim::WeightEma::Swapped> averaged;
  if (ema != nullptr) averaged = std::make_unique<optim::WeightEma::Swapped>(*ema);
  const quant::codeq::Report report = quant::codeq::report(*model, {1, 3, side, side});
  if (config.codeq.mode != "none") std::cout << report << "\n";
  io::Json summary = io::Json::object();
  summary["top1"] = result.test.top1;
  summary["sparsity"] = report.sparsity();
  summary["mean_bits"] = report.mean_bits();
  summary["rel_bops"] = report.rel_bops();
  summary["top5"] = result.test.top5;
  summary["loss"] = result.test.loss;
  summary["n"] = result.test.n;
  if (result.best_top1 >= 0) summary["best_val_top1"] = result.best_top1;
  summary["epochs"] = result.epochs;
  summary["steps"] = result.steps;
  if (!a.out.empty()) io::write_file_atomic("summary", in(a.out, "summary.json"), summary.dump(2) + "\n");
  std::cout << concat("top1=", result.test.top1, " sparsity=", report.sparsity(), " mean_bits=", report.mean_bits(),
                      " rel_bops=", report.rel_bops())
            << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  train::settle_threads(argv);
  return train::run_program("train_classifier", [&] { return run(argc, argv); });
}
