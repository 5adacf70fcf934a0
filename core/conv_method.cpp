#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string_view>

#include <tern/core/conv_method.h>
#include <tern/core/error.h>
#include <tern/core/ops/detail/winograd_plan.h>

namespace tern {
namespace {

ConvMethod method_of_environment() {
  const char* text = std::getenv("TERN_CONV");
  const std::string_view name = text == nullptr ? "" : text;
  TERN_CHECK(name.empty() || name == "auto" || name == "direct", ValueError,
             "[conv2d] expected TERN_CONV to be auto or direct, got ", name);
  return name == "direct" ? ConvMethod::kDirect : ConvMethod::kAuto;
}

std::atomic<int> chosen{-1};

// Measured on Zen 3: the kernels do about 46 products a nanosecond and core, and transforms of a tile take 6 (m = 4) or
// 2.5 (m = 2) nanoseconds a channel in or out; those of the weights 9 or 6 a weight.
struct Costs {
  int64_t tile;
  double products, channel, weight;  // of a tile and pair of channels; of a tile and channel; of a pair of channels
};
constexpr Costs kCosts[] = {{4, 36, 276, 400}, {2, 16, 115, 250}};
constexpr double kMargin = 0.9;  // of the direct kernels' time
constexpr int64_t kMaxImages = 64;

double reckon(const DirectConv& c, const Costs& costs, bool weights_ready) {
  const int64_t images = std::min(c.batch, kMaxImages);
  const int64_t tiles = images * ((c.out_h + costs.tile - 1) / costs.tile) * ((c.out_w + costs.tile - 1) / costs.tile);
  const double pairs = static_cast<double>(c.channels) * static_cast<double>(c.out_channels);
  const double channels = static_cast<double>(c.channels + c.out_channels);
  return static_cast<double>(tiles) * (costs.products * pairs + costs.channel * channels) +
         (weights_ready ? 0 : costs.weight * pairs);
}

int64_t choose_tile(const DirectConv& c, bool weights_ready) {
  const int64_t images = std::min(c.batch, kMaxImages);
  double best =
      kMargin * 9 * static_cast<double>(c.channels * c.out_channels) * static_cast<double>(images * c.out_h * c.out_w);
  int64_t tile = 0;
  for (const Costs& costs : kCosts) {
    const double time = reckon(c, costs, weights_ready);
    if (time < best) best = time, tile = costs.tile;
  }
  return tile;
}

constexpr int64_t kForwardBlock = 24, kGradientBlock = 48, kShare = 32;
constexpr int64_t kPartialBytes = 5 << 19;
constexpr int64_t kMaxParts = 16, kTasks = 8, kForwardTasks = 32, kMaxBlocks = 8;

}  // namespace

ConvMethod conv_method() {
  int method = chosen.load(std::memory_order_relaxed);
  if (method < 0) {
    method = static_cast<int>(method_of_environment());
    int unset = -1;
    if (!chosen.compare_exchange_strong(unset, method)) method = unset;
  }
  return static_cast<ConvMethod>(method);
}

void set_conv_method(ConvMethod method) {
  chosen = static_cast<int>(method);
}

WinogradPlan winograd_plan(const DirectConv& c, bool weight_grad, bool weights_ready) {
  WinogradPlan p;
  const ConvMethod method = conv_method();
  const bool possible = c.groups == 1 && c.taps_h == 3 && c.taps_w == 3 && c.step_h == 1 && c.step_w == 1 &&
                        c.dilation_h == 1 && c.dilation_w == 1 && c.channels % 16 == 0 && c.out_channels % 16 == 0 &&
                        c.batch > 0;
  if (!possible || method == ConvMethod::kDirect) return p;
  p.tile = method == ConvMethod::kWinograd2 ? 2 : method == ConvMethod::kWinograd4 ? 4 : choose_tile(c, weights_ready);
  if (p.tile == 0) return p;
  p.tiles_h = (c.out_h + p.tile - 1) / p.tile;
  p.tiles_w = (c.out_w + p.tile - 1) / p.tile;
  p.tiles = c.batch * p.tiles_h * p.tiles_w;
  const int64_t frequencies = (p.tile + 2) * (p.tile + 2);
  p.elements = frequencies * (c.channels * ((c.out_channels + 31) / 32 * 32) + WinogradPlan::kGap);
  p.block = weight_grad ? kGradientBlock : kForwardBlock;
  p.blocks = std::clamp<int64_t>(p.tiles / (p.block * kForwardTasks), 1, kMaxBlocks);
  p.share = std::min(c.channels, kShare);
  const int64_t shares = (c.channels + p.share - 1) / p.share;
  p.parts = std::clamp<int64_t>(kPartialBytes / (p.elements * static_cast<int64_t>(sizeof(float))),
                                (kTasks + shares - 1) / shares, kMaxParts);
  p.parts = std::min(p.parts, (p.tiles + p.block - 1) / p.block);
  return p;
}

}  // namespace tern
