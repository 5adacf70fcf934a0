#include <cmath>
#include <mutex>
#include <numbers>

#include <tern/core/error.h>
#include <tern/core/random.h>

namespace tern {
namespace {

std::mutex& default_generator_mutex() {
  static std::mutex mutex;
  return mutex;
}

uint64_t mix(uint64_t x) {  // the finaliser of splitmix64
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

}  // namespace

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> c, std::array<uint32_t, 2> k) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(p0)};
    k[0] += 0x9E3779B9u;
    k[1] += 0xBB67AE85u;
  }
  return c;
}

Generator Generator::fork(std::string_view purpose, uint64_t number) const {
  uint64_t hash = 0xcbf29ce484222325ull;  // FNV-1a
  for (const char ch : purpose) hash = (hash ^ static_cast<unsigned char>(ch)) * 0x100000001b3ull;
  return Generator(state_.seed, mix(mix(mix(state_.stream) ^ hash) ^ number));
}

std::array<uint32_t, 4> Generator::block_at(uint64_t index) const {
  const uint64_t p = state_.position + index;
  return philox({static_cast<uint32_t>(p), static_cast<uint32_t>(p >> 32), static_cast<uint32_t>(state_.stream),
                 static_cast<uint32_t>(state_.stream >> 32)},
                {static_cast<uint32_t>(state_.seed), static_cast<uint32_t>(state_.seed >> 32)});
}

uint32_t Generator::next_u32() {
  const uint32_t v = block_at(0)[0];
  advance(1);
  return v;
}

uint64_t Generator::next_u64() {
  const auto b = block_at(0);
  advance(1);
  return (uint64_t{b[1]} << 32) | b[0];
}

double Generator::uniform() {
  return static_cast<double>(next_u64() >> 11) * 0x1p-53;
}

double Generator::uniform(double low, double high) {
  return low + (high - low) * uniform();
}

double Generator::normal() {
  const auto b = block_at(0);
  advance(1);
  const double u = (static_cast<double>(((uint64_t{b[1]} << 32) | b[0]) >> 11) + 1.0) * 0x1p-53;  // (0, 1]
  const double v = static_cast<double>(((uint64_t{b[3]} << 32) | b[2]) >> 11) * 0x1p-53;
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

uint64_t Generator::below(uint64_t bound) {
  TERN_CHECK(bound > 0, ValueError, "[random] expected a bound above 0, got 0");
  const uint64_t reject_from = UINT64_MAX - (UINT64_MAX % bound + 1) % bound;
  uint64_t v = next_u64();
  while (v > reject_from) v = next_u64();
  return v % bound;
}

namespace {

Generator& process_generator() {
  static Generator generator(0);
  return generator;
}

thread_local Generator* thread_generator = nullptr;

// Calls body with this thread's default generator, under the lock where it is everybody's.
template <class Body>
auto with_default_generator(Body&& body) {
  if (thread_generator != nullptr) return body(*thread_generator);
  const std::lock_guard lock(default_generator_mutex());
  return body(process_generator());
}

}  // namespace

Generator& default_generator() {
  return thread_generator != nullptr ? *thread_generator : process_generator();
}

void manual_seed(uint64_t seed) {
  with_default_generator([&](Generator& generator) { generator = Generator(seed); });
}

Generator::State random_state() {
  return with_default_generator([](Generator& generator) { return generator.state(); });
}

void set_random_state(const Generator::State& state) {
  with_default_generator([&](Generator& generator) { generator.set_state(state); });
}

Generator reserve_random(uint64_t blocks) {
  return with_default_generator([&](Generator& generator) {
    Generator placed = generator;
    generator.advance(blocks);
    return placed;
  });
}

GeneratorGuard::GeneratorGuard(Generator& generator) : previous_(thread_generator) {
  thread_generator = &generator;
}

GeneratorGuard::~GeneratorGuard() {
  thread_generator = previous_;
}

}  // namespace tern
