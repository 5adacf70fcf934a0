#include <tern/train/vision/classifier_config.h>

namespace tern::train {
const std::vector<std::string>& image_model_names() {
  static const std::vector<std::string> names{"resnet20",   "resnet32", "resnet44", "resnet56", "resnet110",
                                              "resnet1202", "resnet18", "resnet34", "resnet50", "vit_tiny",
                                              "vit_small",  "vit_base", "vit",      "mlp"};
  return names;
}

void declare_model(Schema& schema, ModelSpec& m) {
  schema.add("model.name", m.name, image_model_names(), "which model");
  schema.add("model.classes", m.classes, {.min = 0, .max = 100000}, "outputs; 0: as many as the data set has classes");
  schema.add("model.image_size", m.image_size, {.min = 0, .max = 4096},
             "vit, mlp: side of the input in pixels; 0: the model's own");
  schema.add("model.patch_size", m.patch_size, {.min = 0, .max = 4096},
             "vit: side of a patch in pixels; 0: the model's own");
  schema.add("model.width", m.width, {.min = 0, .max = 65536}, "vit: size of a token; 0: the model's own");
  schema.add("model.depth", m.depth, {.min = 0, .max = 4096}, "vit: blocks; 0: the model's own");
  schema.add("model.heads", m.heads, {.min = 0, .max = 1024}, "vit: attention heads; 0: the model's own");
  schema.add("model.mlp_ratio", m.mlp_ratio, kNotNegative,
             "vit: hidden size of a block over its width; 0: the model's own");
  schema.add("model.hidden", m.hidden, {.min = 1, .max = 1e6}, "mlp: sizes of the hidden layers");
  schema.add("model.dropout", m.dropout, kBelowOne, "vit, mlp: share of values dropped in training");
  schema.add("model.drop_path", m.drop_path, kBelowOne,
             "vit: share of residual branches dropped in training, at the last block");
}

void declare(Schema& schema, ClassifierConfig& c) {
  declare_model(schema, c.model);
  schema.add("model.weights", c.weights, {}, "safetensors file to start from; empty: from scratch");
  schema.add("model.new_head", c.new_head,
             "draw a new output layer instead of taking that of model.weights, to learn other classes");

  auto& d = c.data;
  schema.add("data.path", d.path, {}, "directory of the data set");
  schema.add("data.dataset", d.dataset, {"auto", "cifar10", "cifar100", "image_folder", "synthetic"},
             "kind of data set; auto: told from the files in the directory");
  schema.add("data.batch_size", d.batch_size, {.min = 1, .max = 65536}, "images a training step");
  schema.add("data.eval_batch_size", d.eval_batch_size, {.min = 1, .max = 65536}, "images a step of evaluation");
  schema.add("data.workers", d.workers, {.min = 0, .max = 64}, "loader threads beside the training ones");
  schema.add("data.val_fraction", d.val_fraction, {.min = 0, .max = 0.5},
             "share of the training images kept apart to choose the best checkpoint; 0: none is chosen");
  schema.add("data.train_limit", d.train_limit, kCountOrNone,
             "use so many training images, the first of each class in proportion; 0: all");
  schema.add("data.test_limit", d.test_limit, kCountOrNone,
             "use so many test images, the first of each class in proportion; 0: all");
  schema.add("data.mean", d.preprocessing.mean, {},
             "subtracted from each channel of pixel/255; empty: the weights' or the data set's", 3);
  schema.add("data.std", d.preprocessing.std, kPositive,
             "each channel is divided by it; empty: the weights' or the data set's", 3);
  schema.add("data.resize", d.preprocessing.resize, {.min = 0, .max = 4096},
             "length of the shorter side before the crop; 0: as they are");
  schema.add("data.crop", d.preprocessing.crop, {.min = 0, .max = 4096}, "side of the centre crop; 0: none");
  schema.add("data.crop_padding", d.crop_padding, {.min = 0, .max = 256},
             "augmentation: random crop after padding by so many pixels");
  schema.add("data.flip", d.flip, "augmentation: mirror every other image");
  schema.add("data.cutout", d.cutout, {.min = 0, .max = 4096}, "augmentation: side of a square blanked out; 0: none");
  schema.add("data.color_jitter", d.color_jitter, {.min = 0, .max = 1},
             "augmentation: strength of random brightness, contrast and saturation");
  schema.add("data.mixup", d.mixup, {.min = 0, .max = 100}, "augmentation: alpha of mixup; 0: none");
  schema.add("data.cutmix", d.cutmix, {.min = 0, .max = 100}, "augmentation: alpha of cutmix; 0: none");

  declare(schema, c.optim);
  schema.add("optim.label_smoothing", c.label_smoothing, kBelowOne, "share of the target spread over all classes");
  declare(schema, c.schedule, "epoch");

  c.methods.declare(schema);

  schema.add("epochs", c.epochs, {.min = 1, .max = 100000}, "passes over the training images");
  schema.add("seed", c.seed, {.min = 0, .max = 0x1p53}, "of initial weights, order and augmentation");
  schema.add("test_every", c.test_every, kCountOrNone,
             "epochs between two evaluations on the test images; the last epoch always has one; 0: that one only");
  schema.add("save_every", c.save_every, kCountOrNone,
             "epochs between two checkpoints; the last epoch always has one; 0: that one only");
  schema.add("save_every_steps", c.save_every_steps, kCountOrNone,
             "steps between two checkpoints within an epoch; 0: none there");
  schema.ignore("environment");
}

void check(const ClassifierConfig& c) {
  const auto need = [](bool condition, auto&&... text) {
    if (!condition) throw UsageError(concat("[config] ", text...));
  };
  need(!c.new_head || !c.weights.empty(), "expected model.weights with model.new_head, got none");
  c.methods.check();
  check(c.optim, c.schedule, "epoch", c.epochs);
}

}  // namespace tern::train
