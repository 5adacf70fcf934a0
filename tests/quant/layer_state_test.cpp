// The layer table of models with no method, one, and two.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/ops/create.h>
#include <tern/core/random.h>
#include <tern/nn/models/vit.h>
#include <tern/quant/bitnet/convert.h>
#include <tern/quant/bitnet/method.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/quant/layer_state.h>
#include <tern/quant/method.h>

#include "message_of.h"

namespace tern::quant {
namespace {

std::shared_ptr<nn::models::Vit> small_vit() {
  manual_seed(4);
  return nn::make<nn::models::Vit>(nn::models::VitOptions{
      .image_size = 16, .patch_size = 8, .num_classes = 4, .width = 16, .depth = 2, .num_heads = 2, .mlp_ratio = 2});
}

TEST(LayerTable, OfFullPrecisionHasTheLayersThatAreUsuallyCompressed) {
  const auto vit = small_vit();
  const LayerTable table = layer_table(*vit, Shape{2, 3, 16, 16});
  EXPECT_EQ(table.layers.size(), 1 + 2 * 4 + 1u) << "patch embedding, four maps a block, head";
  EXPECT_EQ(table.mean_bits(), 32);
  EXPECT_EQ(table.rel_bops(), 1);
  EXPECT_EQ(table.bytes(), 4 * table.weights());
  EXPECT_EQ(table.find("head")->macs, 16 * 4) << "for one example";
  EXPECT_EQ(table.find("patch_embed.proj")->macs, 16 * 3 * 64 * 4);
  EXPECT_EQ(table.find("nothing"), nullptr);
}

TEST(LayerTable, OfTwoMethodsNamesEachLayersOwn) {
  const auto vit = small_vit();
  bitnet::convert(*vit);
  codeq::attach(*vit, {.exclude = {"head"}, .bits = codeq::Fixed{.bits = 3}});
  const LayerTable table = layer_table(*vit, Shape{1, 3, 16, 16});
  const auto method_of = [&](const char* name) { return table.find(name)->method; };
  EXPECT_EQ(method_of("patch_embed.proj"), "codeq");
  EXPECT_EQ(method_of("blocks.0.attn.qkv"), "bitnet");
  EXPECT_EQ(method_of("head"), "");
  const LayerState &patch = *table.find("patch_embed.proj"), &qkv = *table.find("blocks.1.attn.qkv");
  EXPECT_EQ(patch.bits, 3);
  EXPECT_EQ(patch.activation_bits, 32);
  EXPECT_EQ(patch.bytes, patch.weights * 3 / 8);
  EXPECT_TRUE(patch.figure("step").has_value());
  EXPECT_EQ(qkv.bits, 2);
  EXPECT_EQ(qkv.activation_bits, 8);
  EXPECT_EQ(qkv.bytes, qkv.weights / 4 + 4);
  EXPECT_EQ(qkv.range, qkv.figure("scale"));
  EXPECT_DOUBLE_EQ(qkv.bops(), qkv.density() * 16 * 48 * 5 * 2 * 8);
  EXPECT_NE(table.find("pos_embed"), nullptr) << "of a compressed model everything with two axes is told";
  EXPECT_LT(table.rel_bops(), 0.2);

  const std::string text = to_string(table);
  EXPECT_NE(text.find("dead zone"), std::string::npos) << text;
  EXPECT_NE(text.find("\nblocks.1.attn.qkv "), std::string::npos) << text;
  EXPECT_NE(text.find(" % of dense fp32"), std::string::npos) << text;
  const io::Json json = to_json(table);
  EXPECT_EQ(json.at("layers").size(), table.layers.size());
  EXPECT_EQ(json.at("rel_bops").as_number(), table.rel_bops());
  EXPECT_EQ(to_json(qkv).at("scale").as_number(), qkv.range);
  EXPECT_EQ(to_string(layer_table(*vit)).find("BOPs"), std::string::npos) << "nothing was counted";
}

TEST(LayerTable, OfCodesAloneHasTheLayerWithoutAParameter) {
  const auto vit = small_vit();
  bitnet::convert(*vit);
  bitnet::convert_to_lrc(*vit, {.rank_percentage = 0.25, .keep_weight = false});
  const LayerTable table = layer_table(*vit, Shape{1, 3, 16, 16});
  const LayerState& qkv = *table.find("blocks.0.attn.qkv");
  EXPECT_EQ(qkv.parameter, "");
  EXPECT_EQ(qkv.weights, 16 * 48);
  EXPECT_EQ(qkv.figure("rank"), 4);
  const int64_t factors = table.find("blocks.0.attn.qkv.lrc_U")->macs + table.find("blocks.0.attn.qkv.lrc_V")->macs;
  EXPECT_EQ(qkv.macs + factors, 5 * (16 * 48 + 4 * (16 + 48)));
}

TEST(LayerTable, RefusesAShapeWithoutABatch) {
  const auto vit = small_vit();
  EXPECT_EQ(test::message_of<ShapeError>([&] { (void)layer_table(*vit, Shape{}); }),
            "[layer_table] expected an input shape that starts with a batch size of at least 1, got []");
}

TEST(Methods, AreFoundByKeyAndRegisteredOnce) {
  ASSERT_NE(find_method("codeq"), nullptr);
  EXPECT_EQ(find_method("codeq")->metadata_key, "tern.quantizers");
  EXPECT_EQ(find_method("bitnet")->metadata_key, "tern.bitnet");
  EXPECT_EQ(find_method("none"), nullptr);
  Method again = *find_method("codeq");
  EXPECT_EQ(test::message_of<ValueError>([&] { register_method(again); }),
            "[register_method] expected a key and a metadata key that no other method has, got \"codeq\" and "
            "\"tern.quantizers\" beside \"codeq\" and \"tern.quantizers\"");
  again.key = "other";
  again.metadata_key = "tern.other";
  again.layer_states = {};
  EXPECT_EQ(test::message_of<ValueError>([&] { register_method(again); }),
            "[register_method] expected is_in, describe, restore and layer_states of \"other\", got not all of them");
  again.key = "";
  EXPECT_THROW(register_method(again), ValueError);
}

}  // namespace
}  // namespace tern::quant
