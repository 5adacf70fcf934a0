// The settings of an image classification run: what the train_classifier program reads from one JSON file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tern/train/methods/registry.h>
#include <tern/train/settings/optimization.h>
#include <tern/train/settings/schema.h>

namespace tern::train {

/// Which image model, and its sizes; zero means the model's own. Sizes that the model does not have are passed over.
struct ModelSpec {
  std::string name = "resnet20";  ///< one of image_model_names()
  int64_t classes = 0;            ///< 0: as many as the data set has
  int64_t image_size = 0;         ///< vit_*: 224; other vit, mlp: 32
  int64_t patch_size = 0;         ///< vit_*: 16; other vit: 4
  int64_t width = 0;              ///< this and the next three: vit
  int64_t depth = 0;
  int64_t heads = 0;
  double mlp_ratio = 0;
  std::vector<int64_t> hidden{512, 256};  ///< mlp: sizes of the hidden layers
  double dropout = 0;                     ///< vit, mlp
  double drop_path = 0;                   ///< vit
};

/// How images become input: pixel/255, resized and cropped, then (x - mean) / std a channel.
struct Preprocessing {
  std::vector<double> mean, std;  ///< empty: not settled
  int64_t resize = 0;             ///< length of the shorter side before the crop; 0: as they are
  int64_t crop = 0;               ///< centre crop to this square; 0: none
};

/// Every key of the JSON file, under its name: data.batch_size is the key "data.batch_size", ClassifierConfig::weights
/// "model.weights", Data::preprocessing "data.mean", "data.std", "data.resize" and "data.crop". declare() has the
/// ranges.
struct ClassifierConfig {
  ModelSpec model;
  std::string weights;    ///< file to start from; empty: from scratch
  bool new_head = false;  ///< draw a new output layer instead of taking that of the weights, for other classes

  struct Data {
    std::string path;                         ///< directory
    std::string dataset = "auto";             ///< kind, as open_image_data takes it
    int64_t batch_size = 128;                 ///< images a training step
    int64_t eval_batch_size = 250;            ///< images a step of evaluation
    int64_t workers = 1;                      ///< loader threads
    double val_fraction = 0.02;               ///< share of the training images kept apart for validation
    int64_t train_limit = 0, test_limit = 0;  ///< keep so many images, the same share of each class; 0: all
    Preprocessing preprocessing;              ///< what is not settled is the weights' or the data set's
    int64_t crop_padding = 4;                 ///< pixels around an image before its random crop
    bool flip = true;                         ///< mirror every other image
    int64_t cutout = 0;                       ///< side of a blanked square; 0: none
    double color_jitter = 0;                  ///< of brightness, contrast and saturation; 0: none
    double mixup = 0, cutmix = 0;             ///< alpha; 0: none
  } data;

  OptimConfig optim;
  double label_smoothing = 0;  ///< "optim.label_smoothing", as in CrossEntropyOptions
  ScheduleConfig schedule;     ///< in epochs

  MethodSet methods;  ///< of compression and learning, each under keys of its own

  int64_t epochs = 10;
  int64_t seed = 0;        ///< of initial weights, order and augmentation
  int64_t test_every = 1;  ///< these three as in TrainerOptions
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
