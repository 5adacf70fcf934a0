// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011). A
// value depends on (seed, stream, position) alone, so filling a tensor is the same on any number of threads, and a
// generator's whole state is three integers.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace tern {

/// Ten rounds of Philox4x32 on a 128-bit counter and a 64-bit key.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// A stream of random numbers. Not safe for use by two threads at once; make one stream per thread or purpose with
/// fork().
class Generator {
 public:
  /// All that a generator is.
  struct State {
    uint64_t seed = 0;
    uint64_t stream = 0;
    uint64_t position = 0;  ///< blocks of four 32-bit numbers used so far
    bool operator==(const State&) const = default;
  };

  /// At the start of a stream; streams of one seed do not overlap.
  explicit Generator(uint64_t seed = 0, uint64_t stream = 0) : state_{seed, stream, 0} {}
  explicit Generator(const State& state) : state_(state) {}

  const State& state() const { return state_; }
  void set_state(const State& state) { state_ = state; }

  /// A generator with the same seed whose stream is keyed by a purpose ("dropout") and a number (an epoch, an index).
  Generator fork(std::string_view purpose, uint64_t number = 0) const;

  /// The block at position + index, without moving on: what parallel fills use.
  std::array<uint32_t, 4> block_at(uint64_t index) const;
  /// Reserves `blocks` blocks.
  void advance(uint64_t blocks) { state_.position += blocks; }

  // Each takes one block; below() takes another where it must draw again.
  uint32_t next_u32();                      ///< uniform in [0, 2^32)
  uint64_t next_u64();                      ///< uniform in [0, 2^64)
  double uniform();                         ///< uniform in [0, 1), 53 bits
  double uniform(double low, double high);  ///< uniform in [low, high)
  double normal();                          ///< mean 0, standard deviation 1 (Box-Muller)
  uint64_t below(uint64_t bound);           ///< uniform in [0, bound), unbiased; throws ValueError for bound 0

 private:
  State state_;
};

/// The generator that creation ops, initialisations and dropout use when none is given: that of the innermost
/// GeneratorGuard of this thread, else one for the whole process, guarded by a lock while an op reserves its numbers.
Generator& default_generator();

/// Restarts the default generator from a seed. Thread-safe.
void manual_seed(uint64_t seed);

/// Where the default generator is, to save and restore. Thread-safe.
Generator::State random_state();
void set_random_state(const Generator::State& state);

/// Takes `blocks` blocks from the default generator and returns a generator placed at the first of them. Thread-safe.
Generator reserve_random(uint64_t blocks);

/// While one of these lives, its generator is the default one of this thread, and of no other: two models that train in
/// two threads, each under a guard, draw the same numbers whatever the other does. The generator must outlive it.
class GeneratorGuard {
 public:
  explicit GeneratorGuard(Generator& generator);
  ~GeneratorGuard();
  GeneratorGuard(const GeneratorGuard&) = delete;
  GeneratorGuard& operator=(const GeneratorGuard&) = delete;

 private:
  Generator* previous_;
};

}  // namespace tern
