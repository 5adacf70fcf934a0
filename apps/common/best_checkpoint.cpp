#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include <tern/core/error.h>
#include <tern/core/io/json.h>
#include <tern/core/io/safetensors.h>
#include <tern/train/best_checkpoint.h>
#include <tern/train/checkpoint.h>
#include <tern/train/process.h>

namespace tern::train {
namespace {

namespace fs = std::filesystem;

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// The metadata of a file of weights; empty for a file that is none.
io::Metadata metadata_of(const std::string& path) {
  try {
    return io::SafetensorsReader(path).metadata();
  } catch (const Error&) {
    return {};
  }
}

void move_file(const std::string& from, const std::string& to) {
  TERN_CHECK(std::rename(from.c_str(), to.c_str()) == 0, IoError, "[trainer] expected to rename ", from, " to ", to,
             ", got: ", std::generic_category().message(errno));
}

}  // namespace

std::string to_text(const BestMark& mark) {
  return io::Json::object({{"step", mark.step}, {"score", mark.score}}).dump();
}

std::optional<BestMark> mark_of(const std::string& path) {
  if (!exists(path)) return std::nullopt;
  const io::Metadata metadata = metadata_of(path);
  const auto text = metadata.find(meta::kBest);
  if (text == metadata.end()) return std::nullopt;
  try {
    const io::Json json = io::Json::parse("trainer", path, text->second);
    return BestMark{.score = json.at("score").as_number(), .step = json.at("step").as_int()};
  } catch (const FormatError&) {
    return std::nullopt;
  }
}

BestCheckpoint::BestCheckpoint(const std::string& directory)
    : path_((fs::path(directory) / "best.safetensors").string()),
      previous_((fs::path(directory) / "best.previous.safetensors").string()) {}

void BestCheckpoint::keep_previous() const {
  if (!exists(path_) || exists(previous_)) return;
  // A second name, so that there is a best.safetensors at any time; not every file system knows such names.
  if (::linkat(AT_FDCWD, path_.c_str(), AT_FDCWD, previous_.c_str(), AT_SYMLINK_FOLLOW) != 0)
    move_file(path_, previous_);
}

void BestCheckpoint::forget_previous() const {
  remove_file(previous_);
}

bool BestCheckpoint::restore(const BestMark& mark) const {
  if (mark_of(path_) == mark) {
    forget_previous();
    return true;
  }
  if (mark_of(previous_) != mark) return false;
  move_file(previous_, path_);
  return true;
}

void BestCheckpoint::remove() const {
  for (const std::string& path : {path_, previous_})
    if (exists(path) && metadata_of(path).contains(meta::kVersion)) remove_file(path);
}

}  // namespace tern::train
