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
constexpr int64_t kManyBlocks = 8;                    // from so many on, threads take blocks, not rows
constexpr int64_t kTokenBytes = 256 * 1024;           // activations that stay in the second cache
constexpr int64_t kChunkProducts = int64_t{1} << 18;  // work of a chunk, at least
#if defined(__AVX512VNNI__)
constexpr int64_t kStep = 64;  // weights of a row that a tile takes at a time
#else
constexpr int64_t kStep = 32;
#endif
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
  // kPanelRows rows; the digit sums of a tile's rows lie together, those of tiles kTile apart.
  [[gnu::always_inline]] inline void panel(int64_t row, const int32_t* digit_sums) const {
#if defined(__AVX2__)
    static_assert(kPanelRows == 8 && kTileRows == 2);
    const __m256i all = _mm256_set_m128i(pairs(digit_sums + 2 * kTile), pairs(digit_sums));
    const __m256i sum = _mm256_sub_epi32(all, _mm256_set1_epi32(x_sum));
    if (y == nullptr) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + row), sum);
      return;
    }
    const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(factor));
    _mm256_storeu_ps(y + row, bias == nullptr ? scaled : _mm256_add_ps(scaled, _mm256_loadu_ps(bias + row)));
#else
    for (int64_t r = 0; r < kPanelRows; ++r) (*this)(row + r, digit_sums[r / kTileRows * kTile + r % kTileRows]);
#endif
  }

 private:
#if defined(__AVX2__)
  // Of two tiles. (From four numbers of 64 bits GCC would make the vector in memory, and wait for it.)
  [[gnu::always_inline]] static __m128i pairs(const int32_t* digit_sums) {
    const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(digit_sums));
    return _mm_castps_si128(_mm_loadh_pi(_mm_castsi128_ps(low), reinterpret_cast<const __m64*>(digit_sums + kTile)));
  }
#endif

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

// sums[t * 2 + r] += digits of row r times activations of token t, over depth <= kDepth; the rows lie `step` apart.
template <int kTokens>
[[gnu::always_inline]] inline void tile(const uint8_t* digits, int64_t step, const int8_t* x, int64_t x_step,
                                        int64_t depth, int32_t* sums) {
  __m256i wide[kTile];
#if defined(__AVX512VNNI__)
  __m512i s[kTokens * kTileRows];
#pragma GCC unroll 8
  for (int i = 0; i < kTokens * kTileRows; ++i) s[i] = _mm512_setzero_si512();
  for (int64_t k = 0; k < depth; k += kStep) {
    const __m512i w0 = _mm512_loadu_si512(digits + k), w1 = _mm512_loadu_si512(digits + step + k);
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
  for (int64_t k = 0; k < depth; k += kStep) {
    const __m256i w0 = load32(digits + k), w1 = load32(digits + step + k);
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
inline void tile(const uint8_t* digits, int64_t step, const int8_t* x, int64_t x_step, int64_t depth, int32_t* sums) {
  for (int t = 0; t < kTokens; ++t)
    for (int r = 0; r < kTileRows; ++r) {
      const uint8_t* w = digits + r * step;
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

// Digits of a row's weights [k, k + depth), depth being rounded up to kStep from what there is.
[[gnu::always_inline]] inline void unpack_row(const TernaryProduct& p, int64_t row, int64_t k, int64_t depth,
                                              uint8_t* digits) {
  if (p.w != nullptr) {
    const uint8_t* const w = p.w + row * (p.width / 4) + k / 4;
    for (int64_t d = 0; d < depth; d += kTernaryBlock) unpack_block(w + d / 4, digits + d);
    return;
  }
  const int8_t* const codes = p.codes + row * p.n + k;
  const int64_t there = p.n - k < depth ? p.n - k : depth;
  for (int64_t d = 0; d < there; ++d) digits[d] = static_cast<uint8_t>(codes[d] + 1);
  for (int64_t d = there; d < depth; ++d) digits[d] = 0;  // times zeros
}

// Rows [begin, end), at most kPanelRows, times tokens [first, last), at most kMostTokens.
void panel(const TernaryProduct& p, int64_t begin, int64_t end, int64_t first, int64_t last) {
  alignas(64) uint8_t digits[kPanelRows * kDepth];
  alignas(64) int32_t sums[kMostTokens * kPanelRows];  // tile after tile: of four tokens, of two rows
  const int64_t rows = end - begin, row_tiles = (rows + kTileRows - 1) / kTileRows;
  const int64_t token_tiles = (last - first + kTileTokens - 1) / kTileTokens;
  for (int64_t i = 0; i < token_tiles * row_tiles * kTile; ++i) sums[i] = 0;
  const int64_t total = (p.n + kStep - 1) / kStep * kStep;
  for (int64_t k = 0; k < total; k += kDepth) {
    const int64_t depth = total - k < kDepth ? total - k : kDepth;
    const int64_t step = (depth + kTernaryBlock - 1) / kTernaryBlock * kTernaryBlock;
    for (int64_t r = 0; r < row_tiles * kTileRows; ++r) {
      // A tile's second row may be missing: the first one again, whose sums nobody reads.
      unpack_row(p, begin + (r < rows ? r : rows - 1), k, depth, digits + r * step);
    }
    for (int64_t t = 0; t < token_tiles; ++t) {
      const int8_t* x = p.x + (first + t * kTileTokens) * p.width + k;
      const int64_t tokens = last - first - t * kTileTokens;
      for (int64_t r = 0; r < row_tiles; ++r) {
        const uint8_t* w = digits + r * kTileRows * step;
        int32_t* to = sums + (t * row_tiles + r) * kTile;
        if (tokens >= 4)
          tile<4>(w, step, x, p.width, depth, to);
        else if (tokens == 3)
          tile<3>(w, step, x, p.width, depth, to);
        else if (tokens == 2)
          tile<2>(w, step, x, p.width, depth, to);
        else
          tile<1>(w, step, x, p.width, depth, to);
      }
    }
  }
  for (int64_t t = first; t < last; ++t) {
    const Writer write(p, t);
    const int64_t i = t - first;
    const int32_t* from = sums + i / kTileTokens * row_tiles * kTile + i % kTileTokens * kTileRows;
    if (rows == kPanelRows)
      write.panel(begin, from);
    else
      for (int64_t r = 0; r < rows; ++r) write(begin + r, from[r / kTileRows * kTile + r % kTileRows]);
  }
}

}  // namespace

void ternary_product(const TernaryProduct& p) {
  int64_t block = kTokenBytes / p.width / kTileTokens * kTileTokens;
  block = block < kTileTokens ? kTileTokens : block > kMostTokens ? kMostTokens : block;
  const auto part = [&](int64_t first_row, int64_t last_row, int64_t first_token, int64_t last_token) {
    for (int64_t t = first_token; t < last_token; t += block)
      for (int64_t r = first_row; r < last_row; r += kPanelRows)
        panel(p, r, r + kPanelRows < last_row ? r + kPanelRows : last_row, t,
              t + block < last_token ? t + block : last_token);
  };
  if (p.tokens >= kManyBlocks * block)  // training: a block's activations stay in the cache for all rows
    return parallel_for(p.tokens, block, [&](int64_t begin, int64_t end) { part(0, p.rows, begin, end); });
  const int64_t products = p.width * p.tokens;
  int64_t rows = kChunkProducts / (products > 0 ? products : 1) / kPanelRows * kPanelRows;
  if (rows < kPanelRows) rows = kPanelRows;
  parallel_for(p.rows, rows, [&](int64_t begin, int64_t end) {
    if (p.tokens == 1 && p.w != nullptr)
      one_token(p, begin, end);
    else
      part(begin, end, 0, p.tokens);
  });
}

}  // namespace tern::kernels::TERN_ISA
