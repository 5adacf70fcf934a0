#include <algorithm>
#include <cmath>
#include <unordered_set>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/train/insight/histogram.h>
#include <tern/train/insight/value_stats.h>

namespace tern::train {
namespace {

constexpr int64_t kChunk = 1 << 16;  // elements looked at together

template <class Visit>
void for_each_value(const Tensor& flat, const Visit& visit) {
  for (int64_t begin = 0; begin < flat.numel(); begin += kChunk)
    for (const double v : flat.slice(0, begin, std::min(begin + kChunk, flat.numel())).to_vector<double>()) visit(v);
}

}  // namespace

ValueStats value_stats(const Tensor& x, int64_t bins) {
  TERN_CHECK(bins >= 1, ValueError, "[inspect] expected at least 1 bin, got ", bins);
  const NoGradGuard no_grad;
  const Tensor flat = x.detach().reshape({x.numel()});
  ValueStats out;
  out.count = x.numel();
  std::unordered_set<double> seen;
  for_each_value(flat, [&](double v) {
    if (!std::isfinite(v)) {
      ++out.non_finite;
      return;
    }
    const bool first = seen.empty();
    out.min = first ? v : std::min(out.min, v);
    out.max = first ? v : std::max(out.max, v);
    out.zeros += v == 0;
    if (static_cast<int64_t>(seen.size()) <= kMaxDistinct) seen.insert(v);
  });
  out.distinct = static_cast<int64_t>(seen.size());
  out.histogram.assign(static_cast<size_t>(bins), 0);
  if (out.finite() == 0) return out;
  const auto n = static_cast<double>(out.finite());
  for_each_value(flat, [&](double v) {
    if (!std::isfinite(v)) return;
    out.mean += v / n;
    ++out.histogram[bin_of(v, out.min, out.max, out.histogram.size())];
  });
  double squares = 0;
  for_each_value(flat, [&](double v) {
    if (std::isfinite(v)) squares += (v - out.mean) * (v - out.mean) / n;
  });
  out.deviation = std::sqrt(squares);
  return out;
}

std::string histogram_sketch(const std::vector<int64_t>& bins, bool unicode) {
  static constexpr const char* kBlocks[] = {" ",
                                            "\xe2\x96\x81",
                                            "\xe2\x96\x82",
                                            "\xe2\x96\x83",
                                            "\xe2\x96\x84",
                                            "\xe2\x96\x85",
                                            "\xe2\x96\x86",
                                            "\xe2\x96\x87",
                                            "\xe2\x96\x88"};
  static constexpr char kRamp[] = " .:-=+*#%@";
  const int64_t top = bins.empty() ? 0 : *std::max_element(bins.begin(), bins.end());
  const double levels = unicode ? 8 : 9;
  std::string out;
  for (const int64_t count : bins) {
    const auto level =
        count == 0 ? size_t{0}
                   : static_cast<size_t>(std::ceil(levels * static_cast<double>(count) / static_cast<double>(top)));
    if (unicode)
      out += kBlocks[level];
    else
      out += kRamp[level];
  }
  return out;
}

}  // namespace tern::train
