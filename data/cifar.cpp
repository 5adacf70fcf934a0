#include <algorithm>
#include <filesystem>

#include <tern/core/error.h>
#include <tern/core/io/file_kind.h>
#include <tern/core/io/hash.h>
#include <tern/core/ops/shape.h>
#include <tern/data/cifar.h>

namespace tern::data {
namespace {

constexpr int64_t kSide = 32;
constexpr int64_t kPixels = 3 * kSide * kSide;

struct Format {
  const char* op;
  int64_t label_bytes;               // in front of the pixels
  int64_t label_at;                  // which of them is wanted
  std::vector<int64_t> label_range;  // one a label byte
  int64_t full;                      // records of the full set
};

bool exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

// Lines of a names file; trailing empty lines do not count.
std::vector<std::string> read_names(const Format& format, const std::string& path, int64_t classes) {
  const std::string text = io::read_file(format.op, path, 1 << 16);
  std::vector<std::string> names;
  std::string name;
  for (const char c : text + "\n") {
    if (c != '\n') {
      if (c != '\r') name += c;
      continue;
    }
    names.push_back(std::move(name));
    name.clear();
  }
  while (!names.empty() && names.back().empty()) names.pop_back();
  TERN_CHECK(static_cast<int64_t>(names.size()) == classes &&
                 std::none_of(names.begin(), names.end(), [](const std::string& n) { return n.empty(); }),
             FormatError, "[", format.op, "] expected ", classes, " class names, one a line, in '", path, "', got ",
             names.size(), " lines");
  return names;
}

struct Records {
  Tensor images;
  std::vector<int64_t> labels;
};

Records read_records(const Format& format, const std::vector<std::string>& paths) {
  const int64_t record = format.label_bytes + kPixels;
  std::vector<io::InputFile> files;
  int64_t total = 0;
  for (const std::string& path : paths) {
    const io::InputFile& file = files.emplace_back(format.op, path);
    const auto bytes = static_cast<int64_t>(file.size());
    TERN_CHECK(bytes > 0 && bytes % record == 0, FormatError, "[", format.op, "] expected whole records of ", record,
               " bytes in '", path, "', got ", bytes, " bytes; the file may be cut off or of another data set",
               io::kind_note(file));
    total += bytes / record;
  }
  TERN_CHECK(total <= 1'000'000, FormatError, "[", format.op, "] expected at most 1000000 records, got ", total);
  Records out{empty({total, 3, kSide, kSide}, DType::kU8), std::vector<int64_t>(static_cast<size_t>(total))};
  uint8_t* pixels = out.images.data<uint8_t>();
  std::vector<std::byte> piece;
  int64_t at = 0;
  for (const io::InputFile& file : files) {
    const int64_t records = static_cast<int64_t>(file.size()) / record;
    constexpr int64_t kAtOnce = 1000;
    for (int64_t first = 0; first < records; first += kAtOnce) {
      const int64_t count = std::min(kAtOnce, records - first);
      piece.resize(static_cast<size_t>(count * record));
      file.read_at(static_cast<uint64_t>(first * record), piece);
      for (int64_t i = 0; i < count; ++i, ++at) {
        const auto* bytes = reinterpret_cast<const uint8_t*>(piece.data()) + i * record;
        for (int64_t k = 0; k < format.label_bytes; ++k)
          TERN_CHECK(bytes[k] < format.label_range[static_cast<size_t>(k)], FormatError, "[", format.op,
                     "] expected labels below ", format.label_range[static_cast<size_t>(k)], " in '", file.path(),
                     "', got ", static_cast<int>(bytes[k]), " in record ", first + i);
        out.labels[static_cast<size_t>(at)] = bytes[format.label_at];
        std::copy_n(bytes + format.label_bytes, kPixels, pixels + at * kPixels);
      }
    }
  }
  return out;
}

// With the full number of records every class must have its full share.
void check_classes(const Format& format, const std::vector<int64_t>& labels, const std::vector<std::string>& names,
                   const std::string& directory) {
  if (static_cast<int64_t>(labels.size()) != format.full) return;
  const int64_t classes = static_cast<int64_t>(names.size());
  for (int64_t c = 0; c < classes; ++c) {
    const int64_t count = std::count(labels.begin(), labels.end(), c);
    TERN_CHECK(count == format.full / classes, FormatError, "[", format.op, "] expected ", format.full / classes,
               " images of class ", c, " (", names[static_cast<size_t>(c)], ") in '", directory, "', got ", count);
  }
}

}  // namespace

Example Cifar::get(int64_t index) const {
  check_index("cifar", index);
  return {select(images_, 0, index), (*labels_)[static_cast<size_t>(index)]};
}

int64_t Cifar::label(int64_t index) const {
  check_index("cifar", index);
  return (*labels_)[static_cast<size_t>(index)];
}

uint64_t Cifar::fingerprint() const {
  io::Hash64 hash;
  for (const std::string& name : *names_) hash.add_sized(name);
  hash.add(images_.raw(), static_cast<size_t>(images_.bytes()));
  hash.add(labels_->data(), labels_->size() * sizeof(int64_t));
  return hash.value();
}

Cifar10::Cifar10(const std::string& directory, Split split) {
  const bool train = split == Split::kTrain;
  const Format format{
      .op = "cifar10", .label_bytes = 1, .label_at = 0, .label_range = {10}, .full = train ? 50000 : 10000};
  std::vector<std::string> paths;
  if (train) {
    const auto batch = [&](int i) { return concat(directory, "/data_batch_", i, ".bin"); };
    for (int i = 1; i <= 5; ++i) {
      if (!exists(batch(i))) continue;
      TERN_CHECK(static_cast<int>(paths.size()) == i - 1, IoError, "[cifar10] expected '",
                 batch(static_cast<int>(paths.size()) + 1), "' beside '", batch(i), "', got no such file");
      paths.push_back(batch(i));
    }
    if (paths.empty()) paths.push_back(batch(1));
  } else {
    paths.push_back(directory + "/test_batch.bin");
  }
  TERN_CHECK(exists(paths[0]), IoError, "[cifar10] expected '", paths[0],
             "', got no such file; data/get_cifar10.sh downloads the data set");
  static const std::vector<std::string> kNames = {"airplane", "automobile", "bird",  "cat",  "deer",
                                                  "dog",      "frog",       "horse", "ship", "truck"};
  const std::string meta = directory + "/batches.meta.txt";
  names_ = std::make_shared<const std::vector<std::string>>(exists(meta) ? read_names(format, meta, 10) : kNames);
  Records records = read_records(format, paths);
  check_classes(format, records.labels, *names_, directory);
  images_ = records.images;
  labels_ = std::make_shared<const std::vector<int64_t>>(std::move(records.labels));
  full_ = size() == format.full;
}

Cifar100::Cifar100(const std::string& directory, Split split, Cifar100Labels labels) {
  const bool train = split == Split::kTrain, fine = labels == Cifar100Labels::kFine;
  const Format format{.op = "cifar100",
                      .label_bytes = 2,
                      .label_at = fine ? 1 : 0,
                      .label_range = {20, 100},
                      .full = train ? 50000 : 10000};
  const std::string path = directory + (train ? "/train.bin" : "/test.bin");
  TERN_CHECK(exists(path), IoError, "[cifar100] expected '", path,
             "', got no such file; the data set is at https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz");
  const int64_t classes = fine ? 100 : 20;
  const std::string meta = directory + (fine ? "/fine_label_names.txt" : "/coarse_label_names.txt");
  std::vector<std::string> names;
  if (exists(meta))
    names = read_names(format, meta, classes);
  else
    for (int64_t c = 0; c < classes; ++c) names.push_back(std::to_string(c));
  names_ = std::make_shared<const std::vector<std::string>>(std::move(names));
  Records records = read_records(format, {path});
  check_classes(format, records.labels, *names_, directory);
  images_ = records.images;
  labels_ = std::make_shared<const std::vector<int64_t>>(std::move(records.labels));
  full_ = size() == format.full;
}

}  // namespace tern::data
