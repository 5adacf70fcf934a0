#include <algorithm>
#include <cctype>
#include <filesystem>
#include <span>
#include <system_error>

#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/core/io/file.h>
#include <tern/core/io/hash.h>
#include <tern/data/decode_image.h>
#include <tern/data/image_folder.h>

namespace tern::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOp = "image_folder";
constexpr uint64_t kHashedBytes = 16 << 10;  // of either end of a file

bool is_image(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg" || extension == ".bmp";
}

bool is_hidden(const fs::path& path) {
  return path.filename().string().starts_with('.');
}

[[noreturn]] void fail(const fs::path& path, const std::error_code& error) {
  throw IoError(concat("[", kOp, "] cannot read '", path.string(), "': ", error.message()));
}

// Regular files of a directory tree that look like images, sorted by path.
std::vector<std::string> images_under(const fs::path& directory) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; it != end; it.increment(error)) {
    if (error) fail(directory, error);
    std::error_code ignored;
    if (is_hidden(it->path())) {
      it.disable_recursion_pending();
    } else if (it->is_regular_file(ignored) && is_image(it->path())) {
      paths.push_back(it->path().string());
    }
  }
  if (error) fail(directory, error);
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

Tensor load_image(const std::string& path, const ImageLimits& limits) {
  const std::string content = io::read_file("load_image", path, static_cast<uint64_t>(limits.max_file_bytes));
  return decode_image(io::bytes_of(content), path, limits);
}

ImageFolder::ImageFolder(const std::string& directory, const ImageLimits& limits) : limits_(limits) {
  std::error_code error;
  auto content = std::make_shared<Content>();
  content->directory = directory;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored) && !is_hidden(it->path())) content->classes.push_back(it->path().filename().string());
  }
  if (error) fail(directory, error);
  TERN_CHECK(!content->classes.empty(), IoError, "[", kOp, "] expected a directory for each class in '", directory,
             "', got none");
  std::sort(content->classes.begin(), content->classes.end());
  for (size_t label = 0; label < content->classes.size(); ++label) {
    const fs::path folder = fs::path(directory) / content->classes[label];
    const auto paths = images_under(folder);
    TERN_CHECK(!paths.empty(), IoError, "[", kOp, "] expected images (.png, .jpg, .jpeg, .bmp) in '", folder.string(),
               "', got none");
    for (const std::string& path : paths) content->files.push_back({path, static_cast<int64_t>(label)});
  }
  content_ = std::move(content);
}

Example ImageFolder::get(int64_t index) const {
  check_index(kOp, index);
  const File& file = content_->files[static_cast<size_t>(index)];
  return {load_image(file.path, limits_), file.label};
}

int64_t ImageFolder::label(int64_t index) const {
  check_index(kOp, index);
  return content_->files[static_cast<size_t>(index)].label;
}

uint64_t ImageFolder::fingerprint() const {
  io::Hash64 hash;
  for (const std::string& name : content_->classes) hash.add_sized(name);
  std::vector<std::byte> buffer(2 * kHashedBytes);
  for (const File& file : content_->files) {
    const io::InputFile input(kOp, file.path);
    const uint64_t bytes = input.size();
    hash.add_sized(fs::path(file.path).lexically_relative(content_->directory).string());
    hash.add_number(bytes);
    const auto add = [&](uint64_t position, uint64_t count) {
      const std::span<std::byte> part(buffer.data(), static_cast<size_t>(count));
      input.read_at(position, part);
      hash.add(part.data(), part.size());
    };
    if (bytes <= 2 * kHashedBytes) {
      add(0, bytes);
    } else {
      add(0, kHashedBytes);
      add(bytes - kHashedBytes, kHashedBytes);
    }
  }
  return hash.value();
}

const std::string& ImageFolder::path(int64_t index) const {
  check_index(kOp, index);
  return content_->files[static_cast<size_t>(index)].path;
}

}  // namespace tern::data
