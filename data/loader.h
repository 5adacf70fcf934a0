// DataLoader: batches for a training loop, made by background threads.
#pragma once

#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>

#include <tern/core/io/tensor_map.h>
#include <tern/core/tensor.h>
#include <tern/data/batch.h>
#include <tern/data/dataset.h>
#include <tern/data/sampler.h>
#include <tern/data/transforms.h>

namespace tern::data {

/// Settings of a DataLoader.
struct LoaderOptions {
  int64_t batch_size = 1;    ///< 1 to 2^24
  bool shuffle = false;      ///< a RandomSampler instead of a SequentialSampler
  int64_t workers = 0;       ///< background threads, 0 to 256; with 0 batches are made when they are asked for
  bool drop_last = false;    ///< leave out a last batch that is not full
  uint64_t seed = 0;         ///< of the order and of all random transforms
  Transform transform = {};  ///< of each image; none: bytes become p / 255
  BatchTransform batch_transform = {};                ///< none by default
  std::shared_ptr<const Sampler> sampler = {};        ///< instead of what `shuffle`, then off, chooses
  int64_t prefetch = 2;                               ///< batches that each worker may be ahead, 1 to 1024
  MemoryFormat format = MemoryFormat::kChannelsLast;  ///< of images; kContiguous for row-major
};

/// How an epoch has gone so far.
struct LoaderStats {
  double total_seconds = 0;  ///< from the start of the epoch to now, or to the end of its loop
  double wait_seconds = 0;   ///< of these, the time in which the consumer waited for a batch
  int64_t batches = 0;
  int64_t images = 0;
  /// In [0, 1]; 0 before the first batch.
  double wait_share() const { return total_seconds > 0 ? wait_seconds / total_seconds : 0; }
};

/// Goes through a data set in batches, one epoch a loop:
///
///   for (const auto& [images, labels] : loader) ...
///
/// What a batch holds depends on (seed, epoch, index) alone, never on the number of workers or on timing. An exception
/// in a worker is rethrown where its batch would have come: what reading and transforming an image throw, and
/// ShapeError for images of several sizes in one batch. Each loop is the next epoch, also when the one before was left
/// early; load_state_dict continues in the middle of one. One loop at a time, on one thread.
class DataLoader {
 public:
  /// Throws ValueError for no data set, options out of range, shuffle beside a sampler, or a sampler's index that the
  /// data set does not have (when it comes up).
  template <std::derived_from<Dataset> D>
  DataLoader(const D& dataset, const LoaderOptions& options) : DataLoader(share(dataset), options) {}
  DataLoader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options);
  ~DataLoader();
  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;

  /// Batches an epoch.
  int64_t size() const;
  const Dataset& dataset() const;
  const LoaderOptions& options() const;

  /// For loops over the batches of one epoch. Advancing it throws StateError when its loop has ended meanwhile.
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Batch;
    using difference_type = std::ptrdiff_t;
    using pointer = const Batch*;
    using reference = const Batch&;
    const Batch& operator*() const { return batch_; }
    const Batch* operator->() const { return &batch_; }
    Iterator& operator++();
    bool operator==(std::default_sentinel_t) const { return loader_ == nullptr; }

   private:
    friend class DataLoader;
    Iterator(DataLoader* loader, std::shared_ptr<const void> running) : loader_(loader), running_(std::move(running)) {
      ++*this;
    }
    DataLoader* loader_;
    std::shared_ptr<const void> running_;  // tells the loader when the last copy goes: the loop is over
    Batch batch_;
  };
  /// Starts the next epoch; a loop that still runs is over.
  Iterator begin();
  std::default_sentinel_t end() const { return {}; }

  /// The epoch of the running loop, or of the next one.
  int64_t epoch() const;
  /// Lets the next loop be that epoch, and ends one that still runs. Throws ValueError below 0.
  void set_epoch(int64_t epoch);
  /// Of the last or running loop, as they are now.
  LoaderStats stats() const;

  /// Which batch comes next: "epoch" and "batch", with the seed and sizes they belong to. May be asked for inside a
  /// loop: a loader that loads it continues with the batch after the present one.
  io::TensorMap state_dict() const;
  /// Lets the next loop go on there, and ends one that still runs. Throws ValueError if the state was saved with
  /// another seed, batch size or number of examples, or is not one; then nothing has changed.
  void load_state_dict(const io::TensorMap& state);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tern::data
