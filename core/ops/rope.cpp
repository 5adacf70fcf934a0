#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <numeric>
#include <tuple>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/kernels/rope.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/rope.h>

namespace tern {
namespace {

struct Table {
  Tensor cos, sin;  // [rows, width / 2]
  int64_t rows = 0;
};

// Angles in double whatever the dtype: in single precision those of late positions would be off by 2^-24 of themselves,
// which is a good part of a turn.
Table make_table(const std::vector<int64_t>& positions, int64_t width, double theta, DType dtype) {
  const int64_t rows = static_cast<int64_t>(positions.size()), half = width / 2;
  Table table{empty({rows, half}, dtype), empty({rows, half}, dtype), rows};
  dispatch_float("rotary_embedding", dtype, [&]<class T>() {
    T *cos = table.cos.data<T>(), *sin = table.sin.data<T>();
    for (int64_t i = 0; i < half; ++i) {
      const double frequency = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(width));
      for (int64_t r = 0; r < rows; ++r) {
        const double angle = static_cast<double>(positions[static_cast<size_t>(r)]) * frequency;
        cos[r * half + i] = static_cast<T>(std::cos(angle));
        sin[r * half + i] = static_cast<T>(std::sin(angle));
      }
    }
  });
  return table;
}

// Tables of positions 0, 1, 2, ... are made once and kept; they grow by doubling.
constexpr int64_t kLargestTable = 1 << 16;

Table cached_table(int64_t rows, int64_t width, double theta, DType dtype) {
  static std::mutex mutex;
  static std::map<std::tuple<int64_t, double, DType>, Table> tables;
  const std::lock_guard lock(mutex);
  Table& table = tables[{width, theta, dtype}];
  if (table.rows < rows) {
    int64_t grown = 256;
    while (grown < rows) grown *= 2;
    std::vector<int64_t> positions(static_cast<size_t>(grown));
    std::iota(positions.begin(), positions.end(), int64_t{0});
    table = make_table(positions, width, theta, dtype);
  }
  return table;
}

// A rotation's angles: tables, and which of their rows each place of the time axis (and of the first axis) uses.
struct Angles {
  Tensor cos, sin;
  Tensor rows;  // i64 [T] or [B, T]
  int64_t time_axis = 0;
  RotaryConvention convention = RotaryConvention::kHalves;
};

// The result's axes lie in memory in the order of x's: heads split from a token's row stay where they are.
Tensor rotated(const Tensor& x, const Angles& angles, bool backwards) {
  const NoGradGuard no_grad;
  const Tensor source = x.dim() > 0 && (x.strides().back() == 1 || x.size(-1) == 1) ? x : x.contiguous();
  Tensor y = empty(x.shape(), x.dtype());
  if (x.numel() == 0) return y;
  std::vector<int64_t> order(static_cast<size_t>(x.dim() - 1));  // outermost first
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return source.strides()[a] > source.strides()[b]; });
  int64_t step = x.size(-1);
  for (size_t i = order.size(); i-- > 0; step *= x.shape()[order[i]]) y.impl().layout.strides[order[i]] = step;
  dispatch_float("rotary_embedding", x.dtype(), [&]<class T>() {
    kernels::Rotation<T> p;
    p.axes = x.dim() - 1;
    p.half = x.size(-1) / 2;
    p.rows = x.numel() / (2 * p.half);
    for (int64_t i = 0; i < p.axes; ++i) {
      const int64_t a = order[static_cast<size_t>(i)];
      p.size[i] = x.shape()[a];
      p.x_stride[i] = source.strides()[a];
      if (a == angles.time_axis)
        p.table_step[i] = 1;
      else if (a == 0 && angles.rows.dim() == 2)
        p.table_step[i] = angles.rows.shape()[1];
    }
    p.x = source.data<T>();
    p.cos = angles.cos.data<T>();
    p.sin = angles.sin.data<T>();
    p.table_rows = angles.rows.data<int64_t>();
    p.y = y.data<T>();
    p.sign = backwards ? T(-1) : T(1);
    if (angles.convention == RotaryConvention::kPairs)
      TERN_KERNEL(rotate<true, T>)(p);
    else
      TERN_KERNEL(rotate<false, T>)(p);
  });
  return y;
}

// A rotation's inverse is its transpose: the gradient turns back.
struct RotaryBackward {
  static constexpr const char* kName = "rotary_embedding";
  Angles angles;
  Gradients backward(const Tensor& grad_output) const { return {rotated(grad_output, angles, true)}; }
};

// Checks options.positions, or the offset in its place.
void check_positions(const Tensor& x, int64_t time_axis, const RotaryOptions& options) {
  const char* op = "rotary_embedding";
  const int64_t count = x.shape()[time_axis];
  if (!options.positions.defined()) {
    TERN_CHECK(options.offset >= 0, ValueError, "[", op, "] expected an offset of at least 0, got ", options.offset);
    TERN_CHECK(options.offset <= std::numeric_limits<int64_t>::max() - count, ValueError, "[", op,
               "] expected an offset that leaves room for ", count, " positions, got ", options.offset);
    return;
  }
  const Tensor& given = options.positions;
  TERN_CHECK(given.dtype() == DType::kI64, DTypeError, "[", op, "] expected positions of i64, got ", given.dtype());
  const bool fits = given.shape() == Shape{count} || (time_axis > 0 && given.shape() == Shape{x.shape()[0], count});
  TERN_CHECK(fits, ShapeError, "[", op, "] expected positions [", count, "] or [", x.shape()[0], ", ", count,
             "] for x ", x.shape(), ", got ", given.shape());
  const Tensor positions = given.contiguous();
  for (int64_t i = 0; i < positions.numel(); ++i)
    TERN_CHECK(positions.data<int64_t>()[i] >= 0, ValueError, "[", op, "] expected positions of at least 0, got ",
               positions.data<int64_t>()[i]);
}

// The positions along the time axis, checked.
Tensor positions_of(const Tensor& x, int64_t time_axis, const RotaryOptions& options) {
  if (options.positions.defined()) return options.positions.contiguous();
  Tensor positions = empty({x.shape()[time_axis]}, DType::kI64);
  std::iota(positions.data<int64_t>(), positions.data<int64_t>() + positions.numel(), options.offset);
  return positions;
}

}  // namespace

Tensor rotary_embedding(const Tensor& x, const RotaryOptions& options) {
  const char* op = "rotary_embedding";
  check_defined(op, x);
  dispatch_float(op, x.dtype(), []<class T>() {});
  TERN_CHECK(x.dim() >= 2, ShapeError, "[", op, "] expected x with at least two axes, got ", x.shape());
  const int64_t width = x.size(-1), time_axis = normalize_axis(op, options.time_axis, x.dim());
  TERN_CHECK(width % 2 == 0, ShapeError, "[", op, "] expected an even last size, got ", x.shape());
  TERN_CHECK(time_axis != x.dim() - 1, ShapeError, "[", op, "] expected a time axis before the last one, got ",
             options.time_axis, " for x ", x.shape());
  TERN_CHECK(std::isfinite(options.theta) && options.theta > 0, ValueError, "[", op, "] expected a theta above 0, got ",
             options.theta);
  Angles angles;
  angles.time_axis = time_axis;
  angles.convention = options.convention;
  check_positions(x, time_axis, options);
  if (x.numel() == 0)  // nothing to rotate: no tables of its positions
    return autograd::record<RotaryBackward>(rotated(x, angles, false), {x}, {.angles = angles});
  angles.rows = positions_of(x, time_axis, options);
  int64_t* rows = angles.rows.data<int64_t>();
  const int64_t count = angles.rows.numel(), last = count > 0 ? *std::max_element(rows, rows + count) : 0;
  if (last < kLargestTable) {
    const Table table = cached_table(last + 1, width, options.theta, x.dtype());
    angles.cos = table.cos, angles.sin = table.sin;
  } else {  // far positions: a table of just these
    const Table table = make_table({rows, rows + count}, width, options.theta, x.dtype());
    angles.cos = table.cos, angles.sin = table.sin;
    angles.rows = angles.rows.clone();
    std::iota(angles.rows.data<int64_t>(), angles.rows.data<int64_t>() + count, int64_t{0});
  }
  return autograd::record<RotaryBackward>(rotated(x, angles, false), {x}, {.angles = angles});
}

}  // namespace tern
