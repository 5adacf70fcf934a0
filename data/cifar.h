// CIFAR-10 and CIFAR-100 (Krizhevsky, "Learning multiple layers of features from tiny images", 2009) in their official
// binary form: records of one label byte (CIFAR-100: coarse, then fine) and 3072 pixel bytes, red, green and blue
// planes of 32 x 32 in rows.
#pragma once

#include <array>
#include <string>
#include <vector>

#include <tern/data/dataset.h>

namespace tern::data {

/// What the two sets share: all records in memory.
class Cifar : public Dataset {
 public:
  int64_t size() const override { return static_cast<int64_t>(labels_->size()); }
  Example get(int64_t index) const override;
  int64_t label(int64_t index) const override;
  const std::vector<std::string>& class_names() const override { return *names_; }
  uint64_t fingerprint() const override;
  /// All images, u8 [N, 3, 32, 32].
  const Tensor& images() const { return images_; }
  /// Their classes, in the same order.
  const std::vector<int64_t>& labels() const { return *labels_; }
  /// True for all 50,000 training or 10,000 test images; false for a subset in the same format.
  bool is_full() const { return full_; }

 protected:
  Cifar() = default;
  Tensor images_;
  std::shared_ptr<const std::vector<int64_t>> labels_;
  std::shared_ptr<const std::vector<std::string>> names_;
  bool full_ = false;
};

/// CIFAR-10. Reads data_batch_1.bin, data_batch_2.bin, ... (at most 5, without gaps) or test_batch.bin, any number of
/// whole records each, a million at most; class names from batches.meta.txt where there is one. Throws IoError for a
/// missing or unreadable file, FormatError for a size that is not whole records, a label above 9, a names file without
/// ten names, and, with all 50,000 or 10,000 records, for classes of unequal size.
class Cifar10 : public Cifar {
 public:
  Cifar10(const std::string& directory, Split split);
  /// Mean and standard deviation of pixel / 255 over the training set, by channel, as published.
  static std::vector<double> mean() { return {0.49139968, 0.48215827, 0.44653124}; }
  static std::vector<double> std() { return {0.24703233, 0.24348505, 0.26158768}; }
};

/// The 100 classes, or the 20 that they make up.
enum class Cifar100Labels { kFine, kCoarse };

/// CIFAR-100, with its 100 fine or 20 coarse classes. Reads train.bin or test.bin; names from fine_label_names.txt or
/// coarse_label_names.txt where there is one, else numbers. Errors as Cifar10.
class Cifar100 : public Cifar {
 public:
  Cifar100(const std::string& directory, Split split, Cifar100Labels labels = Cifar100Labels::kFine);
  /// As those of Cifar10.
  static std::vector<double> mean() { return {0.50707516, 0.48654887, 0.44091784}; }
  static std::vector<double> std() { return {0.26733429, 0.25643846, 0.27615047}; }
};

}  // namespace tern::data
