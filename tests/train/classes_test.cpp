#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/data/relabeled.h>
#include <tern/data/synthetic.h>
#include <tern/train/weights/classes.h>

#include "message_of.h"
#include "temporary_directory.h"
#include "train/small_run.h"

namespace tern::train {
namespace {

using Names = std::vector<std::string>;
using Places = std::vector<int64_t>;
using test::message_of;

TEST(Classes, AreFoundByName) {
  const ClassList all{{"ant", "bee", "cat"}, "a.safetensors"};
  EXPECT_EQ(class_places({{"ant", "bee", "cat"}, "d"}, all), (Places{0, 1, 2}));
  EXPECT_EQ(class_places({{"bee", "cat"}, "d"}, all), (Places{1, 2}));
  EXPECT_EQ(class_places({{"cat", "ant", "bee"}, "d"}, all), (Places{2, 0, 1}));
  EXPECT_EQ(
      message_of<ValueError>([&] {
        (void)class_places({{"bee", "dog", "fox"}, "data/two"}, all);
      }),
      "[classes] expected classes of a.safetensors (\"ant\", \"bee\", \"cat\") alone, got also \"dog\", \"fox\" in "
      "data/two");
  const ClassList many{{"1", "2", "3", "4", "5", "6", "7"}, "m"};
  EXPECT_EQ(message_of<ValueError>([&] { (void)class_places(all, many); }),
            "[classes] expected classes of m (\"1\", \"2\", \"3\", \"4\", \"5\" and 2 more) alone, got also \"ant\", "
            "\"bee\", \"cat\" in a.safetensors");
}

TEST(Classes, NamesThatOnlyCountSayNothing) {
  const ClassList all{{"ant", "bee", "cat"}, "a"}, counted{{"0", "1", "2"}, "c"};
  EXPECT_EQ(class_places(counted, all), (Places{0, 1, 2}));
  EXPECT_EQ(class_places(all, counted), (Places{0, 1, 2}));
  EXPECT_EQ(class_places({{"1", "2"}, "d"}, counted), (Places{1, 2})) << "among themselves they are names";
  EXPECT_THROW((void)class_places({{"0", "1"}, "d"}, all), ValueError);
  EXPECT_THROW((void)class_places({{"0", "2", "1"}, "d"}, all), ValueError);
}

TEST(Classes, ANameThatStandsTwiceIsNoPlace) {
  const ClassList twice{{"a", "b", "b"}, "t"};
  EXPECT_EQ(class_places(twice, twice), (Places{0, 1, 2}));
  EXPECT_EQ(class_places({{"a"}, "d"}, twice), (Places{0}));
  EXPECT_EQ(message_of<ValueError>([&] {
              (void)class_places({{"b"}, "d"}, twice);
            }),
            "[classes] expected every class of t once, got \"b\" twice");
}

TEST(Classes, MayBeMany) {
  constexpr int64_t kClasses = 300'000;  // with quadratic steps this takes minutes
  ClassList all{{}, "a"}, reversed{{}, "b"};
  for (int64_t i = 0; i < kClasses; ++i) all.names.push_back(concat("class ", i));
  reversed.names.assign(all.names.rbegin(), all.names.rend());
  const Places places = class_places(reversed, all);
  for (int64_t i = 0; i < kClasses; ++i) ASSERT_EQ(places[static_cast<size_t>(i)], kClasses - 1 - i);
}

TEST(Classes, ADataSetGetsTheLabelsOfAnotherList) {
  const auto images = data::share(data::Synthetic({.size = 6, .classes = 3}));
  const auto named = data::share(data::Relabeled(images, {0, 1, 2}, {"ant", "bee", "cat"}));
  EXPECT_EQ(with_classes(named, "d", {named->class_names(), "m"}), named) << "nothing to change";
  const auto other = with_classes(named, "d", {{"cat", "dog", "ant", "bee"}, "m"});
  EXPECT_EQ(other->num_classes(), 4);
  for (int64_t i = 0; i < 6; ++i) {
    const int64_t place = Places{2, 3, 0}[static_cast<size_t>(i % 3)];
    EXPECT_EQ(other->label(i), place);
    EXPECT_EQ(other->get(i).label, place);
  }
  EXPECT_NE(other->fingerprint(), named->fingerprint());
  EXPECT_THROW(data::Relabeled(images, {0, 1}, {"a", "b"}), ValueError);
  EXPECT_THROW(data::Relabeled(images, {0, 1, 2}, {"a", "b"}), ValueError);
  EXPECT_THROW(data::Relabeled(nullptr, {}, {}), ValueError);
}

// A folder that lacks a class, or has another order, would be measured with shifted labels.
TEST(Classes, AreTheSameForTrainingAndMeasuring) {
  SmallRun run;
  const auto images = data::share(run.images);
  const auto loader_of = [&](const std::shared_ptr<const data::Dataset>& dataset) {
    return data::DataLoader(dataset, {.batch_size = 25});
  };
  const auto named = [&](const Places& places, const Names& names) {
    return data::share(data::Relabeled(images, places, names));
  };
  data::DataLoader train = loader_of(named({0, 1, 2, 3}, {"ant", "bee", "cat", "dog"}));
  data::DataLoader lacking = loader_of(named({0, 1, 2, 2}, {"ant", "cat", "dog"}));
  data::DataLoader other = loader_of(named({0, 1, 2, 3}, {"ant", "bee", "cat", "fox"}));
  data::DataLoader first_two = loader_of(named({0, 1, 0, 1}, {"ant", "bee"}));
  data::DataLoader counted = loader_of(images);
  const std::string shifted =
      "[classifier] expected the classes of the training images in their order, got \"cat\" as class 1 of the "
      "validation images; data::Relabeled gives the images other labels";
  Trainer trainer(run.net, run.options(1));
  EXPECT_EQ(
      message_of<ValueError>([&] { (void)trainer.fit(ClassifierTask({.train = &train, .validation = &lacking})); }),
      shifted);
  ClassifierTask tested({.train = &train, .test = &other});
  EXPECT_EQ(message_of<ValueError>([&] { (void)trainer.fit(tested); }),
            "[classes] expected classes of the training images (\"ant\", \"bee\", \"cat\", \"dog\") alone, got also "
            "\"fox\" in the test images");
  EXPECT_EQ(trainer.global_step(), 0);
  for (data::DataLoader* fits : {&train, &first_two, &counted})
    EXPECT_EQ(ClassifierTask({.train = &train, .validation = fits}).class_names(), (Names{"ant", "bee", "cat", "dog"}));
  EXPECT_TRUE(ClassifierTask({}).class_names().empty());
}

TEST(Classes, TravelWithCheckpointsOfATrainer) {
  testing::TemporaryDirectory directory;
  const std::string last = directory / "last.safetensors";
  const auto fit = [&](Trainer& trainer, const SmallRun& run, const Names& names) {
    data::DataLoader loader(data::Relabeled(data::share(run.images), {0, 1, 2, 3}, names), {.batch_size = 16});
    return trainer.fit(ClassifierTask({.train = &loader, .validation = &loader}));
  };
  SmallRun run;
  TrainerOptions options = run.options(7);
  options.out = directory.path();
  Trainer first(run.net, options);
  (void)fit(first, run, {"a", "b", "c", "d"});
  EXPECT_EQ(classes_of(load_checkpoint(last)), (Names{"a", "b", "c", "d"}));
  EXPECT_EQ(classes_of(load_checkpoint(directory / "best.safetensors")), (Names{"a", "b", "c", "d"}));
  for (const auto& [names, text] :
       {std::pair{Names{"a", "b", "c", "e"}, concat("[classes] expected classes of ", last,
                                                    " (\"a\", \"b\", \"c\", \"d\") alone, got also \"e\" in the data")},
        std::pair{Names{"b", "a", "c", "d"},
                  concat("[trainer] expected the classes of ", last, " in their order, got [\"b\",\"a\",\"c\",\"d\"] ",
                         "instead of [\"a\",\"b\",\"c\",\"d\"]")}}) {
    SmallRun again;
    Trainer trainer(again.net, again.options(9));
    trainer.load(last);
    EXPECT_EQ(message_of<ValueError>([&, &names = names] { (void)fit(trainer, again, names); }), text);
    EXPECT_EQ(fit(trainer, again, {"a", "b", "c", "d"}).steps, 9);
  }
  Checkpoint broken = load_checkpoint(last);
  broken.metadata[meta::kClasses] = "[1]";
  EXPECT_THROW((void)classes_of(broken), FormatError);
  broken.metadata.erase(meta::kClasses);
  EXPECT_TRUE(classes_of(broken).empty());
}

}  // namespace
}  // namespace tern::train
