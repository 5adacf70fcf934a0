#include <tern/core/error.h>
#include <tern/core/io/json.h>
#include <tern/core/io/safetensors.h>
#include <tern/train/weights/best_checkpoint.h>
#include <tern/train/weights/checkpoint.h>

namespace tern::train {
namespace {

constexpr const char* kBestName = "best.safetensors";
constexpr const char* kPreviousName = "best.previous.safetensors";

// The metadata of a file of weights; empty for a file that is none.
io::Metadata metadata_of(const io::FilePath& path) {
  try {
    return io::SafetensorsReader(path).metadata();
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

std::string to_text(const BestMark& mark) {
  return io::Json::object({{"step", mark.step}, {"score", mark.score}}).dump();
}

std::optional<BestMark> mark_of(const io::FilePath& path) {
  if (!path.exists()) return std::nullopt;
  const io::Metadata metadata = metadata_of(path);
  const auto text = metadata.find(meta::kBest);
  if (text == metadata.end()) return std::nullopt;
  try {
    const io::Json json = io::Json::parse("trainer", path.text(), text->second);
    return BestMark{.score = json.at("score").as_number(), .step = json.at("step").as_int()};
  } catch (const FormatError&) {
    return std::nullopt;
  }
}

io::FilePath BestCheckpoint::path() const {
  return directory_->file(kBestName);
}

void BestCheckpoint::keep_previous() const {
  if (!directory_->has(kBestName) || directory_->has(kPreviousName)) return;
  // A second name, so that there is a best.safetensors at any time; not every file system knows such names.
  if (!directory_->link(kBestName, kPreviousName)) directory_->rename(kBestName, kPreviousName);
}

void BestCheckpoint::forget_previous() const {
  directory_->remove(kPreviousName);
}

bool BestCheckpoint::restore(const BestMark& mark) const {
  if (mark_of(path()) == mark) {
    forget_previous();
    return true;
  }
  if (mark_of(directory_->file(kPreviousName)) != mark) return false;
  directory_->rename(kPreviousName, kBestName);
  return true;
}

void BestCheckpoint::remove() const {
  for (const char* name : {kBestName, kPreviousName})
    if (metadata_of(directory_->file(name)).contains(meta::kVersion)) directory_->remove(name);
}

}  // namespace tern::train
