// The layout is pack2_block128: 32 bytes hold 128 weights, byte p those at p, p + 32, p + 64 and p + 96. One vector
// load then gives four vectors of 32 digits (0, 1, 2; a weight plus one), each matching 32 consecutive activations,
// with no shuffle: two masks (bits 0-1, and 2-3 as four times the digit), one shift by four, and the same two masks.
// Lanes of digits times activations are corrected at the end: sum of weight * x = sum of digit * x - sum of x.
//   AVX2: vpmaddubsw makes int16 sums of two products, at most 2 * 2 * 128 = 512 in size (2048 for the fourfold ones);
//   they are added in int16 and widened by vpmaddwd before 32768 is reached: after 64 (16) additions.
//   One token: 13 vector operations and a load for 32 bytes of weights, 19 instructions with everything around them
//   (2.52 million for 4096 x 4096, by callgrind). Zen 3's four vector pipes need 3.3 cycles for the 13 and took 3.5 to
//   7, the more the busier the machine: 29 to 15 GB/s at 3.2 GHz, where memory delivers some 20. Rows come one after
//   the other: one stream to read. Several tokens: the digits of a panel of rows are unpacked into the first cache,
//   four weights (a quad) of every row and then the next four, and used for a block of tokens, whose activations lie
//   likewise. A quad of a token in every lane of a vector meets a quad of a row in each: lanes are rows, and nothing is
//   added up across them. Zen 3 takes 5 cycles for 256 products; its two multipliers would allow 4.
//
// AVX-512 VNNI and AVX-VNNI have vpdpbusd, which multiplies, adds and widens in one.
#include <tern/core/kernels/detail/tile.h>
#include <tern/core/scratch.h>
#include <tern/quant/kernels/int_simd.h>
#include <tern/quant/kernels/ternary_gemm.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace tern::kernels::TERN_ISA {
namespace {

constexpr int64_t kBlockBytes = kTernaryBlock / 4;
constexpr int64_t kMaxTokens = 128;                   // tokens of a block
constexpr int64_t kManyBlocks = 8;                    // from so many on, threads take blocks, not rows
constexpr int64_t kTokenBytes = 256 * 1024;           // activations that stay in the second cache
constexpr int64_t kChunkProducts = int64_t{1} << 18;  // work of a chunk, at least

constexpr int64_t kQuad = 4;  // numbers that lie together: what a lane of int32 multiplies and adds up

// A tile: so many tokens by kTileVectors vectors of sums, whose lanes are the rows of a panel.
#if TERN_INT_BYTES == 64
constexpr int64_t kTileTokens = 8, kLanes = 16;
#else
constexpr int64_t kTileTokens = 4, kLanes = 8;
#endif
constexpr int64_t kTileVectors = 2, kPanelRows = kTileVectors * kLanes;
#if TERN_INT_BYTES > 0
constexpr int64_t kTogether = 8;  // rows unpacked side by side
#else
constexpr int64_t kTogether = 4;
#endif
constexpr int64_t kDepth = 16 * 1024 / kPanelRows;  // weights of a row that are unpacked at a time
static_assert(kDepth % kTernaryBlock == 0 && kPanelRows % kTogether == 0);

// -- writing results

// What turns a token's sums into its results; sums alone need none.
inline float factor_of(const TernaryProduct& p, int64_t token) {
  return p.y != nullptr ? p.gamma[token] / 127.0F * p.scale : 0.0F;
}

// Of one token.
struct Writer {
  Writer(const TernaryProduct& product, int64_t token, float token_factor)
      : x_sum(product.x_sums[token]),
        bias(product.bias),
        sums(product.sums != nullptr ? product.sums + token * product.rows : nullptr),
        y(product.y != nullptr ? product.y + token * product.rows : nullptr),
        factor(token_factor) {}
  // Sum of digits times activations of a row.
  [[gnu::always_inline]] inline void operator()(int64_t row, int32_t digit_sum) const {
    const int32_t sum = digit_sum - x_sum;
    if (y == nullptr)
      sums[row] = sum;
    else
      y[row] = static_cast<float>(sum) * factor + (bias != nullptr ? bias[row] : 0.0F);
  }
  // Eight rows.
  [[gnu::always_inline]] inline void eight(int64_t row, const int32_t* digit_sums) const {
#if defined(__AVX2__)
    const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(digit_sums));
    const __m256i sum = _mm256_sub_epi32(all, _mm256_set1_epi32(x_sum));
    if (y == nullptr) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + row), sum);
      return;
    }
    const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(factor));
    _mm256_storeu_ps(y + row, bias == nullptr ? scaled : _mm256_add_ps(scaled, _mm256_loadu_ps(bias + row)));
#else
    for (int64_t r = 0; r < 8; ++r) (*this)(row + r, digit_sums[r]);
#endif
  }

 private:
  int32_t x_sum;
  const float* bias;
  int32_t* sums;
  float* y;
  float factor;
};

#if TERN_INT_BYTES > 0

// Weights are asked for in stretches, some way ahead of where they are used: measured on Zen 3, where the processor's
// own prefetching gives 14 GB/s, a line at a time 17, and this 19, of 21 that a sweep that only reads reaches.
constexpr int64_t kPrefetchBlock = 512, kPrefetchAhead = 3072;

// -- one token

// Lanes of products of blocks: of digits with activations, and of digits times four; two of each, so that additions do
// not wait for one another. int16 lanes, or int32 lanes where the processor widens by itself.
struct BlockSums {
  Int32Bytes once[2], fourfold[2];

  [[gnu::always_inline]] inline void add(const uint8_t* w, const int8_t* x) {
    const Int32Bytes low = set_bytes32(0x03), high = set_bytes32(0x0C);
    const Int32Bytes v = load32(w), h = shift_right_u16<4>(v);
    multiply_add(once[0], and32(v, low), load32(x + 96));
    multiply_add(fourfold[0], and32(v, high), load32(x + 64));
    multiply_add(once[1], and32(h, low), load32(x + 32));
    multiply_add(fourfold[1], and32(h, high), load32(x));
  }
  [[gnu::always_inline]] static void multiply_add(Int32Bytes& sum, const Int32Bytes& digits, const Int32Bytes& x) {
#if TERN_INT_DOT
    sum = dot32(sum, digits, x);
#else
    sum = add16(sum, multiply_pairs_u8_s8(digits, x));
#endif
    keep_in_register(sum);
  }
  // Both of a kind together, as int32 lanes.
  [[gnu::always_inline]] static Int32Bytes wide(const Int32Bytes* sum) {
#if TERN_INT_DOT
    return add32(sum[0], sum[1]);
#else
    return add_pairs_s16(add16(sum[0], sum[1]));
#endif
  }
};

// Sum of digits times activations over `blocks` blocks.
[[gnu::always_inline]] inline int32_t digits_times(const uint8_t* w, const int8_t* x, int64_t blocks) {
  constexpr int64_t kGroup = 8;  // blocks between two widenings: 16 additions of at most 2048
  const Int32Bytes zero = zero32();
  Int32Bytes once = zero, fourfold = zero;
  for (int64_t done = 0; done < blocks; done += kGroup) {
    if (done % (kPrefetchBlock / kBlockBytes) == 0) {
      const int64_t left = (blocks - done) * kBlockBytes, stretch = left < kPrefetchBlock ? left : kPrefetchBlock;
      for (int64_t line = 0; line < stretch; line += 64) prefetch(w + kPrefetchAhead + line);
    }
    BlockSums sums{{zero, zero}, {zero, zero}};
    if (blocks - done >= kGroup) {
#pragma GCC unroll 8
      for (int64_t b = 0; b < kGroup; ++b) sums.add(w + b * kBlockBytes, x + b * kTernaryBlock);
    } else {
      for (int64_t b = 0; b < blocks - done; ++b) sums.add(w + b * kBlockBytes, x + b * kTernaryBlock);
    }
    once = add32(once, BlockSums::wide(sums.once));
    fourfold = add32(fourfold, BlockSums::wide(sums.fourfold));
    w += kGroup * kBlockBytes;
    x += kGroup * kTernaryBlock;
  }
  return sum_of_lanes32(add32(once, shift_right_s32<2>(fourfold)));
}

// -- several tokens

[[gnu::always_inline]] inline void unpack_block(const uint8_t* w, uint8_t* digits) {
  const Int32Bytes low = set_bytes32(0x03), v = load32(w);
  store32(digits, and32(shift_right_u16<6>(v), low));
  store32(digits + 32, and32(shift_right_u16<4>(v), low));
  store32(digits + 64, and32(shift_right_u16<2>(v), low));
  store32(digits + 96, and32(v, low));
}

#if TERN_INT_BYTES == 64
using Lanes = Int64Bytes;
[[gnu::always_inline]] inline Lanes load_lanes(const void* p) {
  return load64(p);
}
[[gnu::always_inline]] inline void store_lanes(void* p, const Lanes& v) {
  store64(p, v);
}
[[gnu::always_inline]] inline Lanes everywhere(int32_t quad) {
  return set_ints64(quad);
}
#else
using Lanes = Int32Bytes;
[[gnu::always_inline]] inline Lanes load_lanes(const void* p) {
  return load32(p);
}
[[gnu::always_inline]] inline void store_lanes(void* p, const Lanes& v) {
  store32(p, v);
}
[[gnu::always_inline]] inline Lanes everywhere(int32_t quad) {
  Lanes v = set_ints32(quad);
  keep_in_register(v);  // one load for all products with it: more would be more than the processor does in that time
  return v;
}
#endif

#if TERN_INT_BYTES == 64
constexpr int64_t kMaxQuads = kDepth / kQuad;
[[gnu::always_inline]] inline void multiply_add(Lanes& sums, const Lanes& digits, const Lanes& x) {
  sums = dot64(sums, digits, x);
}
[[gnu::always_inline]] inline Lanes add_wide(const Lanes& total, const Lanes& sums) {
  return add64(total, sums);
}
#elif TERN_INT_DOT
constexpr int64_t kMaxQuads = kDepth / kQuad;
[[gnu::always_inline]] inline void multiply_add(Lanes& sums, const Lanes& digits, const Lanes& x) {
  sums = dot32(sums, digits, x);
}
[[gnu::always_inline]] inline Lanes add_wide(const Lanes& total, const Lanes& sums) {
  return add32(total, sums);
}
#else
constexpr int64_t kMaxQuads = 64;  // additions of at most 512 in int16
[[gnu::always_inline]] inline void multiply_add(Lanes& sums, const Lanes& digits, const Lanes& x) {
  sums = add16(sums, multiply_pairs_u8_s8(digits, x));
}
[[gnu::always_inline]] inline Lanes add_wide(const Lanes& total, const Lanes& sums) {
  return add32(total, add_pairs_s16(sums));
}
#endif

template <int kTokens>
[[gnu::always_inline]] inline void add_quad(Lanes (&s)[kTokens][kTileVectors], const uint8_t* digits,
                                            const uint8_t* x) {
  Lanes w[kTileVectors];
#pragma GCC unroll 2
  for (int v = 0; v < kTileVectors; ++v) w[v] = load_lanes(digits + v * kLanes * kQuad);
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) {
    int32_t quad;
    __builtin_memcpy(&quad, x + t * kQuad, sizeof quad);
    const Lanes a = everywhere(quad);
#pragma GCC unroll 2
    for (int v = 0; v < kTileVectors; ++v) multiply_add(s[t][v], w[v], a);
  }
}

// sums[t * kPanelRows + r] (+)= digits of row r times activations of token t, over so many quads, for the first kTokens
// of a tile's tokens.
template <int kTokens>
void tile(const uint8_t* digits, const uint8_t* x, int64_t quads, bool accumulate, int32_t* sums) {
  constexpr int64_t kDigitStep = kPanelRows * kQuad, kTokenStep = kTileTokens * kQuad;
  for (int64_t done = 0; done < quads; done += kMaxQuads, accumulate = true) {
    Lanes s[kTokens][kTileVectors] = {};
    int64_t left = quads - done < kMaxQuads ? quads - done : kMaxQuads;
    for (; left >= 2; left -= 2, digits += 2 * kDigitStep, x += 2 * kTokenStep) {
      add_quad(s, digits, x);
      add_quad(s, digits + kDigitStep, x + kTokenStep);
    }
    if (left > 0) add_quad(s, digits, x);  // only in the last round: kMaxQuads is even
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t)
#pragma GCC unroll 2
      for (int v = 0; v < kTileVectors; ++v) {
        int32_t* const to = sums + t * kPanelRows + v * kLanes;
        store_lanes(to, add_wide(accumulate ? load_lanes(to) : Lanes{}, s[t][v]));
      }
  }
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
void tile(const uint8_t* digits, const uint8_t* x, int64_t quads, bool accumulate, int32_t* sums) {
  typedef int16_t Words __attribute__((vector_size(16)));
  typedef uint8_t Bytes __attribute__((vector_size(16)));
  typedef int64_t Halves __attribute__((vector_size(16)));
  constexpr int64_t kVectors = kPanelRows * kQuad / 16;
  constexpr int64_t kMaxQuads = 128;  // additions of at most 256 in int16
  const Bytes zeros = {};
  for (int64_t t = 0; t < kTokens; ++t, x += kQuad, sums += kPanelRows) {
    for (int64_t r = 0; r < kPanelRows && !accumulate; ++r) sums[r] = 0;
    for (int64_t done = 0; done < quads; done += kMaxQuads) {
      Words s[kVectors][2] = {};
      for (int64_t q = done; q < quads && q < done + kMaxQuads; ++q) {
        int8_t a[kQuad];
        __builtin_memcpy(a, x + q * kTileTokens * kQuad, kQuad);
        int64_t words = 0;
        for (int i = 0; i < kQuad; ++i) words |= (static_cast<int64_t>(a[i]) & 0xFFFF) << (16 * i);
        const Words both = reinterpret_cast<Words>(Halves{words, words});
#pragma GCC unroll 4
        for (int64_t v = 0; v < kVectors; ++v) {
          Bytes d;
          __builtin_memcpy(&d, digits + (q * kVectors + v) * 16, 16);
          s[v][0] += both * reinterpret_cast<Words>(__builtin_shufflevector(d, zeros, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20,
                                                                            5, 21, 6, 22, 7, 23));
          s[v][1] += both * reinterpret_cast<Words>(__builtin_shufflevector(d, zeros, 8, 24, 9, 25, 10, 26, 11, 27, 12,
                                                                            28, 13, 29, 14, 30, 15, 31));
        }
      }
      for (int64_t i = 0; i < kPanelRows * kQuad; ++i) sums[i / kQuad] += s[i / 16][i / 8 % 2][i % 8];
    }
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
  const Writer write(p, 0, factor_of(p, 0));
  const int64_t row_bytes = p.width / 4, blocks = p.width / kTernaryBlock;
  for (int64_t r = begin; r < end; ++r) write(r, digits_times(p.w + r * row_bytes, p.x, blocks));
}

// N rows of bytes, a multiple of 4 N of them, quad by quad: the first quad of each row, `step` bytes on the second of
// each, and so on.
template <int N>
inline void interleave(const uint8_t* const (&rows)[N], int64_t bytes, uint8_t* to, int64_t step) {
  typedef int32_t Quads __attribute__((vector_size(N * kQuad)));
  for (int64_t k = 0; k < bytes; k += N * kQuad) {
    Quads v[N];
#pragma GCC unroll 8
    for (int r = 0; r < N; ++r) __builtin_memcpy(&v[r], rows[r] + k, sizeof v[r]);
    transpose<N>(v);
#pragma GCC unroll 8
    for (int q = 0; q < N; ++q, to += step) __builtin_memcpy(to, &v[q], sizeof v[q]);
  }
}

// Digits of a row's weights [k, k + kTernaryBlock), zeros beyond its end.
inline void unpack_row(const TernaryProduct& p, int64_t row, int64_t k, uint8_t* digits) {
  if (p.w != nullptr) return unpack_block(p.w + row * (p.width / 4) + k / 4, digits);
  const int8_t* const codes = p.codes + row * p.n + k;
  const int64_t there = p.n - k < kTernaryBlock ? p.n - k : kTernaryBlock;
  for (int64_t d = 0; d < there; ++d) digits[d] = static_cast<uint8_t>(codes[d] + 1);
  for (int64_t d = there; d < kTernaryBlock; ++d) digits[d] = 0;
}

// Digits of weights [k, k + depth) of kPanelRows rows from `begin` on; for those from `end` on, whose sums nobody
// reads, again the last one's.
void unpack_panel(const TernaryProduct& p, int64_t begin, int64_t end, int64_t k, int64_t depth, uint8_t* digits) {
  alignas(64) uint8_t block[kTogether][kTernaryBlock];
  const uint8_t* rows[kTogether];
  for (int64_t i = 0; i < kTogether; ++i) rows[i] = block[i];
  for (int64_t d = 0; d < depth; d += kTernaryBlock)
    for (int64_t r = 0; r < kPanelRows; r += kTogether) {
      for (int64_t i = 0; i < kTogether; ++i)
        unpack_row(p, begin + r + i < end ? begin + r + i : end - 1, k + d, block[i]);
      interleave(rows, kTernaryBlock, digits + d * kPanelRows + r * kQuad, kPanelRows * kQuad);
    }
}

// Tokens [first, last), at most kMaxTokens: their activations, tile by tile and interleaved (the last token again
// where the last tile has too few), and what each one's sums are multiplied by.
struct TokenBlock {
  int64_t first = 0, last = 0;
  const uint8_t* x = nullptr;
  float factors[kMaxTokens];

  // memory: for the activations of whole tiles.
  void take(const TernaryProduct& p, int64_t first_token, int64_t last_token, uint8_t* memory) {
    first = first_token, last = last_token, x = memory;
    for (int64_t t = first; t < last; ++t) factors[t - first] = factor_of(p, t);
    for (int64_t t = first; t < last; t += kTileTokens, memory += kTileTokens * p.width) {
      const uint8_t* rows[kTileTokens];
      for (int64_t i = 0; i < kTileTokens; ++i)
        rows[i] = reinterpret_cast<const uint8_t*>(p.x + (t + i < last ? t + i : last - 1) * p.width);
      interleave(rows, p.width, memory, kTileTokens * kQuad);
    }
  }
};

// Rows [begin, end), at most kPanelRows, times a block of tokens.
void panel(const TernaryProduct& product, int64_t begin, int64_t end, const TokenBlock& block) {
  alignas(64) uint8_t digits[kPanelRows * kDepth];
  alignas(64) int32_t sums[kMaxTokens * kPanelRows];
  static_assert(kMaxTokens % kTileTokens == 0);
  const TernaryProduct p = product;  // a copy, so that the compiler knows that no result is written into it
  const int64_t total = (p.n + kQuad - 1) / kQuad * kQuad;
  for (int64_t k = 0; k < total; k += kDepth) {
    const int64_t depth = total - k < kDepth ? total - k : kDepth;
    unpack_panel(p, begin, end, k, depth, digits);
    const int64_t count = block.last - block.first;
    for (int64_t t = 0; t < count; t += kTileTokens) {
      int32_t* const tile_sums = sums + (depth == total ? 0 : t * kPanelRows);
      const uint8_t* const x = block.x + t * p.width + k * kTileTokens;
      if (count - t == 1)
        tile<1>(digits, x, depth / kQuad, k > 0, tile_sums);
      else
        tile<kTileTokens>(digits, x, depth / kQuad, k > 0, tile_sums);
      if (k + depth < total) continue;
      for (int64_t i = t; i < t + kTileTokens && i < count; ++i) {
        const Writer write(p, block.first + i, block.factors[i]);
        const int32_t* const from = tile_sums + (i - t) * kPanelRows;
        int64_t r = begin;
        for (; r + 8 <= end; r += 8) write.eight(r, from + (r - begin));
        for (; r < end; ++r) write(r, from[r - begin]);
      }
    }
  }
}

void multiply_rows(const TernaryProduct& p, int64_t begin, int64_t end, const TokenBlock& block) {
  for (int64_t r = begin; r < end; r += kPanelRows) panel(p, r, r + kPanelRows < end ? r + kPanelRows : end, block);
}

}  // namespace

void ternary_product(const TernaryProduct& p) {
  int64_t block = kTokenBytes / p.width / kTileTokens * kTileTokens;
  block = block < kTileTokens ? kTileTokens : block > kMaxTokens ? kMaxTokens : block;
  if (p.tokens >= kManyBlocks * block) {  // training: a block's activations stay in the cache for all rows
    return parallel_for(p.tokens, block, [&](int64_t begin, int64_t end) {
      auto* const memory = static_cast<uint8_t*>(thread_scratch(block * p.width));
      TokenBlock tokens;
      for (int64_t t = begin; t < end; t += block) {
        tokens.take(p, t, t + block < end ? t + block : end, memory);
        multiply_rows(p, 0, p.rows, tokens);
      }
    });
  }
  const int64_t products = p.width * p.tokens;
  int64_t rows = kChunkProducts / (products > 0 ? products : 1) / kPanelRows * kPanelRows;
  if (rows < kPanelRows) rows = kPanelRows;
  if (p.tokens == 1 && p.w != nullptr)
    return parallel_for(p.rows, rows, [&](int64_t begin, int64_t end) { one_token(p, begin, end); });
  auto* memory = static_cast<uint8_t*>(thread_scratch((p.tokens + kTileTokens) * p.width));
  TokenBlock blocks[kManyBlocks];
  int64_t count = 0;
  for (int64_t t = 0; t < p.tokens; t += block, memory += block * p.width)
    blocks[count++].take(p, t, t + block < p.tokens ? t + block : p.tokens, memory);
  parallel_for(p.rows, rows, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < count; ++i) multiply_rows(p, begin, end, blocks[i]);
  });
}

}  // namespace tern::kernels::TERN_ISA
