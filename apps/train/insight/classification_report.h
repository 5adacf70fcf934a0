// What a classifier gets right and wrong on a set of images, class by class, with pictures of its worst mistakes: the
// file evaluation.json of a run.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <tern/core/io/directory.h>
#include <tern/core/io/json.h>
#include <tern/core/tensor.h>
#include <tern/data/loader.h>
#include <tern/nn/module.h>
#include <tern/train/loop/evaluate.h>

namespace tern::train {

/// An image that the model is sure about and wrong.
struct Mistake {
  int64_t index = 0;       ///< in the data set
  int64_t label = 0;       ///< what it is
  int64_t predicted = 0;   ///< what the model says
  double probability = 0;  ///< of that, in [0, 1]
  std::string png;         ///< the image before any transform, made smaller if it is large; empty if not recorded
};

/// How often examples of one class were taken for those of another.
struct ConfusedPair {
  int64_t label = 0;      ///< what they are
  int64_t predicted = 0;  ///< what the model says
  int64_t count = 0;
  bool operator==(const ConfusedPair&) const = default;
};

/// Up to so many classes a ClassificationReport has the whole matrix; and it has at most so many pairs.
inline constexpr size_t kMaxMatrixClasses = 128;
inline constexpr size_t kMaxConfusedPairs = 1000;

/// What examine() finds.
struct ClassificationReport {
  EvalResult result;
  int64_t step = 0;                             ///< optimizer steps that the model had seen
  std::vector<std::string> classes;             ///< names; as many as there are labels and outputs
  std::vector<std::vector<int64_t>> confusion;  ///< [label][prediction], examples; none for too many classes
  std::vector<ConfusedPair> confused;           ///< the largest, by falling count, then by label and prediction
  int64_t confused_pairs = 0;                   ///< how many there are in all
  std::vector<Mistake> worst;                   ///< by falling probability
};

/// Settings of examine().
struct ClassificationReportOptions {
  int64_t mistakes = 24;  ///< how many to keep, at least 0
  int64_t side = 96;  ///< at least 1: pictures with a longer side are made smaller by a whole factor, to at most this
  std::function<bool()> stop = {};  ///< asked after every batch: true ends it with a StateError
};

/// Runs a model over everything a loader gives, in its order, which must be that of the data set (no shuffling), in
/// eval mode and without gradients. The prediction is the largest logit, the lower class on a tie; its probability
/// that of softmax. Equal probabilities are kept in the order of the data set. Outputs beyond the data set's classes
/// are called "class N". Memory: 8 bytes an example beside the result, however many classes there are. Throws
/// ValueError for another order, labels that the outputs lack and options out of range, NonFiniteError for a logit that
/// is not finite, ShapeError for a mistake whose image has neither 1 nor 3 channels.
ClassificationReport examine(nn::Module& model, data::DataLoader& loader,
                             const ClassificationReportOptions& options = {});

/// {"step", "top1", "top5", "loss", "n", "classes": [name], "confusion": [[count]], "worst": [{"index", "label",
/// "predicted", "probability", "png" (base64)}]}; with more than kMaxMatrixClasses classes, instead of "confusion",
/// "confused": [[label, predicted, count]] and "confused_pairs".
io::Json to_json(const ClassificationReport& evaluation);
/// The same back, a matrix of any size. Throws FormatError for anything else, counts below 0, classes out of range and
/// pictures that are no base64 included.
ClassificationReport classification_report_from(const io::Json& json);

/// Examines a model that has seen `step` optimizer steps and writes the result as a file, atomically. Throws as
/// examine() does, and IoError.
void write_classification_report(const io::FilePath& path, nn::Module& model, data::DataLoader& loader, int64_t step,
                                 const ClassificationReportOptions& options = {});

/// A PNG of an image u8 [C, H, W] with 1 or 3 channels. Throws ShapeError for others and empty ones, DTypeError.
std::string encode_png(const Tensor& image);

/// RFC 4648, with padding. decode_base64 throws FormatError for any other text.
std::string encode_base64(std::string_view bytes);
std::string decode_base64(std::string_view text);

}  // namespace tern::train
