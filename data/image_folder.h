// Image files in folders.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <tern/data/dataset.h>
#include <tern/data/decode_image.h>

namespace tern::data {

/// decode_image from a file; throws IoError if it cannot be read or is larger than max_file_bytes.
[[nodiscard]] Tensor load_image(const std::string& path, const ImageLimits& limits = {});

/// A directory with one subdirectory a class, in the order of their names; each holds images (.png, .jpg, .jpeg, .bmp
/// in any case), also in subdirectories of its own, in the order of their paths. Other files, hidden ones and, within a
/// class, links to directories are passed over. Images are decoded when asked for (get() throws as load_image) and may
/// differ in size. Throws IoError if the directory cannot be read, has no class, or a class has no image.
class ImageFolder : public Dataset {
 public:
  explicit ImageFolder(const std::string& directory, const ImageLimits& limits = {});
  int64_t size() const override { return static_cast<int64_t>(content_->files.size()); }
  Example get(int64_t index) const override;
  int64_t label(int64_t index) const override;
  const std::vector<std::string>& class_names() const override { return content_->classes; }
  /// Of the classes, the files' paths within the directory, their sizes and the first and last 16 KiB of each, so files
  /// of up to 32 KiB as a whole. A change that keeps the size of a larger file and touches neither end goes unnoticed.
  /// Throws IoError where a file is gone or cannot be read.
  uint64_t fingerprint() const override;
  /// The file of an example. Throws ValueError for an index out of range.
  const std::string& path(int64_t index) const;

 private:
  struct File {
    std::string path;
    int64_t label;
  };
  struct Content {
    std::string directory;
    std::vector<std::string> classes;
    std::vector<File> files;
  };
  std::shared_ptr<const Content> content_;
  ImageLimits limits_;
};

}  // namespace tern::data
