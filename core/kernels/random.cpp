#include <tern/core/kernels/detail/vec_math.h>
#include <tern/core/kernels/random.h>

namespace tern::kernels::TERN_ISA {
namespace {

constexpr int64_t kBatch = 64;  // blocks made together, one vector lane each

// Blocks first .. first + kBatch - 1 of Philox4x32-10: out[word][block].
void philox_batch(PhiloxPlace place, uint64_t first, uint32_t out[4][kBatch]) {
  uint32_t *c0 = out[0], *c1 = out[1], *c2 = out[2], *c3 = out[3];
  for (int64_t i = 0; i < kBatch; ++i) {
    const uint64_t at = place.position + first + static_cast<uint64_t>(i);
    c0[i] = static_cast<uint32_t>(at);
    c1[i] = static_cast<uint32_t>(at >> 32);
    c2[i] = static_cast<uint32_t>(place.stream);
    c3[i] = static_cast<uint32_t>(place.stream >> 32);
  }
  uint32_t k0 = static_cast<uint32_t>(place.seed), k1 = static_cast<uint32_t>(place.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int64_t i = 0; i < kBatch; ++i) {
      const uint64_t p0 = uint64_t{0xD2511F53u} * c0[i];
      const uint64_t p1 = uint64_t{0xCD9E8D57u} * c2[i];
      const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1[i] ^ k0;
      const uint32_t n2 = static_cast<uint32_t>(p0 >> 32) ^ c3[i] ^ k1;
      c1[i] = static_cast<uint32_t>(p1);
      c3[i] = static_cast<uint32_t>(p0);
      c0[i] = n0;
      c2[i] = n2;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

inline double unit_from(uint32_t low, uint32_t high) {
  return static_cast<double>(((static_cast<uint64_t>(high) << 32) | low) >> 11) * 0x1p-53;
}

// Calls fill(words, batch): the elements of one batch of blocks, for consecutive batches.
template <class T, class F>
void for_batches(T* x, int64_t n, PhiloxPlace place, const F& fill) {
  constexpr int64_t kElements = kBatch * kElementsPerBlock<T>;
  parallel_for((n + kElements - 1) / kElements, kElementwiseGrain / kElements, [=](int64_t begin, int64_t end) {
    uint32_t words[4][kBatch];
    T elements[kElements];
    for (int64_t batch = begin; batch < end; ++batch) {
      philox_batch(place, static_cast<uint64_t>(batch * kBatch), words);
      fill(words, elements);
      const int64_t first = batch * kElements;
      const int64_t count = n - first < kElements ? n - first : kElements;
      for (int64_t i = 0; i < count; ++i) x[first + i] = elements[i];
    }
  });
}

}  // namespace

template <class T>
void fill_uniform(T* x, int64_t n, PhiloxPlace place, T low, T high) {
  const T range = high - low;
  const auto scaled = [=](T unit) {
    const T v = low + range * unit;
    return v < high ? v : low;  // rounding may reach the upper end
  };
  for_batches(x, n, place, [=](const uint32_t words[4][kBatch], T* out) {
    for (int64_t i = 0; i < kBatch; ++i) {
      if constexpr (sizeof(T) == 4) {
        for (int64_t k = 0; k < 4; ++k) out[4 * i + k] = scaled(static_cast<T>(words[k][i] >> 8) * T(0x1p-24));
      } else {
        for (int64_t k = 0; k < 2; ++k) out[2 * i + k] = scaled(unit_from(words[2 * k][i], words[2 * k + 1][i]));
      }
    }
  });
}

template <class T>
void fill_normal(T* x, int64_t n, PhiloxPlace place, T mean, T deviation) {
  for_batches(x, n, place, [=](const uint32_t words[4][kBatch], T* out) {
    if constexpr (sizeof(T) == 4) {
      // Box-Muller on each pair of numbers of a block; u is in (0, 1].
      for (int64_t k = 0; k < 2; ++k) {
        float radius[kBatch], cosine[kBatch], sine[kBatch];
        for (int64_t i = 0; i < kBatch; ++i) {
          const float u = static_cast<float>((words[2 * k][i] >> 8) + 1) * 0x1p-24f;
          const float angle = static_cast<float>(words[2 * k + 1][i] >> 8) * (0x1p-24f * 6.28318531f);
          const auto [s, c] = vec::sincos(angle);
          radius[i] = deviation * vec::sqrt(-2.0f * vec::log(u));
          cosine[i] = c;
          sine[i] = s;
        }
        for (int64_t i = 0; i < kBatch; ++i) {
          out[4 * i + 2 * k] = mean + radius[i] * cosine[i];
          out[4 * i + 2 * k + 1] = mean + radius[i] * sine[i];
        }
      }
    } else {
      for (int64_t i = 0; i < kBatch; ++i) {
        const double u = unit_from(words[0][i], words[1][i]) + 0x1p-53;
        const double angle = unit_from(words[2][i], words[3][i]) * 6.28318530717958648;
        const double radius = deviation * vec::sqrt(-2.0 * vec::log(u));
        out[2 * i] = mean + radius * vec::cos(angle);
        out[2 * i + 1] = mean + radius * vec::sin(angle);
      }
    }
  });
}

void fill_bits(uint32_t* x, int64_t blocks, PhiloxPlace place) {
  parallel_for((blocks + kBatch - 1) / kBatch, kElementwiseGrain / (4 * kBatch), [=](int64_t begin, int64_t end) {
    uint32_t words[4][kBatch];
    for (int64_t batch = begin; batch < end; ++batch) {
      philox_batch(place, static_cast<uint64_t>(batch * kBatch), words);
      const int64_t first = batch * kBatch;
      const int64_t count = blocks - first < kBatch ? blocks - first : kBatch;
      for (int64_t i = 0; i < count; ++i)
        for (int64_t k = 0; k < 4; ++k) x[4 * (first + i) + k] = words[k][i];
    }
  });
}

template void fill_uniform(float*, int64_t, PhiloxPlace, float, float);
template void fill_uniform(double*, int64_t, PhiloxPlace, double, double);
template void fill_normal(float*, int64_t, PhiloxPlace, float, float);
template void fill_normal(double*, int64_t, PhiloxPlace, double, double);

}  // namespace tern::kernels::TERN_ISA
