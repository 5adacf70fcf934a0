#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/io/json.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/random.h>
#include <tern/data/loader.h>
#include <tern/data/synthetic.h>
#include <tern/nn/child.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/layers/pool.h>
#include <tern/optim/sgd.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/train/loop/trainer.h>
#include <tern/train/vision/classifier_task.h>

#include "message_of.h"
#include "temporary_directory.h"
#include "train/small_run.h"

namespace tern::train {
namespace {

using tern::testing::TemporaryDirectory;

// 7 batches an epoch: 10 steps end in the middle of the second one.
void interrupted_equals_whole(bool codeq, bool averages, int64_t accumulate, int64_t first_steps, int64_t all_steps) {
  TemporaryDirectory directory;
  SmallRun whole(codeq, averages);
  TrainerOptions options = whole.options(all_steps);
  options.accumulate = accumulate;
  const FitResult whole_result = Trainer(whole.net, options).fit(ClassifierTask({.train = &whole.loader}));
  EXPECT_EQ(whole_result.steps, all_steps);

  {
    SmallRun first(codeq, averages);
    TrainerOptions o = first.options(first_steps);
    o.accumulate = accumulate;
    Trainer trainer(first.net, o);
    EXPECT_FALSE(trainer.fit(ClassifierTask({.train = &first.loader})).finished);
    trainer.save(directory / "half.safetensors");
  }
  SmallRun second(codeq, averages);
  TrainerOptions o = second.options(all_steps);
  o.accumulate = accumulate;
  Trainer trainer(second.net, o);
  manual_seed(99);  // whatever happened since: the checkpoint has the generator's state
  trainer.load(directory / "half.safetensors");
  EXPECT_EQ(trainer.global_step(), first_steps);
  const FitResult second_result = trainer.fit(ClassifierTask({.train = &second.loader}));
  EXPECT_EQ(second_result.steps, all_steps);
  expect_same_bits(whole.net, second.net);
  if (averages) {
    const optim::WeightEma::Swapped a(*whole.ema), b(*second.ema);
    expect_same_bits(whole.net, second.net);
  }
}

TEST(Trainer, TenStepsAndTenMoreEqualTwenty) {
  interrupted_equals_whole(true, false, 1, 10, 20);
}
TEST(Trainer, ResumesAtTheEndOfAnEpoch) {
  interrupted_equals_whole(true, false, 1, 7, 20);
}
TEST(Trainer, ResumesInFullPrecision) {
  interrupted_equals_whole(false, false, 1, 1, 9);
}
TEST(Trainer, ResumesWithAveragesAndAccumulation) {
  interrupted_equals_whole(true, true, 2, 5, 11);
}

// Epochs in which nothing is learned would look like a run that is complete.
TEST(Trainer, NothingToLearnFromIsRefused) {
  TemporaryDirectory directory;
  SmallRun run;
  TrainerOptions options = run.options();
  options.out = directory / "run";
  Trainer trainer(run.net, options);
  data::DataLoader none(data::Subset(run.images, {}), {.batch_size = 16});
  data::DataLoader small(run.images, {.batch_size = 128, .drop_last = true});
  for (data::DataLoader* loader : {&none, &small})
    EXPECT_EQ(test::message_of<ValueError>([&] { (void)trainer.fit(ClassifierTask({.train = loader})); }),
              "[trainer] expected at least one batch of images an epoch, got none: the data set is empty, or smaller "
              "than the one batch that drop_last asks for");
  EXPECT_FALSE(std::filesystem::exists(directory / "run")) << "nothing is written";
}

TEST(Trainer, GoesOnInTheSameTrainer) {
  SmallRun whole;
  (void)Trainer(whole.net, whole.options(20)).fit(ClassifierTask({.train = &whole.loader}));
  SmallRun parts;
  int64_t limit = 10;
  Trainer* running = nullptr;
  TrainerOptions options = parts.options();
  options.stop = [&] { return running->global_step() >= limit; };
  Trainer trainer(parts.net, options);
  running = &trainer;
  EXPECT_FALSE(trainer.fit(ClassifierTask({.train = &parts.loader})).finished);
  limit = 20;
  EXPECT_FALSE(trainer.fit(ClassifierTask({.train = &parts.loader})).finished);
  expect_same_bits(whole.net, parts.net);
}

TEST(Trainer, LearnsAndMeasures) {
  SmallRun run;
  TrainerOptions options = run.options();
  std::ostringstream text;
  options.progress = &text;
  options.observe = [&] {
    const auto states = quant::layer_table(run.net);
    return MetricRow{{"mean_bits", states.mean_bits()}, {"sparsity", states.sparsity()}};
  };
  ClassifierTask task = run.task(true, true);
  const FitResult result = Trainer(run.net, options).fit(task);
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(result.epochs, 4);
  EXPECT_EQ(result.steps, 28);
  EXPECT_EQ(result.train.n, 100);
  EXPECT_GE(result.test.top1, 0.5) << text.str();  // four classes: 0.25 by chance
  EXPECT_EQ(result.test.top1, result.validation.top1);
  EXPECT_EQ(evaluate(run.net, run.test).top1, result.test.top1);
  EXPECT_TRUE(run.net.is_training());
  EXPECT_NE(text.str().find("epoch 4/4: train loss "), std::string::npos) << text.str();
  EXPECT_NE(text.str().find(" mean_bits 8.0000 sparsity "), std::string::npos) << text.str();
}

TEST(Trainer, WritesARunDirectory) {
  TemporaryDirectory directory;
  SmallRun run;
  TrainerOptions options = run.options();
  options.out = directory.path();
  options.log_every = 5;
  options.metadata = {{"note", "from the test"}};
  ClassifierTask task = run.task(true, true);
  const FitResult result = Trainer(run.net, options).fit(task);

  const auto rows = rows_of(directory / "metrics.jsonl");
  int epochs = 0, steps = 0;
  double best = -1;
  for (const io::Json& row : rows) {
    if (row.contains("train_loss")) {
      ++epochs;
      best = std::max(best, row.at("val_top1").as_number());
    } else {
      ++steps;
      EXPECT_EQ(row.at("step").as_int() % 5, 0);
    }
  }
  EXPECT_EQ(epochs, 4);
  EXPECT_EQ(steps, 5);
  EXPECT_EQ(best, result.best);
  EXPECT_EQ(rows.back().at("test_top1").as_number(), result.test.top1);

  const Checkpoint last = load_checkpoint(directory / "last.safetensors"),
                   top = load_checkpoint(directory / "best.safetensors");
  EXPECT_TRUE(last.is_ours());
  EXPECT_EQ(last.metadata_at("note"), "from the test");
  EXPECT_FALSE(last.state.empty());
  EXPECT_TRUE(top.state.empty());
  SmallNet plain;  // the file brings its quantizers along
  load_weights(plain, last);
  EXPECT_EQ(quant::codeq::attached_layers(plain), quant::codeq::attached_layers(run.net));
  expect_same_bits(plain, run.net);
  EXPECT_EQ(evaluate(plain, run.test).top1, result.test.top1);
  SmallNet chosen;
  load_weights(chosen, top);
  EXPECT_EQ(evaluate(chosen, run.test).top1, result.best);
}

TEST(Trainer, ResumedMetricsHaveEveryEpochOnce) {
  TemporaryDirectory directory;
  {
    SmallRun run;
    TrainerOptions options = run.options(14);
    options.out = directory.path();
    (void)Trainer(run.net, options).fit(ClassifierTask({.train = &run.loader}));
  }
  std::ofstream(directory / "metrics.jsonl", std::ios::app) << "{\"epoch\":3,\"step\":21,\"train_loss\":0}\n{\"epo";
  SmallRun run;
  TrainerOptions options = run.options();
  options.out = directory.path();
  Trainer trainer(run.net, options);
  trainer.load(directory / "last.safetensors");
  EXPECT_EQ(trainer.epoch(), 2);
  (void)trainer.fit(ClassifierTask({.train = &run.loader}));
  const auto rows = rows_of(directory / "metrics.jsonl");
  ASSERT_EQ(rows.size(), 4u);
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].at("epoch").as_int(), static_cast<int64_t>(i) + 1);
  EXPECT_NE(rows[2].at("train_loss").as_number(), 0);
}

TEST(Trainer, AveragesAreWhatIsMeasuredAndSaved) {
  TemporaryDirectory directory;
  SmallRun run(true, true);
  TrainerOptions options = run.options();
  options.out = directory.path();
  ClassifierTask task = run.task(false, true);
  const FitResult result = Trainer(run.net, options).fit(task);
  SmallNet loaded;
  load_weights(loaded, load_checkpoint(directory / "last.safetensors"));
  EXPECT_EQ(evaluate(loaded, run.test).loss, result.test.loss);
  EXPECT_NE(evaluate(run.net, run.test).loss, result.test.loss) << "training goes on from the raw weights";
}

TEST(Trainer, AccumulatedBatchesCountAsOne) {
  SmallRun one, two;
  const auto batches = [](SmallRun& run, int64_t size) {
    data::DataLoader loader(run.images, {.batch_size = size});
    std::vector<TaskBatch> out;
    for (const auto& [images, labels] : loader) {
      out.push_back({images, labels});
      if (static_cast<int64_t>(out.size()) * size == 32) break;
    }
    return out;
  };
  one.net.eval(), two.net.eval();  // batch statistics and dropout depend on the batch
  (void)Trainer(one.net, one.options()).step(one.task(false, false), batches(one, 32));
  (void)Trainer(two.net, two.options()).step(two.task(false, false), batches(two, 16));
  const auto a = one.net.parameters(), b = two.net.parameters();
  for (size_t i = 0; i < a.size(); ++i) {
    const auto x = a[i].to_vector<double>(), y = b[i].to_vector<double>();
    for (size_t k = 0; k < x.size(); ++k) EXPECT_NEAR(x[k], y[k], 1e-6);
  }
}

// The norm of what one step changes, with a rate of 1 the norm of the gradient in use; and the largest change.
std::pair<double, double> change_of_a_step(double clip_norm, double clip_value) {
  SmallRun run(false);
  optim::Sgd plain(run.net.parameters(), {.lr = 1});
  const std::vector<Tensor> parameters = run.net.parameters();
  std::vector<Tensor> before;
  for (const Tensor& p : parameters) before.push_back(p.detach().clone());
  const data::Batch images = *data::DataLoader(run.images, {.batch_size = 16}).begin();
  const TaskBatch batch{images.images, images.labels};
  Trainer trainer(run.net, {.optimizer = plain, .clip_norm = clip_norm, .clip_value = clip_value});
  (void)trainer.step(run.task(false, false), {&batch, 1});
  double squares = 0, largest = 0;
  for (size_t i = 0; i < parameters.size(); ++i)
    for (const double v : sub(parameters[i].detach(), before[i]).to_vector<double>())
      squares += v * v, largest = std::max(largest, std::abs(v));
  return {std::sqrt(squares), largest};
}

TEST(Trainer, ClipsGradients) {
  const auto [norm, largest] = change_of_a_step(0, 0);
  EXPECT_NEAR(change_of_a_step(norm / 4, 0).first, norm / 4, 1e-4 * norm);
  EXPECT_NEAR(change_of_a_step(4 * norm, 0).first, norm, 1e-4 * norm);
  EXPECT_NEAR(change_of_a_step(0, largest / 4).second, largest / 4, 1e-4 * largest);
  EXPECT_LT(change_of_a_step(0, largest / 4).first, norm);
}

TEST(Trainer, TheLossOfAnEpochIsAMeanOverImages) {
  SmallRun run;
  ClassifierTask task({.train = &run.loader, .loss = [](const Tensor& output, const Tensor&) {
                         return add(mul(output.sum(), 0.0), static_cast<double>(output.size(0)));
                       }});
  const double loss = Trainer(run.net, run.options()).fit(task).train.loss;
  EXPECT_DOUBLE_EQ(loss, (6 * 16 * 16 + 4 * 4) / 100.0) << "six batches of 16, one of 4";
}

TEST(Trainer, TheBestOfARunIsNotForgotten) {
  TemporaryDirectory directory;
  SmallRun run;
  TrainerOptions options = run.options();
  options.out = directory.path();
  const FitResult whole =
      Trainer(run.net, options).fit(ClassifierTask({.train = &run.loader, .validation = &run.test}));
  EXPECT_GT(whole.best, 0);
  SmallRun again;
  Trainer trainer(again.net, again.options());
  trainer.load(directory / "last.safetensors");
  EXPECT_EQ(trainer.fit(ClassifierTask({.train = &again.loader, .validation = &again.test})).best, whole.best);
}

TEST(Trainer, MeasuresAndSavesAsOftenAsItIsTold) {
  TemporaryDirectory directory;
  SmallRun run;
  TrainerOptions options = run.options();
  options.out = directory.path();
  options.test_every = 3;
  options.save_every = 2;
  std::vector<int64_t> measured, saved;
  options.on_row = [&](const MetricRow& row) {
    if (number_of(row, "test_top1", -1) >= 0) measured.push_back(static_cast<int64_t>(number_of(row, "epoch", -1)));
  };
  options.on_epoch = [&](int64_t, int64_t) {  // before this epoch's checkpoint is written
    const Checkpoint last = load_checkpoint(directory / "last.safetensors");
    saved.push_back(io::Json::parse("test", "state", last.metadata_at(meta::kTrainState)).at("step").as_int());
  };
  ClassifierTask task = run.task(false, true);
  (void)Trainer(run.net, options).fit(task);
  EXPECT_EQ(measured, (std::vector<int64_t>{3, 4})) << "the last epoch always";
  EXPECT_EQ(saved, (std::vector<int64_t>{0, 0, 14, 14}));
}

TEST(Trainer, APlateauIsThatOfTheValidationLoss) {
  const auto final_rate = [](bool validates) {
    struct Pooled : nn::Module {
      nn::Child<nn::Linear> head{this, "head", {.in_features = 3, .out_features = 4}};
      Tensor forward(const Tensor& x) override { return head(global_avg_pool(x)); }
    } net;
    const data::Synthetic images({.size = 12, .classes = 4});
    data::DataLoader loader(images, {.batch_size = 4}), validation(images, {.batch_size = 4});
    optim::Sgd still(net.parameters(), {.lr = 1e-30});  // too small to move a weight: the validation loss stays
    optim::PlateauLr schedule(still, {.factor = 0.5, .patience = 0, .eps = 0});
    int64_t calls = 0;
    ClassifierTask task({.train = &loader,
                         .validation = validates ? &validation : nullptr,
                         .loss = [&](const Tensor& output, const Tensor&) {
                           return add(mul(output.sum(), 0.0), 1.0 / static_cast<double>(++calls));
                         }});
    (void)Trainer(net, {.optimizer = still, .schedule = &schedule, .epochs = 4}).fit(task);
    return still.lr();
  };
  EXPECT_DOUBLE_EQ(final_rate(true), 1e-30 / 8) << "the first report is the best";
  EXPECT_EQ(final_rate(false), 1e-30) << "the training loss falls";
}

TEST(Trainer, ALossThatIsNoNumberStopsTheRun) {
  TemporaryDirectory directory;
  SmallRun run;
  TrainerOptions options = run.options();
  options.out = directory.path();
  Trainer* running = nullptr;
  ClassifierTask task({.train = &run.loader, .loss = [&](const Tensor& output, const Tensor&) {
                         return mul(output.sum(),
                                    running->global_step() < 9 ? 0.01 : std::numeric_limits<double>::quiet_NaN());
                       }});
  Trainer trainer(run.net, options);
  running = &trainer;
  try {
    (void)trainer.fit(task);
    FAIL() << "nothing was thrown";
  } catch (const NonFiniteError& error) {
    EXPECT_EQ(
        error.what(),
        concat("[trainer] expected a finite loss, got nan at step 10 (epoch 2); first: [mul] produced a non-finite "
               "value in an output of f32 []; the last good checkpoint is ",
               directory / "last.safetensors", " of step 7"));
  }
  EXPECT_EQ(
      io::Json::parse("test", "state", load_checkpoint(directory / "last.safetensors").metadata_at(meta::kTrainState))
          .at("step")
          .as_int(),
      7)
      << "the checkpoint of the epoch before stays";
}

TEST(Trainer, LoadingRefusesWhatDoesNotFitAndChangesNothing) {
  TemporaryDirectory directory;
  SmallRun source;
  {
    Trainer trainer(source.net, source.options(3));
    (void)trainer.fit(ClassifierTask({.train = &source.loader}));
    trainer.save(directory / "good.safetensors");
    save_checkpoint(directory / "weights.safetensors", weights_of(source.net));
  }
  SmallRun run, untouched;
  Trainer trainer(run.net, run.options());
  EXPECT_THROW(trainer.load(directory / "missing.safetensors"), IoError);
  EXPECT_THROW(trainer.load(directory / "weights.safetensors"), FormatError);

  Checkpoint broken = load_checkpoint(directory / "good.safetensors");
  io::TensorMap state;
  for (const auto& [name, tensor] : broken.state)
    if (!name.starts_with("optimizer.state.conv.weight.")) state.insert(name, tensor);
  state.insert("optimizer.state.other.momentum_buffer", empty({1}));
  broken.state = state;
  save_checkpoint(directory / "broken.safetensors", broken);
  EXPECT_THROW(trainer.load(directory / "broken.safetensors"), Error);
  expect_same_bits(run.net, untouched.net);
  EXPECT_EQ(trainer.global_step(), 0);

  for (const char* number : {"18446744073709551616", "-1", "", "1e3"}) {  // the first beyond 64 bits: 2^64
    Checkpoint odd = load_checkpoint(directory / "good.safetensors");
    io::Json json = io::Json::parse("test", "state", odd.metadata_at(meta::kTrainState));
    json["random"]["position"] = number;
    odd.metadata[meta::kTrainState] = json.dump();
    save_checkpoint(directory / "odd.safetensors", odd);
    EXPECT_EQ(test::message_of<FormatError>([&] { trainer.load(directory / "odd.safetensors"); }),
              concat("[checkpoint] expected a whole number of at most 64 bits, got \"", number, "\""));
  }
  for (const char* count : {"epoch", "batch", "step", "seen", "top1", "top5"}) {
    Checkpoint odd = load_checkpoint(directory / "good.safetensors");
    io::Json json = io::Json::parse("test", "state", odd.metadata_at(meta::kTrainState));
    json[count] = -1;
    odd.metadata[meta::kTrainState] = json.dump();
    save_checkpoint(directory / "odd.safetensors", odd);
    EXPECT_EQ(
        test::message_of<FormatError>([&] { trainer.load(directory / "odd.safetensors"); }),
        concat("[trainer] expected counts of at least 0 in ", directory / "odd.safetensors", ", got ", count, " -1"));
  }
  expect_same_bits(run.net, untouched.net);

  SmallRun plain(false);
  Trainer other(plain.net, plain.options());
  EXPECT_THROW(other.load(directory / "good.safetensors"), ValueError) << "that file has quantizers";
  SmallRun averaged(true, true);
  Trainer with_averages(averaged.net, averaged.options());
  EXPECT_THROW(with_averages.load(directory / "good.safetensors"), ValueError);
}

// What a method sets for a step is set when everything else has been loaded, or not at all.
TEST(Trainer, LoadingThatFailsLeavesTheMethodAsItWas) {
  struct Remembers : Method {
    std::vector<int64_t> steps;
    void before_step(int64_t step) override { steps.push_back(step); }
  };
  TemporaryDirectory directory;
  SmallRun source(false, true);
  Trainer trained(source.net, source.options(3));
  (void)trained.fit(ClassifierTask({.train = &source.loader}));
  trained.save(directory / "good.safetensors");
  Checkpoint lacking = load_checkpoint(directory / "good.safetensors");
  io::TensorMap state;
  for (const auto& [name, tensor] : lacking.state)
    if (name != "raw.head.bias") state.insert(name, tensor);
  lacking.state = state;
  save_checkpoint(directory / "lacking.safetensors", lacking);

  SmallRun run(false, true), untouched(false, true);
  Remembers method;
  TrainerOptions options = run.options();
  options.method = &method;
  Trainer trainer(run.net, options);
  EXPECT_EQ(test::message_of<ValueError>([&] { trainer.load(directory / "lacking.safetensors"); }),
            "[weight_ema] expected 'average.head.bias' in the saved state, got none");
  EXPECT_TRUE(method.steps.empty());
  expect_same_bits(run.net, untouched.net);
  trainer.load(directory / "good.safetensors");
  EXPECT_EQ(method.steps, (std::vector<int64_t>{2})) << "the last of three steps";
}

TEST(Trainer, AnotherRunsDirectoryIsNotTouched) {
  TemporaryDirectory directory;
  SmallRun first, second;
  TrainerOptions options = first.options(3);
  options.out = directory / "run";
  Trainer trainer(first.net, options);
  trainer.fit(ClassifierTask({.train = &first.loader}));
  const std::string file = directory / "run/last.safetensors", before = io::read_file("test", file);
  TrainerOptions other = second.options(3);
  other.out = options.out;
  EXPECT_EQ(
      test::message_of<StateError>([&] { Trainer(second.net, other).fit(ClassifierTask({.train = &second.loader})); }),
      concat("[trainer] expected a directory without a run's checkpoint, got ", options.out,
             "; load() goes on from it, and TrainerOptions::overwrite replaces it"));
  EXPECT_EQ(io::read_file("test", file), before);
  // What somebody has kept of a run, its best weights alone, is no less that run's.
  std::filesystem::create_directory(directory / "kept");
  const std::string kept = directory / "kept/best.safetensors";
  std::filesystem::copy_file(file, kept);
  TrainerOptions beside = second.options(3);
  beside.out = directory / "kept";
  EXPECT_THROW(Trainer(second.net, beside).fit(ClassifierTask({.train = &second.loader})), StateError);
  EXPECT_EQ(io::read_file("test", kept), before);
  other.overwrite = true;
  EXPECT_EQ(Trainer(second.net, other).fit(ClassifierTask({.train = &second.loader})).steps, 3);
  trainer.load(file);
  EXPECT_EQ(trainer.global_step(), 3);
}

TEST(Trainer, ARunIsNotCutShortAndItsStateNotPassedOver) {
  TemporaryDirectory directory;
  SmallRun run, shorter;
  Trainer trainer(run.net, run.options(15));
  trainer.fit(ClassifierTask({.train = &run.loader}));
  const std::string file = directory / "two.safetensors", more = directory / "more.safetensors";
  trainer.save(file);
  TrainerOptions options = shorter.options();
  options.epochs = 1;
  Trainer second(shorter.net, options);
  EXPECT_EQ(test::message_of<ValueError>([&] { second.load(file); }),
            concat("[trainer] expected a run of at least the 2 epochs that ", file, " has done, got 1"));
  Checkpoint checkpoint = load_checkpoint(file);
  checkpoint.state.insert("somebody.else", ones({1}));
  save_checkpoint(more, checkpoint);
  EXPECT_EQ(test::message_of<FormatError>([&] { trainer.load(more); }),
            concat("[trainer] expected the state of a run alone in ", more, ", got also somebody.else"));
}

TEST(Trainer, AFinishedRunCanBeStoppedWhileItIsMeasuredAgain) {
  SmallRun run;
  TrainerOptions options = run.options();
  options.epochs = 1;
  bool stop = false;
  options.stop = [&] { return stop; };
  Trainer trainer(run.net, options);
  ClassifierTask task = run.task(true, true);
  EXPECT_TRUE(trainer.fit(task).finished);
  stop = true;
  EXPECT_FALSE(trainer.fit(task).finished);
  stop = false;
  EXPECT_TRUE(trainer.fit(task).finished);
}

TEST(Trainer, TimeGoesOnWhereARunIsResumed) {
  TemporaryDirectory directory;
  SmallRun run;
  TrainerOptions options = run.options(7);
  options.out = directory / "run";
  Trainer(run.net, options).fit(ClassifierTask({.train = &run.loader}));
  const std::string file = directory / "run/metrics.jsonl";
  std::vector<io::Json> rows = rows_of(file);
  ASSERT_EQ(rows.size(), 1u);
  rows[0]["seconds"] = 1000.0;
  std::ofstream(file) << rows[0].dump() << "\n";
  SmallRun rest;
  TrainerOptions more = rest.options(14);
  more.out = directory / "run";
  Trainer trainer(rest.net, more);
  trainer.load(directory / "run/last.safetensors");
  trainer.fit(ClassifierTask({.train = &rest.loader}));
  rows = rows_of(file);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_GT(rows[1].at("seconds").as_number(), 1000);
}

TEST(Trainer, RefusesOptionsOutOfRange) {
  SmallRun run;
  for (auto change : {+[](TrainerOptions& o) { o.epochs = 0; }, +[](TrainerOptions& o) { o.accumulate = 0; },
                      +[](TrainerOptions& o) { o.clip_norm = -1; }, +[](TrainerOptions& o) { o.max_steps = -1; }}) {
    TrainerOptions options = run.options();
    change(options);
    EXPECT_THROW(Trainer(run.net, options), ValueError);
  }
}

TEST(Checkpoint, ForeignFilesAndReservedNames) {
  TemporaryDirectory directory;
  Checkpoint foreign;
  foreign.weights.insert("train_state.x", empty({1}));
  EXPECT_THROW(save_checkpoint(directory / "a.safetensors", foreign), ValueError);
  EXPECT_THROW((void)foreign.metadata_at("tern.config"), FormatError);
}

}  // namespace
}  // namespace tern::train
