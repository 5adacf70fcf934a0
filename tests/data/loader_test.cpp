#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include <tern/core/error.h>
#include <tern/core/io/safetensors.h>
#include <tern/core/parallel.h>
#include <tern/data/loader.h>
#include <tern/data/synthetic.h>

#include "data/support.h"

namespace tern {
namespace {

using data::DataLoader;
using data::LoaderOptions;
using test::Counted;
using test::values;

data::Transform augmentation() {
  return data::compose(data::random_crop(5, 2), data::horizontal_flip(),
                       data::normalize({0.5, 0.4, 0.3}, {0.2, 0.3, 0.4}), data::cutout(2));
}

struct Seen {
  std::vector<std::vector<float>> images;
  std::vector<std::vector<float>> labels;
  bool operator==(const Seen&) const = default;
};

Seen epoch_of(DataLoader& loader) {
  Seen seen;
  for (const auto& [images, labels] : loader) {
    seen.images.push_back(values(images));
    seen.labels.push_back(values(labels));
  }
  return seen;
}

TEST(DataLoader, ContentDependsOnSeedEpochAndIndexAlone) {
  const auto make = [](int64_t workers, uint64_t seed, MemoryFormat format = MemoryFormat::kChannelsLast) {
    return LoaderOptions{.batch_size = 4,
                         .shuffle = true,
                         .workers = workers,
                         .seed = seed,
                         .transform = augmentation(),
                         .batch_transform = data::mixup({.alpha = 0.5, .classes = 4, .p = 0.5}),
                         .format = format};
  };
  DataLoader reference(Counted(23), make(0, 7));
  const Seen first = epoch_of(reference), second = epoch_of(reference);
  EXPECT_NE(first, second);
  EXPECT_EQ(first.images.size(), 6u);
  for (const int64_t workers : {1, 2, 3, 9}) {
    DataLoader loader(Counted(23), make(workers, 7));
    EXPECT_EQ(epoch_of(loader), first) << workers;
    EXPECT_EQ(epoch_of(loader), second) << workers;
  }
  DataLoader rows(Counted(23), make(1, 7, MemoryFormat::kContiguous));
  EXPECT_EQ(epoch_of(rows), first);  // the format moves elements, not values
  DataLoader other(Counted(23), make(1, 8));
  EXPECT_NE(epoch_of(other), first);
  DataLoader again(Counted(23), make(2, 7));
  again.set_epoch(1);
  EXPECT_EQ(epoch_of(again), second);
}

TEST(DataLoader, AnExampleIsAugmentedTheSameInAnyBatch) {
  // Batch size and order do not matter to what an example looks like.
  const auto by_label_sum = [](int64_t batch_size, bool shuffle) {
    DataLoader loader(Counted(11),
                      {.batch_size = batch_size, .shuffle = shuffle, .seed = 3, .transform = augmentation()});
    std::multiset<std::vector<float>> all;
    for (const auto& [images, labels] : loader)
      for (int64_t i = 0; i < images.size(0); ++i) all.insert(values(images[i]));
    return all;
  };
  EXPECT_EQ(by_label_sum(1, false), by_label_sum(4, true));
}

TEST(DataLoader, EveryEpochAugmentsAndMixesAnew) {
  DataLoader augmented(Counted(11), {.batch_size = 4, .seed = 3, .transform = augmentation()});
  DataLoader mixed(Counted(11), {.batch_size = 4, .seed = 3, .batch_transform = data::mixup({.classes = 4})});
  for (DataLoader* loader : {&augmented, &mixed}) {  // in order: nothing else differs from epoch to epoch
    const Seen first = epoch_of(*loader), second = epoch_of(*loader);
    for (size_t i = 0; i < first.images.size(); ++i) EXPECT_NE(first.images[i], second.images[i]) << i;
    loader->set_epoch(0);
    EXPECT_EQ(epoch_of(*loader), first);
  }
}

TEST(DataLoader, EveryExampleOnceInBatchesOfTheRightSize) {
  for (const bool drop_last : {false, true})
    for (const int64_t n : {0, 1, 7, 8, 9}) {
      DataLoader loader(Counted(n, 1, 1, 1), {.batch_size = 4, .shuffle = true, .workers = 2, .drop_last = drop_last});
      std::vector<int64_t> sizes;
      std::multiset<float> pixels;
      for (const auto& [images, labels] : loader) {
        EXPECT_EQ(images.dtype(), DType::kF32);
        EXPECT_EQ(labels.dtype(), DType::kI64);
        EXPECT_EQ(labels.shape(), (Shape{images.size(0)}));
        sizes.push_back(images.size(0));
        for (const float v : values(images)) pixels.insert(v);
      }
      EXPECT_EQ(static_cast<int64_t>(sizes.size()), loader.size());
      const int64_t whole = n / 4, rest = n % 4;
      std::vector<int64_t> wanted(static_cast<size_t>(whole), 4);
      if (!drop_last && rest > 0) wanted.push_back(rest);
      EXPECT_EQ(sizes, wanted);
      if (!drop_last) {
        EXPECT_EQ(pixels.size(), static_cast<size_t>(n));
        EXPECT_EQ(std::set<float>(pixels.begin(), pixels.end()).size(), static_cast<size_t>(n));
      }
    }
}

TEST(DataLoader, SequentialOrderAndFormats) {
  DataLoader loader(Counted(5), {.batch_size = 2});
  int64_t next = 0;
  for (const auto& [images, labels] : loader)
    for (int64_t i = 0; i < images.size(0); ++i, ++next) {
      EXPECT_TRUE(images.is_contiguous(MemoryFormat::kChannelsLast));
      EXPECT_EQ(labels.to_vector<int64_t>()[static_cast<size_t>(i)], next % 4);
      const auto wanted = Counted(5).get(next).image.to_vector<float>();
      const auto got = values(images[i]);
      for (size_t k = 0; k < got.size(); ++k) EXPECT_EQ(got[k], wanted[k] / 255.0f);
    }
  DataLoader rows(Counted(5), {.batch_size = 2, .format = MemoryFormat::kContiguous});
  for (const auto& [images, labels] : rows) EXPECT_TRUE(images.is_contiguous());
}

// A data set that fails at one index.
class Failing : public Counted {
 public:
  using Counted::Counted;
  data::Example get(int64_t index) const override {
    TERN_CHECK(index != 9, ValueError, "[failing] index 9");
    return Counted::get(index);
  }
};

TEST(DataLoader, ErrorsComeWhereTheirBatchWouldHaveCome) {
  for (const int64_t workers : {0, 1, 4}) {
    DataLoader loader(Failing(40), {.batch_size = 4, .workers = workers});
    for (int round = 0; round < 2; ++round) {
      int64_t batches = 0;
      EXPECT_EQ(sentence_of<ValueError>([&] {
                  for (auto it = loader.begin(); it != loader.end(); ++it) ++batches;
                }),
                "[failing] index 9");
      EXPECT_EQ(batches, 2);
    }
  }
}

TEST(DataLoader, ImagesOfOneBatchHaveOneSize) {
  class Growing : public Counted {
   public:
    using Counted::Counted;
    data::Example get(int64_t index) const override { return Counted(100, 5 + index / 6, 7).get(index); }
  };
  DataLoader loader(Growing(12), {.batch_size = 4, .workers = 1});
  EXPECT_EQ(sentence_of<ShapeError>([&] { epoch_of(loader); }),
            "[data_loader] expected images of one size in a batch, got [3, 6, 7] after [3, 5, 7]; resize_to or a crop "
            "makes them equal");
  DataLoader resized(Growing(12), {.batch_size = 4, .workers = 1, .transform = data::resize_to(4, 4)});
  EXPECT_EQ(epoch_of(resized).images.size(), 3u);
}

TEST(DataLoader, LeavingALoopEarlyStartsTheNextEpoch) {
  for (const int64_t workers : {0, 2}) {
    const LoaderOptions options{.batch_size = 4, .shuffle = true, .workers = workers, .seed = 1};
    DataLoader straight(Counted(20), options), broken(Counted(20), options);
    epoch_of(straight);
    for (const auto& batch : broken) {
      static_cast<void>(batch);
      if (broken.stats().batches == 2) break;
    }
    EXPECT_EQ(epoch_of(broken), epoch_of(straight));
    EXPECT_EQ(broken.epoch(), 2);
  }
}

TEST(DataLoader, ResumesAtAnyBatchOfAnyEpoch) {
  const ScratchDir dir;
  const LoaderOptions options{.batch_size = 4, .shuffle = true, .workers = 2, .seed = 5, .transform = augmentation()};
  DataLoader straight(Counted(22), options);
  Seen whole;
  for (int epoch = 0; epoch < 3; ++epoch) {
    const Seen seen = epoch_of(straight);
    whole.images.insert(whole.images.end(), seen.images.begin(), seen.images.end());
  }
  for (size_t stop = 1; stop < whole.images.size(); ++stop) {
    DataLoader first(Counted(22), options), second(Counted(22), options);
    std::vector<std::vector<float>> seen;
    for (int epoch = 0; epoch < 3 && seen.size() < stop; ++epoch)
      for (const auto& [images, labels] : first) {
        seen.push_back(values(images));
        if (seen.size() == stop) {  // saved inside the loop, after the step with this batch
          io::save_safetensors(dir / "loader", first.state_dict());
          break;
        }
      }
    second.load_state_dict(io::load_safetensors(dir / "loader").tensors);
    while (seen.size() < whole.images.size())
      for (const auto& [images, labels] : second) seen.push_back(values(images));
    EXPECT_EQ(seen, whole.images) << stop;
  }
}

TEST(DataLoader, StateOfAnotherRunIsRefused) {
  DataLoader a(Counted(20), {.batch_size = 4, .seed = 1}), b(Counted(20), {.batch_size = 5, .seed = 1});
  DataLoader c(Counted(20), {.batch_size = 4, .seed = 2}), d(Counted(21), {.batch_size = 4, .seed = 1});
  const auto refusal = [&](const io::TensorMap& state) {
    return sentence_of<ValueError>([&] { a.load_state_dict(state); });
  };
  EXPECT_EQ(refusal(b.state_dict()), "[data_loader] expected a state saved with batch_size 4, got 5");
  EXPECT_EQ(refusal(c.state_dict()), "[data_loader] expected a state saved with seed 1, got 2");
  EXPECT_EQ(refusal(d.state_dict()), "[data_loader] expected a state saved with examples 20, got 21");
  EXPECT_EQ(refusal({}), "[data_loader] expected 'epoch' in the saved state to be i64 [], got none");
  io::TensorMap state = a.state_dict();
  state.set("batch", empty({}, DType::kI64).fill_(5));
  EXPECT_EQ(refusal(state),
            "[data_loader] expected a saved epoch of at least 0 and a batch in [0, 5), got epoch 0 and batch 5");
  state = a.state_dict();
  state.set("other", empty({}, DType::kI64).fill_(5));
  EXPECT_EQ(refusal(state), "[data_loader] expected 5 entries in the saved state, got 6");
}

TEST(DataLoader, RefusesBadOptions) {
  const auto refusal = [](const LoaderOptions& options) {
    return sentence_of<ValueError>([&] { DataLoader(Counted(3), options); });
  };
  EXPECT_EQ(refusal({.batch_size = 0}), "[data_loader] expected batch_size in [1, 16777216], got 0");
  EXPECT_EQ(refusal({.workers = -1}), "[data_loader] expected workers in [0, 256], got -1");
  EXPECT_EQ(refusal({.prefetch = 0}), "[data_loader] expected prefetch in [1, 1024], got 0");
  EXPECT_EQ(refusal({.shuffle = true, .sampler = std::make_shared<data::SequentialSampler>(3)}),
            "[data_loader] expected either shuffle or a sampler, got both");
  DataLoader loader(Counted(3), {});
  EXPECT_EQ(sentence_of<ValueError>([&] { loader.set_epoch(-1); }),
            "[data_loader] expected an epoch of at least 0, got -1");
  DataLoader beyond(Counted(3), {.sampler = std::make_shared<data::SequentialSampler>(4)});
  EXPECT_EQ(sentence_of<ValueError>([&] { epoch_of(beyond); }), "[counted] expected an index in [0, 3), got 3");
}

TEST(DataLoader, KnowsTheShareOfTimeSpentWaiting) {
  const auto slow = data::custom([](const Tensor& image, Generator&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(4));
    return image;
  });
  // The loader is the slow part.
  DataLoader waiting(Counted(12), {.batch_size = 2, .workers = 1, .transform = slow});
  epoch_of(waiting);
  EXPECT_GT(waiting.stats().wait_share(), 0.7);
  EXPECT_EQ(waiting.stats().batches, 6);
  EXPECT_EQ(waiting.stats().images, 12);
  // The consumer is.
  DataLoader busy(Counted(12), {.batch_size = 2, .workers = 2, .transform = slow});
  for (const auto& batch : busy) {
    static_cast<void>(batch);
    std::this_thread::sleep_for(std::chrono::milliseconds(25));
  }
  EXPECT_LT(busy.stats().wait_share(), 0.5);
  EXPECT_GT(busy.stats().total_seconds, 0.15);
}

TEST(DataLoader, CountsTheTimeSinceTheLastBatchInsideALoopAlone) {
  const auto wait = [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  DataLoader loader(Counted(12), {.batch_size = 2});
  for (const auto& batch : loader) {
    static_cast<void>(batch);
    const double before = loader.stats().total_seconds;
    wait();
    EXPECT_GE(loader.stats().total_seconds - before, 0.019);
    break;
  }
  // Time stands still after a loop, whether it was left or ended.
  const double left = loader.stats().total_seconds;
  EXPECT_GE(left, 0.019);
  wait();
  EXPECT_EQ(loader.stats().total_seconds, left);
  EXPECT_EQ(loader.stats().batches, 1);
  epoch_of(loader);
  EXPECT_EQ(loader.stats().batches, 6);
  const double ended = loader.stats().total_seconds;
  wait();
  EXPECT_EQ(loader.stats().total_seconds, ended);
}

TEST(DataLoader, WorkersStayWithinTheirQueue) {
  std::atomic<int> made{0};
  const auto count = data::custom([&](const Tensor& image, Generator&) {
    ++made;
    return image;
  });
  DataLoader loader(Counted(100), {.batch_size = 1, .workers = 2, .transform = count, .prefetch = 3});
  int taken = 0;
  for (const auto& batch : loader) {
    static_cast<void>(batch);
    ++taken;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_LE(made.load(), taken + 6);
    if (taken == 20) break;
  }
}

TEST(DataLoader, WorkersLeaveTheProcessorsToTheConsumer) {
  // parallel_for in a worker runs on that worker alone.
  std::atomic<bool> shared{false};
  const auto look = data::custom([&](const Tensor& image, Generator&) {
    const auto me = std::this_thread::get_id();
    parallel_for(64, 1, [&](int64_t, int64_t) {
      if (std::this_thread::get_id() != me) shared = true;
    });
    return image;
  });
  set_num_threads(4);
  DataLoader loader(Counted(8), {.batch_size = 1, .workers = 2, .transform = look});
  epoch_of(loader);
  set_num_threads(0);
  EXPECT_FALSE(shared);
}

TEST(Samplers, ArePermutations) {
  const data::RandomSampler sampler(100);
  const auto a = sampler.indices(1, 0);
  EXPECT_EQ(std::set<int64_t>(a.begin(), a.end()).size(), 100u);
  EXPECT_EQ(*std::min_element(a.begin(), a.end()), 0);
  EXPECT_EQ(a, sampler.indices(1, 0));
  EXPECT_NE(a, sampler.indices(1, 1));
  EXPECT_NE(a, sampler.indices(2, 0));
  EXPECT_EQ(data::SequentialSampler(3).indices(9, 9), (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(sentence_of<ValueError>([] { data::RandomSampler(-1); }),
            "[sampler] expected a number of examples of at least 0, got -1");
}

TEST(Samplers, EveryPlaceIsEquallyLikely) {
  const data::RandomSampler sampler(4);
  std::vector<std::vector<int>> counts(4, std::vector<int>(4, 0));
  constexpr int kRounds = 8000;
  for (int epoch = 0; epoch < kRounds; ++epoch) {
    const auto order = sampler.indices(0, epoch);
    for (size_t place = 0; place < 4; ++place) ++counts[place][static_cast<size_t>(order[place])];
  }
  for (const auto& row : counts)
    for (const int n : row) EXPECT_NEAR(n, kRounds / 4, 5 * std::sqrt(kRounds * 0.25 * 0.75));
}

TEST(Synthetic, ImagesDependOnSeedAndIndexAlone) {
  const data::Synthetic a({.size = 50, .classes = 5, .channels = 1, .height = 9, .width = 10, .seed = 3});
  const data::Synthetic b({.size = 20, .classes = 5, .channels = 1, .height = 9, .width = 10, .seed = 3});
  EXPECT_EQ(a.get(17).image.to_vector<uint8_t>(), b.get(17).image.to_vector<uint8_t>());
  EXPECT_NE(a.get(17).image.to_vector<uint8_t>(), a.get(22).image.to_vector<uint8_t>());
  EXPECT_EQ(a.get(17).image.shape(), (Shape{1, 9, 10}));
  EXPECT_EQ(a.label(17), 2);
  EXPECT_EQ(a.num_classes(), 5);
  const data::Synthetic still({.size = 50, .classes = 5, .noise = 0, .seed = 3});
  EXPECT_EQ(still.get(2).image.to_vector<uint8_t>(), still.get(7).image.to_vector<uint8_t>());
  EXPECT_NE(still.get(2).image.to_vector<uint8_t>(), still.get(3).image.to_vector<uint8_t>());
  EXPECT_EQ(sentence_of<ValueError>([] { data::Synthetic({.classes = 0}); }),
            "[synthetic] expected classes, channels, height and width of at least 1, got 0, 3, 32, 32");
  EXPECT_EQ(sentence_of<ValueError>([] { data::Synthetic({.noise = 1.5}); }),
            "[synthetic] expected noise in [0, 1], got 1.5");
  EXPECT_EQ(sentence_of<ValueError>([] { data::Synthetic({.size = -1}); }),
            "[synthetic] expected a size of at least 0, got -1");
}

}  // namespace
}  // namespace tern
