// A teacher of an image classifier: any model of the zoo, with the preprocessing that its weights were trained with.
#pragma once

#include <string>
#include <vector>

#include <tern/train/loop/method.h>
#include <tern/train/vision/classifier_config.h>

namespace tern::train {

/// What the student sees and says.
struct Student {
  std::vector<std::string> classes;  ///< of its outputs
  Preprocessing preprocessing;
};

/// The model of a checkpoint of ours, its outputs in the order of the student's classes. Where its preprocessing is not
/// the student's, the student's input is normalized anew for it and resized (bilinear) to the side that it expects.
/// Throws as load_checkpoint and model_of, ValueError where its classes are others.
Teacher open_teacher(const std::string& weights, const Student& student);

}  // namespace tern::train
