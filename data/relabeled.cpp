#include <tern/core/error.h>
#include <tern/core/io/hash.h>
#include <tern/data/relabeled.h>

namespace tern::data {

Relabeled::Relabeled(std::shared_ptr<const Dataset> dataset, std::vector<int64_t> places,
                     std::vector<std::string> names)
    : dataset_(std::move(dataset)) {
  TERN_CHECK(dataset_ != nullptr, ValueError, "[relabeled] expected a data set, got none");
  TERN_CHECK(static_cast<int64_t>(places.size()) == dataset_->num_classes(), ValueError,
             "[relabeled] expected a place for each of ", dataset_->num_classes(), " classes, got ", places.size());
  for (const int64_t place : places)
    TERN_CHECK(place >= 0 && place < static_cast<int64_t>(names.size()), ValueError,
               "[relabeled] expected places in [0, ", names.size(), "), got ", place);
  places_ = std::make_shared<const std::vector<int64_t>>(std::move(places));
  names_ = std::make_shared<const std::vector<std::string>>(std::move(names));
}

int64_t Relabeled::place_of(int64_t label) const {
  TERN_CHECK(label >= 0 && label < static_cast<int64_t>(places_->size()), ValueError,
             "[relabeled] expected labels in [0, ", places_->size(), "), got ", label);
  return (*places_)[static_cast<size_t>(label)];
}

Example Relabeled::get(int64_t index) const {
  Example example = dataset_->get(index);
  example.label = place_of(example.label);
  return example;
}

uint64_t Relabeled::fingerprint() const {
  io::Hash64 hash;
  hash.add_number(dataset_->fingerprint());
  for (const int64_t place : *places_) hash.add_number(static_cast<uint64_t>(place));
  for (const std::string& name : *names_) hash.add_sized(name);
  return hash.value();
}

}  // namespace tern::data
