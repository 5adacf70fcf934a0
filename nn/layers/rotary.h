// RotaryEmbedding: positions as rotations of queries and keys.
#pragma once

#include <cmath>

#include <tern/core/error.h>
#include <tern/core/ops/rope.h>
#include <tern/nn/module.h>

namespace tern::nn {

/// tern::rotary_embedding with fixed settings, without parameters. x: [B, H, T, width] (or another time_axis), f32 or
/// f64; the result has its shape. Errors as there.
class RotaryEmbedding : public Module {
 public:
  struct Options {
    double theta = 10000;  ///< these three as in RotaryOptions
    RotaryConvention convention = RotaryConvention::kHalves;
    int64_t time_axis = -2;
  };
  /// Throws ValueError for a theta that is not above 0.
  explicit RotaryEmbedding(const Options& options) : options_(options) {
    TERN_CHECK(std::isfinite(options.theta) && options.theta > 0, ValueError,
               "[RotaryEmbedding] expected a theta above 0, got ", options.theta);
  }
  const Options& options() const { return options_; }
  /// Positions 0, 1, ... along the time axis.
  Tensor forward(const Tensor& x) override { return rotate(x, 0); }
  /// Positions from `offset` on.
  Tensor rotate(const Tensor& x, int64_t offset) const {
    return rotary_embedding(x, {.theta = options_.theta,
                                .convention = options_.convention,
                                .time_axis = options_.time_axis,
                                .offset = offset});
  }
  std::string extra_text() const override {
    return concat("theta=", options_.theta, options_.convention == RotaryConvention::kPairs ? ", pairs" : ", halves");
  }

 private:
  Options options_;
};

}  // namespace tern::nn
