#include <algorithm>
#include <cmath>
#include <filesystem>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/data/cifar.h>
#include <tern/data/image_folder.h>
#include <tern/data/synthetic.h>
#include <tern/nn/models/model.h>
#include <tern/nn/models/registry.h>
#include <tern/train/vision/classifier.h>

namespace tern::train {
namespace {

namespace fs = std::filesystem;

const std::vector<double> kImageNetMean{0.485, 0.456, 0.406}, kImageNetStd{0.229, 0.224, 0.225};

bool is_vit(const std::string& name) {
  return name.starts_with("vit");
}

std::vector<double> numbers(const io::Json& json) {
  std::vector<double> values;
  for (const io::Json& item : json.items()) values.push_back(item.as_number());
  return values;
}

std::shared_ptr<const data::Dataset> limited(std::shared_ptr<const data::Dataset> dataset, int64_t limit) {
  if (limit == 0 || limit >= dataset->size()) return dataset;
  return std::make_shared<data::Subset>(data::first_of_each_class(dataset, limit));
}

std::string kind_of_directory(const std::string& path) {
  const fs::path root(path);
  TERN_CHECK(fs::is_directory(root), IoError, "[data] expected a directory with a data set, got ", path,
             fs::exists(root) ? " (a file)" : " (not there)");
  if (fs::exists(root / "test_batch.bin") || fs::exists(root / "data_batch_1.bin")) return "cifar10";
  if (fs::exists(root / "test.bin") || fs::exists(root / "train.bin")) return "cifar100";
  if (fs::is_directory(root / "test") || fs::is_directory(root / "val") || fs::is_directory(root / "train"))
    return "image_folder";
  throw IoError(concat(
      "[data] expected test_batch.bin (CIFAR-10), test.bin (CIFAR-100) or directories train and test with images in ",
      path, ", got none of them"));
}

}  // namespace

std::shared_ptr<nn::models::Model> make_image_model(const ModelSpec& spec) {
  TERN_CHECK(spec.classes > 0, ValueError, "[model] expected at least 1 class, got ", spec.classes);
  io::Json config = io::Json::object();
  config["num_classes"] = spec.classes;
  const auto set = [&](const char* key, auto value) {
    if (value > 0) config[key] = value;
  };
  if (is_vit(spec.name)) {
    set("image_size", spec.name == "vit" && spec.image_size == 0 ? 32 : spec.image_size);
    set("patch_size", spec.name == "vit" && spec.patch_size == 0 ? 4 : spec.patch_size);
    set("width", spec.width);
    set("depth", spec.depth);
    set("num_heads", spec.heads);
    set("mlp_ratio", spec.mlp_ratio);
    set("dropout", spec.dropout);
    set("drop_path", spec.drop_path);
  } else if (spec.name == "mlp") {
    const int64_t side = spec.image_size > 0 ? spec.image_size : 32;
    config["in_features"] = 3 * side * side;
    config["hidden"] = spec.hidden;
    set("dropout", spec.dropout);
  }
  return nn::models::create(spec.name, config);
}

int64_t outputs_of(const Checkpoint& checkpoint) {
  const auto text = checkpoint.metadata.find(nn::models::kConfigKey);
  if (text == checkpoint.metadata.end()) return 0;
  const io::Json config = io::Json::parse("checkpoint", nn::models::kConfigKey, text->second);
  const io::Json* outputs = config.is_object() ? config.find("num_classes") : nullptr;
  return outputs != nullptr && outputs->is_integer() ? outputs->as_int() : 0;
}

void keep_head(const nn::models::Model& model, Checkpoint& checkpoint) {
  const std::string head = model.head_path() + ".";
  for (const auto& [name, parameter] : model.named_parameters())
    if (name == head + "weight" || name == head + "bias") checkpoint.weights.set(name, parameter.detach().clone());
}

int64_t eval_batch_size_of(const Checkpoint& checkpoint, int64_t missing) {
  const auto text = checkpoint.metadata.find(meta::kConfig);
  if (text == checkpoint.metadata.end()) return missing;
  const io::Json config = io::Json::parse("checkpoint", meta::kConfig, text->second);
  const io::Json* section = config.find("data");
  const io::Json* size = section != nullptr ? section->find("eval_batch_size") : nullptr;
  return size != nullptr && size->is_integer() && size->as_int() > 0 ? size->as_int() : missing;
}

Preprocessing published_preprocessing(const std::string& model) {
  if (model == "mlp" || model == "vit") return {};
  Preprocessing p{.mean = kImageNetMean, .std = kImageNetStd};
  const bool image_net = is_vit(model) || model == "resnet18" || model == "resnet34" || model == "resnet50";
  if (image_net) p.resize = 256, p.crop = 224;
  return p;
}

io::Json to_json(const Preprocessing& p) {
  io::Json json = io::Json::object();
  json["mean"] = p.mean;
  json["std"] = p.std;
  json["resize"] = p.resize;
  json["crop"] = p.crop;
  return json;
}

Preprocessing preprocessing_from(const io::Json& json) {
  Preprocessing p{.mean = numbers(json.at("mean")),
                  .std = numbers(json.at("std")),
                  .resize = json.at("resize").as_int(),
                  .crop = json.at("crop").as_int()};
  TERN_CHECK(p.mean.size() == p.std.size() && p.resize >= 0 && p.crop >= 0, FormatError,
             "[checkpoint] expected as many means as stds and sizes of at least 0, got ", json.dump());
  return p;
}

int64_t input_side(const Preprocessing& p, const ImageData& images) {
  return p.crop > 0 ? p.crop : images.image_size > 0 ? images.image_size : p.resize;
}

data::Transform eval_transform(const Preprocessing& p) {
  data::Transform chain;
  if (p.resize > 0) chain = chain.then(data::resize(p.resize));
  if (p.crop > 0) chain = chain.then(data::center_crop(p.crop));
  return p.mean.empty() ? chain : chain.then(data::normalize(p.mean, p.std));
}

data::Transform train_transform(const ClassifierConfig::Data& c, const Preprocessing& p, int64_t image_size) {
  data::Transform chain;
  if (c.color_jitter > 0)
    chain = chain.then(
        data::color_jitter({.brightness = c.color_jitter, .contrast = c.color_jitter, .saturation = c.color_jitter}));
  if (p.resize > 0) chain = chain.then(data::resize(p.resize));
  const int64_t side = p.crop > 0 ? p.crop : p.resize > 0 ? p.resize : image_size;
  if (c.crop_padding > 0 || p.crop > 0) {
    TERN_CHECK(side > 0, ValueError,
               "[data] expected data.resize or data.crop for images of varying size, got neither");
    chain = chain.then(data::random_crop(side, c.crop_padding));
  }
  if (c.flip) chain = chain.then(data::horizontal_flip());
  if (!p.mean.empty()) chain = chain.then(data::normalize(p.mean, p.std));
  return c.cutout > 0 ? chain.then(data::cutout(c.cutout)) : chain;
}

data::BatchTransform batch_transform(const ClassifierConfig::Data& c, int64_t classes) {
  std::vector<data::BatchTransform> choices;
  if (c.mixup > 0) choices.push_back(data::mixup({.alpha = c.mixup, .classes = classes}));
  if (c.cutmix > 0) choices.push_back(data::cutmix({.alpha = c.cutmix, .classes = classes}));
  if (choices.empty()) return {};
  return choices.size() == 1 ? choices[0] : data::one_of(std::move(choices));
}

ImageData open_image_data(const std::string& wanted, const std::string& path, bool with_train, int64_t train_limit,
                          int64_t test_limit) {
  ImageData d;
  d.kind = wanted != "auto" ? wanted : kind_of_directory(path);
  const auto open = [&](data::Split split) -> std::shared_ptr<const data::Dataset> {
    const bool train = split == data::Split::kTrain;
    if (d.kind == "cifar10") return data::share(data::Cifar10(path, split));
    if (d.kind == "cifar100") return data::share(data::Cifar100(path, split));
    if (d.kind == "synthetic")
      return data::share(data::Synthetic({.size = train ? 2000 : 500, .seed = train ? uint64_t{0} : uint64_t{1}}));
    const fs::path root(path);
    return data::share(data::ImageFolder((train                             ? root / "train"
                                          : fs::is_directory(root / "test") ? root / "test"
                                                                            : root / "val")
                                             .string()));
  };
  if (with_train) d.train = limited(open(data::Split::kTrain), train_limit);
  d.test = limited(open(data::Split::kTest), test_limit);
  if (with_train) {
    // Labels are places in the list of classes: both lists must be one.
    const std::vector<std::string>&a = d.train->class_names(), &b = d.test->class_names();
    const auto in = [](const std::vector<std::string>& names, const std::string& name) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    for (const std::string& name : a)
      TERN_CHECK(in(b, name), ValueError, "[data] expected the same classes in both splits of ", path, ", got \"", name,
                 "\" among the training images alone");
    for (const std::string& name : b)
      TERN_CHECK(in(a, name), ValueError, "[data] expected the same classes in both splits of ", path, ", got \"", name,
                 "\" among the test images alone");
  }
  d.image_size = d.kind == "image_folder" ? 0 : 32;
  if (d.kind == "cifar10") d.mean = data::Cifar10::mean(), d.std = data::Cifar10::std();
  if (d.kind == "cifar100") d.mean = data::Cifar100::mean(), d.std = data::Cifar100::std();
  if (d.kind == "synthetic") d.mean = d.std = {0.5, 0.5, 0.5};
  if (d.kind == "image_folder") d.mean = kImageNetMean, d.std = kImageNetStd;
  return d;
}

}  // namespace tern::train
