// Statistics of the activations of a model's layers, streamed over any number of batches in constant memory: what
// calibration needs.
//
//   quant::Capture capture(model, {.layers = {"blocks.*"}, .gram = true, .reservoir = 1 << 14, .seed = 1});
//   for (const auto& batch : loader) model(batch.images);
//   const quant::RowStatistics& qkv = capture.at("blocks.0.attn.qkv");
//   qkv.mean(), qkv.gram(), qkv.sample();
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tern/core/tensor.h>
#include <tern/nn/module.h>
#include <tern/nn/scoped_hooks.h>
#include <tern/quant/selection.h>

namespace tern::quant {

/// What RowStatistics keeps besides counts, extrema, sums and sums of squares.
struct RowStatisticsOptions {
  bool gram = false;      ///< X^T X, the sum over rows; features^2 doubles of memory
  int64_t reservoir = 0;  ///< rows of a random sample; 0: none
  bool values = false;    ///< the sample is of single values, `reservoir` of them, not of rows
  uint64_t seed = 0;      ///< of the sample
};

/// Statistics of rows x [features], f32 or f64, that come one after the other. Everything is added up in f64 in the
/// order of the rows: the same rows give the same bits at any number of threads and however they are cut into batches.
class RowStatistics {
 public:
  /// Throws ValueError for fewer than 1 feature or a negative reservoir.
  explicit RowStatistics(int64_t features, const RowStatisticsOptions& options = {});

  /// Adds rows: [..., features], the last axis being a row. Throws ShapeError for another width, DTypeError for other
  /// dtypes, NonFiniteError, naming row and feature, for NaN and infinities; then nothing has been added.
  void add(const Tensor& rows);

  int64_t rows() const { return rows_; }
  int64_t features() const { return features_; }

  // Of each feature, f64 [features]. All below throw StateError before the first row.
  Tensor min() const;
  Tensor max() const;
  Tensor mean() const;
  Tensor second_moment() const;  ///< mean of the squares

  // Of all values.
  double min_value() const;
  double max_value() const;

  /// f64 [features, features]; symmetric to the last bit. Throws StateError without options.gram.
  Tensor gram() const;
  /// The sample, in the dtype of the first rows: [min(rows, reservoir), features], or [min(values, reservoir)] of
  /// single values. Up to `reservoir` of them it is all, in order; beyond, each row (value) so far is in it with the
  /// same probability (Vitter's algorithm R, 1985), and whether one is depends on the seed and its number alone. Throws
  /// StateError without a reservoir.
  Tensor sample() const;

 private:
  void add_gram(const double* rows, int64_t count);
  void check_rows(const char* what) const;

  int64_t features_;
  RowStatisticsOptions options_;
  int64_t rows_ = 0;
  std::vector<double> min_, max_, sum_, squares_;
  Tensor gram_;                  // of whole blocks of rows
  std::vector<double> pending_;  // rows of the block under way
  Tensor reservoir_;
};

/// Settings of Capture.
struct CaptureOptions {
  enum class Side { kInput, kOutput };
  /// Patterns of the layers, read by `rule`; those of containers and whole blocks count as well.
  std::vector<std::string> layers = {};
  MatchRule rule = MatchRule::kName;
  Side side = Side::kInput;   ///< of a layer called with several tensors, the first
  int64_t channel_axis = -1;  ///< whose elements are a row's features; all other axes count rows
  bool gram = false;          ///< these four as in RowStatisticsOptions; each layer's sample has a stream of its own
  int64_t reservoir = 0;
  bool values = false;
  uint64_t seed = 0;
  /// What is looked at in the place of the tensor itself, such as what a norm inside of the layer makes of it.
  std::function<Tensor(nn::Module& layer, const Tensor& x)> view = {};
};

/// Watches layers of a model as it runs, as long as it lives. A layer that stands in several places, or is called
/// several times, is one layer with all its calls. What the model computes stays the same; fused paths step aside for
/// the layers that are watched.
class Capture {
 public:
  /// Throws ValueError for a pattern that matches no layer or settings out of range. The model must outlive this.
  Capture(nn::Module& model, const CaptureOptions& options);

  /// Paths of the layers that are watched, each once, in the model's order.
  const std::vector<std::string>& layers() const { return layers_; }
  /// The statistics of the layer at a path, any of those where it stands. Throws ValueError if it is not watched,
  /// StateError if it has not been called.
  const RowStatistics& at(std::string_view path) const;
  /// Removes the hooks; the statistics stay.
  void stop() { hooks_.remove(); }

 private:
  struct Watched;
  std::vector<std::string> layers_;
  std::map<std::string, std::shared_ptr<Watched>, std::less<>> by_path_;
  nn::ScopedHooks hooks_;
};

}  // namespace tern::quant
