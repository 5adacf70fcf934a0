// What a Trainer leaves in its directory: of which weights, of which epochs, and what it does not touch.
#include <filesystem>
#include <fstream>
#include <map>

#include <gtest/gtest.h>

#include <tern/core/io/file.h>
#include <tern/train/weights/best_checkpoint.h>

#include "temporary_directory.h"
#include "train/small_run.h"

namespace tern::train {
namespace {

using tern::testing::TemporaryDirectory;

// All that a run tells of its model it tells of the averages, and whoever is called then may save a checkpoint.
TEST(RunFiles, AveragesAreWhatIsRecorded) {
  TemporaryDirectory directory;
  SmallRun run(true, true);
  TrainerOptions options = run.options();
  options.out = directory.path();
  const auto weight = [&] { return run.net.conv->weight.latent().to_vector<double>(); };
  const auto average = [&] {
    const optim::WeightEma::Swapped averages(*run.ema);
    return weight();
  };
  int observed = 0, epochs = 0;
  options.observe = [&] {
    EXPECT_TRUE(run.ema->swapped());
    EXPECT_EQ(weight(), average()) << "a scope inside another changes nothing";
    ++observed;
    return MetricRow{};
  };
  Trainer* running = nullptr;
  options.on_epoch = [&](int64_t, int64_t) {
    EXPECT_TRUE(run.ema->swapped());
    running->save(directory / "copy.safetensors");
    EXPECT_TRUE(run.ema->swapped());
    ++epochs;
  };
  Trainer trainer(run.net, options);
  running = &trainer;
  (void)trainer.fit(ClassifierTask({.train = &run.loader}));
  EXPECT_EQ(epochs, 4);
  EXPECT_GE(observed, 4);
  EXPECT_FALSE(run.ema->swapped());
  const Checkpoint copy = load_checkpoint(directory / "copy.safetensors"),
                   last = load_checkpoint(directory / "last.safetensors");
  ASSERT_EQ(copy.weights.size(), last.weights.size());
  for (const auto& [name, tensor] : last.weights)
    EXPECT_EQ(copy.weights.at(name).to_vector<double>(), tensor.to_vector<double>()) << name;
  for (const auto& [name, tensor] : last.state)
    EXPECT_EQ(copy.state.at(name).to_vector<double>(), tensor.to_vector<double>()) << name;
}

TEST(RunFiles, ACompleteRunIsMeasuredAndLeftAsItIs) {
  TemporaryDirectory directory;
  SmallRun run;
  TrainerOptions options = run.options();
  options.out = directory.path();
  const FitResult first =
      Trainer(run.net, options).fit(ClassifierTask({.train = &run.loader, .validation = &run.test}));
  std::map<std::string, std::string> before;
  for (const auto& entry : std::filesystem::directory_iterator(directory.path()))
    before[entry.path()] = io::read_file("test", entry.path());
  EXPECT_EQ(before.size(), 3u);
  for (const bool stops : {false, true}) {
    SmallRun again;
    TrainerOptions more = again.options();
    more.out = directory.path();
    more.metadata = {{"note", "of another program"}};
    more.stop = [&] { return stops; };
    Trainer trainer(again.net, more);
    trainer.load(directory / "last.safetensors");
    EXPECT_TRUE(trainer.is_complete());
    const FitResult result = trainer.fit(ClassifierTask({.train = &again.loader, .validation = &again.test}));
    EXPECT_EQ(result.finished, !stops);
    EXPECT_EQ(result.train.loss, first.train.loss) << "of the last epoch, as it was";
    EXPECT_EQ(result.train.n, 100);
    EXPECT_EQ(result.best, first.best);
    for (const auto& [name, content] : before) EXPECT_TRUE(io::read_file("test", name) == content) << name;
  }
}

// The best checkpoint between two writes of last.safetensors: whichever write fails, one that fits is there.
TEST(RunFiles, TheBestCheckpointBelongsToTheLastOne) {
  TemporaryDirectory directory;
  const std::string best = directory / "best.safetensors", previous = directory / "best.previous.safetensors";
  SmallRun run;
  TrainerOptions options = run.options();
  options.out = directory.path();
  options.save_every = 2;
  std::vector<std::pair<BestMark, bool>> seen;  // before an epoch's own is written: the mark, and whether two are kept
  options.on_epoch = [&](int64_t, int64_t) {
    seen.emplace_back(mark_of(best).value_or(BestMark{}), std::filesystem::exists(previous));
  };
  const FitResult result =
      Trainer(run.net, options).fit(ClassifierTask({.train = &run.loader, .validation = &run.test}));
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_TRUE(seen[0].first.is_none());
  EXPECT_EQ(seen[1].first.step, 7);
  EXPECT_FALSE(seen[1].second) << "the first one replaces none";
  EXPECT_FALSE(seen[2].second) << "saved";
  EXPECT_FALSE(std::filesystem::exists(previous));
  const BestMark mark = mark_of(best).value();
  EXPECT_EQ(mark.score, result.best);

  // Another one took its place before last.safetensors was written: back to the one that belongs to it.
  const std::string content = io::read_file("test", best);
  const BestCheckpoint files(io::Directory::open("test", directory.path()));
  files.keep_previous();
  Checkpoint abandoned = load_checkpoint(best);
  abandoned.metadata[meta::kBest] = to_text({.score = 1, .step = 999});
  save_checkpoint(best, abandoned);
  files.keep_previous();  // the second new one: what belongs to last.safetensors stays
  const auto resumed = [&] {
    SmallRun again;
    TrainerOptions more = again.options();
    more.out = directory.path();
    Trainer trainer(again.net, more);
    trainer.load(directory / "last.safetensors");
    return trainer.fit(ClassifierTask({.train = &again.loader, .validation = &again.test})).best;
  };
  EXPECT_EQ(resumed(), result.best);
  EXPECT_TRUE(io::read_file("test", best) == content);
  EXPECT_FALSE(std::filesystem::exists(previous));

  // Without it, none is kept, unless it is the checkpoint itself.
  std::ofstream(best) << "somebody else's";
  resumed();
  if (mark.step == 28) {
    EXPECT_EQ(mark_of(best), mark);
  } else {
    EXPECT_EQ(io::read_file("test", best), "somebody else's");
  }
  save_checkpoint(best, abandoned);
  resumed();
  EXPECT_EQ(mark_of(best).has_value(), mark.step == 28);

  // A run that begins here has none yet.
  save_checkpoint(best, abandoned);
  SmallRun fresh;
  TrainerOptions other = fresh.options(1);
  other.out = directory.path();
  other.overwrite = true;
  (void)Trainer(fresh.net, other).fit(ClassifierTask({.train = &fresh.loader, .validation = &fresh.test}));
  EXPECT_FALSE(std::filesystem::exists(best));
}

}  // namespace
}  // namespace tern::train
