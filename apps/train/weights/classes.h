// The names of the classes that a classifier's outputs stand for. Labels of a data set and outputs of a model, or of
// two models, are brought together by these names, never by their places in two lists: a folder that lacks a class, or
// has another order, would shift them without a word.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <tern/data/dataset.h>
#include <tern/train/weights/checkpoint.h>

namespace tern::train {

/// The names that a checkpoint carries, one per output (metadata "tern.classes", a JSON array); none for files of other
/// programs and those of before there were names. Throws FormatError for metadata that is no list of names.
std::vector<std::string> classes_of(const Checkpoint& checkpoint);
/// The same as the metadata has them.
std::string to_text(const std::vector<std::string>& classes);

/// Names with what they belong to, for messages: {names, "the images in DIR"}.
struct ClassList {
  std::vector<std::string> names;
  std::string owner;
};

/// The place of each name of `some` among those of `all`. Equal lists fit as they are. Lists that only count ("0", "1",
/// ..., as CIFAR-100 without its file of names has them) say nothing and fit a list of equal length. Throws ValueError
/// that names the classes which `all` lacks, and for a name that stands twice in `all`.
std::vector<int64_t> class_places(const ClassList& some, const ClassList& all);

/// A data set with labels among the classes `all`, by class_places: itself where its own list is that list.
/// owner: of the data set, for messages.
std::shared_ptr<const data::Dataset> with_classes(const std::shared_ptr<const data::Dataset>& dataset,
                                                  const std::string& owner, const ClassList& all);

}  // namespace tern::train
