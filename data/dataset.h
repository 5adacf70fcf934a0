// What a data set of images is, and wrappers that choose from one.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <tern/core/tensor.h>

namespace tern::data {

/// One image with its class.
struct Example {
  Tensor image;  ///< u8 [C, H, W], 0 to 255
  int64_t label = 0;
};

/// Which part of a data set that comes in two.
enum class Split { kTrain, kTest };

/// Images by index. Data sets are cheap to copy (copies share their content) and may be read from several threads.
class Dataset {
 public:
  virtual ~Dataset() = default;
  /// Number of examples.
  virtual int64_t size() const = 0;
  /// Throws ValueError unless 0 <= index < size(); here and in label() also what reading the image throws.
  virtual Example get(int64_t index) const = 0;
  /// The class alone, without reading the image where that can be avoided.
  virtual int64_t label(int64_t index) const { return get(index).label; }
  /// Names of the classes; labels are in [0, class_names().size()).
  virtual const std::vector<std::string>& class_names() const = 0;
  int64_t num_classes() const { return static_cast<int64_t>(class_names().size()); }
  /// A hash of the content, equal for equal data: how a resumed run notices that its data set has changed. Here of all
  /// images, labels and names of classes.
  virtual uint64_t fingerprint() const;

 protected:
  Dataset() = default;
  Dataset(const Dataset&) = default;
  Dataset& operator=(const Dataset&) = default;
  /// Throws ValueError, naming `op`, for an index out of range.
  void check_index(const char* op, int64_t index) const;
};

/// A shared handle to a copy of a data set, for what holds data sets of any kind.
template <std::derived_from<Dataset> D>
std::shared_ptr<const Dataset> share(const D& dataset) {
  return std::make_shared<const D>(dataset);
}

/// Some examples of another data set, in a given order.
class Subset : public Dataset {
 public:
  /// Throws ValueError for no data set or an index that it does not have.
  Subset(std::shared_ptr<const Dataset> dataset, std::vector<int64_t> indices);
  template <std::derived_from<Dataset> D>
  Subset(const D& dataset, std::vector<int64_t> indices) : Subset(share(dataset), std::move(indices)) {}

  int64_t size() const override { return static_cast<int64_t>(indices_->size()); }
  Example get(int64_t index) const override;
  int64_t label(int64_t index) const override;
  const std::vector<std::string>& class_names() const override { return dataset_->class_names(); }
  uint64_t fingerprint() const override;
  /// Where its examples stand in the other data set.
  const std::vector<int64_t>& indices() const { return *indices_; }

 private:
  std::shared_ptr<const Dataset> dataset_;
  std::shared_ptr<const std::vector<int64_t>> indices_;
};

/// A data set in two parts.
struct HoldOut {
  Subset train;
  Subset held_out;
};

/// Settings of hold_out.
struct HoldOutOptions {
  int64_t count = 0;  ///< examples to hold out, in [0, size]
  uint64_t seed = 0;
};

/// Sets examples aside for validation: drawn at random, from each class in proportion (to within one example), both
/// parts in the order of the data set. The same seed gives the same parts. Throws ValueError for no data set, a count
/// out of range or 2^31 examples or more.
HoldOut hold_out(const std::shared_ptr<const Dataset>& dataset, const HoldOutOptions& options);
template <std::derived_from<Dataset> D>
HoldOut hold_out(const D& dataset, const HoldOutOptions& options) {
  return hold_out(share(dataset), options);
}

/// A smaller data set: the first examples of each class, in proportion to the classes (to within one example), in the
/// order of the data set. Nothing is drawn. Throws ValueError as hold_out.
Subset first_of_each_class(const std::shared_ptr<const Dataset>& dataset, int64_t count);
template <std::derived_from<Dataset> D>
Subset first_of_each_class(const D& dataset, int64_t count) {
  return first_of_each_class(share(dataset), count);
}

}  // namespace tern::data
