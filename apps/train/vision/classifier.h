// The parts of an image classification run, made from its settings: model, data sets, transforms, optimizer, schedule.
#pragma once

#include <memory>
#include <string>

#include <tern/core/io/json.h>
#include <tern/data/dataset.h>
#include <tern/data/loader.h>
#include <tern/data/transforms.h>
#include <tern/nn/models/model.h>
#include <tern/train/vision/classifier_config.h>
#include <tern/train/weights/checkpoint.h>

namespace tern::train {

/// The model of that name and those sizes; inputs have 3 channels. Throws ValueError for an unknown name, sizes that do
/// not fit together, or 0 classes.
std::shared_ptr<nn::models::Model> make_image_model(const ModelSpec& spec);

/// Outputs of the model that a checkpoint of ours describes; 0 if it does not say.
int64_t outputs_of(const Checkpoint& checkpoint);

/// Puts a model's own output layer in the place of a checkpoint's, so that loading leaves it as it was drawn.
void keep_head(const nn::models::Model& model, Checkpoint& checkpoint);

/// Images a step when the run of a checkpoint measured itself: what repeats its figures to the last bit. `missing` if
/// it does not say.
int64_t eval_batch_size_of(const Checkpoint& checkpoint, int64_t missing);

/// What the published weights under a model's name expect: ImageNet's mean and std, for the ImageNet models after a
/// resize to 256 and a centre crop to 224. Without mean and std for models that have no published weights (mlp, vit).
Preprocessing published_preprocessing(const std::string& model);

/// {"mean", "std", "resize", "crop"}.
io::Json to_json(const Preprocessing& preprocessing);
/// Throws FormatError for JSON that is not such a description.
Preprocessing preprocessing_from(const io::Json& json);

/// What evaluation does to an image: resize, centre crop, normalize, each if it is asked for.
data::Transform eval_transform(const Preprocessing& preprocessing);
/// What training does to an image of the given side (0: it varies): colour jitter, resize, random crop, flip,
/// normalize, cutout, each if it is asked for. Throws ValueError for a crop of images of varying size without a size.
data::Transform train_transform(const ClassifierConfig::Data& config, const Preprocessing& preprocessing,
                                int64_t image_size);

/// What training does to a whole batch (mixup, cutmix, or for each batch one of the two); empty if nothing.
data::BatchTransform batch_transform(const ClassifierConfig::Data& config, int64_t classes);

/// A data set for training and evaluation.
struct ImageData {
  std::string kind;                                  ///< "cifar10", "cifar100", "image_folder" or "synthetic"
  std::shared_ptr<const data::Dataset> train, test;  ///< train is null if it was not asked for
  std::vector<double> mean, std;                     ///< of pixel/255 by channel; of a folder, ImageNet's
  int64_t image_size = 0;                            ///< side of the images; 0: it varies
};

/// Side of a model's square input: that of the crop, else of the images, else of the resize; 0 where none is known.
int64_t input_side(const Preprocessing& preprocessing, const ImageData& images);

/// Opens a data set. kind: as in ImageData, or "auto": told from the files in the directory (a synthetic one has none).
/// An image folder has subdirectories "train" and "test" (or "val"). Limits keep so many images, the same
/// share of each class (data::first_of_each_class); 0 keeps all.
/// Throws IoError, naming what was looked for, if the directory is not there or is none of these; FormatError for
/// broken files; ValueError, with_train, if the two splits have not the same classes.
ImageData open_image_data(const std::string& kind, const std::string& path, bool with_train, int64_t train_limit = 0,
                          int64_t test_limit = 0);

}  // namespace tern::train
