#include <cstdlib>

#include <tern/core/error.h>
#include <tern/data/cifar.h>

#include "data/support.h"

namespace tern {
namespace {

using test::cifar_record;

std::string records(int count, int first = 0, int label_bytes = 1) {
  std::string out;
  for (int i = first; i < first + count; ++i)
    out += cifar_record(label_bytes == 1 ? std::vector<int>{i % 10} : std::vector<int>{i % 20, i % 100}, i);
  return out;
}

TEST(Cifar10, ReadsRecordsOfAllBatchesInOrder) {
  const ScratchDir dir;
  write_raw(dir / "data_batch_1.bin", records(3));
  write_raw(dir / "data_batch_2.bin", records(1200, 3));  // more than one piece
  write_raw(dir / "test_batch.bin", records(2, 50));
  const data::Cifar10 train(dir.path(), data::Split::kTrain), test(dir.path(), data::Split::kTest);
  ASSERT_EQ(train.size(), 1203);
  EXPECT_EQ(test.size(), 2);
  EXPECT_FALSE(train.is_full());
  EXPECT_EQ(train.num_classes(), 10);
  EXPECT_EQ(train.class_names()[9], "truck");
  for (const int64_t i : {0, 2, 3, 1002, 1003, 1202}) {
    const auto [image, label] = train.get(i);
    EXPECT_EQ(image.shape(), (Shape{3, 32, 32}));
    EXPECT_EQ(label, i % 10);
    EXPECT_EQ(train.label(i), label);
    const std::string wanted = cifar_record({0}, static_cast<int>(i)).substr(1);
    const auto got = image.to_vector<uint8_t>();
    EXPECT_TRUE(std::equal(got.begin(), got.end(), wanted.begin(), wanted.end(),
                           [](uint8_t a, char b) { return a == static_cast<uint8_t>(b); }));
  }
  EXPECT_EQ(sentence_of<ValueError>([&] { static_cast<void>(train.get(1203)); }),
            "[cifar] expected an index in [0, 1203), got 1203");
  EXPECT_EQ(sentence_of<ValueError>([&] { static_cast<void>(train.label(-1)); }),
            "[cifar] expected an index in [0, 1203), got -1");
}

TEST(Cifar10, EveryWrongSizeIsRefused) {
  const ScratchDir dir;
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{3072}, size_t{3074}, size_t{2 * 3073 - 1}}) {
    write_raw(dir / "data_batch_1.bin", std::string(bytes, '\0'));
    EXPECT_EQ(sentence_of<FormatError>([&] { data::Cifar10(dir.path(), data::Split::kTrain); }),
              "[cifar10] expected whole records of 3073 bytes in '" + dir / "data_batch_1.bin" + "', got " +
                  std::to_string(bytes) + " bytes; the file may be cut off or of another data set");
  }
}

TEST(Cifar10, LabelsInRange) {
  const ScratchDir dir;
  write_raw(dir / "test_batch.bin", records(1100) + cifar_record({10}, 0));
  EXPECT_EQ(sentence_of<FormatError>([&] { data::Cifar10(dir.path(), data::Split::kTest); }),
            "[cifar10] expected labels below 10 in '" + dir / "test_batch.bin" + "', got 10 in record 1100");
  write_raw(dir / "test_batch.bin", cifar_record({255}, 0));
  EXPECT_EQ(sentence_of<FormatError>([&] { data::Cifar10(dir.path(), data::Split::kTest); }),
            "[cifar10] expected labels below 10 in '" + dir / "test_batch.bin" + "', got 255 in record 0");
}

TEST(Cifar10, MissingFiles) {
  const ScratchDir dir;
  EXPECT_EQ(sentence_of<IoError>([&] { data::Cifar10(dir.path(), data::Split::kTrain); }),
            "[cifar10] expected '" + dir / "data_batch_1.bin" +
                "', got no such file; data/get_cifar10.sh downloads the data set");
  EXPECT_EQ(sentence_of<IoError>([&] { data::Cifar10(dir.path(), data::Split::kTest); }),
            "[cifar10] expected '" + dir / "test_batch.bin" +
                "', got no such file; data/get_cifar10.sh downloads the data set");
  write_raw(dir / "data_batch_1.bin", records(1));
  write_raw(dir / "data_batch_3.bin", records(1));
  EXPECT_EQ(sentence_of<IoError>([&] { data::Cifar10(dir.path(), data::Split::kTrain); }),
            "[cifar10] expected '" + dir / "data_batch_2.bin" + "' beside '" + dir / "data_batch_3.bin" +
                "', got no such file");
}

TEST(Cifar10, TheFullSetHasEqualClasses) {
  const ScratchDir dir;
  std::string all = records(10000);
  write_raw(dir / "test_batch.bin", all);
  EXPECT_TRUE(data::Cifar10(dir.path(), data::Split::kTest).is_full());
  all[3 * 3073] = 7;  // one cat becomes a horse
  write_raw(dir / "test_batch.bin", all);
  EXPECT_EQ(sentence_of<FormatError>([&] { data::Cifar10(dir.path(), data::Split::kTest); }),
            "[cifar10] expected 1000 images of class 3 (cat) in '" + dir.path().string() + "', got 999");
  write_raw(dir / "test_batch.bin", all.substr(3073));  // one record fewer: a subset, of any classes
  EXPECT_EQ(data::Cifar10(dir.path(), data::Split::kTest).size(), 9999);
}

TEST(Cifar10, NamesComeFromTheFileBesideTheData) {
  const ScratchDir dir;
  write_raw(dir / "test_batch.bin", records(1));
  write_raw(dir / "batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
  EXPECT_EQ(data::Cifar10(dir.path(), data::Split::kTest).class_names()[9], "j");
  write_raw(dir / "batches.meta.txt", "a\nb\n");
  EXPECT_EQ(sentence_of<FormatError>([&] { data::Cifar10(dir.path(), data::Split::kTest); }),
            "[cifar10] expected 10 class names, one a line, in '" + dir / "batches.meta.txt" + "', got 2 lines");
}

TEST(Cifar100, FineAndCoarseLabels) {
  const ScratchDir dir;
  write_raw(dir / "train.bin", records(130, 0, 2));
  const data::Cifar100 fine(dir.path(), data::Split::kTrain);
  const data::Cifar100 coarse(dir.path(), data::Split::kTrain, data::Cifar100Labels::kCoarse);
  EXPECT_EQ(fine.label(121), 21);
  EXPECT_EQ(coarse.label(121), 1);
  EXPECT_EQ(fine.num_classes(), 100);
  EXPECT_EQ(coarse.num_classes(), 20);
  EXPECT_EQ(fine.get(5).image.to_vector<uint8_t>()[0], static_cast<uint8_t>(5 * 31));
  write_raw(dir / "test.bin", cifar_record({20, 3}, 0));
  EXPECT_EQ(sentence_of<FormatError>([&] { data::Cifar100(dir.path(), data::Split::kTest); }),
            "[cifar100] expected labels below 20 in '" + dir / "test.bin" + "', got 20 in record 0");
  write_raw(dir / "test.bin", cifar_record({3, 100}, 0));
  EXPECT_EQ(sentence_of<FormatError>([&] { data::Cifar100(dir.path(), data::Split::kTest); }),
            "[cifar100] expected labels below 100 in '" + dir / "test.bin" + "', got 100 in record 0");
  write_raw(dir / "test.bin", records(1));
  EXPECT_THROW(data::Cifar100(dir.path(), data::Split::kTest), FormatError);
  std::filesystem::remove(dir / "test.bin");
  EXPECT_TRUE(sentence_of<IoError>([&] {
                data::Cifar100(dir.path(), data::Split::kTest);
              }).starts_with("[cifar100] expected '" + dir / "test.bin" + "', got no such file"));
}

TEST(HoldOut, PartsAreDisjointBalancedAndRepeatable) {
  const ScratchDir dir;
  write_raw(dir / "data_batch_1.bin", records(997));
  const data::Cifar10 train(dir.path(), data::Split::kTrain);
  const auto [rest, held_out] = data::hold_out(train, {.count = 103, .seed = 4});
  EXPECT_EQ(held_out.size(), 103);
  EXPECT_EQ(rest.size(), 894);
  std::vector<int> times(997, 0), per_class(10, 0);
  for (const int64_t i : rest.indices()) ++times[static_cast<size_t>(i)];
  for (const int64_t i : held_out.indices()) ++times[static_cast<size_t>(i)];
  EXPECT_EQ(times, std::vector<int>(997, 1));
  for (int64_t i = 0; i < held_out.size(); ++i) ++per_class[static_cast<size_t>(held_out.label(i))];
  for (const int n : per_class) EXPECT_TRUE(n == 10 || n == 11) << n;
  EXPECT_EQ(held_out.get(3).label, train.label(held_out.indices()[3]));
  EXPECT_EQ(held_out.get(3).image.to_vector<uint8_t>(), train.get(held_out.indices()[3]).image.to_vector<uint8_t>());
  EXPECT_EQ(data::hold_out(train, {.count = 103, .seed = 4}).held_out.indices(), held_out.indices());
  EXPECT_NE(data::hold_out(train, {.count = 103, .seed = 5}).held_out.indices(), held_out.indices());
  EXPECT_EQ(data::hold_out(train, {.count = 0}).train.size(), 997);
  EXPECT_EQ(data::hold_out(train, {.count = 997}).train.size(), 0);
  EXPECT_EQ(sentence_of<ValueError>([&] { static_cast<void>(data::hold_out(train, {.count = 998})); }),
            "[hold_out] expected a count in [0, 997], got 998");
  EXPECT_EQ(sentence_of<ValueError>([&] {
              data::Subset(train, {0, 997});
            }),
            "[subset] expected indices in [0, 997), got 997");
  EXPECT_EQ(sentence_of<ValueError>([&rest = rest] { static_cast<void>(rest.get(894)); }),
            "[subset] expected an index in [0, 894), got 894");
}

// A data set sorted by class, as folders are, and of classes of different sizes.
TEST(FirstOfEachClass, TakesTheSameShareOfEach) {
  std::vector<int64_t> order;
  const ScratchDir dir;
  write_raw(dir / "data_batch_1.bin", records(100));
  const data::Cifar10 train(dir.path(), data::Split::kTrain);
  for (int64_t label = 0; label < 10; ++label)
    for (int64_t i = 0; i < train.size(); ++i)
      if (train.label(i) == label && (label != 3 || i % 20 == 3)) order.push_back(i);  // class 3 has half as many
  const data::Subset sorted(train, order);
  ASSERT_EQ(sorted.size(), 95);
  const data::Subset some = data::first_of_each_class(sorted, 38);
  EXPECT_EQ(some.size(), 38);
  std::vector<int64_t> per_class(10, 0);
  int64_t last = -1;
  for (int64_t i = 0; i < some.size(); ++i) {
    const int64_t at = some.indices()[static_cast<size_t>(i)], label = some.label(i);
    EXPECT_GT(at, last);  // in the order of the data set
    last = at;
    if (per_class[static_cast<size_t>(label)]++ > 0)
      EXPECT_EQ(sorted.label(at - 1), label);  // the first of their class: none is left out between them
    else
      EXPECT_TRUE(at == 0 || sorted.label(at - 1) != label);
  }
  for (int64_t label = 0; label < 10; ++label) EXPECT_EQ(per_class[static_cast<size_t>(label)], label == 3 ? 2 : 4);
  EXPECT_EQ(data::first_of_each_class(sorted, 95).size(), 95);
  EXPECT_EQ(data::first_of_each_class(sorted, 0).size(), 0);
  EXPECT_EQ(sentence_of<ValueError>([&] { static_cast<void>(data::first_of_each_class(sorted, 96)); }),
            "[first_of_each_class] expected a count in [0, 95], got 96");
}

// With the real data set at hand: its published statistics.
TEST(HoldOut, NeedsADataSet) {
  const std::shared_ptr<const data::Dataset> none;
  EXPECT_EQ(sentence_of<ValueError>([&] { static_cast<void>(data::hold_out(none, {})); }),
            "[hold_out] expected a data set, got none");
  EXPECT_EQ(sentence_of<ValueError>([&] { data::Subset(none, {}); }), "[subset] expected a data set, got none");
  EXPECT_EQ(sentence_of<ValueError>([&] { data::Subset(none, {0}); }), "[subset] expected a data set, got none");
}

TEST(Cifar10, TheRealDataSet) {
  const char* root = std::getenv("TERN_TEST_DATA");
  if (root == nullptr) GTEST_SKIP() << "TERN_TEST_DATA is not set";
  const std::string dir = std::string(root) + "/cifar-10-batches-bin";
  const data::Cifar10 train(dir, data::Split::kTrain), test(dir, data::Split::kTest);
  EXPECT_TRUE(train.is_full() && test.is_full());
  const uint8_t* pixels = train.images().data<uint8_t>();
  for (int64_t c = 0; c < 3; ++c) {
    double sum = 0, squares = 0;
    for (int64_t n = 0; n < 50000; ++n)
      for (int64_t i = 0; i < 1024; ++i) {
        const double v = pixels[(n * 3 + c) * 1024 + i] / 255.0;
        sum += v;
        squares += v * v;
      }
    const double mean = sum / 51.2e6, variance = squares / 51.2e6 - mean * mean;
    EXPECT_NEAR(mean, data::Cifar10::mean()[static_cast<size_t>(c)], 1e-5);
    EXPECT_NEAR(std::sqrt(variance), data::Cifar10::std()[static_cast<size_t>(c)], 1e-5);
  }
}

// The subset that ships with the sources.
TEST(Cifar10, TheShippedSubset) {
  const std::string dir = std::string(TERN_SOURCE_DIR) + "/data/cifar10_mini";
  const data::Cifar10 train(dir, data::Split::kTrain), test(dir, data::Split::kTest);
  EXPECT_GE(train.size(), 5000);
  EXPECT_GE(test.size(), 1000);
  for (const data::Cifar10* part : {&train, &test}) {
    std::vector<int64_t> counts(10, 0);
    for (const int64_t label : part->labels()) ++counts[static_cast<size_t>(label)];
    EXPECT_EQ(counts, std::vector<int64_t>(10, part->size() / 10));
  }
  EXPECT_EQ(train.class_names()[0], "airplane");
}

}  // namespace
}  // namespace tern
