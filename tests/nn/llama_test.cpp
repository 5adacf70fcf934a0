#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include <tern/core/io/safetensors.h>
#include <tern/core/ops/rope.h>
#include <tern/core/ops/shape.h>
#include <tern/nn/init.h>
#include <tern/nn/models/llama.h>
#include <tern/nn/models/registry.h>
#include <tern/nn/models/vit.h>

#include "message_of.h"
#include "nn/numeric.h"

namespace tern::nn::models {
namespace {

LlamaOptions small(bool tied = false) {
  return {.vocab_size = 11,
          .hidden_size = 16,
          .intermediate_size = 20,
          .num_hidden_layers = 2,
          .num_attention_heads = 4,
          .num_key_value_heads = 2,
          .max_position_embeddings = 12,
          .tie_word_embeddings = tied};
}

Tensor some_tokens(int64_t batch, int64_t length) {
  Tensor t = empty({batch, length}, DType::kI64);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<int64_t>()[i] = (i * 7 + i / 3) % 11;
  return t;
}

using test::message_of;

// A file in the test's own folder, removed at the end.
class LlamaFiles : public ::testing::Test {
 protected:
  LlamaFiles() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tern_llama_XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~LlamaFiles() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }
  std::filesystem::path folder_;
};

TEST(LlamaDecoder, NamesFollowHuggingFace) {
  Llama model(small());
  const auto state = model.state_dict();
  for (const char* name : {"model.embed_tokens.weight", "model.layers.1.input_layernorm.weight",
                           "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.o_proj.weight",
                           "model.layers.0.post_attention_layernorm.weight", "model.layers.0.mlp.gate_proj.weight",
                           "model.layers.0.mlp.down_proj.weight", "model.norm.weight", "lm_head.weight"})
    EXPECT_TRUE(state.contains(name)) << name;
  EXPECT_EQ(state.size(), 3u + 2 * 9);
  EXPECT_EQ(state.at("model.layers.0.self_attn.k_proj.weight").shape(), Shape({8, 16}));
  Llama tied(small(true));
  EXPECT_FALSE(tied.state_dict().contains("lm_head.weight"));
  EXPECT_TRUE(tied.lm_head->weight.is_tied_with(tied.model->embed_tokens->weight));
  EXPECT_EQ(model.parameter_count() - tied.parameter_count(), 11 * 16);
}

TEST(LlamaDecoder, StepsWithACacheGiveWhatOneForwardGives) {
  for (const bool tied : {false, true}) {
    Llama model(small(tied));
    model.to(DType::kF64);
    const NoGradGuard no_grad;
    const Tensor tokens = some_tokens(2, 9);
    const Tensor all = model(tokens);
    KeyValueCache cache = model.make_cache(2, 10);
    EXPECT_LT(largest_difference(model.step(tokens.slice(1, 0, 4), cache), all.select(1, 3)), 1e-12);
    for (int64_t i = 4; i < 9; ++i)
      EXPECT_LT(largest_difference(model.step(tokens.slice(1, i, i + 1), cache), all.select(1, i)), 1e-12) << i;
    cache.truncate(3);
    EXPECT_LT(largest_difference(model.step(tokens.slice(1, 3, 7), cache), all.select(1, 6)), 1e-12);
    EXPECT_EQ(cache.length(), 7);
  }
}

TEST(LlamaDecoder, LooksAtNoLaterToken) {
  Llama model(small());
  const NoGradGuard no_grad;
  Tensor tokens = some_tokens(1, 6);
  const Tensor before = model(tokens).slice(1, 0, 4).clone();
  tokens.data<int64_t>()[5] = (tokens.data<int64_t>()[5] + 1) % 11;
  EXPECT_EQ(largest_difference(model(tokens).slice(1, 0, 4), before), 0);
}

TEST(LlamaDecoder, ScalesAsMiniCpm) {
  LlamaOptions o = small();
  Llama plain(o);
  o.scale_emb = 3;
  o.scale_depth = 1.4;
  o.dim_model_base = 4;
  Llama scaled(o);
  scaled.load_state_dict(plain.state_dict());
  const NoGradGuard no_grad;
  const Tensor tokens = some_tokens(1, 5);
  EXPECT_GT(largest_difference(plain(tokens), scaled(tokens)), 1e-6);
  // The same by hand: the weights that the factors multiply.
  for (const auto& [name, tensor] : plain.named_parameters()) {
    Tensor t = tensor;
    if (name == "model.embed_tokens.weight") t.mul_(3);
    if (name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight")) t.mul_(1.4 / std::sqrt(2.0));
    if (name == "lm_head.weight") t.mul_(4.0 / 16);
  }
  EXPECT_LT(largest_difference(plain(tokens), scaled(tokens)), 1e-5);
}

TEST(LlamaDecoder, RefusesWhatDoesNotFit) {
  Llama model(small());
  KeyValueCache cache = model.make_cache(1, 4);
  EXPECT_EQ(message_of([&] { model(some_tokens(1, 13)); }), "[Llama] expected at most 12 positions, got 13 (in model)");
  EXPECT_EQ(message_of([&] { model.step(some_tokens(1, 5), cache); }),
            "[Llama] expected at most 4 positions in the cache, got 5 (in model)");
  EXPECT_EQ(message_of([&] { model.step(some_tokens(2, 1), cache); }),
            "[Llama] expected tokens for a cache of 1 sequences, got [2, 1] (in model)");
  EXPECT_EQ(message_of([&] { (void)model.make_cache(1, 13); }),
            "[KeyValueCache] expected a batch of at least 1 and a capacity in [1, 12], got 1 and 13");
  EXPECT_EQ(message_of([] { Llama({.hidden_size = 10, .num_attention_heads = 4}); }),
            "[Llama] expected num_attention_heads that divides hidden_size, got 4 and 10");
  EXPECT_EQ(message_of<ValueError>([] { Llama({.rope_theta = INFINITY}); }),
            "[Llama] expected a finite rope_theta above 0, got inf");
  for (const int64_t layer : {int64_t{-1}, cache.layers()})
    EXPECT_EQ(message_of<ValueError>([&] { (void)cache.layer(layer); }),
              concat("[KeyValueCache] expected a layer in [0, ", cache.layers(), "), got ", layer));
}

TEST(LlamaConfig, ReadsHuggingFaces) {
  const auto read = [](const std::string& more) {
    return Llama::options_from_hugging_face(
        io::Json::parse("test", "text",
                        R"({"architectures": ["x"], "vocab_size": 11, "hidden_size": 16, "intermediate_size": 20,
            "num_hidden_layers": 2, "num_attention_heads": 4)" +
                            more + "}"));
  };
  EXPECT_FALSE(read("").attention_bias);
  EXPECT_TRUE(read(R"(, "attention_bias": true)").attention_out_bias);
  EXPECT_TRUE(read(R"(, "model_type": "qwen2")").attention_bias);
  EXPECT_FALSE(read(R"(, "model_type": "qwen2")").attention_out_bias);
  EXPECT_EQ(read(R"(, "rope_theta": 5e5)").rope_theta, 5e5);
  EXPECT_EQ(message_of([&] { read(R"(, "hidden_act": "gelu")"); }), "[Llama] expected hidden_act silu, got gelu");
  EXPECT_EQ(message_of([&] { read(R"(, "rope_scaling": {"type": "linear"})"); }),
            R"([Llama] expected rotary positions without rope_scaling, got {"type":"linear"})");
  EXPECT_EQ(message_of([] { Llama::options_from_hugging_face(io::Json::object()); }),
            "[Llama] expected vocab_size in the configuration, got none");
}

TEST_F(LlamaFiles, SavesAndLoadsWithItsOwnMetadata) {
  Llama model(small(true));
  io::save_safetensors(path("own.safetensors"), model.state_dict(), model.metadata());
  const auto loaded = Llama::load(path("own.safetensors"));
  const auto through_registry = load(path("own.safetensors"));
  const NoGradGuard no_grad;
  EXPECT_EQ(largest_difference((*loaded)(some_tokens(1, 5)), model(some_tokens(1, 5))), 0);
  EXPECT_EQ(through_registry->config(), model.config());
  EXPECT_EQ(loaded->options().rms_norm_eps, small().rms_norm_eps);
}

TEST_F(LlamaFiles, ForeignFilesNeedAConfiguration) {
  Llama model(small());
  io::save_safetensors(path("foreign.safetensors"), model.state_dict());
  EXPECT_EQ(message_of([&] { (void)Llama::load(path("foreign.safetensors")); }),
            concat("[Llama] expected a configuration in the metadata of '", path("foreign.safetensors"),
                   "' or a config.json beside it, got neither"));
  write("config.json", model.config().dump());
  const auto loaded = Llama::load(path("foreign.safetensors"), path("config.json"));
  const NoGradGuard no_grad;
  EXPECT_EQ(largest_difference((*loaded)(some_tokens(1, 5)), model(some_tokens(1, 5))), 0);
}

TEST_F(LlamaFiles, MetaNamesAndPairsAreMapped) {
  Llama model(small());
  const LlamaOptions& o = model.options();
  // Rotation by pairs of the permuted-back rows is rotation by halves of ours.
  Tensor weight = empty({8, 3}, DType::kF64);
  for (int64_t i = 0; i < 24; ++i) weight.data<double>()[i] = static_cast<double>(i / 3);
  const Tensor halves = pairs_to_halves(weight, 2);
  EXPECT_EQ(halves.select(1, 0).to_vector<double>(), (std::vector<double>{0, 2, 1, 3, 4, 6, 5, 7}));

  io::TensorMap meta;
  const auto back = [&](const Tensor& w, int64_t heads) {  // the inverse of pairs_to_halves
    return w.reshape({heads, 2, w.size(0) / heads / 2, w.size(1)}).transpose(1, 2).reshape(w.shape());
  };
  for (const auto& [name, tensor] : model.state_dict()) {
    const Tensor t = tensor.detach();
    if (name == "model.embed_tokens.weight") meta.insert("tok_embeddings.weight", t);
    if (name == "model.norm.weight") meta.insert("norm.weight", t);
    if (name == "lm_head.weight") meta.insert("output.weight", t);
    const size_t dot = name.find('.', 13);
    if (!name.starts_with("model.layers.")) continue;
    const std::string layer = "layers." + name.substr(13, dot - 13) + ".", rest = name.substr(dot + 1);
    if (rest == "self_attn.q_proj.weight") meta.insert(layer + "attention.wq.weight", back(t, 4));
    if (rest == "self_attn.k_proj.weight") meta.insert(layer + "attention.wk.weight", back(t, 2));
    if (rest == "self_attn.v_proj.weight") meta.insert(layer + "attention.wv.weight", t);
    if (rest == "self_attn.o_proj.weight") meta.insert(layer + "attention.wo.weight", t);
    if (rest == "input_layernorm.weight") meta.insert(layer + "attention_norm.weight", t);
    if (rest == "post_attention_layernorm.weight") meta.insert(layer + "ffn_norm.weight", t);
    if (rest == "mlp.gate_proj.weight") meta.insert(layer + "feed_forward.w1.weight", t);
    if (rest == "mlp.down_proj.weight") meta.insert(layer + "feed_forward.w2.weight", t);
    if (rest == "mlp.up_proj.weight") meta.insert(layer + "feed_forward.w3.weight", t);
  }
  EXPECT_EQ(meta.size(), model.state_dict().size());
  io::save_safetensors(path("meta.safetensors"), meta);
  write("config.json", model.config().dump());
  const auto loaded = Llama::load(path("meta.safetensors"), path("config.json"));
  const NoGradGuard no_grad;
  EXPECT_EQ(largest_difference((*loaded)(some_tokens(1, 5)), model(some_tokens(1, 5))), 0);
  EXPECT_EQ(o.num_key_value_heads, 2);
}

// A llama2.c file of the small model's shape, element i of the body counting up.
std::string llama2c_bytes(int32_t vocab) {
  const int32_t header[7] = {16, 20, 2, 4, 2, vocab, 12};
  const int64_t v = std::abs(vocab), d = 16, f = 20, kv = 8, head = 4;
  int64_t count = v * d + 2 * d + 2 * d * d + 4 * kv * d + 2 * d * d + 2 * d + 2 * 3 * f * d + d + 12 * head;
  if (vocab < 0) count += v * d;
  std::string bytes(reinterpret_cast<const char*>(header), sizeof header);
  for (int64_t i = 0; i < count; ++i) {
    const float value = static_cast<float>(i) * 1e-3f;
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  return bytes;
}

TEST_F(LlamaFiles, ReadsLlama2cCheckpoints) {
  const auto tied = Llama::load(write("tied.bin", llama2c_bytes(11)));
  EXPECT_TRUE(tied->options().tie_word_embeddings);
  EXPECT_EQ(tied->options().rms_norm_eps, 1e-5);
  const auto state = tied->state_dict();
  EXPECT_FLOAT_EQ(state.at("model.embed_tokens.weight")[1][0].item<float>(), 0.016f);
  // wq of layer 0 starts after embedding and both attention norms; row 1 of the first half is its old row 2.
  const int64_t wq = 11 * 16 + 2 * 16;
  EXPECT_FLOAT_EQ(state.at("model.layers.0.self_attn.q_proj.weight")[1][0].item<float>(),
                  static_cast<float>(wq + 2 * 16) * 1e-3f);
  EXPECT_FLOAT_EQ(state.at("model.layers.1.input_layernorm.weight")[0].item<float>(),
                  static_cast<float>(11 * 16 + 16) * 1e-3f);
  const auto untied = Llama::load(write("untied.bin", llama2c_bytes(-11)));
  EXPECT_FALSE(untied->options().tie_word_embeddings);
  EXPECT_TRUE(untied->state_dict().contains("lm_head.weight"));
  // Whatever files are called.
  EXPECT_TRUE(Llama::load(write("tied.weights", llama2c_bytes(11)))->options().tie_word_embeddings);
  EXPECT_FALSE(Llama::load(write("untied", llama2c_bytes(-11)))->options().tie_word_embeddings);
  EXPECT_TRUE(Llama::is_llama2c(path("untied")));
  io::save_safetensors(path("model.bin"), tied->state_dict(), tied->metadata());
  EXPECT_FALSE(Llama::is_llama2c(path("model.bin")));
  EXPECT_EQ(Llama::load(path("model.bin"))->state_dict().size(), state.size());
  for (const std::string& text : {std::string(), std::string("PK\3\4"), std::string(1000, 'x'), std::string(28, '\0')})
    EXPECT_FALSE(Llama::is_llama2c(write("other.bin", text)));
  EXPECT_FALSE(Llama::is_llama2c(path("absent.bin")));
}

TEST_F(LlamaFiles, RefusesBrokenLlama2cCheckpoints) {
  const std::string good = llama2c_bytes(11);
  const auto load_text = [&](const std::string& bytes) {
    const std::string file = write("broken.bin", bytes);
    std::string message = message_of([&] { (void)Llama::load_llama2c(file); });
    const size_t at = message.find(file);
    return at == std::string::npos ? message : message.replace(at, file.size(), "FILE");
  };
  EXPECT_EQ(load_text(""), "[load_llama2c] expected a header of 28 bytes in 'FILE', got a file of 0");
  EXPECT_EQ(
      load_text(good.substr(0, good.size() - 1)),
      concat("[load_llama2c] expected ", good.size(), " bytes, as the header says, in 'FILE', got ", good.size() - 1));
  EXPECT_EQ(load_text(good + "x"), concat("[load_llama2c] expected ", good.size(),
                                          " bytes, as the header says, in 'FILE', got ", good.size() + 1));
  std::string huge = good;
  const int32_t sizes[7] = {2147483646, 2147483647, 2147483647, 1, 1, 2147483647, 2147483647};
  huge.replace(0, sizeof sizes, reinterpret_cast<const char*>(sizes), sizeof sizes);
  EXPECT_NE(load_text(huge).find("expected"), std::string::npos) << "no allocation, no overflow";
  for (int i = 0; i < 7; ++i) {
    std::string zero = good;
    zero.replace(static_cast<size_t>(4 * i), 4, std::string(4, '\0'));
    EXPECT_NE(load_text(zero).find("positive sizes"), std::string::npos) << i;
  }
  EXPECT_THROW((void)Llama::load(path("absent.bin")), IoError);
}

TEST_F(LlamaFiles, VitLoadsTimmsConfiguration) {
  Vit model({.image_size = 32, .patch_size = 16, .num_classes = 7});
  io::save_safetensors(path("vit.safetensors"), model.state_dict());
  write("config.json", R"({"architecture": "vit_tiny_patch16_32.augreg", "num_classes": 7, "num_features": 192})");
  const auto loaded = Vit::load(path("vit.safetensors"), path("config.json"));
  EXPECT_EQ(loaded->config(), model.config());
  write("config.json", R"({"architecture": "swin_tiny"})");
  EXPECT_EQ(message_of([&] { (void)Vit::load(path("vit.safetensors"), path("config.json")); }),
            "[Vit] expected an architecture like vit_tiny_patch16_224, got 'swin_tiny'");
}

TEST(Pretrained, PublishedWeightsLoadUnderTheirOwnNames) {
  const char* data = std::getenv("TERN_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "TERN_TEST_DATA is not set";
  const std::string folder = std::string(data) + "/pretrained/";
  for (const char* name : {"resnet20", "resnet56"}) {
    const auto content = io::load_safetensors(concat(folder, "cifar10_", name, ".safetensors"));
    EXPECT_NO_THROW(create(name)->load_state_dict(content.tensors)) << name;
  }
  const auto stories = Llama::load(folder + "stories260K.bin");
  EXPECT_EQ(stories->options().num_hidden_layers, 5);
  // The greedy text starts "Once upon a time": from the beginning-of-text token, the token that follows is fixed.
  KeyValueCache cache = stories->make_cache(1, 4);
  const Tensor logits = stories->step(empty({1, 1}, DType::kI64).fill_(1), cache);
  const std::vector<float> values = logits.to_vector<float>();
  EXPECT_EQ(std::max_element(values.begin(), values.end()) - values.begin(), 403) << "the piece 'Once'";
}

}  // namespace
}  // namespace tern::nn::models
