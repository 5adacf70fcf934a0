// The settings of an image classification run: what the train_classifier program reads from one JSON file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tern/train/schema.h>

namespace tern::train {

/// Which image model, and its sizes; zero means the model's own.
struct ModelSpec {
  std::string name = "resnet20";
  int64_t classes = 0;     ///< 0: as many as the data set has
  int64_t image_size = 0;  ///< vit_*: 224; other vit: 32
  int64_t patch_size = 0;  ///< vit_*: 16; other vit: 4
  int64_t width = 0;
  int64_t depth = 0;
  int64_t heads = 0;
  double mlp_ratio = 0;
  std::vector<int64_t> hidden{512, 256};  ///< mlp: sizes of the hidden layers
  double dropout = 0;
  double drop_path = 0;
};

/// How images become input: pixel/255, resized and cropped, then (x - mean) / std a channel.
struct Preprocessing {
  std::vector<double> mean, std;  ///< empty: not settled
  int64_t resize = 0;             ///< length of the shorter side before the crop; 0: as they are
  int64_t crop = 0;               ///< centre crop to this square; 0: none
};

struct ClassifierConfig {
  ModelSpec model;
  std::string weights;  ///< file to start from; empty: from scratch

  struct Data {
    std::string path;
    std::string dataset = "auto";
    int64_t batch_size = 128;
    int64_t eval_batch_size = 250;
    int64_t workers = 1;
    double val_fraction = 0.02;
    int64_t train_limit = 0, test_limit = 0;
    Preprocessing preprocessing;
    int64_t crop_padding = 4;
    bool flip = true;
    int64_t cutout = 0;
    double color_jitter = 0;
    double mixup = 0, cutmix = 0;
  } data;

  struct Optim {
    std::string name = "sgd";
    double lr = 0.1;
    double momentum = 0.9;
    bool nesterov = false;
    double weight_decay = 1e-4;
    bool decay_norms = true;
    double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
    double clip_norm = 0, clip_value = 0;
    int64_t accumulate = 1;
    double label_smoothing = 0;
    double ema_decay = 0;
  } optim;

  struct Schedule {
    std::string name = "cosine";
    double warmup_epochs = 0;
    double min_lr = 0;
    std::vector<int64_t> milestones;
    int64_t step_epochs = 30;
    double gamma = 0.1;
    double one_cycle_rise = 0.3;
    std::string one_cycle_anneal = "cosine";
    int64_t patience = 5;
  } schedule;

  struct Codeq {
    std::string mode = "none";
    int64_t bits = 4;
    int64_t min_bits = 2, max_bits = 8;
    std::vector<std::string> exclude;
    std::string exclude_rule = "glob";
    double dz_lr = 1e-3, dz_decay = 0.01;
    double bit_lr = 1e-3, bit_decay = 0.01;
    double init_logit_dz = 3, init_logit_bit = 3;
    bool start_uniform = false;
    bool true_maximum = false;
    bool relative_eps = false;
    bool mask_clamped = false;
    bool mask_weight_gradient = false;
    double max_logit_gradient = 0;
    double min_abs_logit = 0;
  } codeq;

  int64_t epochs = 10;
  int64_t seed = 0;
  int64_t test_every = 1;
  int64_t save_every = 1;
  int64_t save_every_steps = 0;
};

/// The names that ModelSpec::name may have.
const std::vector<std::string>& image_model_names();

/// Declares the keys "model.*" over a spec; the models of checkpoints are described by the same keys.
void declare_model(Schema& schema, ModelSpec& spec);

/// Declares every key of a run over a configuration, with its range and documentation. The key "environment", which
/// saved configurations carry, is ignored.
void declare(Schema& schema, ClassifierConfig& config);

/// Refuses settings that contradict each other, with a UsageError that names them.
void check(const ClassifierConfig& config);

}  // namespace tern::train
