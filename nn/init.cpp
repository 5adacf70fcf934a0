#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/parallel.h>
#include <tern/core/random.h>
#include <tern/nn/init.h>

namespace tern::nn::init {
namespace {

thread_local bool skip_random = false;

void check(const char* op, const Tensor& x) {
  TERN_CHECK(x.is_floating(), DTypeError, "[", op, "] expected a floating-point tensor, got ", describe(x));
}

// Writes value(i) into element i, counted in row-major order, whatever x's strides.
template <class F>
Tensor fill(const char* op, Tensor x, const F& value) {
  check(op, x);
  const NoGradGuard no_grad;
  Tensor values = empty(x.shape(), DType::kF64);
  double* v = values.data<double>();
  parallel_for(values.numel(), 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) v[i] = value(i);
  });
  return x.copy_(values);
}

// Writes value(generator) into every element, each with a block of random numbers of its own.
template <class F>
Tensor fill_randomly(const char* op, Tensor x, const F& value) {
  check(op, x);
  if (skip_random) return x;
  const Generator base = reserve_random(static_cast<uint64_t>(x.numel()));
  return fill(op, x, [&](int64_t i) {
    Generator own = base;
    own.advance(static_cast<uint64_t>(i));
    return value(own);
  });
}

// The x with erf(x) = y: Winitzki's approximation (2008), within 0.002 of it, then three steps of Newton's, each of
// which doubles the right digits.
double inverse_erf(double y) {
  constexpr double kA = 0.147;
  const double log_part = std::log((1 - y) * (1 + y));
  const double half = 2 / (std::numbers::pi * kA) + log_part / 2;
  double x = std::copysign(std::sqrt(std::sqrt(half * half - log_part / kA) - half), y);
  for (int step = 0; step < 3; ++step) x -= (std::erf(x) - y) * std::sqrt(std::numbers::pi) / 2 * std::exp(x * x);
  return x;
}

double deviation(const Tensor& x, const KaimingOptions& options) {
  const Fans f = fans(x);
  const int64_t fan = options.mode == FanMode::kFanIn ? f.in : f.out;
  return fan == 0 ? 0 : gain(options.nonlinearity, options.a) / std::sqrt(static_cast<double>(fan));
}

}  // namespace

SkipRandomFills::SkipRandomFills() : previous_(skip_random) {
  skip_random = true;
}
SkipRandomFills::~SkipRandomFills() {
  skip_random = previous_;
}

Fans fans(const Tensor& weight) {
  TERN_CHECK(weight.dim() >= 2, ShapeError, "[init] expected a weight with at least two axes, got ", weight.shape());
  int64_t taps = 1;
  for (int64_t i = 2; i < weight.dim(); ++i) taps *= weight.shape()[i];
  return {weight.shape()[1] * taps, weight.shape()[0] * taps};
}

double gain(Nonlinearity nonlinearity, double negative_slope) {
  switch (nonlinearity) {
    case Nonlinearity::kLinear:
    case Nonlinearity::kSigmoid:
      return 1;
    case Nonlinearity::kTanh:
      return 5.0 / 3;
    case Nonlinearity::kRelu:
      return std::numbers::sqrt2;
    case Nonlinearity::kLeakyRelu:
      return std::sqrt(2 / (1 + negative_slope * negative_slope));
    case Nonlinearity::kSelu:
      return 0.75;
  }
  throw InternalError("unknown nonlinearity");
}

Tensor zeros_(Tensor x) {
  return constant_(x, 0);
}
Tensor ones_(Tensor x) {
  return constant_(x, 1);
}
Tensor constant_(Tensor x, double value) {
  const NoGradGuard no_grad;
  return x.fill_(value);
}

Tensor uniform_(Tensor x, double low, double high) {
  TERN_CHECK(low <= high, ValueError, "[uniform_] expected low <= high, got ", low, " and ", high);
  return fill_randomly("uniform_", x, [=](Generator& g) { return g.uniform(low, high); });
}

Tensor normal_(Tensor x, double mean, double std) {
  TERN_CHECK(std >= 0, ValueError, "[normal_] expected a standard deviation of at least 0, got ", std);
  return fill_randomly("normal_", x, [=](Generator& g) { return mean + std * g.normal(); });
}

Tensor trunc_normal_(Tensor x, double mean, double std, double low, double high) {
  TERN_CHECK(std > 0, ValueError, "[trunc_normal_] expected a standard deviation above 0, got ", std);
  TERN_CHECK(low < high, ValueError, "[trunc_normal_] expected low < high, got ", low, " and ", high);
  const double first = std::erf((low - mean) / std / std::numbers::sqrt2);
  const double last = std::erf((high - mean) / std / std::numbers::sqrt2);
  TERN_CHECK(first < last, ValueError, "[trunc_normal_] expected a range that the distribution reaches, got [", low,
             ", ", high, "] for mean ", mean, " and standard deviation ", std);
  return fill_randomly("trunc_normal_", x, [=](Generator& g) {
    const double value = mean + std * std::numbers::sqrt2 * inverse_erf(g.uniform(first, last));
    return std::clamp(value, low, high);
  });
}

Tensor xavier_uniform_(Tensor x, double gain) {
  const Fans f = fans(x);
  const double bound = gain * std::sqrt(6.0 / static_cast<double>(f.in + f.out));
  return uniform_(x, -bound, bound);
}

Tensor xavier_normal_(Tensor x, double gain) {
  const Fans f = fans(x);
  return normal_(x, 0, gain * std::sqrt(2.0 / static_cast<double>(f.in + f.out)));
}

Tensor kaiming_uniform_(Tensor x, const KaimingOptions& options) {
  const double bound = std::sqrt(3.0) * deviation(x, options);
  return uniform_(x, -bound, bound);
}

Tensor kaiming_normal_(Tensor x, const KaimingOptions& options) {
  return normal_(x, 0, deviation(x, options));
}

Tensor orthogonal_(Tensor x, double gain) {
  TERN_CHECK(x.dim() >= 2, ShapeError, "[orthogonal_] expected a weight with at least two axes, got ", x.shape());
  check("orthogonal_", x);
  if (skip_random) return x;
  const int64_t rows = x.shape()[0], columns = rows == 0 ? 0 : x.numel() / rows;
  const int64_t count = std::min(rows, columns), width = std::max(rows, columns);
  Tensor random = empty({count, width}, DType::kF64);
  normal_(random);
  double* q = random.data<double>();
  // Gram-Schmidt on normal vectors gives every orthonormal set with the same probability. Each vector is projected
  // twice, which leaves it orthogonal to rounding (Kahan's "twice is enough").
  for (int64_t i = 0; i < count; ++i) {
    double* v = q + i * width;
    for (int pass = 0; pass < 2; ++pass) {
      for (int64_t j = 0; j < i; ++j) {
        const double* u = q + j * width;
        double along = 0;
        for (int64_t k = 0; k < width; ++k) along += u[k] * v[k];
        for (int64_t k = 0; k < width; ++k) v[k] -= along * u[k];
      }
    }
    double square = 0;
    for (int64_t k = 0; k < width; ++k) square += v[k] * v[k];
    const double scale = 1 / std::sqrt(square);
    for (int64_t k = 0; k < width; ++k) v[k] *= scale;
  }
  return fill("orthogonal_", x, [=](int64_t i) {
    const int64_t row = i / columns, column = i % columns;
    return gain * (rows <= columns ? q[row * width + column] : q[column * width + row]);
  });
}

Tensor eye_(Tensor x) {
  TERN_CHECK(x.dim() == 2, ShapeError, "[eye_] expected two axes, got ", x.shape());
  const int64_t columns = x.shape()[1];
  return fill("eye_", x, [=](int64_t i) { return i / columns == i % columns ? 1.0 : 0.0; });
}

Tensor dirac_(Tensor x, int64_t groups) {
  TERN_CHECK(x.dim() >= 3, ShapeError, "[dirac_] expected a convolution weight of at least three axes, got ",
             x.shape());
  TERN_CHECK(groups >= 1 && x.shape()[0] % groups == 0, ValueError,
             "[dirac_] expected a number of groups that divides ", x.shape()[0], ", got ", groups);
  const Shape shape = x.shape();
  const int64_t per_group = shape[0] / groups;
  return fill("dirac_", x, [=](int64_t i) {
    bool centre = true;
    for (int64_t axis = shape.size() - 1; axis >= 2; --axis) {
      centre = centre && i % shape[axis] == shape[axis] / 2;
      i /= shape[axis];
    }
    return centre && i % shape[1] == (i / shape[1]) % per_group ? 1.0 : 0.0;
  });
}

Tensor default_weight_(Tensor weight) {
  return kaiming_uniform_(weight, {.a = std::sqrt(5.0)});
}

Tensor default_bias_(Tensor bias, const Tensor& weight) {
  const int64_t fan_in = fans(weight).in;
  const double bound = fan_in == 0 ? 0 : 1 / std::sqrt(static_cast<double>(fan_in));
  return uniform_(bias, -bound, bound);
}

}  // namespace tern::nn::init
