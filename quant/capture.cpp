#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/finite.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/matmul.h>
#include <tern/core/ops/shape.h>
#include <tern/core/parallel.h>
#include <tern/core/random.h>
#include <tern/nn/places.h>
#include <tern/quant/capture.h>

namespace tern::quant {
namespace {

constexpr int64_t kGramRows = 256;      // of a product that is added to the Gram matrix
constexpr int64_t kStripFeatures = 64;  // that one task adds up

// Uniform in [0, below) from (seed, number) alone, to 53 bits; below is at most 2^53.
uint64_t draw(uint64_t seed, uint64_t number, uint64_t below) {
  const std::array<uint32_t, 4> bits =
      philox({static_cast<uint32_t>(number), static_cast<uint32_t>(number >> 32), 0x52455356, 0},
             {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  const auto random = static_cast<double>((uint64_t{bits[0]} << 32 | bits[1]) >> 11) * 0x1p-53;
  return std::min(static_cast<uint64_t>(random * static_cast<double>(below)), below - 1);
}

Tensor vector_of(const std::vector<double>& values, double scale = 1) {
  Tensor out = empty({static_cast<int64_t>(values.size())}, DType::kF64);
  for (size_t i = 0; i < values.size(); ++i) out.data<double>()[i] = values[i] * scale;
  return out;
}

// Names the first of the values that are not finite.
template <class T>
void refuse_non_finite(const T* x, int64_t rows, int64_t features) {
  for (int64_t i = 0; i < rows * features; ++i)
    TERN_CHECK(std::isfinite(x[i]), NonFiniteError, "[capture] expected finite values, got ", x[i], " in row ",
               i / features, ", feature ", i % features);
}

}  // namespace

RowStatistics::RowStatistics(int64_t features, const RowStatisticsOptions& options)
    : features_(features), options_(options) {
  TERN_CHECK(features >= 1, ValueError, "[capture] expected at least 1 feature, got ", features);
  TERN_CHECK(options.reservoir >= 0, ValueError, "[capture] expected a reservoir of at least 0, got ",
             options.reservoir);
  const auto n = static_cast<size_t>(features);
  min_.assign(n, std::numeric_limits<double>::infinity());
  max_.assign(n, -std::numeric_limits<double>::infinity());
  sum_.assign(n, 0);
  squares_.assign(n, 0);
  if (options.gram) gram_ = zeros({features, features}, DType::kF64);
}

void RowStatistics::add(const Tensor& x) {
  const NoGradGuard no_grad;
  check_defined("capture", x);
  TERN_CHECK(x.dtype() == DType::kF32 || x.dtype() == DType::kF64, DTypeError,
             "[capture] expected values of dtype f32 or f64, got ", x.dtype());
  TERN_CHECK(x.dim() >= 1 && x.size(-1) == features_, ShapeError, "[capture] expected rows of ", features_,
             " features, got ", x.shape());
  const Tensor dense = x.detach().contiguous();
  const int64_t count = dense.numel() / features_;
  if (count == 0) return;
  dispatch_float("capture", dense.dtype(), [&]<class T>() {
    const T* data = dense.data<T>();
    if (!all_finite(dense)) refuse_non_finite(data, count, features_);
    const int64_t strips = (features_ + kStripFeatures - 1) / kStripFeatures;
    parallel_for(strips, 1, [&](int64_t begin, int64_t end) {
      const int64_t first = begin * kStripFeatures, last = std::min(features_, end * kStripFeatures);
      for (int64_t r = 0; r < count; ++r)
        for (int64_t c = first; c < last; ++c) {
          const auto v = static_cast<double>(data[r * features_ + c]);
          const auto at = static_cast<size_t>(c);
          min_[at] = std::min(min_[at], v);
          max_[at] = std::max(max_[at], v);
          sum_[at] += v;
          squares_[at] += v * v;
        }
    });
    if (options_.reservoir > 0) {
      const int64_t width = options_.values ? 1 : features_, items = dense.numel() / width;
      if (!reservoir_.defined()) reservoir_ = empty({options_.reservoir, width}, dense.dtype());
      const int64_t before = rows_ * (features_ / width);
      Tensor own = reservoir_.dtype() == dense.dtype() ? dense : dense.to(reservoir_.dtype());
      const size_t bytes = static_cast<size_t>(width) * static_cast<size_t>(size_of(own.dtype()));
      for (int64_t i = 0; i < items; ++i) {
        const auto number = static_cast<uint64_t>(before + i);
        const uint64_t slot = before + i < options_.reservoir ? number : draw(options_.seed, number, number + 1);
        if (slot >= static_cast<uint64_t>(options_.reservoir)) continue;
        std::copy_n(static_cast<const std::byte*>(own.raw()) + static_cast<size_t>(i) * bytes, bytes,
                    static_cast<std::byte*>(reservoir_.raw()) + slot * bytes);
      }
    }
    if (options_.gram) {
      for (int64_t r = 0; r < count; ++r) {
        for (int64_t c = 0; c < features_; ++c) pending_.push_back(static_cast<double>(data[r * features_ + c]));
        if (static_cast<int64_t>(pending_.size()) < kGramRows * features_) continue;
        add_gram(pending_.data(), kGramRows);
        pending_.clear();
      }
    }
  });
  rows_ += count;
}

// In f64: sums over a hundred thousand rows keep what a Cholesky factor of the matrix needs.
void RowStatistics::add_gram(const double* rows, int64_t count) {
  const Tensor block = from_data(rows, {count, features_});
  gram_.add_(matmul(block.transpose(0, 1), block));
}

void RowStatistics::check_rows(const char* what) const {
  TERN_CHECK(rows_ > 0, StateError, "[capture] expected rows before ", what, ", got none");
}

Tensor RowStatistics::min() const {
  check_rows("min()");
  return vector_of(min_);
}
Tensor RowStatistics::max() const {
  check_rows("max()");
  return vector_of(max_);
}
Tensor RowStatistics::mean() const {
  check_rows("mean()");
  return vector_of(sum_, 1 / static_cast<double>(rows_));
}
Tensor RowStatistics::second_moment() const {
  check_rows("second_moment()");
  return vector_of(squares_, 1 / static_cast<double>(rows_));
}
double RowStatistics::min_value() const {
  check_rows("min_value()");
  return *std::min_element(min_.begin(), min_.end());
}
double RowStatistics::max_value() const {
  check_rows("max_value()");
  return *std::max_element(max_.begin(), max_.end());
}

Tensor RowStatistics::gram() const {
  TERN_CHECK(options_.gram, StateError, "[capture] expected the option gram for gram(), got false");
  check_rows("gram()");
  const NoGradGuard no_grad;
  Tensor sum = gram_.clone();
  if (!pending_.empty()) {
    const Tensor block = from_data(pending_.data(), {static_cast<int64_t>(pending_.size()) / features_, features_});
    sum.add_(matmul(block.transpose(0, 1), block));
  }
  // The two halves of a product differ in the order of nothing, but symmetric is a promise.
  double* g = sum.data<double>();
  for (int64_t i = 0; i < features_; ++i)
    for (int64_t j = 0; j < i; ++j) g[i * features_ + j] = g[j * features_ + i];
  return sum;
}

Tensor RowStatistics::sample() const {
  TERN_CHECK(options_.reservoir > 0, StateError, "[capture] expected a reservoir for sample(), got none");
  check_rows("sample()");
  const int64_t items = options_.values ? rows_ * features_ : rows_;
  const Tensor kept = reservoir_.slice(0, 0, std::min(items, options_.reservoir)).clone();
  return options_.values ? kept.reshape({kept.size(0)}) : kept;
}

// A layer with its statistics, which are made at the first call.
struct Capture::Watched {
  std::string path;
  std::optional<RowStatistics> statistics = std::nullopt;
};

Capture::Capture(nn::Module& model, const CaptureOptions& options) {
  TERN_CHECK(!options.layers.empty(), ValueError, "[capture] expected patterns of layers, got none");
  TERN_CHECK(options.reservoir >= 0, ValueError, "[capture] expected a reservoir of at least 0, got ",
             options.reservoir);
  Patterns patterns(options.layers, options.rule);
  RowStatisticsOptions wanted{.gram = options.gram, .reservoir = options.reservoir, .values = options.values};
  uint64_t stream = 0;
  for (const auto& [module, paths] : nn::module_places(model)) {
    if (patterns.match(paths, module->type_name()).empty()) continue;
    const auto watched = std::make_shared<Watched>(Watched{.path = paths[0]});
    layers_.push_back(paths[0]);
    for (const std::string& path : paths) by_path_.emplace(path, watched);
    wanted.seed = options.seed + 0x9E3779B97F4A7C15 * stream++;
    hooks_.after(*module, [watched, wanted, side = options.side, axis = options.channel_axis, view = options.view](
                              nn::Module& layer, std::span<const Tensor> inputs, const Tensor& output) {
      const NoGradGuard no_grad;
      Tensor x = side == CaptureOptions::Side::kOutput ? output : inputs.empty() ? Tensor() : inputs[0];
      TERN_CHECK(x.defined(), StateError, "[capture] expected a tensor at ", watched->path, ", got none");
      if (view) x = view(layer, x);
      TERN_CHECK(axis >= -x.dim() && axis < x.dim(), ShapeError, "[capture] expected an axis ", axis, " at ",
                 watched->path, ", got ", x.shape());
      const int64_t channel = axis < 0 ? axis + x.dim() : axis;
      if (channel != x.dim() - 1) x = x.transpose(channel, x.dim() - 1);
      if (!watched->statistics) watched->statistics.emplace(x.size(-1), wanted);
      try {
        watched->statistics->add(x);
      } catch (const NonFiniteError& error) {
        throw NonFiniteError(concat(error.message(), " at ", watched->path));
      } catch (const ShapeError& error) {
        throw ShapeError(concat(error.message(), " at ", watched->path));
      } catch (const DTypeError& error) {
        throw DTypeError(concat(error.message(), " at ", watched->path));
      }
    });
  }
  patterns.check_all_used("capture", "patterns that match a layer");
}

const RowStatistics& Capture::at(std::string_view path) const {
  const auto it = by_path_.find(path);
  TERN_CHECK(it != by_path_.end(), ValueError, "[capture] expected a layer that is watched, got ", path);
  TERN_CHECK(it->second->statistics.has_value(), StateError, "[capture] expected a layer that has been called, got ",
             path, ", which has not");
  return *it->second->statistics;
}

}  // namespace tern::quant
