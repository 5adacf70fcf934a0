#include <numeric>

#include <tern/core/error.h>
#include <tern/data/sampler.h>

namespace tern::data {
namespace {

int64_t checked(int64_t n) {
  TERN_CHECK(n >= 0, ValueError, "[sampler] expected a number of examples of at least 0, got ", n);
  return n;
}

std::vector<int64_t> counting(int64_t n) {
  std::vector<int64_t> indices(static_cast<size_t>(n));
  std::iota(indices.begin(), indices.end(), int64_t{0});
  return indices;
}

}  // namespace

SequentialSampler::SequentialSampler(int64_t n) : n_(checked(n)) {}

std::vector<int64_t> SequentialSampler::indices(uint64_t, int64_t) const {
  return counting(n_);
}

RandomSampler::RandomSampler(int64_t n) : n_(checked(n)) {}

std::vector<int64_t> RandomSampler::indices(uint64_t seed, int64_t epoch) const {
  std::vector<int64_t> order = counting(n_);
  Generator random = Generator(seed).fork("data.shuffle", static_cast<uint64_t>(epoch));
  shuffle(order, random);
  return order;
}

}  // namespace tern::data
