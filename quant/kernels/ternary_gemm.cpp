// The layout is pack2_block128: 32 bytes hold 128 weights, byte p those at p, p + 32, p + 64 and p + 96. One vector
// load then gives four vectors of 32 digits (0, 1, 2; a weight plus one), each matching 32 consecutive activations,
// with no shuffle: two masks (bits 0-1, and 2-3 as four times the digit), one shift by four, and the same two masks.
// Sums of digits times activations are corrected at the end: sum of weight * x = sum of digit * x - sum of x.
//   AVX2: vpmaddubsw makes int16 sums of two products, at most 2 * 2 * 128 = 512 in size (2048 for the fourfold ones);
//   they are added in int16 and widened by vpmaddwd before 32768 is reached: after 64 (16) additions.
//   One token: 13 vector operations and a load for 32 bytes of weights, 19 instructions with everything around them
//   (2.52 million for 4096 x 4096, by callgrind). Zen 3's four vector pipes need 3.3 cycles for the 13 and take 3.5 to
//   4: 25 to 29 GB/s at 3.2 GHz, somewhat above what memory delivers. Rows come one after the other: one stream to
//   read. Several tokens: digits of 8 rows by 2048 weights are unpacked into the first cache and used for a block of
//   tokens, 2 rows by 4 tokens in registers; the 64 additions of a sum end there exactly where int16 does.
//
// AVX-512 has vpdpbusd (VNNI), which multiplies, adds and widens in one; that version is only chosen where it exists.
#include <tern/core/kernels/norm.h>
#include <tern/core/rounding.h>
#include <tern/core/scratch.h>
#include <tern/quant/kernels/ternary_gemm.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace tern::kernels::TERN_ISA {
namespace {

constexpr int64_t kBlockBytes = kTernaryBlock / 4;
constexpr int64_t kPanelRows = 8;
constexpr int64_t kDepth = 2048;                      // weights of a row that are unpacked at a time
constexpr int64_t kMostTokens = 128;                  // tokens of a block
constexpr int64_t kTokenBytes = 256 * 1024;           // activations that stay in the second cache
constexpr int64_t kChunkProducts = int64_t{1} << 18;  // work of a chunk, at least
constexpr int64_t kTileRows = 2, kTileTokens = 4, kTile = kTileRows * kTileTokens;

// -- writing results

// Of one token.
struct Writer {
  Writer(const TernaryProduct& product, int64_t token)
      : x_sum(product.x_sums[token]),
        bias(product.bias),
        sums(product.sums != nullptr ? product.sums + token * product.rows : nullptr),
        y(product.y != nullptr ? product.y + token * product.rows : nullptr),
        factor(product.y != nullptr ? product.gamma[token] / 127.0F * product.scale : 0.0F) {}
  // Sum of digits times activations of a row.
  [[gnu::always_inline]] inline void operator()(int64_t row, int32_t digit_sum) const {
    const int32_t sum = digit_sum - x_sum;
    if (y == nullptr)
      sums[row] = sum;
    else
      y[row] = static_cast<float>(sum) * factor + (bias != nullptr ? bias[row] : 0.0F);
  }

 private:
  int32_t x_sum;
  const float* bias;
  int32_t* sums;
  float* y;
  float factor;
};

#if defined(__AVX2__)

[[gnu::always_inline]] inline __m256i load32(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

// Weights are asked for in stretches, some way ahead of where they are used: measured on Zen 3, where the processor's
// own prefetching gives 14 GB/s, a line at a time 17, and this 19, of 21 that a sweep that only reads reaches.
constexpr int64_t kPrefetchBlock = 512, kPrefetchAhead = 3072;

// Keeps a sum in its register from one round of a loop to the next: GCC 12 would copy it, and run out of them.
[[gnu::always_inline]] inline void stay(__m256i& v) {
  asm("" : "+x"(v));
}

// -- one token

[[gnu::always_inline]] inline int32_t sum_of_lanes(__m256i v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1));
  return _mm_cvtsi128_si32(s);
}

// Sums of products of blocks: of digits with activations, and of digits times four; two of each, so that additions do
// not wait for one another. int16 lanes, or int32 lanes where the processor widens by itself.
struct BlockSums {
  __m256i once[2], fourfold[2];

  [[gnu::always_inline]] inline void add(const uint8_t* w, const int8_t* x) {
    const __m256i low = _mm256_set1_epi8(0x03), high = _mm256_set1_epi8(0x0C);
    const __m256i v = load32(w), h = _mm256_srli_epi16(v, 4);
    multiply_add(once[0], _mm256_and_si256(v, low), load32(x + 96));
    multiply_add(fourfold[0], _mm256_and_si256(v, high), load32(x + 64));
    multiply_add(once[1], _mm256_and_si256(h, low), load32(x + 32));
    multiply_add(fourfold[1], _mm256_and_si256(h, high), load32(x));
  }
  [[gnu::always_inline]] static void multiply_add(__m256i& sum, __m256i digits, __m256i x) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    sum = _mm256_dpbusd_epi32(sum, digits, x);
#else
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(digits, x));
#endif
    stay(sum);
  }
  // Both of a kind together, as int32 lanes.
  [[gnu::always_inline]] static __m256i wide(const __m256i* sum) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    return _mm256_add_epi32(sum[0], sum[1]);
#else
    return _mm256_madd_epi16(_mm256_add_epi16(sum[0], sum[1]), _mm256_set1_epi16(1));
#endif
  }
};

// Sum of digits times activations over `blocks` blocks.
[[gnu::always_inline]] inline int32_t digits_times(const uint8_t* w, const int8_t* x, int64_t blocks) {
  constexpr int64_t kGroup = 8;  // blocks between two widenings: 16 additions of at most 2048
  const __m256i zero = _mm256_setzero_si256();
  __m256i once = zero, fourfold = zero;
  for (int64_t done = 0; done < blocks; done += kGroup) {
    if (done % (kPrefetchBlock / kBlockBytes) == 0) {
      const int64_t left = (blocks - done) * kBlockBytes, stretch = left < kPrefetchBlock ? left : kPrefetchBlock;
      for (int64_t line = 0; line < stretch; line += 64)
        _mm_prefetch(reinterpret_cast<const char*>(w) + kPrefetchAhead + line, _MM_HINT_T0);
    }
    BlockSums sums{{zero, zero}, {zero, zero}};
    if (blocks - done >= kGroup) {
#pragma GCC unroll 8
      for (int64_t b = 0; b < kGroup; ++b) sums.add(w + b * kBlockBytes, x + b * kTernaryBlock);
    } else {
      for (int64_t b = 0; b < blocks - done; ++b) sums.add(w + b * kBlockBytes, x + b * kTernaryBlock);
    }
    once = _mm256_add_epi32(once, BlockSums::wide(sums.once));
    fourfold = _mm256_add_epi32(fourfold, BlockSums::wide(sums.fourfold));
    w += kGroup * kBlockBytes;
    x += kGroup * kTernaryBlock;
  }
  return sum_of_lanes(_mm256_add_epi32(once, _mm256_srai_epi32(fourfold, 2)));
}

// -- several tokens

[[gnu::always_inline]] inline void unpack_block(const uint8_t* w, uint8_t* digits) {
  const __m256i low = _mm256_set1_epi8(0x03), v = load32(w);
  auto* to = reinterpret_cast<__m256i*>(digits);
  _mm256_store_si256(to, _mm256_and_si256(_mm256_srli_epi16(v, 6), low));
  _mm256_store_si256(to + 1, _mm256_and_si256(_mm256_srli_epi16(v, 4), low));
  _mm256_store_si256(to + 2, _mm256_and_si256(_mm256_srli_epi16(v, 2), low));
  _mm256_store_si256(to + 3, _mm256_and_si256(v, low));
}

// Eight vectors of int32 lanes to the vector of their sums.
[[gnu::always_inline]] inline __m256i sums_of_lanes(const __m256i* v) {
  const __m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
  const __m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]), _mm256_hadd_epi32(v[6], v[7]));
  return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}

// sums[t * 2 + r] += digits of row r times activations of token t, over depth <= kDepth.
template <int kTokens>
[[gnu::always_inline]] inline void tile(const uint8_t* digits, const int8_t* x, int64_t x_step, int64_t depth,
                                        int32_t* sums) {
  __m256i wide[kTile];
#if defined(__AVX512VNNI__)
  __m512i s[kTokens * kTileRows];
#pragma GCC unroll 8
  for (int i = 0; i < kTokens * kTileRows; ++i) s[i] = _mm512_setzero_si512();
  for (int64_t k = 0; k < depth; k += 64) {
    const __m512i w0 = _mm512_loadu_si512(digits + k), w1 = _mm512_loadu_si512(digits + kDepth + k);
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      const __m512i a = _mm512_loadu_si512(x + t * x_step + k);
      s[2 * t] = _mm512_dpbusd_epi32(s[2 * t], w0, a);
      s[2 * t + 1] = _mm512_dpbusd_epi32(s[2 * t + 1], w1, a);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kTile; ++i)
    wide[i] = i < kTokens * kTileRows ? _mm256_add_epi32(__builtin_shufflevector(s[i], s[i], 0, 1, 2, 3),
                                                         __builtin_shufflevector(s[i], s[i], 4, 5, 6, 7))
                                      : _mm256_setzero_si256();
#else
  __m256i s[kTokens * kTileRows];
#pragma GCC unroll 8
  for (int i = 0; i < kTokens * kTileRows; ++i) s[i] = _mm256_setzero_si256();
#pragma GCC unroll 2
  for (int64_t k = 0; k < depth; k += 32) {
    const __m256i w0 = load32(digits + k), w1 = load32(digits + kDepth + k);
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      __m256i a = load32(x + t * x_step + k);
      stay(a);  // one load for both products: two would be more than the processor does in that time
      s[2 * t] = _mm256_add_epi16(s[2 * t], _mm256_maddubs_epi16(w0, a));
      s[2 * t + 1] = _mm256_add_epi16(s[2 * t + 1], _mm256_maddubs_epi16(w1, a));
      stay(s[2 * t]);
      stay(s[2 * t + 1]);
    }
  }
  const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 8
  for (int i = 0; i < kTile; ++i)
    wide[i] = i < kTokens * kTileRows ? _mm256_madd_epi16(s[i], ones) : _mm256_setzero_si256();
#endif
  auto* to = reinterpret_cast<__m256i*>(sums);
  _mm256_store_si256(to, _mm256_add_epi32(_mm256_load_si256(to), sums_of_lanes(wide)));
}

#else

[[gnu::always_inline]] inline void unpack_block(const uint8_t* w, uint8_t* digits) {
  for (int64_t p = 0; p < kBlockBytes; ++p) {
    digits[p] = w[p] >> 6;
    digits[p + 32] = (w[p] >> 4) & 3;
    digits[p + 64] = (w[p] >> 2) & 3;
    digits[p + 96] = w[p] & 3;
  }
}

template <int kTokens>
inline void tile(const uint8_t* digits, const int8_t* x, int64_t x_step, int64_t depth, int32_t* sums) {
  for (int t = 0; t < kTokens; ++t)
    for (int r = 0; r < kTileRows; ++r) {
      const uint8_t* w = digits + r * kDepth;
      const int8_t* a = x + t * x_step;
      int32_t sum = 0;
      for (int64_t k = 0; k < depth; ++k)
        sum += static_cast<int16_t>(static_cast<int16_t>(w[k]) * static_cast<int16_t>(a[k]));
      sums[t * kTileRows + r] += sum;
    }
}

inline int32_t digits_times(const uint8_t* w, const int8_t* x, int64_t blocks) {
  uint8_t digits[kTernaryBlock];
  int32_t sum = 0;
  for (int64_t b = 0; b < blocks; ++b, w += kBlockBytes, x += kTernaryBlock) {
    unpack_block(w, digits);
    for (int64_t k = 0; k < kTernaryBlock; ++k)
      sum += static_cast<int16_t>(static_cast<int16_t>(digits[k]) * static_cast<int16_t>(x[k]));
  }
  return sum;
}

#endif

void one_token(const TernaryProduct& p, int64_t begin, int64_t end) {
  const Writer write(p, 0);
  const int64_t row_bytes = p.width / 4, blocks = p.width / kTernaryBlock;
  for (int64_t r = begin; r < end; ++r) write(r, digits_times(p.w + r * row_bytes, p.x, blocks));
}

// Rows [begin, end), at most kPanelRows, times tokens [first, last), at most kMostTokens.
void panel(const TernaryProduct& p, int64_t begin, int64_t end, int64_t first, int64_t last) {
  alignas(64) uint8_t digits[kPanelRows * kDepth];
  alignas(64) int32_t sums[kMostTokens * kPanelRows];  // tile after tile: of four tokens, of two rows
  const int64_t rows = end - begin, row_tiles = (rows + kTileRows - 1) / kTileRows;
  const int64_t token_tiles = (last - first + kTileTokens - 1) / kTileTokens;
  for (int64_t i = 0; i < token_tiles * row_tiles * kTile; ++i) sums[i] = 0;
  for (int64_t k = 0; k < p.width; k += kDepth) {
    const int64_t depth = p.width - k < kDepth ? p.width - k : kDepth;
    for (int64_t r = 0; r < row_tiles * kTileRows; ++r) {
      // A tile's second row may be missing: the first one again, whose sums nobody reads.
      const uint8_t* w = p.w + (begin + (r < rows ? r : rows - 1)) * (p.width / 4) + k / 4;
      for (int64_t d = 0; d < depth; d += kTernaryBlock) unpack_block(w + d / 4, digits + r * kDepth + d);
    }
    for (int64_t t = 0; t < token_tiles; ++t) {
      const int8_t* x = p.x + (first + t * kTileTokens) * p.width + k;
      const int64_t tokens = last - first - t * kTileTokens;
      for (int64_t r = 0; r < row_tiles; ++r) {
        const uint8_t* w = digits + r * kTileRows * kDepth;
        int32_t* to = sums + (t * row_tiles + r) * kTile;
        if (tokens >= 4)
          tile<4>(w, x, p.width, depth, to);
        else if (tokens == 3)
          tile<3>(w, x, p.width, depth, to);
        else if (tokens == 2)
          tile<2>(w, x, p.width, depth, to);
        else
          tile<1>(w, x, p.width, depth, to);
      }
    }
  }
  for (int64_t t = first; t < last; ++t) {
    const Writer write(p, t);
    const int64_t i = t - first;
    const int32_t* from = sums + i / kTileTokens * row_tiles * kTile + i % kTileTokens * kTileRows;
    for (int64_t r = 0; r < rows; ++r) write(begin + r, from[r / kTileRows * kTile + r % kTileRows]);
  }
}

typedef int32_t FloatBits __attribute__((may_alias));

// max |x| over n numbers; NaN for NaN and infinities. The bits of magnitudes order as the magnitudes do, with infinity
// above all numbers and NaN above infinity.
float largest_magnitude(const float* x, int64_t n) {
  const auto* bits = reinterpret_cast<const FloatBits*>(x);
  int32_t largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int32_t magnitude = bits[i] & 0x7FFFFFFF;
    largest = magnitude > largest ? magnitude : largest;
  }
  float out;
  __builtin_memcpy(&out, &largest, sizeof out);
  return largest < 0x7F800000 ? out : __builtin_nanf("");
}

void write_codes(const float* __restrict x, float factor, int64_t n, int8_t* __restrict codes) {
  for (int64_t i = 0; i < n; ++i) {
    int32_t code = static_cast<int32_t>(round_half_even(x[i] * factor));
    code = code > 127 ? 127 : code;
    codes[i] = static_cast<int8_t>(code < -128 ? -128 : code);
  }
}

int32_t sum_of_codes(const int8_t* codes, int64_t n) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += codes[i];
  return sum;
}

}  // namespace

void ternary_product(const TernaryProduct& p) {
  const int64_t products = p.width * p.tokens;
  int64_t rows = kChunkProducts / (products > 0 ? products : 1) / kPanelRows * kPanelRows;
  if (rows < kPanelRows) rows = kPanelRows;
  int64_t block = kTokenBytes / p.width / kTileTokens * kTileTokens;
  block = block < kTileTokens ? kTileTokens : block > kMostTokens ? kMostTokens : block;
  parallel_for(p.rows, rows, [&](int64_t begin, int64_t end) {
    if (p.tokens == 1) return one_token(p, begin, end);
    for (int64_t first = 0; first < p.tokens; first += block)
      for (int64_t r = begin; r < end; r += kPanelRows)
        panel(p, r, r + kPanelRows < end ? r + kPanelRows : end, first,
              first + block < p.tokens ? first + block : p.tokens);
  });
}

void quantize_tokens(const TokenQuantizer& p) {
  parallel_for(p.tokens, chunk_items(p.n), [&](int64_t begin, int64_t end) {
    float* normed = p.norm ? static_cast<float*>(thread_scratch(p.n * int64_t{sizeof(float)})) : nullptr;
    for (int64_t t = begin; t < end; ++t) {
      const float* x = p.x + t * p.n;
      if (p.norm) {
        float rstd = 0;
        RowNorm<float> row;
        row.rows = 1;
        row.n = p.n;
        row.eps = p.eps;
        row.x = x;
        row.weight = p.weight;
        row.y = normed;
        row.rstd = &rstd;
        row_norm(row);
        x = normed;
      }
      const float largest = largest_magnitude(x, p.n);
      const bool finite = largest == largest;
      const float gamma = largest < p.min_gamma ? p.min_gamma : largest;
      p.gamma[t] = gamma;
      int8_t* codes = p.codes + t * p.width;
      if (finite) write_codes(x, 127.0F / gamma, p.n, codes);
      __builtin_memset(codes + (finite ? p.n : 0), 0, static_cast<size_t>(p.width - (finite ? p.n : 0)));
      p.sums[t] = sum_of_codes(codes, p.width);
    }
  });
}

}  // namespace tern::kernels::TERN_ISA
