// Padding with a constant, along the last one, two or three axes: torch.nn's modules of these names, on tern::pad. x:
// any dtype. Throws ShapeError for too few axes, or where more is cropped than is there.
#pragma once

#include <array>
#include <concepts>
#include <vector>

#include <tern/core/ops/join.h>
#include <tern/nn/module.h>

namespace tern::nn {

/// Amounts before and after each of the last kAxes axes, from the last one backwards, as in PyTorch: {left, right},
/// {left, right, top, bottom}, {left, right, top, bottom, front, back}; a single number stands for all. Negative ones
/// crop.
template <int kAxes>
struct Padding {
  std::array<int64_t, 2 * kAxes> amounts = {};
  constexpr Padding() = default;
  constexpr Padding(int64_t all) { amounts.fill(all); }
  template <std::convertible_to<int64_t>... Rest>
  requires(sizeof...(Rest) == 2 * kAxes - 1) constexpr Padding(int64_t left, Rest... rest)
      : amounts{left, static_cast<int64_t>(rest)...} {}
  std::vector<int64_t> list() const { return {amounts.begin(), amounts.end()}; }
  constexpr bool operator==(const Padding&) const = default;
};

/// "[1, 1, 2, 2]"
template <int kAxes>
std::string to_string(const Padding<kAxes>& padding) {
  std::string text;
  for (const int64_t amount : padding.amounts) text += concat(text.empty() ? "[" : ", ", amount);
  return text + "]";
}

namespace detail {

/// tern::pad with any value. x: any dtype, at least kAxes axes. Errors as for tern::pad.
template <int kAxes>
class ConstantPad : public Module {
 public:
  struct Options {
    Padding<kAxes> padding = 0;
    double value = 0;  ///< converted to x's dtype
  };
  explicit ConstantPad(const Options& options) : options_(options) {}
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return pad(x, options_.padding.list(), options_.value); }
  std::string extra_text() const override { return concat("padding=", options_.padding, ", value=", options_.value); }

 private:
  Options options_;
};

/// The same with 0.
template <int kAxes>
class ZeroPad : public Module {
 public:
  struct Options {
    Padding<kAxes> padding = 0;
  };
  explicit ZeroPad(const Options& options) : options_(options) {}
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return pad(x, options_.padding.list()); }
  std::string extra_text() const override { return concat("padding=", options_.padding); }

 private:
  Options options_;
};

}  // namespace detail

/// x: [..., L].
struct ConstantPad1d : detail::ConstantPad<1> {
  explicit ConstantPad1d(const Options& options) : ConstantPad(options) {}
};
struct ZeroPad1d : detail::ZeroPad<1> {
  explicit ZeroPad1d(const Options& options) : ZeroPad(options) {}
};

/// x: [..., H, W].
struct ConstantPad2d : detail::ConstantPad<2> {
  explicit ConstantPad2d(const Options& options) : ConstantPad(options) {}
};
struct ZeroPad2d : detail::ZeroPad<2> {
  explicit ZeroPad2d(const Options& options) : ZeroPad(options) {}
};

/// x: [..., D, H, W].
struct ConstantPad3d : detail::ConstantPad<3> {
  explicit ConstantPad3d(const Options& options) : ConstantPad(options) {}
};
struct ZeroPad3d : detail::ZeroPad<3> {
  explicit ZeroPad3d(const Options& options) : ZeroPad(options) {}
};

}  // namespace tern::nn
