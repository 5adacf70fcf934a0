// The quantiles of reduce.h.
#include <algorithm>
#include <cmath>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/detail/reduce_plan.h>
#include <tern/core/ops/quantile.h>
#include <tern/core/ops/shape.h>
#include <tern/core/order_statistics.h>
#include <tern/core/parallel.h>
#include <tern/core/rounding.h>

namespace tern {
namespace {

// Where a quantile lies: between places low and high of the sorted order, with these weights.
struct Place {
  int64_t low = 0, high = 0;
  double r = 0;
};

Place place_of(double q, int64_t n, Interpolation interpolation) {
  const double position = q * static_cast<double>(n - 1);
  Place p{static_cast<int64_t>(std::floor(position)), static_cast<int64_t>(std::ceil(position)), 0};
  switch (interpolation) {
    case Interpolation::kLinear:
      p.r = position - static_cast<double>(p.low);
      break;
    case Interpolation::kLower:
      p.high = p.low;
      break;
    case Interpolation::kHigher:
      p.low = p.high;
      break;
    case Interpolation::kMidpoint:
      p.r = p.high == p.low ? 0 : 0.5;
      break;
    case Interpolation::kNearest:
      p.low = p.high = static_cast<int64_t>(round_half_even(position));
      break;
  }
  return p;
}

// The index of the element at a place of the sorted order, whose value is known: equals stand in their own order. With
// a NaN among the elements, the first of those.
template <class T>
int64_t index_at(const T* x, int64_t n, int64_t place, T value) {
  if (value != value) {
    for (int64_t i = 0; i < n; ++i)
      if (x[i] != x[i]) return i;
  }
  // Selection orders by bits, so -0 stands before +0.
  const auto less = [](T a, T b) { return a < b || (a == b && std::signbit(a) && !std::signbit(b)); };
  int64_t smaller = 0;
  for (int64_t i = 0; i < n; ++i) smaller += less(x[i], value);
  int64_t rank = place - smaller;
  for (int64_t i = 0; i < n; ++i)
    if (!less(x[i], value) && !less(value, x[i]) && rank-- == 0) return i;
  return 0;
}

struct QuantileBackward {
  static constexpr const char* kName = "quantile";
  SavedTensor low, high;      // [quantiles, rows]: indices into a row
  std::vector<Place> places;  // of the quantiles
  Shape shape;                // [rows, n]
  Gradients backward(const Tensor& grad_output) const {
    const Tensor g = contiguous(grad_output);
    Tensor grad_input = empty(shape, g.dtype()).zero_();
    dispatch_float(kName, g.dtype(), [&]<class T>() {
      T* to = grad_input.data<T>();
      for (size_t k = 0; k < places.size(); ++k) {
        const double r = places[k].r;
        for (int64_t row = 0; row < shape[0]; ++row) {
          const int64_t i = static_cast<int64_t>(k) * shape[0] + row;
          const T v = g.data<T>()[i];
          to[row * shape[1] + low->data<int64_t>()[i]] += static_cast<T>(1 - r) * v;
          if (r != 0) to[row * shape[1] + high->data<int64_t>()[i]] += static_cast<T>(r) * v;
        }
      }
    });
    return {grad_input};
  }
};

// x: [rows, n], row-major; result: [quantiles, rows].
Tensor quantiles_of_rows(const Tensor& x, const std::vector<Place>& places) {
  const int64_t rows = x.size(0), n = x.size(1), quantiles = static_cast<int64_t>(places.size());
  Tensor out = empty({quantiles, rows}, x.dtype());
  const bool recorded = grad_enabled() && x.requires_grad();
  Tensor low = empty({recorded ? quantiles : 0, rows}, DType::kI64), high = empty_like(low);
  dispatch_float("quantile", x.dtype(), [&]<class T>() {
    const T* source = x.data<T>();
    parallel_for(quantiles * rows, chunk_items(n), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const Place& place = places[static_cast<size_t>(i / rows)];
        const T* v = source + i % rows * n;
        const OrderStatistics<T> found = order_statistics(v, n, place.low);
        const T r = static_cast<T>(place.r);
        out.data<T>()[i] = found.has_nan || r == 0 ? found.at : lerp_as_torch(found.at, found.next, r);
        if (!recorded) continue;
        low.data<int64_t>()[i] = index_at(v, n, place.low, found.at);
        high.data<int64_t>()[i] = index_at(v, n, place.high, r == 0 ? found.at : found.next);
      }
    });
  });
  return autograd::record<QuantileBackward>(out, {x}, {.low = low, .high = high, .places = places, .shape = x.shape()});
}

// The quantiles along a new first axis.
Tensor quantiles_over(const char* op, const Tensor& x, const std::vector<double>& q, const Dims& wanted, bool keepdim,
                      Interpolation interpolation) {
  check_defined(op, x);
  dispatch_float(op, x.dtype(), []<class T>() {});
  TERN_CHECK(!q.empty(), ValueError, "[", op, "] expected at least one q, got none");
  for (const double one : q) TERN_CHECK(one >= 0 && one <= 1, ValueError, "[", op, "] expected q in [0, 1], got ", one);
  const Dims axes = normalize_axes(op, wanted, x.dim());
  Shape shape = reduced_shape(x.shape(), axes, keepdim);
  const int64_t rows = numel_of(shape);
  shape.insert(0, static_cast<int64_t>(q.size()));
  int64_t n = 1;
  for (const int64_t a : axes) n *= x.shape()[a];
  TERN_CHECK(n > 0 || rows == 0, ShapeError, "[", op, "] expected at least one element to reduce, got shape ",
             x.shape());
  Dims order;
  for (int64_t a = 0; a < x.dim(); ++a)
    if (std::find(axes.begin(), axes.end(), a) == axes.end()) order.push_back(a);
  for (const int64_t a : axes) order.push_back(a);
  const Tensor flat = contiguous(reshape(permute(x, order), {rows, n}));
  std::vector<Place> places;
  for (const double one : q) places.push_back(place_of(one, std::max<int64_t>(n, 1), interpolation));
  return reshape(quantiles_of_rows(flat, places), shape);
}

}  // namespace

Tensor quantile(const Tensor& x, double q, const Dims& axes, bool keepdim, Interpolation interpolation) {
  return squeeze(quantiles_over("quantile", x, {q}, axes, keepdim, interpolation), 0);
}

Tensor quantile(const Tensor& x, const std::vector<double>& q, const Dims& axes, bool keepdim,
                Interpolation interpolation) {
  return quantiles_over("quantile", x, q, axes, keepdim, interpolation);
}

Tensor median(const Tensor& x, const Dims& axes, bool keepdim) {
  return squeeze(quantiles_over("median", x, {0.5}, axes, keepdim, Interpolation::kLower), 0);
}

}  // namespace tern
