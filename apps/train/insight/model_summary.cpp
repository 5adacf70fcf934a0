#include <algorithm>
#include <cmath>
#include <functional>

#include <tern/core/error.h>
#include <tern/core/ops/create.h>
#include <tern/core/text.h>
#include <tern/nn/init.h>
#include <tern/nn/models/llama.h>
#include <tern/quant/method.h>
#include <tern/train/insight/model_summary.h>
#include <tern/train/insight/weight_file.h>
#include <tern/train/vision/classifier.h>
#include <tern/train/weights/checkpoint.h>

namespace tern::train {
namespace {

using nn::models::Llama;

int64_t positive(const io::Json& config, const char* key, int64_t missing) {
  const io::Json* value = config.find(key);
  return value != nullptr && value->is_integer() && value->as_int() > 0 ? value->as_int() : missing;
}

int64_t side_of(const nn::models::Model& model, const Checkpoint& checkpoint) {
  const io::Json config = model.config();
  if (const int64_t side = positive(config, "image_size", 0); side > 0) return side;
  if (const int64_t features = positive(config, "in_features", 0); features > 0)
    return std::max<int64_t>(1, std::lround(std::sqrt(static_cast<double>(features) / 3)));
  const auto text = checkpoint.metadata.find(meta::kPreprocessing);
  const Preprocessing p = text != checkpoint.metadata.end()
                              ? preprocessing_from(io::Json::parse("inspect", meta::kPreprocessing, text->second))
                              : (checkpoint.is_ours() ? Preprocessing{} : published_preprocessing(model.model_name()));
  return p.crop > 0 ? p.crop : p.resize > 0 ? p.resize : 32;  // without either: CIFAR's images
}

// Outputs of the layer that the model ends with, as the file has them.
int64_t classes_in(const Checkpoint& checkpoint, ModelSpec spec) {
  spec.classes = 10;
  const auto model = make_image_model(spec);
  std::string last;
  for (const auto& [name, module] : model->named_modules())
    if (dynamic_cast<const nn::Linear*>(module.get()) != nullptr) last = name + ".weight";
  const Tensor* weight = checkpoint.weights.find(last);
  return weight != nullptr && weight->dim() == 2 && weight->size(0) > 0 ? weight->size(0) : spec.classes;
}

ModelSummary summary_of(nn::Module& model, const std::function<void()>& run) {
  ModelSummary out{.modules = nn::summary(model, run), .compression = {}};
  for (const quant::Method& method : quant::methods())
    if (method.is_in(model) && !out.compression) out.compression = quant::layer_table(model, run);
  return out;
}

ModelSummary summary_of(nn::Module& model, int64_t tokens, int64_t positions) {
  TERN_CHECK(tokens <= positions, train::UsageError, "[inspect] expected at most ", positions,
             " tokens, which is what the model can take, got ", tokens);
  const int64_t length = tokens > 0 ? tokens : std::min<int64_t>(128, positions);
  return summary_of(model, [&] { (void)model(empty({1, length}, DType::kI64).fill_(0)); });
}

}  // namespace

ModelSummary summary_of_file(const std::string& path, const ModelQuestion& question) {
  const nn::init::SkipRandomFills skip;  // the file's values take their place
  const WeightFile kind = weight_file_kind(path);
  TERN_CHECK(kind != WeightFile::kNpy, train::UsageError,
             "[inspect] expected weights of a model for --summary, got the array ", path);
  if (kind == WeightFile::kLlama2c) {
    TERN_CHECK(question.model.empty() || question.model == "llama", train::UsageError,
               "[inspect] expected --model llama or none, as ", path, " is a llama2.c checkpoint, got ",
               question.model);
    const auto model = Llama::load_llama2c(path);
    return summary_of(*model, question.tokens, model->options().max_position_embeddings);
  }
  const Checkpoint checkpoint = load_checkpoint(path);
  std::shared_ptr<nn::models::Model> model;
  if (const auto name = checkpoint.metadata.find(nn::models::kModelKey); name != checkpoint.metadata.end()) {
    TERN_CHECK(question.model.empty() || question.model == name->second, train::UsageError,
               "[inspect] expected --model ", printable(name->second), " or none, as ", path, " says, got ",
               question.model);
    TERN_CHECK(question.set.empty(), train::UsageError, "[inspect] expected no --set, as ", path,
               " says what its model is");
    model = model_of(checkpoint);
  } else if (question.model == "llama") {
    model = Llama::load(path, question.config);
  } else {
    TERN_CHECK(!question.model.empty(), train::UsageError, "[inspect] expected --model NAME, a model of the zoo, as ",
               path, " does not say which one it is of; the tensors of any other model are listed without --summary");
    ModelSpec spec;
    Schema sizes("inspect");
    declare_model(sizes, spec);
    for (const std::string& assignment : question.set) sizes.set(assignment);
    spec.name = question.model;
    if (spec.classes == 0) spec.classes = classes_in(checkpoint, spec);
    model = make_image_model(spec);
    load_weights(*model, checkpoint);
  }
  if (const auto* llama = dynamic_cast<const Llama*>(model.get()))
    return summary_of(*model, question.tokens, llama->options().max_position_embeddings);
  const int64_t side = question.side > 0 ? question.side : side_of(*model, checkpoint);
  const Shape input{1, positive(model->config(), "in_channels", 3), side, side};
  return summary_of(*model, [&] { (void)(*model)(empty(input).fill_(0)); });
}

std::string to_text(const ModelSummary& summary) {
  std::string out = summary.modules.text();
  if (summary.compression) out += concat("\n", *summary.compression, "\n");
  return out;
}

io::Json to_json(const ModelSummary& summary) {
  const nn::Summary& modules = summary.modules;
  io::Json layers = io::Json::array();
  for (const nn::SummaryRow& row : modules.rows)
    layers.push_back(io::Json::object({{"name", row.name},
                                       {"type", row.type},
                                       {"output", std::vector<int64_t>(row.output.begin(), row.output.end())},
                                       {"calls", row.calls},
                                       {"parameters", row.parameters},
                                       {"trainable", row.trainable},
                                       {"macs", row.macs},
                                       {"bits", row.bits},
                                       {"zeros", row.zeros}}));
  io::Json json = io::Json::object({{"layers", layers},
                                    {"parameters", modules.parameters},
                                    {"trainable", modules.trainable},
                                    {"macs", modules.macs},
                                    {"bits", modules.bits},
                                    {"zero_share", modules.zero_share},
                                    {"model_bytes", modules.model_bytes}});
  if (summary.compression) json["compression"] = quant::to_json(*summary.compression);
  return json;
}

}  // namespace tern::train
