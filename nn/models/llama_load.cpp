#include <filesystem>
#include <limits>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/io/bytes.h>
#include <tern/core/io/file.h>
#include <tern/core/ops/shape.h>
#include <tern/nn/init.h>
#include <tern/nn/models/config_reader.h>
#include <tern/nn/models/llama.h>

namespace tern::nn::models {
namespace {

constexpr double kNormEps2c = 1e-5;  // llama2.c stores neither
constexpr double kTheta2c = 10000;
constexpr int64_t kLargest = int64_t{1} << 31;

void read_sizes(ConfigReader& reader, LlamaOptions& o) {
  reader.read("vocab_size", o.vocab_size, 1, kLargest);
  reader.read("hidden_size", o.hidden_size, 1, kLargest);
  reader.read("intermediate_size", o.intermediate_size, 1, kLargest);
  reader.read("num_hidden_layers", o.num_hidden_layers, 1, 1 << 16);
  reader.read("num_attention_heads", o.num_attention_heads, 1, 1 << 16);
  reader.read("num_key_value_heads", o.num_key_value_heads, 0, 1 << 16);
  reader.read("head_dim", o.head_dim, 0, 1 << 16);
  reader.read("max_position_embeddings", o.max_position_embeddings, 1, kLargest);
  reader.read("rms_norm_eps", o.rms_norm_eps, 0, 1);
  reader.read("rope_theta", o.rope_theta, std::numeric_limits<double>::min(), 1e12);
  reader.read("tie_word_embeddings", o.tie_word_embeddings);
  reader.read("attention_bias", o.attention_bias);
  reader.read("scale_emb", o.scale_emb, -1e6, 1e6);
  reader.read("scale_depth", o.scale_depth, 0, 1e6);
  reader.read("dim_model_base", o.dim_model_base, 0, kLargest);
}

// Meta's name in Hugging Face's words; empty for other names.
std::string hugging_face_name(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> kWhole[] = {
      {"tok_embeddings.weight", "model.embed_tokens.weight"},
      {"norm.weight", "model.norm.weight"},
      {"output.weight", "lm_head.weight"},
  };
  static constexpr std::pair<std::string_view, std::string_view> kInLayer[] = {
      {"attention_norm.weight", "input_layernorm.weight"}, {"attention.wq.weight", "self_attn.q_proj.weight"},
      {"attention.wk.weight", "self_attn.k_proj.weight"},  {"attention.wv.weight", "self_attn.v_proj.weight"},
      {"attention.wo.weight", "self_attn.o_proj.weight"},  {"ffn_norm.weight", "post_attention_layernorm.weight"},
      {"feed_forward.w1.weight", "mlp.gate_proj.weight"},  {"feed_forward.w2.weight", "mlp.down_proj.weight"},
      {"feed_forward.w3.weight", "mlp.up_proj.weight"},
  };
  for (const auto& [meta, ours] : kWhole)
    if (name == meta) return std::string(ours);
  constexpr std::string_view kLayers = "layers.";
  if (!name.starts_with(kLayers)) return {};
  const size_t dot = name.find('.', kLayers.size());
  if (dot == std::string_view::npos) return {};
  for (const auto& [meta, ours] : kInLayer)
    if (name.substr(dot + 1) == meta) return concat("model.", name.substr(0, dot), ".", ours);
  return {};
}

}  // namespace

Tensor pairs_to_halves(const Tensor& weight, int64_t heads) {
  TERN_CHECK(weight.dim() == 2 && heads >= 1 && weight.size(0) % (2 * heads) == 0, ShapeError,
             "[Llama] expected a weight [heads * head_dim, in] of ", heads, " heads of even width, got ",
             weight.shape());
  const int64_t pairs = weight.size(0) / (2 * heads);
  return weight.reshape({heads, pairs, 2, weight.size(1)}).transpose(1, 2).reshape(weight.shape());
}

io::TensorMap from_meta_names(const io::TensorMap& tensors, const LlamaOptions& o) {
  const int64_t kv_heads = o.num_key_value_heads == 0 ? o.num_attention_heads : o.num_key_value_heads;
  io::TensorMap out;
  for (const auto& [name, tensor] : tensors) {
    const std::string ours = hugging_face_name(name);
    if (ours.empty())
      out.insert(name, tensor);
    else if (ours.ends_with("q_proj.weight"))
      out.insert(ours, pairs_to_halves(tensor, o.num_attention_heads));
    else if (ours.ends_with("k_proj.weight"))
      out.insert(ours, pairs_to_halves(tensor, kv_heads));
    else
      out.insert(ours, tensor);
  }
  return out;
}

io::Json Llama::config() const {
  const Options& o = options_;
  return io::Json::object({{"vocab_size", o.vocab_size},
                           {"hidden_size", o.hidden_size},
                           {"intermediate_size", o.intermediate_size},
                           {"num_hidden_layers", o.num_hidden_layers},
                           {"num_attention_heads", o.num_attention_heads},
                           {"num_key_value_heads", o.num_key_value_heads},
                           {"head_dim", o.head_dim},
                           {"max_position_embeddings", o.max_position_embeddings},
                           {"rms_norm_eps", o.rms_norm_eps},
                           {"rope_theta", o.rope_theta},
                           {"tie_word_embeddings", o.tie_word_embeddings},
                           {"attention_bias", o.attention_bias},
                           {"attention_out_bias", o.attention_out_bias},
                           {"scale_emb", o.scale_emb},
                           {"scale_depth", o.scale_depth},
                           {"dim_model_base", o.dim_model_base}});
}

Llama::Options Llama::options_from(const io::Json& config) {
  Options o;
  ConfigReader reader("Llama", config);
  read_sizes(reader, o);
  reader.read("attention_out_bias", o.attention_out_bias);
  reader.finish();
  return o;
}

Llama::Options Llama::options_from_hugging_face(const io::Json& config) {
  Options o;
  ConfigReader reader("Llama", config);
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"})
    TERN_CHECK(reader.has(key), ValueError, "[Llama] expected ", key, " in the configuration, got none");
  read_sizes(reader, o);
  std::string type, activation = "silu";
  reader.read("model_type", type);
  reader.read("hidden_act", activation);
  TERN_CHECK(activation == "silu" || activation == "swish", ValueError, "[Llama] expected hidden_act silu, got ",
             activation);
  bool mlp_bias = false;
  reader.read("mlp_bias", mlp_bias);
  TERN_CHECK(!mlp_bias, ValueError, "[Llama] expected mlp_bias false, got true");
  if (const io::Json* scaling = config.find("rope_scaling"); scaling != nullptr && !scaling->is_null())
    throw ValueError(concat("[Llama] expected rotary positions without rope_scaling, got ", scaling->dump()));
  o.attention_out_bias = o.attention_bias;
  if (type == "qwen2") {
    o.attention_bias = true;
    o.attention_out_bias = false;
  }
  return o;
}

// A safetensors file starts with the 64-bit length of its header, so its second word is 0; in text, four letters make a
// number beyond every size.
bool Llama::is_llama2c(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return false;
  const io::InputFile file("Llama", path);
  int32_t header[7];
  if (file.size() < sizeof header) return false;
  file.read_at(0, std::as_writable_bytes(std::span(header)));
  constexpr int32_t kLargestSize = 1 << 28;
  int32_t& vocab = header[5];
  if (vocab < 0 && vocab > -kLargestSize) vocab = -vocab;  // its sign tells tied from untied
  for (const int32_t size : header)
    if (size < 1 || size >= kLargestSize) return false;
  return header[0] % header[3] == 0 && header[3] % header[4] == 0;
}

std::shared_ptr<Llama> Llama::load(const std::string& path, const std::string& config_path) {
  if (is_llama2c(path)) return load_llama2c(path);
  const WeightFile file = open_weights("Llama", path, config_path);
  TERN_CHECK(file.model.empty() || file.model == "llama", ValueError, "[Llama] expected weights of a llama in '", path,
             "', got those of ", file.model);
  const Options options = file.model.empty() ? options_from_hugging_face(file.config) : options_from(file.config);
  io::TensorMap tensors;
  for (const auto& [name, tensor] : from_meta_names(file.tensors, options)) {
    // Tables of angles that older files carry along; they follow from rope_theta.
    if (name.ends_with("rotary_emb.inv_freq") || name == "rope.freqs") continue;
    tensors.insert(name, tensor);
  }
  const init::SkipRandomFills skip;
  auto model = make<Llama>(options);
  model->load_state_dict(tensors);
  return model;
}

std::shared_ptr<Llama> Llama::load_llama2c(const std::string& path) {
  constexpr const char* kOp = "load_llama2c";
  const io::InputFile file(kOp, path);
  constexpr uint64_t kHeader = 7 * sizeof(int32_t);
  TERN_CHECK(file.size() >= kHeader, FormatError, "[", kOp, "] expected a header of ", kHeader, " bytes in '", path,
             "', got a file of ", file.size());
  int32_t header[7];
  file.read_at(0, std::as_writable_bytes(std::span(header)));
  const auto& [dim, hidden, layers, heads, kv_heads, signed_vocab, positions] = header;
  const bool tied = signed_vocab > 0;
  const int64_t vocab = tied ? int64_t{signed_vocab} : -int64_t{signed_vocab};
  TERN_CHECK(dim >= 1 && hidden >= 1 && layers >= 1 && heads >= 1 && kv_heads >= 1 && vocab >= 1 && positions >= 1 &&
                 dim % heads == 0 && (dim / heads) % 2 == 0 && heads % kv_heads == 0,
             FormatError, "[", kOp, "] expected positive sizes that divide each other in the header of '", path,
             "', got dim ", dim, ", hidden ", hidden, ", layers ", layers, ", heads ", heads, ", key-value heads ",
             kv_heads, ", vocabulary ", signed_vocab, ", positions ", positions);
  const Options options = {.vocab_size = vocab,
                           .hidden_size = dim,
                           .intermediate_size = hidden,
                           .num_hidden_layers = layers,
                           .num_attention_heads = heads,
                           .num_key_value_heads = kv_heads,
                           .max_position_embeddings = positions,
                           .rms_norm_eps = kNormEps2c,
                           .rope_theta = kTheta2c,
                           .tie_word_embeddings = tied};

  // The weights in their order, and so the size that the file must have: all layers of one kind together.
  struct Part {
    std::string name;  // empty for what is skipped
    int64_t layers;    // how many there are; 0: one, outside of the layers
    int64_t rows, columns;
    int64_t count() const { return layers == 0 ? 1 : layers; }
  };
  const int64_t head = dim / heads, kv = head * kv_heads;
  std::vector<Part> parts = {{"tok_embeddings.weight", 0, vocab, dim},
                             {"attention_norm.weight", layers, 1, dim},
                             {"attention.wq.weight", layers, dim, dim},
                             {"attention.wk.weight", layers, kv, dim},
                             {"attention.wv.weight", layers, kv, dim},
                             {"attention.wo.weight", layers, dim, dim},
                             {"ffn_norm.weight", layers, 1, dim},
                             {"feed_forward.w1.weight", layers, hidden, dim},
                             {"feed_forward.w2.weight", layers, dim, hidden},
                             {"feed_forward.w3.weight", layers, hidden, dim},
                             {"norm.weight", 0, 1, dim},
                             {"", 0, positions, head}};  // tables of cosines and sines
  if (!tied) parts.push_back({"output.weight", 0, vocab, dim});
  uint64_t expected = kHeader;
  for (const Part& part : parts) {
    // Every factor is below 2^31, so rows by columns fits; the rest is checked.
    const auto values = io::checked_mul(static_cast<uint64_t>(part.rows) * static_cast<uint64_t>(part.columns),
                                        static_cast<uint64_t>(part.count()) * sizeof(float));
    const auto sum = values ? io::checked_add(expected, *values) : std::nullopt;
    TERN_CHECK(sum.has_value(), FormatError, "[", kOp, "] expected sizes that a file can hold in the header of '", path,
               "', got more than 2^64 bytes");
    expected = *sum;
  }
  TERN_CHECK(file.size() == expected, FormatError, "[", kOp, "] expected ", expected,
             " bytes, as the header says, in '", path, "', got ", file.size());

  io::TensorMap tensors;
  uint64_t at = kHeader;
  for (const Part& part : parts) {
    for (int64_t i = 0; i < part.count(); ++i) {
      const uint64_t bytes = static_cast<uint64_t>(part.rows * part.columns) * sizeof(float);
      if (!part.name.empty()) {
        const bool is_vector = part.name.ends_with("norm.weight");
        Tensor tensor = empty(is_vector ? Shape{part.columns} : Shape{part.rows, part.columns});
        file.read_at(at, {tensor.raw(), bytes});
        tensors.insert(part.layers == 0 ? part.name : concat("layers.", i, ".", part.name), tensor);
      }
      at += bytes;
    }
  }
  const init::SkipRandomFills skip;
  auto model = make<Llama>(options);
  model->load_state_dict(from_meta_names(tensors, options));
  return model;
}

}  // namespace tern::nn::models
