// Packed ternary weights: bytes, files, and the module that computes with them.
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/core/io/safetensors.h>
#include <tern/core/ops/activation.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/norm.h>
#include <tern/nn/child.h>
#include <tern/nn/layers/containers.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/models/llama.h>
#include <tern/quant/layers/packed_linear.h>
#include <tern/quant/layers/packed_state.h>
#include <tern/quant/packed/file.h>

#include "message_of.h"
#include "temporary_directory.h"

namespace tern::packed {
namespace {

using quant::kSublnEps;
using quant::load_into;
using quant::PackedLinear;
using quant::state_of;

using nlohmann::json;
using test::message_of;

// All formats, by reference.
std::vector<std::reference_wrapper<const Format>> all_formats() {
  std::vector<std::reference_wrapper<const Format>> all;
  for (const Format* format : formats()) all.push_back(*format);
  return all;
}

Tensor random_codes(const Shape& shape) {
  return randint(-1, 2, shape).to(DType::kI8);
}

TEST(PackedWeight, GoldenBytes) {
  std::ifstream file(std::filesystem::path(TERN_GOLDEN_DIR) / "bitnet" / "ternary_packing.json");
  const json c = json::parse(file);
  const Tensor codes = tensor(c["ternary"].get<std::vector<int8_t>>(), {c["M"], c["K"]});
  for (const Format& format : all_formats()) {
    const PackedWeight packed = pack(codes, 1, format);
    EXPECT_EQ(packed.bytes.to_vector<uint8_t>(), c[std::string(format.name)].get<std::vector<uint8_t>>())
        << format.name;
    EXPECT_EQ(unpack(packed).to_vector<int8_t>(), codes.to_vector<int8_t>()) << format.name;
  }
  const json& rows = c["bytes_per_row"];
  EXPECT_EQ(pack2_linear.row_bytes(c["K"]), rows["pack2_linear"].get<int64_t>());
  EXPECT_EQ(pack2_block128.row_bytes(c["K"]), rows["pack2_block128"].get<int64_t>());
  EXPECT_EQ(pack3_digits.row_bytes(c["K"]), rows["pack3"].get<int64_t>());
  EXPECT_EQ(pack3_fixed.row_bytes(c["K"]), rows["pack3"].get<int64_t>());
}

TEST(PackedWeight, ComesBackForEveryWidth) {
  for (int64_t in = 1; in <= 300; ++in) {
    const Tensor codes = random_codes({3, in});
    for (const Format& format : all_formats()) {
      const PackedWeight packed = pack(codes, 0.5F, format);
      ASSERT_EQ(unpack(packed).to_vector<int8_t>(), codes.to_vector<int8_t>()) << format.name << ", in " << in;
      for (const Format& other : all_formats()) {
        const PackedWeight again = repack(packed, other);
        ASSERT_EQ(again.format, &other);
        ASSERT_EQ(again.scale(), 0.5F);
        ASSERT_EQ(again.bytes.to_vector<uint8_t>(), pack(codes, 0.5F, other).bytes.to_vector<uint8_t>())
            << format.name << " to " << other.name << ", in " << in;
      }
    }
  }
}

TEST(PackedWeight, FixedPointDigitsComeWithoutDivision) {
  for (int v = 0; v < 243; ++v) {
    int digits[5], rest = v;
    for (int n = 5; n-- > 0; rest /= 3) digits[n] = rest % 3;
    Tensor codes = empty({1, 5}, DType::kI8);
    for (int n = 0; n < 5; ++n) codes.data<int8_t>()[n] = static_cast<int8_t>(digits[n] - 1);
    const int byte = pack(codes, 1, pack3_fixed).bytes.item<int>();
    for (int n = 0, power = 1; n < 5; ++n, power *= 3) EXPECT_EQ(((byte * power) % 256 * 3) >> 8, digits[n]);
  }
}

TEST(PackedWeight, DequantizesToScaleTimesCodes) {
  const Tensor w = dequantize(pack(tensor(std::vector<int8_t>{-1, 0, 1, 1}, {2, 2}), 0.75F, pack3_fixed));
  EXPECT_EQ(w.to_vector<float>(), (std::vector<float>{-0.75F, 0, 0.75F, 0.75F}));
}

TEST(PackedWeight, Names) {
  for (const Format& format : all_formats()) EXPECT_EQ(&format_of(format.name), &format);
  EXPECT_EQ(message_of<ValueError>([] { (void)format_of("pack4"); }),
            "[packed] expected a format among pack2_linear, pack2_block128, pack3_digits and pack3_fixed, got "
            "\"pack4\"");
}

TEST(PackedWeight, PackRefusesWhatIsNotTernary) {
  const auto packing = [](const Tensor& codes, float scale) {
    return [codes, scale] { (void)pack(codes, scale, pack3_fixed); };
  };
  Tensor codes = random_codes({2, 3});
  codes.data<int8_t>()[4] = 2;
  EXPECT_EQ(message_of<ValueError>(packing(codes, 1)), "[packed] expected ternary codes from -1 to 1, got 2 at [1, 1]");
  EXPECT_THROW(packing(zeros({2, 3}), 1)(), DTypeError);
  EXPECT_THROW(packing(random_codes({2, 3, 1}), 1)(), ShapeError);
  EXPECT_THROW(packing(empty({0, 3}, DType::kI8), 1)(), ShapeError);
  EXPECT_THROW(packing(empty({3, 0}, DType::kI8), 1)(), ShapeError);
  for (const float scale : {0.0F, -1.0F, std::nanf(""), std::numeric_limits<float>::infinity()})
    EXPECT_THROW(packing(random_codes({2, 3}), scale)(), ValueError) << scale;
}

// Every byte that a format does not use is refused, and every one that it uses is not.
TEST(PackedWeight, RefusesBytesOutsideTheAlphabet) {
  const std::map<std::string_view, int> wanted{
      {"pack2_linear", 81}, {"pack2_block128", 81}, {"pack3_digits", 243}, {"pack3_fixed", 243}};
  for (const Format& format : all_formats()) {
    int accepted = 0;
    for (int byte = 0; byte < 256; ++byte) {
      const int64_t in = &format == &pack2_block128 ? 128 : 2 * (format.bits == 2 ? 4 : 5);
      PackedWeight w = pack(random_codes({2, in}), 1, format);
      w.bytes.data<uint8_t>()[w.bytes.numel() - 1] = static_cast<uint8_t>(byte);
      const std::string text = message_of<FormatError>([&] { check(w); });
      if (text == "nothing was thrown")
        ++accepted;
      else
        EXPECT_EQ(text, concat("[packed] expected bytes of ternary codes in ", format.name, ", got ", byte, " as byte ",
                               w.bytes.size(1) - 1, " of row 1"));
    }
    EXPECT_EQ(accepted, wanted.at(format.name)) << format.name;
  }
}

TEST(PackedWeight, RefusesRowsFilledUpWrongly) {
  for (const Format& format : all_formats())
    for (const int64_t in : {1, 3, 6, 33, 127, 129, 130}) {
      if (&format == &pack2_linear && in % 4 == 0) continue;
      if (format.bits < 2 && in % 5 == 0) continue;
      // The same row one weight longer, with the last weight not the filler.
      Tensor longer = zeros({1, in + 1}, DType::kI8);
      longer.data<int8_t>()[in] = 1;
      const PackedWeight source = pack(longer, 1, format);
      PackedWeight w = source;
      w.in_features = in;
      EXPECT_NE(message_of<FormatError>([&] { check(w); }).find("where the row must be filled up"), std::string::npos)
          << format.name << ", in " << in;
    }
}

TEST(PackedWeight, RefusesWrongFormsAndScales) {
  const PackedWeight good = pack(random_codes({4, 10}), 1, pack3_fixed);
  const auto refused = [&](auto&& change) {
    PackedWeight w = good;
    change(w);
    return message_of<FormatError>([&] { check(w); });
  };
  EXPECT_EQ(refused([](auto&) {}), "nothing was thrown");
  EXPECT_EQ(refused([](auto& w) { w.in_features = 11; }),
            "[packed] expected u8 [4, 3] row by row for 4 x 11 weights in pack3_fixed, got u8 [4, 2]");
  EXPECT_NE(refused([](auto& w) { w.out_features = 3; }).find("expected u8 [3, 2]"), std::string::npos);
  EXPECT_NE(refused([](auto& w) { w.bytes = w.bytes.slice(0, 0, 3); }).find("expected u8 [4, 2]"), std::string::npos);
  EXPECT_NE(refused([](auto& w) { w.bytes = w.bytes.to(DType::kI8); }).find("got i8"), std::string::npos);
  EXPECT_NE(refused([](auto& w) { w.bytes = w.bytes.t().contiguous().t(); }).find("row by row"), std::string::npos);
  EXPECT_EQ(refused([](auto& w) { w.bytes = Tensor(); }), "[packed] expected bytes, got none");
  EXPECT_NE(refused([](auto& w) { w.in_features = -1; }).find("got 4 rows of -1"), std::string::npos);
  EXPECT_NE(refused([](auto& w) { w.in_features = kMaxInFeatures + 1; }).find("rows of at most 4194304"),
            std::string::npos);
  for (const float scale : {0.0F, -0.5F, std::nanf(""), std::numeric_limits<float>::infinity()})
    EXPECT_EQ(refused([&](auto& w) { w.scales = full({}, scale); }),
              concat("[packed] expected a finite scale above 0, got ", scale));
}

// A format of somebody else's: codes from 0 to 15, two a byte, with a scale and a zero point for every group of a row.
const Format nibbles{.name = "nibbles",
                     .codes = "codes of four bits",
                     .min_code = 0,
                     .max_code = 15,
                     .bits = 4,
                     .scales = ScaleOf::kGroup,
                     .has_zero_points = true,
                     .row_bytes = [](int64_t n) { return (n + 1) / 2; },
                     .pack_row =
                         [](const int8_t* codes, int64_t n, uint8_t* bytes) {
                           for (int64_t i = 0; i < n; i += 2)
                             bytes[i / 2] = static_cast<uint8_t>(codes[i] | (i + 1 < n ? codes[i + 1] << 4 : 0));
                         },
                     .unpack_row =
                         [](const uint8_t* bytes, int64_t n, int8_t* codes) {
                           for (int64_t i = 0; i < n; ++i)
                             codes[i] = static_cast<int8_t>(i % 2 == 0 ? bytes[i / 2] & 15 : bytes[i / 2] >> 4);
                         },
                     .first_wrong_byte =
                         [](const uint8_t* bytes, int64_t n, bool& filler) {
                           filler = n % 2 == 1 && bytes[n / 2] > 15;
                           return filler ? n / 2 : int64_t{-1};
                         }};

TEST(PackedWeight, AFormatWithGroupsAndZeroPointsNeedsItsRowFunctionsAlone) {
  const Tensor codes = randint(0, 16, {3, 7}).to(DType::kI8);
  const Tensor scales = tensor<float>({1, 2, 4, 0.5F, 3, 8}, {3, 2}),
               zeros_of = tensor<int32_t>({8, 0, 7, 1, 2, 15}, {3, 2});
  PackedWeight w = pack(codes, scales, nibbles, zeros_of, 4);
  EXPECT_EQ(w.bytes.shape(), (Shape{3, 4}));
  EXPECT_EQ(unpack(w).to_vector<int8_t>(), codes.to_vector<int8_t>());
  const Tensor weights = dequantize(w);
  for (int64_t r = 0; r < 3; ++r)
    for (int64_t i = 0; i < 7; ++i) {
      const int64_t g = 2 * r + i / 4;
      EXPECT_EQ(
          weights.data<float>()[7 * r + i],
          scales.data<float>()[g] * static_cast<float>(codes.data<int8_t>()[7 * r + i] - zeros_of.data<int32_t>()[g]));
    }
  w.bytes.data<uint8_t>()[7] |= 16;
  EXPECT_EQ(message_of<FormatError>([&] { check(w); }).substr(0, 57),
            "[packed] expected bytes of codes of four bits in nibbles,");
  EXPECT_THROW((void)pack(codes, 1, nibbles), ValueError) << "one scale is not enough";
  EXPECT_THROW((void)pack(codes, scales, nibbles, {}, 4), ValueError) << "it has zero points";
  EXPECT_THROW((void)pack(codes, scales, nibbles, zeros_of, 3), ValueError) << "three groups in a row of seven";
  EXPECT_THROW((void)packed_linear(randn({2, 7}), pack(codes, scales, nibbles, zeros_of, 4)), ValueError);
  PackedWeight ternary = pack(random_codes({3, 7}), 1, pack2_block128);
  ternary.scales = full({}, NAN);
  EXPECT_THROW((void)packed_linear(randn({2, 7}), ternary), FormatError);
  ternary.scales = full({}, 1);
  ternary.group_size = 4;
  EXPECT_EQ(message_of<FormatError>([&] { check(ternary); }),
            "[packed] expected no group_size in pack2_block128, got 4");
}

// -- the module

std::shared_ptr<PackedLinear> some_layer(bool bias, bool subln) {
  auto layer = nn::make<PackedLinear>({.in_features = 20, .out_features = 7, .bias = bias, .subln = subln});
  layer->set_weight(pack(random_codes({7, 20}), 0.3F, pack3_fixed));
  if (bias) layer->set_bias(randn({7}));
  if (subln) {
    NoGradGuard no_grad;
    Tensor w = (*layer->subln)->weight.latent();
    w.copy_(rand({20}));
  }
  return layer;
}

TEST(PackedLinear, ComputesPackedLinear) {
  const Tensor x = randn({2, 3, 20});
  const auto plain = some_layer(false, false), full = some_layer(true, true);
  EXPECT_EQ((*plain)(x).to_vector<float>(), packed_linear(x, plain->weight()).to_vector<float>());
  const Tensor normed = rms_norm(x, (*full->subln)->weight(), 1e-6);
  EXPECT_EQ((*full)(x).to_vector<float>(), packed_linear(normed, full->weight(), full->bias()).to_vector<float>());
  // With a hook on the norm the fused pass steps aside.
  int calls = 0;
  (*full->subln)->register_forward_hook([&](nn::Module&, std::span<const Tensor>, const Tensor&) { ++calls; });
  EXPECT_EQ((*full)(x).to_vector<float>(), packed_linear(normed, full->weight(), full->bias()).to_vector<float>());
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(full->extra_text(), "20, 7, subln=true");
  EXPECT_EQ(full->macs({6, 20}, {6, 7}), 6 * 7 * 20);
}

TEST(PackedLinear, ANewOneGivesZeros) {
  PackedLinear layer({.in_features = 5, .out_features = 3});
  EXPECT_EQ(layer(randn({2, 5})).to_vector<float>(), std::vector<float>(6, 0));
  EXPECT_THROW(PackedLinear({.in_features = 0, .out_features = 3}), ValueError);
  EXPECT_THROW(PackedLinear({.in_features = 3, .out_features = 3, .subln_eps = -1}), ValueError);
}

TEST(PackedLinear, StateComesBack) {
  const auto layer = some_layer(true, true);
  const io::TensorMap state = layer->state_dict();
  std::vector<std::string> names;
  for (const auto& [name, value] : state) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"weight_packed", "weight_scale", "bias", "subln.weight"}));
  PackedLinear other({.in_features = 20, .out_features = 7, .bias = true, .subln = true});
  other.load_state_dict(state);
  const Tensor x = randn({3, 20});
  EXPECT_EQ(other(x).to_vector<float>(), (*layer)(x).to_vector<float>());
  const auto copy = nn::clone(*layer);
  EXPECT_EQ((*copy)(x).to_vector<float>(), (*layer)(x).to_vector<float>());
  copy->set_weight(pack(zeros({7, 20}, DType::kI8), 1, pack2_linear));
  EXPECT_NE((*copy)(x).to_vector<float>(), (*layer)(x).to_vector<float>());
}

TEST(PackedLinear, RefusesAnAlteredStateAndOtherSizes) {
  const auto layer = some_layer(true, false);
  const Tensor x = randn({3, 20});
  (void)(*layer)(x);
  io::TensorMap state = layer->state_dict();
  Tensor bytes = state.at("weight_packed").clone();
  bytes.data<uint8_t>()[3] = 0xFF;
  state.set("weight_packed", bytes);
  layer->load_state_dict(state);
  EXPECT_EQ(message_of<FormatError>([&] { (void)(*layer)(x); }),
            "[packed] expected bytes of ternary codes in pack2_block128, got 255 as byte 3 of row 0");
  layer->set_weight(pack(random_codes({7, 20}), 1, pack2_linear));
  EXPECT_EQ((*layer)(x).shape(), (Shape{3, 7}));
  layer->weight_scale().fill_(-1);
  EXPECT_THROW((void)(*layer)(x), FormatError);
  layer->weight_scale.set(full({}, 1));
  EXPECT_EQ((*layer)(x).shape(), (Shape{3, 7}));
  layer->weight_scale.set(full({}, NAN));  // another tensor, as often written to
  EXPECT_THROW((void)(*layer)(x), FormatError);
  layer->weight_scale.set(full({}, 1));
  EXPECT_THROW(layer->set_weight(pack(random_codes({7, 21}), 1, pack2_linear)), ShapeError);
  EXPECT_THROW(layer->set_bias(randn({6})), ShapeError);
  EXPECT_THROW(layer->set_bias(full({7}, std::nan(""))), NonFiniteError);
  EXPECT_THROW(some_layer(false, false)->set_bias(randn({7})), StateError);
}

TEST(PackedLinear, GivesNoGradient) {
  const auto layer = some_layer(true, true);
  EXPECT_EQ(layer->parameter_count(), 0);
  Tensor x = randn({3, 20});
  x.requires_grad_();
  EXPECT_NE(message_of<StateError>([&] { (void)(*layer)(x); }).find("expected an input that needs no gradient"),
            std::string::npos);
  NoGradGuard no_grad;
  EXPECT_EQ((*layer)(x).shape(), (Shape{3, 7}));
}

// -- files

struct Net : nn::Module {
  nn::Child<nn::Linear> up{this, "up", {.in_features = 12, .out_features = 33}};
  nn::Child<nn::Linear> down{this, "down", {.in_features = 33, .out_features = 12, .bias = false}};
  nn::Child<nn::Linear> head{this, "head", {.in_features = 12, .out_features = 4}};
  Tensor forward(const Tensor& x) override { return head(down(relu(up(x)))); }
};

// up and down packed, the head left alone.
std::shared_ptr<Net> packed_net() {
  auto net = nn::make<Net>();
  auto up = nn::make<PackedLinear>({.in_features = 12, .out_features = 33, .bias = true});
  up->set_weight(pack(random_codes({33, 12}), 0.2F, pack2_linear));
  up->set_bias(randn({33}));
  auto down = nn::make<PackedLinear>({.in_features = 33, .out_features = 12, .subln = true, .subln_eps = 1e-5});
  down->set_weight(pack(random_codes({12, 33}), 0.1F, pack2_linear));
  net->replace("up", up);
  net->replace("down", down);
  return net;
}

TEST(PackedFile, AModelComesBackInEveryFormat) {
  const auto net = packed_net();
  NoGradGuard no_grad;
  const Tensor x = randn({5, 12}), y = (*net)(x);
  testing::TemporaryDirectory directory;
  for (const Format& format : all_formats()) {
    const Content content = state_of(*net, format);
    const std::string path = directory / concat(format.name, ".safetensors");
    io::save_safetensors(path, content.tensors, content.metadata);
    const Content read = io::load_safetensors(path);
    EXPECT_EQ(read_infos(read.metadata).at("down.weight").format, format.name);
    EXPECT_EQ(read_infos(read.metadata).at("down.weight").settings.at(kSublnEps), 1e-5);
    Net fresh;
    load_into(fresh, read);
    EXPECT_EQ(fresh(x).to_vector<float>(), y.to_vector<float>()) << format.name;
    EXPECT_EQ(fresh.down.get_if<PackedLinear>()->options().subln_eps, 1e-5);
    EXPECT_EQ(fresh.head.get_if<PackedLinear>(), nullptr);
    load_into(fresh, read);  // into layers that are packed already
    EXPECT_EQ(fresh(x).to_vector<float>(), y.to_vector<float>()) << format.name;
  }
}

TEST(PackedFile, SingleWeightsAreStoredAndLoaded) {
  Content content;
  const PackedWeight a = pack(random_codes({4, 9}), 0.5F, pack3_fixed);
  const PackedWeight b = pack(random_codes({3, 200}), 2, pack2_block128);
  store(content, "a.weight", a);
  store(content, "b.weight", b, {{"threshold", 0.25}});
  const Content read =
      io::parse_safetensors(io::bytes_of(io::serialize_safetensors(content.tensors, content.metadata)));
  EXPECT_EQ(load(read, "a.weight").bytes.to_vector<uint8_t>(), a.bytes.to_vector<uint8_t>());
  EXPECT_EQ(load(read, "a.weight").scale(), 0.5F);
  EXPECT_EQ(load(read, "b.weight").in_features, 200);
  EXPECT_EQ(read_infos(read.metadata).at("b.weight").settings.at("threshold"), 0.25);
  EXPECT_THROW(store(content, "a.weight", a), ValueError);
  EXPECT_EQ(message_of<ValueError>([&] { (void)load(read, "c.weight"); }),
            "[packed] expected the name of a packed weight, got c.weight, which the file does not have");
  EXPECT_TRUE(read_infos({}).empty());
}

TEST(PackedFile, RefusesAlteredFiles) {
  Content good;
  store(good, "a.weight", pack(random_codes({4, 9}), 0.5F, pack3_fixed));
  const auto refused = [&](auto&& change) {
    Content content = good;
    change(content);
    return message_of<FormatError>([&] { (void)load(content, "a.weight"); });
  };
  EXPECT_EQ(refused([](auto&) {}), "nothing was thrown");
  EXPECT_EQ(refused([](auto& c) {
              c.tensors.set("a.weight_packed", zeros({4, 1}, DType::kU8));
            }),
            "[packed] expected u8 [4, 2] row by row for 4 x 9 weights in pack3_fixed, got u8 [4, 1] (in a.weight)");
  EXPECT_NE(refused([](auto& c) {
              c.tensors.set("a.weight_packed", full({4, 2}, 254, DType::kU8));
            }).find("got 254"),
            std::string::npos);
  for (const double scale : {0.0, -1.0, std::nan(""), HUGE_VAL})
    EXPECT_NE(refused([&](auto& c) { c.tensors.set("a.weight_scale", full({}, scale)); }).find("finite scale above 0"),
              std::string::npos);
  EXPECT_NE(refused([](auto& c) { c.tensors.set("a.weight_scale", ones({1})); }).find("got f32 [1]"),
            std::string::npos);
  EXPECT_EQ(refused([](auto& c) {
              c.tensors = {{"a.weight_scale", ones({})}};
            }),
            "[packed] expected a tensor a.weight_packed in pack3_fixed, got none (in a.weight)");

  const auto metadata = [&](const std::string& from, const std::string& to) {
    return refused([&](auto& c) {
      std::string& text = c.metadata[kMetadataKey];
      const size_t at = text.find(from);
      ASSERT_NE(at, std::string::npos) << from;
      text.replace(at, from.size(), to);
    });
  };
  EXPECT_NE(metadata("pack3_fixed", "pack9").find("got \"pack9\" (in a.weight)"), std::string::npos);
  EXPECT_NE(metadata("pack3_fixed", "pack3_digits").find("expected bytes of ternary codes in pack3_digits"),
            std::string::npos);
  EXPECT_EQ(metadata("\"version\":1", "\"version\":2"),
            "[packed] expected pack3_fixed of version 1 or lower, got version 2 (in a.weight)");
  EXPECT_NE(metadata("\"version\":1", "\"version\":0").find("at least 1"), std::string::npos);
  EXPECT_NE(metadata("\"in_features\":9", "\"in_features\":0").find("at least 1"), std::string::npos);
  EXPECT_NE(metadata("\"in_features\":9", "\"in_features\":9223372036854775807").find("rows of at most"),
            std::string::npos);
  EXPECT_NE(metadata("\"in_features\":9", "\"in_features\":9.5"), "nothing was thrown");
  EXPECT_NE(metadata("\"in_features\":9", "\"columns\":9").find("columns"), std::string::npos);
  EXPECT_NE(metadata(",\"in_features\":9", "").find("expected a member \"in_features\""), std::string::npos);
  EXPECT_NE(metadata("\"settings\":{}", "\"settings\":{\"x\":\"y\"}"), "nothing was thrown");
  EXPECT_NE(metadata("\"weights\"", "\"weight\"").find("\"weight\""), std::string::npos);
  EXPECT_NE(metadata("{\"weights\"", "[{\"weights\""), "nothing was thrown");
}

TEST(PackedFile, TruncatedFilesAreRefused) {
  Content content;
  store(content, "a.weight", pack(random_codes({4, 9}), 0.5F, pack3_fixed));
  const std::string bytes = io::serialize_safetensors(content.tensors, content.metadata);
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_THROW((void)load(io::parse_safetensors(io::bytes_of(bytes.substr(0, size))), "a.weight"), FormatError)
        << size;
}

TEST(PackedFile, AFileThatDoesNotFitLeavesTheModelAlone) {
  const auto net = packed_net();
  const Content good = state_of(*net, pack3_fixed);
  Net model;
  const Tensor x = randn({2, 12}), before = model(x);
  const auto refused = [&](const Content& content) {
    const std::string text = message_of<ValueError>([&] { load_into(model, content); });
    EXPECT_EQ(model(x).to_vector<float>(), before.to_vector<float>());
    EXPECT_NE(model.up.get_if<nn::Linear>(), nullptr);
    return text;
  };
  Content missing = good;
  std::vector<io::TensorMap::Entry> kept;
  for (const auto& entry : good.tensors)
    if (entry.first != "head.bias") kept.push_back(entry);
  missing.tensors = io::TensorMap(kept);
  EXPECT_NE(refused(missing).find("head.bias"), std::string::npos);

  Content other = good;
  store(other, "nowhere.weight", pack(random_codes({2, 2}), 1, pack3_fixed));
  EXPECT_NE(refused(other).find("nowhere"), std::string::npos);
  Content sizes;
  store(sizes, "head.weight", pack(random_codes({4, 13}), 1, pack3_fixed));
  EXPECT_EQ(refused(sizes), "[packed] expected a weight of 4 x 12 for head, got 4 x 13 from the file");
  Content root;
  store(root, "weight", pack(random_codes({4, 13}), 1, pack3_fixed));
  EXPECT_EQ(refused(root), "[packed] expected a Linear to replace for weight, got the model itself");
  for (const auto& [setting, told] : {std::pair{"group_size", 32.0}, {"subln_eps", -1.0}}) {
    Content unknown;
    store(unknown, "head.weight", pack(random_codes({4, 12}), 1, pack3_fixed), {{setting, told}});
    EXPECT_EQ(
        message_of<FormatError>([&] { load_into(model, unknown); }),
        concat("[packed] expected no settings of head.weight but subln_eps of at least 0, got ", setting, " = ", told));
  }
  Content infinite = good;
  infinite.tensors.set("up.bias", full({33}, INFINITY));
  EXPECT_EQ(message_of<FormatError>([&] { load_into(model, infinite); }),
            "[packed] expected a finite bias, got inf (in up)");
  Content odd;
  store(odd, "head.kernel", pack(random_codes({4, 13}), 1, pack3_fixed));
  EXPECT_EQ(refused(odd), "[packed] expected a packed weight of a layer, LAYER.weight, got head.kernel");
}

TEST(PackedFile, ADecoderRunsPacked) {
  using nn::models::Llama;
  const Llama::Options options{.vocab_size = 19,
                               .hidden_size = 24,
                               .intermediate_size = 40,
                               .num_hidden_layers = 2,
                               .num_attention_heads = 4,
                               .num_key_value_heads = 2,
                               .max_position_embeddings = 16,
                               .tie_word_embeddings = true};
  const auto source = nn::make<Llama>(options), target = nn::make<Llama>(options);
  int packed = 0;
  for (const auto& [path, module] : source->named_modules()) {
    const auto* linear = dynamic_cast<const nn::Linear*>(module.get());
    if (linear == nullptr || path == "lm_head") continue;
    auto layer = nn::make<PackedLinear>({.in_features = linear->options().in_features,
                                         .out_features = linear->options().out_features,
                                         .subln = path.ends_with("o_proj") || path.ends_with("down_proj")});
    layer->set_weight(pack(random_codes(linear->weight.latent().shape()), 0.1F, pack2_linear));
    source->replace(path, layer);
    ++packed;
  }
  EXPECT_EQ(packed, 14);
  const Content content = state_of(*source, pack3_fixed);
  load_into(*target, io::parse_safetensors(io::bytes_of(io::serialize_safetensors(content.tensors, content.metadata))));
  NoGradGuard no_grad;
  const Tensor tokens = randint(0, 19, {2, 9});
  EXPECT_EQ((*target)(tokens).to_vector<float>(), (*source)(tokens).to_vector<float>());
}

// Six layers of a decoder's size, three million weights: what the files need, headers included.
TEST(PackedFile, SizesOfFilesOfThreeMillionWeights) {
  struct Layer : nn::Module {
    nn::Child<PackedLinear> q{this, "q_proj", {.in_features = 204, .out_features = 204}};
    nn::Child<PackedLinear> k{this, "k_proj", {.in_features = 204, .out_features = 204}};
    nn::Child<PackedLinear> v{this, "v_proj", {.in_features = 204, .out_features = 204}};
    nn::Child<PackedLinear> o{this, "o_proj", {.in_features = 204, .out_features = 204}};
    nn::Child<PackedLinear> gate{this, "gate_proj", {.in_features = 204, .out_features = 544}};
    nn::Child<PackedLinear> up{this, "up_proj", {.in_features = 204, .out_features = 544}};
    nn::Child<PackedLinear> down{this, "down_proj", {.in_features = 544, .out_features = 204}};
  };
  struct Decoder : nn::Module {
    nn::Child<Layer> a{this, "layer0"}, b{this, "layer1"}, c{this, "layer2"}, d{this, "layer3"}, e{this, "layer4"},
        f{this, "layer5"};
  } model;
  int64_t weights = 0;
  for (const auto& [name, module] : model.named_modules())
    if (auto* layer = dynamic_cast<PackedLinear*>(module.get())) {
      const auto& o = layer->options();
      layer->set_weight(pack(random_codes({o.out_features, o.in_features}), 0.1F, pack2_linear));
      weights += o.out_features * o.in_features;
    }
  EXPECT_GE(weights, 2'900'000);
  const auto file_bytes = [&](const Format& format) {
    const Content content = state_of(model, format);
    return static_cast<double>(io::serialize_safetensors(content.tensors, content.metadata).size());
  };
  const double floats = static_cast<double>(weights) * 4;  // without any header
  RecordProperty("base3", std::to_string(floats / file_bytes(pack3_fixed)));
  RecordProperty("two_bits", std::to_string(floats / file_bytes(pack2_linear)));
  EXPECT_GE(floats / file_bytes(pack3_fixed), 15);
  EXPECT_GE(floats / file_bytes(pack3_digits), 15);
  EXPECT_GE(floats / file_bytes(pack2_linear), 14);
}

// Files of tests/golden/packed, written by the first version of the formats.
TEST(PackedFile, FilesOfEarlierVersionsAreReadAndWrittenAlike) {
  Tensor codes = empty({3, 131}, DType::kI8);
  for (int64_t i = 0; i < codes.numel(); ++i) codes.data<int8_t>()[i] = static_cast<int8_t>(i * i % 7 % 3 - 1);
  for (const Format& format : all_formats()) {
    const Content content = io::load_safetensors(concat(TERN_GOLDEN_DIR, "/packed/", format.name, ".safetensors"));
    const PackedWeight weight = load(content, "0.weight");
    EXPECT_EQ(weight.format, &format);
    EXPECT_EQ(unpack(weight).to_vector<int8_t>(), codes.to_vector<int8_t>()) << format.name;
    EXPECT_EQ(weight.scale(), 0.25F);
    nn::Sequential model;
    model.append(nn::make<nn::Linear>({.in_features = 131, .out_features = 3}));
    load_into(model, content);
    const auto* layer = dynamic_cast<PackedLinear*>(model.get_module("0").get());
    ASSERT_NE(layer, nullptr) << format.name;
    EXPECT_EQ(layer->options().subln_eps, 1e-5);
    EXPECT_EQ(layer->bias().to_vector<float>(), (std::vector<float>{0.5F, -1, 2}));
    const Content again = state_of(model, format);
    EXPECT_EQ(io::serialize_safetensors(again.tensors, again.metadata),
              io::serialize_safetensors(content.tensors, content.metadata))
        << format.name;
  }
}

}  // namespace
}  // namespace tern::packed
