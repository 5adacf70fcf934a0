// The integer kernels against plain sums. CTest runs this file's tests a second time with TERN_MAX_ISA=portable.
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <tern/core/error.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/linear.h>
#include <tern/core/ops/norm.h>
#include <tern/core/ops/operators.h>
#include <tern/core/parallel.h>
#include <tern/quant/affine.h>
#include <tern/quant/kernels/ternary_gemm.h>
#include <tern/quant/packed/product.h>
#include <tern/quant/packed/ternary.h>

#include "message_of.h"
#include "quant/emulated_kernels.h"

namespace tern::packed {
namespace {

using nlohmann::json;
using test::message_of;

json golden(const char* name) {
  std::ifstream file(std::filesystem::path(TERN_GOLDEN_DIR) / "bitnet" / name);
  return json::parse(file);
}

template <class T>
Tensor numbers(const json& values, const Shape& shape) {
  return tensor(values.get<std::vector<T>>(), shape);
}

// Numbers in [low, high] from a multiplicative generator: the same on every machine.
Tensor integers(const Shape& shape, int low, int high, uint64_t seed) {
  Tensor x = empty(shape, DType::kI8);
  uint64_t state = seed * 0x9E3779B97F4A7C15ULL + 1;
  int8_t* to = x.data<int8_t>();
  for (int64_t i = 0; i < x.numel(); ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    to[i] = static_cast<int8_t>(low + static_cast<int>((state >> 33) % static_cast<uint64_t>(high - low + 1)));
  }
  return x;
}

// Activations given as int8 codes.
TokenCodes tokens_of(const Tensor& codes) {
  const int64_t tokens = codes.size(0), in = codes.size(1), width = (in + 127) / 128 * 128;
  TokenCodes out{zeros({tokens, width}, DType::kI8), ones({tokens}), empty({tokens}, DType::kI32)};
  const int8_t* from = codes.data<int8_t>();
  int8_t* to = out.codes.data<int8_t>();
  for (int64_t t = 0; t < tokens; ++t) {
    int32_t sum = 0;
    for (int64_t i = 0; i < in; ++i) {
      to[t * width + i] = from[t * in + i];
      sum += from[t * in + i];
    }
    out.sums.data<int32_t>()[t] = sum;
  }
  out.codes = out.codes.slice(1, 0, in);
  return out;
}

std::vector<int32_t> plain_sums(const Tensor& x, const Tensor& codes) {
  std::vector<int32_t> out;
  const int64_t in = x.size(1);
  for (int64_t t = 0; t < x.size(0); ++t)
    for (int64_t r = 0; r < codes.size(0); ++r) {
      int32_t sum = 0;
      for (int64_t i = 0; i < in; ++i) sum += int32_t{x.data<int8_t>()[t * in + i]} * codes.data<int8_t>()[r * in + i];
      out.push_back(sum);
    }
  return out;
}

void expect_plain_sums(const Tensor& x, const Tensor& codes, const std::string& what) {
  const Tensor sums = ternary_sums(tokens_of(x), pack(codes, 1, pack2_block128));
  ASSERT_EQ(sums.to_vector<int32_t>(), plain_sums(x, codes)) << what;
}

TEST(TernaryKernels, GoldenAccumulators) {
  const json c = golden("ternary_packing.json");
  const Tensor codes = numbers<int8_t>(c["ternary"], {c["M"], c["K"]});
  const Tensor x = numbers<int8_t>(c["x_int8"], {c["batch"], c["K"]});
  const TokenCodes tokens = tokens_of(x);
  EXPECT_EQ(tokens.sums.to_vector<int32_t>(), c["x_row_sums"].get<std::vector<int32_t>>());
  EXPECT_EQ(ternary_sums(tokens, pack(codes, 1, pack2_block128)).to_vector<int32_t>(),
            c["acc_int32"].get<std::vector<int32_t>>());
  for (int64_t t = 0; t < x.size(0); ++t) {  // one token takes another path
    const Tensor one = x.slice(0, t, t + 1).contiguous();
    expect_plain_sums(one, codes, concat("token ", t));
  }
}

TEST(TernaryKernels, SumsArePlainSumsForAllShapes) {
  uint64_t seed = 1;
  for (const int64_t in : {1, 2, 31, 32, 33, 127, 128, 129, 255, 300, 1000, 1024, 1025, 2047, 2048, 2049, 4224, 8192})
    for (const int64_t rows : {1, 2, 7, 8, 9, 17})
      for (const int64_t tokens : {1, 2, 3, 4, 5, 8, 13}) {
        ++seed;
        expect_plain_sums(integers({tokens, in}, -128, 127, seed), integers({rows, in}, -1, 1, seed + 1000),
                          concat("in ", in, ", rows ", rows, ", tokens ", tokens));
        if (in > 2000 && tokens > 5) break;
      }
}

// More tokens than a block takes, more rows than a chunk.
TEST(TernaryKernels, SumsArePlainSumsOverManyTokensAndRows) {
  expect_plain_sums(integers({261, 96}, -128, 127, 5), integers({130, 96}, -1, 1, 6), "261 tokens");
  expect_plain_sums(integers({71, 4100}, -128, 127, 7), integers({19, 4100}, -1, 1, 8), "71 long tokens");
  expect_plain_sums(integers({1, 300}, -128, 127, 9), integers({2000, 300}, -1, 1, 10), "2000 rows");
}

// Where 16-bit sums are nearest to wrapping.
TEST(TernaryKernels, ExtremesDoNotWrap) {
  for (const int64_t in : {128, 1024, 2048, 4096, 8192})
    for (const int weight : {-1, 1})
      for (const int activation : {-128, -127, 127})
        for (const int64_t tokens : {1, 5})
          expect_plain_sums(integers({tokens, in}, activation, activation, 1), integers({3, in}, weight, weight, 1),
                            concat("in ", in, ", ", weight, " times ", activation));
  for (const int64_t tokens : {1, 4}) {  // signs that follow the weights
    const Tensor codes = integers({1, 8192}, -1, 1, 3);
    Tensor x = empty({tokens, 8192}, DType::kI8);
    for (int64_t i = 0; i < x.numel(); ++i)
      x.data<int8_t>()[i] = static_cast<int8_t>(codes.data<int8_t>()[i % 8192] > 0 ? 127 : -128);
    expect_plain_sums(x, codes, "following signs");
  }
}

TEST(TernaryKernels, SameBitsAtAnyNumberOfThreads) {
  const TokenCodes one = quantize_tokens(randn({1, 700})), many = quantize_tokens(randn({37, 700}));
  const PackedWeight w = pack(integers({1000, 700}, -1, 1, 4), 0.5F, pack2_block128);
  std::vector<std::vector<int32_t>> results;
  for (const int threads : {1, 2, 5}) {
    set_num_threads(threads);
    results.push_back(ternary_sums(one, w).to_vector<int32_t>());
    results.push_back(ternary_sums(many, w).to_vector<int32_t>());
  }
  set_num_threads(0);
  EXPECT_EQ(results[0], results[2]);
  EXPECT_EQ(results[0], results[4]);
  EXPECT_EQ(results[1], results[3]);
  EXPECT_EQ(results[1], results[5]);
}

// Every version that the processor can run, and those for other processors with each instruction as a loop.
TEST(TernaryKernels, SameSumsOnEveryInstructionSet) {
  std::vector<std::pair<const char*, void (*)(const kernels::TernaryProduct&)>> versions{
      {"avx2 emulated", &kernels::emulated_avx2::ternary_product},
      {"avx2_vnni emulated", &kernels::emulated_avx2_vnni::ternary_product},
      {"avx512_vnni emulated", &kernels::emulated_avx512_vnni::ternary_product}};
  if (cpu_has(Isa::kAvx2)) versions.emplace_back("avx2", &kernels::TERN_AVX2_OR_LOWER::ternary_product);
  if (cpu_has(Isa::kAvx2Vnni)) versions.emplace_back("avx2_vnni", &kernels::TERN_AVX2_VNNI_OR_LOWER::ternary_product);
  if (cpu_has(Isa::kAvx512Vnni))
    versions.emplace_back("avx512_vnni", &kernels::TERN_AVX512_VNNI_OR_LOWER::ternary_product);
  // Weights unpacked in one piece and in several; tokens in part of a tile, in some blocks, and in many.
  for (const auto& [tokens, n] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 3000}, {6, 3000}, {300, 3000}, {1030, 3000}, {5, 290}, {300, 290}, {1030, 290}}) {
    const TokenCodes x = tokens_of(integers({tokens, n}, -128, 127, 11));
    const Tensor codes = integers({45, n}, -1, 1, 12);
    const PackedWeight w = pack(codes, 1, pack2_block128);
    const auto sums = [&, tokens = tokens, n = n](auto* version, bool packed) {
      kernels::TernaryProduct p;
      p.tokens = tokens;
      p.rows = 45;
      p.n = n;
      p.width = kernels::padded_codes(n);
      p.x = x.codes.data<int8_t>();
      p.x_sums = x.sums.data<int32_t>();
      if (packed)
        p.w = w.bytes.data<uint8_t>();
      else
        p.codes = codes.data<int8_t>();  // as they are
      Tensor out = empty({tokens, 45}, DType::kI32);
      p.sums = out.data<int32_t>();
      version(p);
      return out.to_vector<int32_t>();
    };
    const std::vector<int32_t> wanted = sums(&kernels::portable::ternary_product, true);
    EXPECT_EQ(sums(&kernels::portable::ternary_product, false), wanted);
    EXPECT_EQ(ternary_sums(x, w).to_vector<int32_t>(), wanted);
    for (const auto& [name, version] : versions)
      for (const bool packed : {true, false})
        EXPECT_EQ(sums(version, packed), wanted) << name << " " << packed << " " << tokens << " " << n;
  }
}

TEST(QuantizeTokens, RoundsHalvesToEven) {
  const TokenCodes q = quantize_tokens(tensor({127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -127.0, 63.5}));
  EXPECT_EQ(q.gamma.to_vector<float>(), std::vector<float>{127});
  EXPECT_EQ(q.codes.to_vector<int>(), (std::vector<int>{127, 0, 2, 2, 0, -2, -127, 64}));
  const int8_t* const codes = q.codes.data<int8_t>();
  EXPECT_EQ(std::vector<int>(codes + 8, codes + 128), std::vector<int>(120, 0));
  EXPECT_EQ(q.sums.to_vector<int>(), std::vector<int>{127 + 2 + 2 - 2 - 127 + 64});
}

TEST(QuantizeTokens, TokensOfZerosAndOfTinyNumbers) {
  const Tensor x = tensor(std::vector<float>{0, 0, 0, -0.0F, 1e-6F, -1e-6F, 1e-38F, 0, 3e38F, -3e38F, 1, 0}, {3, 4});
  const TokenCodes q = quantize_tokens(x);
  EXPECT_EQ(q.gamma.to_vector<float>(), (std::vector<float>{1e-5F, 1e-5F, 3e38F}));
  EXPECT_EQ(q.codes.to_vector<int>(), (std::vector<int>{0, 0, 0, 0, 13, -13, 0, 0, 127, -127, 0, 0}));
}

TEST(QuantizeTokens, IsASymmetricAffineQuantizer) {
  const Tensor x = randn({7, 90});
  const quant::AffineOptions options{
      .granularity = quant::Granularity::channel(0),
      .rule = {.symmetric = true, .divisor = quant::Divisor::kTop, .min_range = kMinScale, .min_scale = 0},
      .order = quant::AffineOrder::kReciprocal};
  const quant::Affine affine = quant::affine_of(x, options);
  const TokenCodes q = quantize_tokens(x);
  EXPECT_EQ(affine.scale.to_vector<float>(), (q.gamma / 127.0).to_vector<float>());
  // The factor 127 / gamma is rounded once, 1 / (gamma / 127) twice: codes may differ where a value is next to a half.
  const auto codes = q.codes.to_vector<int>(), other = quant::quantize(x, affine).to_vector<int>();
  int different = 0;
  for (size_t i = 0; i < codes.size(); ++i) {
    EXPECT_LE(std::abs(codes[i] - other[i]), 1);
    different += codes[i] != other[i];
  }
  EXPECT_LE(different, 1);
}

TEST(QuantizeTokens, CodesStayInRange) {
  const TokenCodes q = quantize_tokens(randn({50, 333}) * 1e4);
  for (int64_t t = 0; t < 50; ++t) {
    int most = 0, sum = 0;
    for (const int code : q.codes[t].to_vector<int>()) {
      most = std::max(most, std::abs(code));
      sum += code;
    }
    EXPECT_EQ(most, 127);
    EXPECT_EQ(q.sums.to_vector<int>()[static_cast<size_t>(t)], sum);
  }
}

TEST(QuantizeTokens, NormFirstIsTheSameAsNormBefore) {
  const Tensor x = randn({9, 77}), weight = rand({77}) + 0.5;
  for (const Tensor& w : {weight, Tensor()}) {
    const TokenCodes fused = quantize_tokens(x, TokenNorm{.weight = w, .eps = 1e-5});
    const TokenCodes apart = quantize_tokens(rms_norm(x, w, 1e-5));
    EXPECT_EQ(fused.codes.to_vector<int>(), apart.codes.to_vector<int>());
    EXPECT_EQ(fused.gamma.to_vector<float>(), apart.gamma.to_vector<float>());
    EXPECT_EQ(fused.sums.to_vector<int>(), apart.sums.to_vector<int>());
  }
}

TEST(QuantizeTokens, RefusesWhatIsNotFinite) {
  for (const float bad :
       {std::nanf(""), -std::nanf(""), std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()})
    for (const int64_t place : {0, 6, 35}) {
      Tensor x = randn({3, 12});
      x.data<float>()[place] = bad;
      EXPECT_EQ(message_of<NonFiniteError>([&] { (void)quantize_tokens(x); }),
                concat("[quantize_tokens] expected finite activations, got NaN or infinity in token ", place / 12,
                       " of f32 [3, 12]"));
      EXPECT_THROW((void)quantize_tokens(x, TokenNorm{}), NonFiniteError);
    }
  const Tensor x = randn({2, 5});
  EXPECT_THROW((void)quantize_tokens(x, TokenNorm{.weight = full({5}, 3e38) * 10.0}), NonFiniteError);
  EXPECT_THROW((void)quantize_tokens(x, TokenNorm{.weight = ones({4})}), ShapeError);
  EXPECT_THROW((void)quantize_tokens(x, TokenNorm{.weight = ones({5}, DType::kF64)}), DTypeError);
  EXPECT_THROW((void)quantize_tokens(x, TokenNorm{.eps = -1}), ValueError);
  EXPECT_THROW((void)quantize_tokens(x, TokenNorm{.eps = std::nan("")}), ValueError);
  EXPECT_THROW((void)quantize_tokens(x.to(DType::kI32)), DTypeError);
  EXPECT_THROW((void)quantize_tokens(empty({})), ShapeError);
  EXPECT_THROW((void)quantize_tokens(empty({3, 0})), ShapeError);
  EXPECT_THROW((void)quantize_tokens(Tensor()), StateError);
}

// -- packed_linear

TEST(PackedLinear, GoldenIntegerInference) {
  const json c = golden("integer_inference.json");
  const Tensor x = numbers<float>(c["x"], {10, 16}), w = numbers<float>(c["w"], {12, 16});
  const float delta = c["w_delta"];
  Tensor codes = empty({12, 16}, DType::kI8);
  for (int64_t i = 0; i < w.numel(); ++i)
    codes.data<int8_t>()[i] =
        static_cast<int8_t>(std::fmin(1.0F, std::fmax(-1.0F, std::nearbyint(w.data<float>()[i] * (1 / delta)))));
  const PackedWeight packed = pack(codes, delta, pack2_block128);
  const TokenCodes q = quantize_tokens(x);
  EXPECT_EQ(ternary_sums(q, packed).to_vector<int32_t>(), c["acc_int32"].get<std::vector<int32_t>>());
  const auto gamma = c["x_gamma"].get<std::vector<float>>();
  const auto y = c["y"].get<std::vector<float>>();
  for (size_t i = 0; i < gamma.size(); ++i) EXPECT_NEAR(q.gamma.data<float>()[i], gamma[i], 1e-6 * gamma[i]);
  const Tensor out = packed_linear(x, packed);
  for (size_t i = 0; i < y.size(); ++i)
    EXPECT_NEAR(out.data<float>()[i], y[i], 1e-5 * std::fmax(1.0F, std::fabs(y[i])));
}

// The same layer in floats: dequantized activations times dequantized weights.
Tensor float_path(const Tensor& x, const PackedWeight& weight, const Tensor& bias) {
  const TokenCodes q = quantize_tokens(x);
  const int64_t in = weight.in_features;
  Tensor values = empty({q.codes.size(0), in});
  for (int64_t t = 0; t < values.size(0); ++t)
    for (int64_t i = 0; i < in; ++i)
      values.data<float>()[t * in + i] =
          static_cast<float>(q.codes.data<int8_t>()[t * q.codes.strides()[0] + i]) * q.gamma.data<float>()[t] / 127.0F;
  return linear(values.to(DType::kF64), dequantize(weight).to(DType::kF64),
                bias.defined() ? bias.to(DType::kF64) : Tensor());
}

TEST(PackedLinear, AgreesWithTheFloatPath) {
  for (const int64_t in : {1, 5, 130, 768, 4096})
    for (const int64_t tokens : {1, 6}) {
      const Tensor x = randn({tokens, in});
      const PackedWeight w = pack(integers({33, in}, -1, 1, 21), 0.037F, pack2_block128);
      for (const Tensor& bias : {Tensor(), randn({33})}) {
        const Tensor y = packed_linear(x, w, bias), wanted = float_path(x, w, bias);
        ASSERT_EQ(y.shape(), (Shape{tokens, 33}));
        double largest = 0;
        for (const double v : wanted.to_vector<double>()) largest = std::fmax(largest, std::fabs(v));
        for (int64_t i = 0; i < y.numel(); ++i)
          ASSERT_NEAR(static_cast<double>(y.data<float>()[i]), wanted.data<double>()[i], 1e-6 * largest)
              << "in " << in << ", tokens " << tokens << ", element " << i;
      }
    }
}

TEST(PackedLinear, ScalesWithItsInput) {
  const Tensor x = randn({4, 200});
  const PackedWeight w = pack(integers({20, 200}, -1, 1, 31), 0.25F, pack2_block128);
  const Tensor y = packed_linear(x, w), y8 = packed_linear(x * 8.0, w);
  for (int64_t i = 0; i < y.numel(); ++i) EXPECT_EQ(y.data<float>()[i] * 8, y8.data<float>()[i]);
}

TEST(PackedLinear, TakesAnyAxesAndLayout) {
  const PackedWeight w = pack(integers({6, 10}, -1, 1, 41), 1, pack2_block128);
  const Tensor x = randn({10, 3, 2});
  const Tensor y = packed_linear(x.transpose(0, 2), w), same = packed_linear(x.transpose(0, 2).contiguous(), w);
  EXPECT_EQ(y.shape(), (Shape{2, 3, 6}));
  EXPECT_EQ(y.to_vector<float>(), same.to_vector<float>());
  EXPECT_EQ(packed_linear(randn({10}), w).shape(), (Shape{6}));
  EXPECT_EQ(packed_linear(empty({0, 10}), w).shape(), (Shape{0, 6}));
}

TEST(PackedLinear, TakesCodesAsItTakesBytes) {
  const Tensor x = randn({5, 300}), codes = integers({6, 300}, -1, 1, 61), bias = randn({6});
  const TokenCodes tokens = quantize_tokens(x);
  EXPECT_EQ(ternary_linear(tokens, codes, 0.25F, bias).to_vector<float>(),
            packed_linear(x, pack(codes, 0.25F, pack2_block128), bias).to_vector<float>());
  // Codes that lie otherwise than quantize_tokens() leaves them have no zeros after their rows.
  const TokenCodes dense{tokens.codes.contiguous(), tokens.gamma, tokens.sums};
  EXPECT_FALSE(dense.is_padded());
  EXPECT_EQ(message_of<ValueError>([&] { (void)ternary_linear(dense, codes, 1); }),
            "[ternary_linear] expected tokens as quantize_tokens() leaves them, got codes with strides [300, 1]");
  const TokenCodes one{tokens.codes[0].clone(), tokens.gamma[0].contiguous(), tokens.sums[0].contiguous()};
  EXPECT_THROW((void)ternary_linear(one, codes, 1), ValueError);
  EXPECT_THROW((void)ternary_linear(tokens, codes.to(DType::kI32), 1), DTypeError);
  EXPECT_THROW((void)ternary_linear(tokens, codes[0], 1), ShapeError);
}

TEST(PackedLinear, AZeroTokenGivesTheBias) {
  const PackedWeight w = pack(integers({6, 10}, -1, 1, 51), 1, pack2_block128);
  const Tensor bias = randn({6});
  EXPECT_EQ(packed_linear(zeros({1, 10}), w, bias).to_vector<float>(), bias.to_vector<float>());
}

TEST(PackedLinear, RefusesWhatDoesNotFit) {
  const Tensor codes = integers({6, 10}, -1, 1, 61);
  const PackedWeight w = pack(codes, 1, pack2_block128);
  EXPECT_EQ(message_of<ShapeError>([&] {
              (void)packed_linear(randn({2, 9}), w);
            }),
            "[packed_linear] expected activations of width 10, got 9");
  EXPECT_EQ(message_of<ValueError>([&] {
              (void)packed_linear(randn({2, 10}), pack(codes, 1, pack3_fixed));
            }),
            "[packed_linear] expected a weight in a format with a product, got pack3_fixed (repack() to pack2_block128 "
            "converts it)");
  EXPECT_THROW((void)packed_linear(randn({2, 10}), w, randn({5})), ShapeError);
  EXPECT_THROW((void)packed_linear(randn({2, 10}), w, ones({6}, DType::kF64)), DTypeError);
  PackedWeight cut = w;
  cut.bytes = w.bytes.slice(0, 0, 5);
  EXPECT_THROW((void)packed_linear(randn({2, 10}), cut), ShapeError);
  cut.bytes = Tensor();
  EXPECT_THROW((void)packed_linear(randn({2, 10}), cut), StateError);
  Tensor x = randn({2, 10});
  x.requires_grad_();
  EXPECT_THROW((void)packed_linear(x, w), StateError);
}

}  // namespace
}  // namespace tern::packed
