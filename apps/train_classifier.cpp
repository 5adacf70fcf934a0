// Trains an image classifier as one JSON file says, in full precision or with the methods of compression that it names.
#include <filesystem>
#include <functional>
#include <iostream>

#include <tern/tern.h>

using namespace tern;

namespace {

constexpr const char* kProgram = "train_classifier";

// Made so small that a mistake in any part shows within seconds.
void shrink(train::ClassifierConfig& config) {
  config.epochs = 1;
  config.data.train_limit = 3 * config.data.batch_size + (config.data.val_fraction > 0 ? 40 : 0);
  config.data.test_limit = 2 * config.data.eval_batch_size;
  config.schedule.warmup = 0;
}

io::Json describe_data(const train::ImageData& data) {
  const auto part = [](const data::Dataset& images) {
    return io::Json::object({{"images", images.size()}, {"fingerprint", io::hex(images.fingerprint())}});
  };
  return io::Json::object({{"kind", data.kind}, {"train", part(*data.train)}, {"test", part(*data.test)}});
}

// The settings and what they met with: what config.json holds, and every checkpoint.
io::Json describe_run(const train::ClassifierConfig& config, const train::Schema& schema,
                      const train::ImageData& data) {
  io::Json json = io::Json::parse("config", "settings", schema.to_json());
  json["environment"] = train::environment();
  const io::Json more = config.methods.environment();
  for (const auto& [name, value] : more.members()) json["environment"][name] = value;
  json["environment"]["data"] = describe_data(data);
  return json;
}

// What the settings say, else the preprocessing of what the run starts from or goes on from, else the published one of
// the model, else the data set's.
train::Preprocessing settle_preprocessing(const train::ClassifierConfig& config, const train::ImageData& data,
                                          const train::Checkpoint* start) {
  train::Preprocessing p;
  if (start != nullptr && start->is_ours() && start->metadata.contains(train::meta::kPreprocessing))
    p = train::preprocessing_from(
        io::Json::parse("checkpoint", "preprocessing", start->metadata_at(train::meta::kPreprocessing)));
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

// Reads the command line and the settings and opens the run's directory; false if only help was wanted.
bool parse(int argc, char** argv, train::RunArguments& a, train::ClassifierConfig& config, train::Schema& schema,
           std::unique_ptr<const train::RunDirectory>& out) {
  train::Cli cli(kProgram,
                 "Trains an image classifier, in full precision or with compression, and writes weights, metrics and a "
                 "summary.");
  std::string data;
  cli.option("--data", data, "DIR", "directory of the data set (data.path)");
  a.declare(cli, schema);
  if (!cli.parse(argc, argv)) return false;
  auto resumed = a.settle(kProgram, cli, schema);
  if (cli.given("--data")) schema.set_text("data.path", data);
  train::check(config);
  if (config.data.path.empty() && config.data.dataset != "synthetic")
    throw train::UsageError("[train_classifier] expected --data DIR (see --help)");
  if (a.fast_dev_run) shrink(config);
  out = a.open(std::move(resumed));
  return true;
}

// The images of a run, and the model that learns them.
struct Subject {
  train::ImageData images;
  std::shared_ptr<const data::Dataset> training, validation, test;  // with the model's classes; validation may be null
  std::vector<std::string> classes;                                 // of the model's outputs
  train::Preprocessing preprocessing;
  int64_t side = 0;  // of the model's input; 0: it varies
  Shape input;       // of one image as the model gets it, for what is counted layer by layer
  std::shared_ptr<nn::models::Model> model;
};

// The classes of the model's outputs: those of what the run goes on from or starts from, as far as it names them, else
// those of the images.
std::vector<std::string> settle_classes(const train::ClassifierConfig& config, const train::ImageData& images,
                                        const train::Checkpoint* start, bool resumed) {
  const std::vector<std::string>& own = images.train->class_names();
  if (start == nullptr || (config.new_head && !resumed)) return own;
  const std::vector<std::string> known = train::classes_of(*start);
  if (known.empty()) return own;
  try {
    (void)train::class_places({own, config.data.path}, {known, start->path});
  } catch (const ValueError& error) {
    if (resumed) throw;
    throw ValueError(concat(error.message(), "; model.new_head=true draws an output layer for other classes"));
  }
  return known;
}

// checkpoint: of the run that is gone on with, whose structure and preprocessing it has; empty for a new one.
Subject open_subject(train::ClassifierConfig& config, const io::FilePath& checkpoint) {
  Subject s;
  s.images = train::open_image_data(config.data.dataset, config.data.path, true, config.data.train_limit,
                                    config.data.test_limit);
  s.training = s.images.train;
  s.test = s.images.test;
  const auto count = static_cast<int64_t>(config.data.val_fraction * static_cast<double>(s.training->size()));
  if (count > 0) {
    const data::HoldOut parts =
        data::hold_out(s.training, {.count = count, .seed = static_cast<uint64_t>(config.seed)});
    s.training = data::share(parts.train);
    s.validation = data::share(parts.held_out);
  }

  const io::FilePath from = checkpoint.empty() ? io::FilePath(config.weights) : checkpoint;
  std::unique_ptr<train::Checkpoint> start;
  if (!from.empty()) start = std::make_unique<train::Checkpoint>(train::load_checkpoint(from));
  s.preprocessing = settle_preprocessing(config, s.images, start.get());
  s.side = train::input_side(s.preprocessing, s.images);
  s.input = {1, 3, s.side, s.side};
  if (s.side == 0) {
    Generator unused(0);
    s.input = train::eval_transform(s.preprocessing)(s.images.test->get(0).image, unused).unsqueeze(0).shape();
  }
  s.classes = settle_classes(config, s.images, start.get(), !checkpoint.empty());
  const bool keeps_head = start != nullptr && !(config.new_head && checkpoint.empty());
  if (config.model.classes == 0 && keeps_head && s.classes != s.images.train->class_names())
    config.model.classes = train::outputs_of(*start);
  if (config.model.classes == 0) config.model.classes = static_cast<int64_t>(s.classes.size());
  for (auto* part : {&s.training, &s.validation, &s.test})
    if (*part != nullptr) *part = train::with_classes(*part, config.data.path, {s.classes, "the model"});
  if (config.model.image_size == 0) config.model.image_size = s.side;
  s.model = train::make_image_model(config.model);
  if (start != nullptr && !keeps_head) train::keep_head(*s.model, *start);
  if (start != nullptr) train::load_weights(*s.model, *start);
  std::cout << concat(config.model.name, ": ", s.model->parameter_count(), " parameters, ", s.training->size(),
                      " training and ", s.images.test->size(), " test images of ", s.images.kind, ", ", num_threads(),
                      " threads, ", name_of(isa()))
            << std::endl;
  return s;
}

// Applies the methods that the settings name.
void apply_methods(train::ClassifierConfig& config, const Subject& subject) {
  const auto calibrate = [&](nn::Module& model) {  // the first images, as they are measured
    data::DataLoader images(subject.images.train,
                            {.batch_size = 32, .transform = train::eval_transform(subject.preprocessing)});
    const nn::EvalModeGuard eval(model);
    int64_t left = 8;
    for (const auto& batch : images) {
      if (left-- == 0) break;
      model(batch.images);
    }
  };
  const auto teacher = [&](const std::string& weights, const std::string& teacher_config) {
    if (!teacher_config.empty())
      throw train::UsageError(
          concat("[train_classifier] expected no distill.teacher_config, as checkpoints of image "
                 "models carry their own, got ",
                 teacher_config));
    return train::open_teacher(weights, {subject.classes, subject.preprocessing});
  };
  const std::string lines = config.methods.apply(
      *subject.model, {.program = kProgram, .weights = config.weights, .calibrate = calibrate, .teacher = teacher});
  if (!lines.empty()) std::cout << lines << std::endl;
}

// Writes and prints what came of a run: the layer table, summary.json, and the last line.
void report(const Subject& subject, const train::ClassifierConfig& config, const train::FitResult& result,
            const train::TrainingRun& run) {
  const quant::LayerTable layers = quant::layer_table(*subject.model, subject.input);
  if (config.methods.is_enabled()) std::cout << layers << "\n";
  train::MetricRow figures{{"top1", result.test.top1}};
  train::add_compression(figures, layers, config.methods);
  io::Json more = io::Json::object({{"top5", result.test.top5}, {"loss", result.test.loss}, {"n", result.test.n}});
  if (result.best >= 0) more["best_val_top1"] = result.best;
  more["epochs"] = result.epochs;
  more["steps"] = result.steps;
  run.write_summary(figures, more);
}

int run(int argc, char** argv) {
  train::RunArguments a;
  train::ClassifierConfig config;
  train::Schema schema;
  train::declare(schema, config);
  std::unique_ptr<const train::RunDirectory> out;
  if (!parse(argc, argv, a, config, schema, out)) return 0;
  train::TrainingRun run(kProgram, a, static_cast<uint64_t>(config.seed), std::move(out), std::cout, std::cerr);
  const Subject subject = open_subject(config, run.checkpoint());
  apply_methods(config, subject);
  if (const int status = run.interrupted("before the first step")) return status;
  nn::models::Model& model = *subject.model;

  data::DataLoader loader(subject.training,
                          {.batch_size = config.data.batch_size,
                           .shuffle = true,
                           .workers = config.data.workers,
                           .seed = static_cast<uint64_t>(config.seed),
                           .transform = train::train_transform(config.data, subject.preprocessing, subject.side),
                           .batch_transform = train::batch_transform(config.data, config.model.classes)});
  const data::LoaderOptions measured{.batch_size = config.data.eval_batch_size,
                                     .workers = config.data.workers,
                                     .transform = train::eval_transform(subject.preprocessing)};
  data::DataLoader test_loader(subject.test, measured);
  std::unique_ptr<data::DataLoader> validation_loader;
  if (subject.validation != nullptr)
    validation_loader = std::make_unique<data::DataLoader>(subject.validation, measured);

  const auto optimizer = train::make_optimizer(model, config.optim, config.methods, {"cls_token", "pos_embed"});
  const int64_t steps = (loader.size() + config.optim.accumulate - 1) / config.optim.accumulate;
  const auto schedule = train::make_schedule(*optimizer, config.schedule, config.epochs, steps);
  const auto ema = train::make_ema(model, config.optim);
  io::Metadata metadata = model.metadata();
  const io::Json description = describe_run(config, schema, subject.images);
  metadata[train::meta::kConfig] = description.dump();
  metadata[train::meta::kPreprocessing] = train::to_json(subject.preprocessing).dump();
  train::ClassifierTask task({.train = &loader,
                              .validation = validation_loader.get(),
                              .test = &test_loader,
                              .loss = [&](const Tensor& output, const Tensor& labels) {
                                return cross_entropy(output, labels, {.label_smoothing = config.label_smoothing});
                              }});
  std::unique_ptr<train::MetricsLog> layers;
  run.profile([&] { return nn::summary(model, subject.input); }, "images");
  train::Trainer trainer(model,
                         run.watch(model, {.optimizer = *optimizer,
                                           .schedule = schedule.get(),
                                           .ema = ema.get(),
                                           .method = &config.methods,
                                           .epochs = config.epochs,
                                           .accumulate = config.optim.accumulate,
                                           .clip_norm = config.optim.clip_norm,
                                           .clip_value = config.optim.clip_value,
                                           .test_every = config.test_every,
                                           .save_every = config.save_every,
                                           .save_every_steps = config.save_every_steps,
                                           .metadata = metadata,
                                           .on_epoch = [&](int64_t epoch, int64_t step) {
                                             if (layers != nullptr)
                                               layers->write(train::layers_row(epoch, step, config.methods.layers()));
                                           }}));
  run.begin(
      trainer, schema, description,
      {"epochs", "test_every", "save_every", "save_every_steps", "data.path", "data.workers", "data.eval_batch_size"});
  if (!run.is_over() && !config.methods.layers().is_null()) layers = run.log("layers.jsonl", trainer);

  train::FitResult result;
  if (!run.is_over()) {
    result = trainer.fit(task);
    if (const int status =
            run.stopped(result, concat("stopped in epoch ", result.epochs + 1, " after ", result.steps, " steps")))
      return status;
  }
  std::unique_ptr<optim::WeightEma::Swapped> averaged;
  if (ema != nullptr) averaged = std::make_unique<optim::WeightEma::Swapped>(*ema);
  if (!run.is_over()) report(subject, config, result, run);
  const int64_t made = trainer.global_step();
  if (run.lacks("evaluation.json", "step", made)) {
    run.remove("report.html");  // it tells of the evaluation
    run.try_to_write("evaluation.json", [&](const io::FilePath& path) {
      train::write_classification_report(path, model, test_loader, made, {.stop = train::TrainingRun::is_interrupted});
    });
  }
  if (run.lacks_page()) run.write_page();
  return run.interrupted("after the last step, without evaluation.json");
}

}  // namespace

int main(int argc, char** argv) {
  return train::run_program(
      kProgram, [&] { return run(argc, argv); }, train::Output::kProgress);
}
