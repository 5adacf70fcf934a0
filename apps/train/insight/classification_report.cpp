#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include <png.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/ops/create.h>
#include <tern/nn/eval_mode.h>
#include <tern/train/insight/classification_report.h>

namespace tern::train {
namespace {

using io::Json;

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Smaller by a whole factor: each pixel is the mean of the ones it stands for.
Tensor shrink(const Tensor& image, int64_t side) {
  const int64_t channels = image.size(0), height = image.size(1), width = image.size(2);
  const int64_t factor = (std::max(height, width) + side - 1) / side;
  if (factor <= 1) return image;
  const int64_t rows = std::max<int64_t>(height / factor, 1), columns = std::max<int64_t>(width / factor, 1);
  const std::vector<int64_t> from = image.to_vector<int64_t>();
  std::vector<uint8_t> to;
  to.reserve(static_cast<size_t>(channels * rows * columns));
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t y = 0; y < rows; ++y)
      for (int64_t x = 0; x < columns; ++x) {
        int64_t sum = 0, n = 0;
        for (int64_t v = y * factor; v < std::min((y + 1) * factor, height); ++v)
          for (int64_t u = x * factor; u < std::min((x + 1) * factor, width); ++u, ++n)
            sum += from[static_cast<size_t>((c * height + v) * width + u)];
        to.push_back(static_cast<uint8_t>((sum + n / 2) / n));
      }
  return tensor(to, {channels, rows, columns});
}

// The count most probable of all mistakes so far, best first.
class Worst {
 public:
  explicit Worst(int64_t count) : count_(static_cast<size_t>(count)) {}
  void add(const Mistake& mistake) {
    const auto before = [](const Mistake& a, const Mistake& b) { return a.probability > b.probability; };
    if (kept_.size() == count_ && (count_ == 0 || !before(mistake, kept_.back()))) return;
    kept_.insert(std::upper_bound(kept_.begin(), kept_.end(), mistake, before), mistake);
    if (kept_.size() > count_) kept_.pop_back();
  }
  std::vector<Mistake> take() { return std::move(kept_); }

 private:
  size_t count_;
  std::vector<Mistake> kept_;
};

// The largest of all pairs.
void set_pairs(ClassificationReport& e, std::vector<ConfusedPair> pairs) {
  e.confused_pairs = static_cast<int64_t>(pairs.size());
  const auto before = [](const ConfusedPair& a, const ConfusedPair& b) {
    return a.count != b.count ? a.count > b.count : std::pair(a.label, a.predicted) < std::pair(b.label, b.predicted);
  };
  const size_t kept = std::min(pairs.size(), kMaxConfusedPairs);
  std::partial_sort(pairs.begin(), pairs.begin() + static_cast<std::ptrdiff_t>(kept), pairs.end(), before);
  pairs.resize(kept);
  e.confused = std::move(pairs);
}

// Labels with predictions, counted by sorting: the matrix of 10,000 classes alone would have 10^8 counts.
class Predictions {
 public:
  void add(int64_t label, int64_t predicted) {
    taken_.push_back(static_cast<uint64_t>(label) << 32 | static_cast<uint64_t>(predicted));
  }
  void count(ClassificationReport& e) {
    std::sort(taken_.begin(), taken_.end());
    const bool matrix = e.classes.size() <= kMaxMatrixClasses;
    if (matrix) e.confusion.assign(e.classes.size(), std::vector<int64_t>(e.classes.size()));
    std::vector<ConfusedPair> pairs;
    for (size_t i = 0, next = 0; i < taken_.size(); i = next) {
      while (next < taken_.size() && taken_[next] == taken_[i]) ++next;
      const ConfusedPair pair{.label = static_cast<int64_t>(taken_[i] >> 32),
                              .predicted = static_cast<int64_t>(taken_[i] & 0xffffffffu),
                              .count = static_cast<int64_t>(next - i)};
      if (matrix) e.confusion[static_cast<size_t>(pair.label)][static_cast<size_t>(pair.predicted)] = pair.count;
      if (pair.label != pair.predicted) pairs.push_back(pair);
    }
    set_pairs(e, std::move(pairs));
  }

 private:
  std::vector<uint64_t> taken_;  // label, prediction: the number of a class fits 32 bits
};

int64_t count_at(const Json& json, const char* key) {
  const int64_t value = json.at(key).as_int();
  TERN_CHECK(value >= 0, FormatError, "[evaluation] expected ", key, " at least 0, got ", value);
  return value;
}

}  // namespace

ClassificationReport examine(nn::Module& model, data::DataLoader& loader, const ClassificationReportOptions& options) {
  TERN_CHECK(options.mistakes >= 0 && options.side >= 1, ValueError,
             "[evaluation] expected mistakes of at least 0 and a side of at least 1, got ", options.mistakes, " and ",
             options.side);
  const data::Dataset& dataset = loader.dataset();
  const nn::EvalModeGuard eval_mode(model);
  const NoGradGuard no_grad;
  ClassificationReport out;
  out.classes = dataset.class_names();
  Accuracy accuracy;
  Worst worst(options.mistakes);
  Predictions predictions;
  int64_t index = 0;
  for (const auto& [images, labels] : loader) {
    TERN_CHECK(!options.stop || !options.stop(), StateError, "[evaluation] expected all ", dataset.size(),
               " images, got a stop after ", index);
    const Tensor logits = model(images);
    accuracy.add(logits, labels);
    const int64_t classes = logits.size(1);
    for (int64_t c = static_cast<int64_t>(out.classes.size()); c < classes; ++c)
      out.classes.push_back(concat("class ", c));
    const std::vector<double> values = logits.to_vector<double>();
    const std::vector<int64_t> truth = labels.to_vector<int64_t>();
    for (size_t i = 0; i < truth.size(); ++i, ++index) {
      TERN_CHECK(labels.dtype() == DType::kI64 && index < dataset.size() && truth[i] == dataset.label(index),
                 ValueError,
                 "[evaluation] expected a loader in the order of the data set, got another label for image ", index);
      const auto row = values.begin() + static_cast<std::ptrdiff_t>(i) * classes;
      for (auto v = row; v != row + classes; ++v)
        TERN_CHECK(std::isfinite(*v), NonFiniteError, "[evaluation] expected finite logits, got ", *v, " for image ",
                   index);
      const auto top = std::max_element(row, row + classes);
      const int64_t predicted = top - row;
      predictions.add(truth[i], predicted);
      if (predicted == truth[i]) continue;
      double sum = 0;
      for (auto v = row; v != row + classes; ++v) sum += std::exp(*v - *top);
      worst.add({.index = index, .label = truth[i], .predicted = predicted, .probability = 1 / sum, .png = {}});
    }
  }
  out.result = accuracy.result();
  predictions.count(out);
  out.worst = worst.take();
  for (Mistake& mistake : out.worst) mistake.png = encode_png(shrink(dataset.get(mistake.index).image, options.side));
  return out;
}

Json to_json(const ClassificationReport& e) {
  Json worst = Json::array();
  for (const Mistake& m : e.worst)
    worst.push_back(Json::object({{"index", m.index},
                                  {"label", m.label},
                                  {"predicted", m.predicted},
                                  {"probability", m.probability},
                                  {"png", encode_base64(m.png)}}));
  Json out = Json::object({{"step", e.step},
                           {"top1", e.result.top1},
                           {"top5", e.result.top5},
                           {"loss", e.result.loss},
                           {"n", e.result.n},
                           {"classes", e.classes}});
  if (e.classes.size() <= kMaxMatrixClasses) {
    out["confusion"] = e.confusion;
  } else {
    Json pairs = Json::array();
    for (const ConfusedPair& p : e.confused) pairs.push_back(Json::array({p.label, p.predicted, p.count}));
    out["confused"] = std::move(pairs);
    out["confused_pairs"] = e.confused_pairs;
  }
  out["worst"] = std::move(worst);
  return out;
}

namespace {

// What a file has of the matrix.
void read_matrix(ClassificationReport& e, const Json& rows) {
  const auto classes = static_cast<int64_t>(e.classes.size());
  TERN_CHECK(rows.size() == e.classes.size(), FormatError, "[evaluation] expected a row of confusion for each of ",
             classes, " classes, got ", rows.size());
  std::vector<ConfusedPair> pairs;
  for (const Json& row : rows.items()) {
    TERN_CHECK(row.size() == e.classes.size(), FormatError, "[evaluation] expected rows of ", classes, " counts, got ",
               row.size());
    std::vector<int64_t>& counts = e.confusion.emplace_back();
    for (const Json& count : row.items()) {
      TERN_CHECK(count.as_int() >= 0, FormatError, "[evaluation] expected counts of at least 0, got ", count.as_int());
      const auto label = static_cast<int64_t>(e.confusion.size()) - 1, predicted = static_cast<int64_t>(counts.size());
      if (label != predicted && count.as_int() > 0) pairs.push_back({label, predicted, count.as_int()});
      counts.push_back(count.as_int());
    }
  }
  set_pairs(e, std::move(pairs));
  if (e.classes.size() > kMaxMatrixClasses) e.confusion.clear();
}

// What it has instead for many classes.
void read_pairs(ClassificationReport& e, const Json& json) {
  const auto classes = static_cast<int64_t>(e.classes.size());
  std::vector<ConfusedPair> pairs;
  for (const Json& item : json.at("confused").items()) {
    TERN_CHECK(item.size() == 3, FormatError, "[evaluation] expected [label, predicted, count], got ", item.dump());
    const ConfusedPair pair{item[0].as_int(), item[1].as_int(), item[2].as_int()};
    TERN_CHECK(pair.label >= 0 && pair.label < classes && pair.predicted >= 0 && pair.predicted < classes &&
                   pair.label != pair.predicted && pair.count > 0,
               FormatError, "[evaluation] expected two classes of ", classes, " and a count of at least 1, got ",
               item.dump());
    pairs.push_back(pair);
  }
  set_pairs(e, std::move(pairs));
  e.confused_pairs = std::max(e.confused_pairs, count_at(json, "confused_pairs"));
}

}  // namespace

ClassificationReport classification_report_from(const Json& json) {
  ClassificationReport e;
  e.step = count_at(json, "step");
  e.result = {.top1 = json.at("top1").as_number(),
              .top5 = json.at("top5").as_number(),
              .loss = json.at("loss").as_number(),
              .n = count_at(json, "n")};
  for (const Json& name : json.at("classes").items()) e.classes.push_back(name.as_string());
  const auto classes = static_cast<int64_t>(e.classes.size());
  if (const Json* rows = json.find("confusion"))
    read_matrix(e, *rows);
  else
    read_pairs(e, json);
  const auto class_at = [&](const Json& item, const char* key) {
    const int64_t value = item.at(key).as_int();
    TERN_CHECK(value >= 0 && value < classes, FormatError, "[evaluation] expected ", key, " in [0, ", classes,
               "), got ", value);
    return value;
  };
  for (const Json& item : json.at("worst").items())
    e.worst.push_back({.index = count_at(item, "index"),
                       .label = class_at(item, "label"),
                       .predicted = class_at(item, "predicted"),
                       .probability = item.at("probability").as_number(),
                       .png = decode_base64(item.at("png").as_string())});
  return e;
}

void write_classification_report(const io::FilePath& path, nn::Module& model, data::DataLoader& loader, int64_t step,
                                 const ClassificationReportOptions& options) {
  ClassificationReport evaluation = examine(model, loader, options);
  evaluation.step = step;
  io::write_file_atomic("evaluation", path, to_json(evaluation).dump() + "\n");
}

std::string encode_png(const Tensor& image) {
  TERN_CHECK(image.dtype() == DType::kU8, DTypeError, "[evaluation] expected an image of bytes, got ", describe(image));
  TERN_CHECK(image.dim() == 3 && (image.size(0) == 1 || image.size(0) == 3) && image.numel() > 0, ShapeError,
             "[evaluation] expected an image [1 or 3, H, W], got ", describe(image));
  const Tensor rows = image.permute({1, 2, 0}).contiguous();
  const std::vector<uint8_t> pixels = rows.to_vector<uint8_t>();
  png_image header = {};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.size(2));
  header.height = static_cast<png_uint_32>(image.size(1));
  header.format = image.size(0) == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(header);
  std::string out(bytes, '\0');
  const int written = png_image_write_to_memory(&header, out.data(), &bytes, 0, pixels.data(), 0, nullptr);
  TERN_CHECK(written != 0, MemoryError, "[evaluation] expected memory for a picture of ", describe(image),
             ", got none");
  out.resize(bytes);
  return out;
}

std::string encode_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j)
      group = group << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0U);
    for (size_t j = 0; j < 4; ++j) out += i + j > bytes.size() ? '=' : kBase64[group >> (18 - 6 * j) & 63];
  }
  return out;
}

std::string decode_base64(std::string_view text) {
  const auto fail = [] { return FormatError("[evaluation] expected base64, got another text"); };
  if (text.size() % 4 != 0) throw fail();
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    const size_t padding = i + 4 < text.size() || text[i + 3] != '=' ? 0 : text[i + 2] == '=' ? 2 : 1;
    uint32_t group = 0;
    for (size_t j = 0; j < 4; ++j) {
      const size_t digit = j >= 4 - padding ? 0 : kBase64.find(text[i + j]);
      if (digit == std::string_view::npos) throw fail();
      group = group << 6 | static_cast<uint32_t>(digit);
    }
    for (size_t j = 0; j < 3 - padding; ++j) out += static_cast<char>(group >> (16 - 8 * j) & 255);
  }
  return out;
}

}  // namespace tern::train
