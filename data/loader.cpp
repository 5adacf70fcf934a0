#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/parallel.h>
#include <tern/data/detail/image.h>
#include <tern/data/loader.h>

namespace tern::data {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Makes the batches of one epoch. Its members do not change, so that threads can share it; each brings its own image.
struct Recipe {
  const Dataset* dataset;
  const LoaderOptions* options;
  int64_t epoch;
  std::vector<int64_t> order;  // of examples
  int64_t batches;

  Batch make(int64_t index, detail::Image& image) const {
    const int64_t begin = index * options->batch_size;
    const int64_t end = std::min(begin + options->batch_size, static_cast<int64_t>(order.size()));
    const Generator root = Generator(options->seed).fork("data.example", static_cast<uint64_t>(epoch));
    Batch batch{.images = {}, .labels = empty({end - begin}, DType::kI64)};
    int64_t* labels = batch.labels.data<int64_t>();
    float* out = nullptr;
    Strides strides;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t example = order[static_cast<size_t>(i)];
      const auto [pixels, label] = dataset->get(example);
      image.show(pixels);
      Generator random = root.fork("index", static_cast<uint64_t>(example));
      options->transform.apply(image, random);
      const Shape shape{end - begin, image.channels(), image.height(), image.width()};
      if (i == begin) {
        batch.images = empty(shape, DType::kF32, options->format);
        out = batch.images.data<float>();
        strides = batch.images.strides();
      }
      TERN_CHECK(shape == batch.images.shape(), ShapeError,
                 "[data_loader] expected images of one size in a batch, got [", image.channels(), ", ", image.height(),
                 ", ", image.width(), "] after [", batch.images.size(1), ", ", batch.images.size(2), ", ",
                 batch.images.size(3), "]; resize_to or a crop makes them equal");
      image.write(out + (i - begin) * strides[0], strides[1], strides[2], strides[3]);
      labels[i - begin] = label;
    }
    if (!options->batch_transform) return batch;
    Generator random = Generator(options->seed).fork("data.batch", static_cast<uint64_t>(epoch));
    random = random.fork("index", static_cast<uint64_t>(index));
    return options->batch_transform(batch, random);
  }
};

// Background threads that make the batches of an epoch, each ahead of the consumer by no more than the queue is long.
class Crew {
 public:
  Crew(std::shared_ptr<const Recipe> recipe, int64_t first, int64_t workers, int64_t ahead)
      : recipe_(std::move(recipe)), next_(first), wanted_(first), slots_(static_cast<size_t>(ahead)) {
    try {
      for (int64_t i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
    } catch (const std::system_error& error) {
      const size_t started = threads_.size();
      stop();
      throw MemoryError(concat("[data_loader] expected ", workers, " worker threads, the system started only ", started,
                               ": ", error.what()));
    } catch (...) {
      stop();
      throw;
    }
  }
  ~Crew() { stop(); }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // The batch `wanted_`, in order. Rethrows what its maker threw.
  Batch take() {
    std::unique_lock lock(mutex_);
    Slot& slot = slot_of(wanted_);
    ready_.wait(lock, [&] { return slot.full; });
    Batch batch = std::move(slot.batch);
    const std::exception_ptr error = std::exchange(slot.error, nullptr);
    slot = Slot();
    ++wanted_;
    lock.unlock();
    room_.notify_one();
    if (error) std::rethrow_exception(error);
    return batch;
  }

 private:
  struct Slot {
    bool full = false;
    Batch batch;
    std::exception_ptr error;
  };
  Slot& slot_of(int64_t index) { return slots_[static_cast<size_t>(index) % slots_.size()]; }

  void work() {
    const NoGradGuard no_grad;
    const SerialScope serial;
    detail::Image image;
    for (;;) {
      int64_t index;
      {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [&] { return stopped_ || next_ < wanted_ + static_cast<int64_t>(slots_.size()); });
        if (stopped_ || next_ >= recipe_->batches) return;
        index = next_++;
      }
      Slot made{.full = true, .batch = {}, .error = nullptr};
      try {
        made.batch = recipe_->make(index, image);
      } catch (...) {
        made.error = std::current_exception();
      }
      {
        const std::lock_guard lock(mutex_);
        slot_of(index) = std::move(made);
      }
      ready_.notify_one();
    }
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    room_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  std::shared_ptr<const Recipe> recipe_;
  std::mutex mutex_;
  std::condition_variable room_, ready_;
  int64_t next_;    // the next batch that a worker starts
  int64_t wanted_;  // the next batch that the consumer takes
  bool stopped_ = false;
  std::vector<Slot> slots_;  // batch i waits in slot i mod length
  std::vector<std::thread> threads_;
};

}  // namespace

struct DataLoader::Impl {
  std::shared_ptr<const Dataset> dataset;
  LoaderOptions options;
  int64_t epoch = 0;
  int64_t position = 0;  // the next batch of this epoch
  bool resumed = false;  // position was loaded: the next loop continues there
  LoaderStats stats;
  Clock::time_point started;
  std::shared_ptr<const Recipe> recipe;                          // of the running loop
  std::shared_ptr<std::optional<Clock::time_point>> left_early;  // when its last iterator went before its end
  std::unique_ptr<Crew> crew;
  detail::Image image;

  void leave() {
    crew.reset();
    recipe.reset();
  }
};

DataLoader::DataLoader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options)
    : impl_(std::make_unique<Impl>()) {
  TERN_CHECK(dataset != nullptr, ValueError, "[data_loader] expected a data set, got none");
  const auto check = [](std::string_view what, int64_t v, int64_t low, int64_t high) {
    TERN_CHECK(v >= low && v <= high, ValueError, "[data_loader] expected ", what, " in [", low, ", ", high, "], got ",
               v);
  };
  check("batch_size", options.batch_size, 1, int64_t{1} << 24);
  check("workers", options.workers, 0, 256);
  check("prefetch", options.prefetch, 1, 1024);
  TERN_CHECK(options.sampler == nullptr || !options.shuffle, ValueError,
             "[data_loader] expected either shuffle or a sampler, got both");
  impl_->dataset = std::move(dataset);
  impl_->options = options;
  if (options.sampler == nullptr) {
    const int64_t n = impl_->dataset->size();
    if (options.shuffle)
      impl_->options.sampler = std::make_shared<const RandomSampler>(n);
    else
      impl_->options.sampler = std::make_shared<const SequentialSampler>(n);
  }
}

DataLoader::~DataLoader() = default;

int64_t DataLoader::size() const {
  const int64_t n = impl_->options.sampler->size(), b = impl_->options.batch_size;
  return impl_->options.drop_last ? n / b : (n + b - 1) / b;
}
const Dataset& DataLoader::dataset() const {
  return *impl_->dataset;
}
const LoaderOptions& DataLoader::options() const {
  return impl_->options;
}
int64_t DataLoader::epoch() const {
  return impl_->epoch;
}
LoaderStats DataLoader::stats() const {
  LoaderStats stats = impl_->stats;
  if (impl_->recipe != nullptr) {
    const Clock::time_point now = impl_->left_early->value_or(Clock::now());
    stats.total_seconds = std::chrono::duration<double>(now - impl_->started).count();
  }
  return stats;
}

void DataLoader::set_epoch(int64_t epoch) {
  TERN_CHECK(epoch >= 0, ValueError, "[data_loader] expected an epoch of at least 0, got ", epoch);
  impl_->leave();
  impl_->epoch = epoch;
  impl_->position = 0;
  impl_->resumed = false;
}

DataLoader::Iterator DataLoader::begin() {
  Impl& m = *impl_;
  m.leave();
  if (m.position > 0 && !m.resumed) {  // the loop before was left early
    ++m.epoch;
    m.position = 0;
  }
  m.resumed = false;
  m.stats = {};
  m.started = Clock::now();
  auto recipe = std::make_shared<Recipe>();
  recipe->dataset = m.dataset.get();
  recipe->options = &m.options;
  recipe->epoch = m.epoch;
  recipe->order = m.options.sampler->indices(m.options.seed, m.epoch);
  recipe->batches = size();
  m.recipe = recipe;
  const int64_t workers = std::min(m.options.workers, recipe->batches - m.position);
  if (workers > 0) m.crew = std::make_unique<Crew>(recipe, m.position, workers, workers * m.options.prefetch);
  const auto left = std::make_shared<std::optional<Clock::time_point>>();
  m.left_early = left;
  return Iterator(this, std::shared_ptr<const void>(nullptr, [left](const void*) { *left = Clock::now(); }));
}

DataLoader::Iterator& DataLoader::Iterator::operator++() {
  TERN_CHECK(loader_ != nullptr && loader_->impl_->recipe != nullptr, StateError,
             "[data_loader] expected a running loop, got one that has ended");
  Impl& m = *loader_->impl_;
  batch_ = {};  // its memory may serve the next one
  if (m.position >= m.recipe->batches) {
    m.stats.total_seconds = seconds_since(m.started);
    m.leave();
    ++m.epoch;
    m.position = 0;
    loader_ = nullptr;
    return *this;
  }
  const auto asked = Clock::now();
  try {
    if (m.crew != nullptr) {
      batch_ = m.crew->take();
    } else {
      const NoGradGuard no_grad;
      batch_ = m.recipe->make(m.position, m.image);
    }
  } catch (...) {
    m.leave();
    loader_ = nullptr;
    throw;
  }
  ++m.position;
  ++m.stats.batches;
  m.stats.images += batch_.labels.size(0);
  m.stats.wait_seconds += seconds_since(asked);
  m.stats.total_seconds = seconds_since(m.started);
  return *this;
}

namespace {

Tensor number(int64_t v) {
  Tensor out = empty({}, DType::kI64);
  *out.data<int64_t>() = v;
  return out;
}

int64_t number(const io::TensorMap& state, std::string_view name) {
  const Tensor* found = state.find(name);
  TERN_CHECK(found != nullptr && found->dtype() == DType::kI64 && found->dim() == 0, ValueError,
             "[data_loader] expected '", name, "' in the saved state to be i64 [], got ",
             found == nullptr ? std::string("none") : describe(*found));
  return found->item_i64();
}

}  // namespace

io::TensorMap DataLoader::state_dict() const {
  const Impl& m = *impl_;
  const bool over = m.position > 0 && m.position >= size();  // inside the loop, on its last batch
  return {{"epoch", number(m.epoch + (over ? 1 : 0))},
          {"batch", number(over ? 0 : m.position)},
          {"seed", number(static_cast<int64_t>(m.options.seed))},
          {"batch_size", number(m.options.batch_size)},
          {"examples", number(m.options.sampler->size())}};
}

void DataLoader::load_state_dict(const io::TensorMap& state) {
  Impl& m = *impl_;
  const io::TensorMap mine = state_dict();
  for (const auto& [name, tensor] : mine) {
    const int64_t saved = number(state, name), present = tensor.item_i64();
    if (name == "epoch" || name == "batch") continue;
    TERN_CHECK(saved == present, ValueError, "[data_loader] expected a state saved with ", name, " ", present, ", got ",
               saved);
  }
  TERN_CHECK(state.size() == mine.size(), ValueError, "[data_loader] expected ", mine.size(),
             " entries in the saved state, got ", state.size());
  const int64_t epoch = number(state, "epoch"), batch = number(state, "batch");
  TERN_CHECK(epoch >= 0 && batch >= 0 && (batch < size() || batch == 0), ValueError,
             "[data_loader] expected a saved epoch of at least 0 and a batch in [0, ", size(), "), got epoch ", epoch,
             " and batch ", batch);
  m.leave();
  m.epoch = epoch;
  m.position = batch;
  m.resumed = true;
}

}  // namespace tern::data
