// A data set whose labels are places in another list of classes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <tern/data/dataset.h>

namespace tern::data {

/// The examples of another data set under other labels: label i of it becomes places[i], a place in `names`.
class Relabeled : public Dataset {
 public:
  /// Throws ValueError for no data set, and unless every class of it has a place in [0, names.size()).
  Relabeled(std::shared_ptr<const Dataset> dataset, std::vector<int64_t> places, std::vector<std::string> names);

  int64_t size() const override { return dataset_->size(); }
  Example get(int64_t index) const override;
  int64_t label(int64_t index) const override { return place_of(dataset_->label(index)); }
  const std::vector<std::string>& class_names() const override { return *names_; }
  uint64_t fingerprint() const override;

 private:
  int64_t place_of(int64_t label) const;

  std::shared_ptr<const Dataset> dataset_;
  std::shared_ptr<const std::vector<int64_t>> places_;
  std::shared_ptr<const std::vector<std::string>> names_;
};

}  // namespace tern::data
