// In which order the examples of an epoch come.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <tern/core/random.h>

namespace tern::data {

/// Puts the elements in random order (Fisher and Yates).
template <class T>
void shuffle(std::vector<T>& items, Generator& random) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.below(i)]);
}

/// Chooses the examples of an epoch. What it gives depends on its arguments alone, so that an epoch can be repeated.
class Sampler {
 public:
  virtual ~Sampler() = default;
  /// Examples an epoch.
  virtual int64_t size() const = 0;
  /// Their indices, in order.
  virtual std::vector<int64_t> indices(uint64_t seed, int64_t epoch) const = 0;
};

/// 0, 1, ..., n - 1.
class SequentialSampler : public Sampler {
 public:
  /// Throws ValueError below 0.
  explicit SequentialSampler(int64_t n);
  int64_t size() const override { return n_; }
  std::vector<int64_t> indices(uint64_t seed, int64_t epoch) const override;

 private:
  int64_t n_;
};

/// Every index once, in an order that seed and epoch decide.
class RandomSampler : public Sampler {
 public:
  /// Throws ValueError below 0.
  explicit RandomSampler(int64_t n);
  int64_t size() const override { return n_; }
  std::vector<int64_t> indices(uint64_t seed, int64_t epoch) const override;

 private:
  int64_t n_;
};

}  // namespace tern::data
