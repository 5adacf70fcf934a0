#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/kernels/random.h>
#include <tern/core/ops/create.h>
#include <tern/core/parallel.h>

namespace tern {
namespace {

// Takes blocks from the given generator, or from the default one.
PhiloxPlace reserve(Generator* generator, int64_t blocks) {
  Generator::State state;
  if (generator != nullptr) {
    state = generator->state();
    generator->advance(static_cast<uint64_t>(blocks));
  } else {
    state = reserve_random(static_cast<uint64_t>(blocks)).state();
  }
  return {state.seed, state.stream, state.position};
}

int64_t blocks_for(int64_t n, int64_t per_block) {
  return (n + per_block - 1) / per_block;
}

// A number in [0, range) from 64 random bits: their product's upper half. Off from uniform by less than range / 2^64.
uint64_t scaled(uint64_t bits, uint64_t range) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>((static_cast<Wide>(bits) * range) >> 64);
}

// 64-bit numbers, two a block.
std::vector<uint64_t> random_words(int64_t n, Generator* generator) {
  const int64_t blocks = blocks_for(n, 2);
  std::vector<uint32_t> bits(static_cast<size_t>(4 * blocks));
  TERN_KERNEL(fill_bits)(bits.data(), blocks, reserve(generator, blocks));
  std::vector<uint64_t> words(static_cast<size_t>(n));
  for (size_t i = 0; i < words.size(); ++i) words[i] = (uint64_t{bits[2 * i + 1]} << 32) | bits[2 * i];
  return words;
}

// In (0, 1), 53 bits.
double open_uniform(uint64_t word) {
  return (static_cast<double>(word >> 11) + 0.5) * 0x1p-53;
}

void check_row_of_weights(const double* weights, int64_t classes, int64_t count, bool replacement) {
  int64_t positive = 0;
  double total = 0;
  for (int64_t c = 0; c < classes; ++c) {
    TERN_CHECK(weights[c] >= 0 && std::isfinite(weights[c]), ValueError,
               "[multinomial] expected finite weights of at least 0, got ", weights[c]);
    positive += weights[c] > 0 ? 1 : 0;
    total += weights[c];
  }
  TERN_CHECK(std::isfinite(total), ValueError, "[multinomial] expected weights with a finite sum, got one of ", total);
  TERN_CHECK(count == 0 || positive > 0, ValueError, "[multinomial] expected a weight above 0 in every row, got none");
  TERN_CHECK(replacement || count <= positive, ValueError, "[multinomial] expected at most ", positive,
             " draws without replacement, one per weight above 0, got ", count);
}

// The first class at which the running sum of the weights exceeds a uniform share of their total.
void draw_with_replacement(const double* weights, int64_t classes, const uint64_t* words, int64_t count, int64_t* out) {
  std::vector<double> sums(static_cast<size_t>(classes));
  double total = 0;
  int64_t last = 0;  // class with a weight, where rounding leaves nothing above
  for (int64_t c = 0; c < classes; ++c) {
    sums[static_cast<size_t>(c)] = total += weights[c];
    if (weights[c] > 0) last = c;
  }
  for (int64_t i = 0; i < count; ++i)
    out[i] = std::min(last, std::upper_bound(sums.begin(), sums.end(), open_uniform(words[i]) * total) - sums.begin());
}

// Classes in the order of exponential waiting times with the weights as rates.
void draw_without_replacement(const double* weights, int64_t classes, const uint64_t* words, int64_t count,
                              int64_t* out) {
  std::vector<std::pair<double, int64_t>> times;
  for (int64_t c = 0; c < classes; ++c)
    if (weights[c] > 0) times.emplace_back(-std::log(open_uniform(words[c])) / weights[c], c);
  std::partial_sort(times.begin(), times.begin() + count, times.end());
  for (int64_t i = 0; i < count; ++i) out[i] = times[static_cast<size_t>(i)].second;
}

void check_fillable(const char* op, const Tensor& x) {
  check_defined(op, x);
  TERN_CHECK(x.is_dense(), ShapeError, "[", op, "] expected a dense tensor, got shape ", x.shape(), " with strides ",
             x.strides());
  TERN_CHECK(!(grad_enabled() && x.requires_grad()), StateError, "[", op,
             "] cannot write in place to a tensor that requires a gradient; use NoGradGuard");
}

}  // namespace

Tensor zeros(const Shape& shape, DType dtype) {
  Tensor out = empty(shape, dtype);
  std::byte* to = out.raw();
  parallel_for(out.bytes(), int64_t{1} << 18,
               [=](int64_t begin, int64_t end) { std::memset(to + begin, 0, static_cast<size_t>(end - begin)); });
  return out;
}
Tensor ones(const Shape& shape, DType dtype) {
  return full(shape, 1, dtype);
}
Tensor full(const Shape& shape, double value, DType dtype) {
  check_number("full", dtype, value);
  return empty(shape, dtype).fill_(value);
}

Tensor zeros_like(const Tensor& x) {
  check_defined("zeros_like", x);
  return full_like(x, 0);
}
Tensor ones_like(const Tensor& x) {
  check_defined("ones_like", x);
  return full_like(x, 1);
}
Tensor full_like(const Tensor& x, double value) {
  check_defined("full_like", x);
  check_number("full_like", x.dtype(), value);
  return empty_like(x).fill_(value);
}

Tensor arange(int64_t end, DType dtype) {
  TERN_CHECK(end >= 0, ValueError, "[arange] expected an end of at least 0, got ", end);
  return arange(0, end, 1, dtype);
}

Tensor arange(int64_t begin, int64_t end, int64_t step, DType dtype) {
  TERN_CHECK(step != 0, ValueError, "[arange] expected a step other than 0, got 0");
  TERN_CHECK(begin == end || (begin < end) == (step > 0), ValueError, "[arange] expected a step from ", begin,
             " towards ", end, ", got ", step);
  const uint64_t distance = begin < end ? static_cast<uint64_t>(end) - static_cast<uint64_t>(begin)
                                        : static_cast<uint64_t>(begin) - static_cast<uint64_t>(end);
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : -static_cast<uint64_t>(step);
  const uint64_t count = distance / stride + (distance % stride != 0 ? 1 : 0);
  TERN_CHECK(count <= (uint64_t{1} << 62), ShapeError, "[arange] expected at most 2^62 elements, got ", count);
  Tensor out = empty({static_cast<int64_t>(count)}, dtype);
  dispatch_all(dtype, [&]<class T>() {
    T* to = out.data<T>();
    for (int64_t i = 0; i < out.numel(); ++i) {
      // an i * step of its own may be beyond int64_t
      const uint64_t at = static_cast<uint64_t>(begin) + static_cast<uint64_t>(i) * static_cast<uint64_t>(step);
      to[i] = convert_element<T>(static_cast<int64_t>(at));
    }
  });
  return out;
}

Tensor linspace(double begin, double end, int64_t steps, DType dtype) {
  TERN_CHECK(steps >= 0, ValueError, "[linspace] expected a number of steps of at least 0, got ", steps);
  Tensor out = empty({steps}, dtype);
  const double step = steps > 1 ? (end - begin) / static_cast<double>(steps - 1) : 0;
  dispatch_float("linspace", dtype, [&]<class T>() {
    T* to = out.data<T>();
    for (int64_t i = 0; i < steps; ++i)  // from both ends, so that both are met exactly
      to[i] = static_cast<T>(i < (steps + 1) / 2 ? begin + step * static_cast<double>(i)
                                                 : end - step * static_cast<double>(steps - 1 - i));
  });
  return out;
}

Tensor eye(int64_t rows, int64_t columns, DType dtype) {
  const int64_t width = columns < 0 ? rows : columns;
  Tensor out = zeros({rows, width}, dtype);
  dispatch_all(dtype, [&]<class T>() {
    T* to = out.data<T>();
    for (int64_t i = 0; i < rows && i < width; ++i) to[i * width + i] = convert_element<T>(int64_t{1});
  });
  return out;
}

void fill_uniform(Tensor& x, double low, double high, Generator* generator) {
  TERN_CHECK(low <= high, ValueError, "[fill_uniform] expected a lower bound not above the upper one, got ", low,
             " and ", high);
  check_fillable("fill_uniform", x);
  dispatch_float("fill_uniform", x.dtype(), [&]<class T>() {
    TERN_CHECK(std::isfinite(static_cast<T>(high) - static_cast<T>(low)), ValueError,
               "[fill_uniform] expected bounds whose distance ", x.dtype(), " can hold, got ", low, " and ", high);
    TERN_KERNEL(fill_uniform<T>)
    (x.data<T>(), x.numel(), reserve(generator, blocks_for(x.numel(), kElementsPerBlock<T>)), static_cast<T>(low),
     static_cast<T>(high));
  });
  x.storage()->bump_version();
}

void fill_normal(Tensor& x, double mean, double standard_deviation, Generator* generator) {
  TERN_CHECK(standard_deviation >= 0, ValueError, "[fill_normal] expected a standard deviation of at least 0, got ",
             standard_deviation);
  TERN_CHECK(std::isfinite(standard_deviation) && std::isfinite(mean), ValueError,
             "[fill_normal] expected a finite mean and standard deviation, got ", mean, " and ", standard_deviation);
  check_fillable("fill_normal", x);
  dispatch_float("fill_normal", x.dtype(), [&]<class T>() {
    TERN_CHECK(std::isfinite(static_cast<T>(mean)) && std::isfinite(static_cast<T>(standard_deviation)), ValueError,
               "[fill_normal] expected a mean and standard deviation that ", x.dtype(), " can hold, got ", mean,
               " and ", standard_deviation);
    TERN_KERNEL(fill_normal<T>)
    (x.data<T>(), x.numel(), reserve(generator, blocks_for(x.numel(), kElementsPerBlock<T>)), static_cast<T>(mean),
     static_cast<T>(standard_deviation));
  });
  x.storage()->bump_version();
}

namespace {

// In the order of memory: a channels-last tensor takes its numbers as its elements lie.
Tensor uniform_filled(const char* op, Tensor x, Generator* generator) {
  dispatch_float(op, x.dtype(), [&]<class T>() { fill_uniform(x, 0, 1, generator); });
  return x;
}
Tensor normal_filled(const char* op, Tensor x, Generator* generator) {
  dispatch_float(op, x.dtype(), [&]<class T>() { fill_normal(x, 0, 1, generator); });
  return x;
}

}  // namespace

Tensor rand(const Shape& shape, DType dtype, Generator* generator) {
  return uniform_filled("rand", empty(shape, dtype), generator);
}
Tensor randn(const Shape& shape, DType dtype, Generator* generator) {
  return normal_filled("randn", empty(shape, dtype), generator);
}
Tensor rand_like(const Tensor& x, Generator* generator) {
  check_defined("rand_like", x);
  return uniform_filled("rand_like", empty_like(x), generator);
}
Tensor randn_like(const Tensor& x, Generator* generator) {
  check_defined("randn_like", x);
  return normal_filled("randn_like", empty_like(x), generator);
}

Tensor randint(int64_t low, int64_t high, const Shape& shape, Generator* generator) {
  TERN_CHECK(low < high, ValueError, "[randint] expected a lower bound below the upper one, got ", low, " and ", high);
  Tensor out = empty(shape, DType::kI64);
  int64_t* to = out.data<int64_t>();
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  const std::vector<uint64_t> words = random_words(out.numel(), generator);
  for (size_t i = 0; i < words.size(); ++i)
    to[i] = static_cast<int64_t>(static_cast<uint64_t>(low) + scaled(words[i], range));
  return out;
}

Tensor bernoulli(double probability, const Shape& shape, DType dtype, Generator* generator) {
  TERN_CHECK(probability >= 0 && probability <= 1, ValueError,
             "[bernoulli] expected a probability between 0 and 1, got ", probability);
  Tensor out = empty(shape, dtype);
  const int64_t blocks = blocks_for(out.numel(), 4);
  std::vector<uint32_t> bits(static_cast<size_t>(4 * blocks));
  TERN_KERNEL(fill_bits)(bits.data(), blocks, reserve(generator, blocks));
  const auto threshold = static_cast<uint64_t>(std::ceil(probability * 0x1p32));
  dispatch_all(dtype, [&]<class T>() {
    T* to = out.data<T>();
    const T values[] = {convert_element<T>(int64_t{0}), convert_element<T>(int64_t{1})};
    for (int64_t i = 0; i < out.numel(); ++i) to[i] = values[bits[static_cast<size_t>(i)] < threshold ? 1 : 0];
  });
  return out;
}

Tensor multinomial(const Tensor& weights, int64_t count, bool replacement, Generator* generator) {
  constexpr const char* kOp = "multinomial";
  check_defined(kOp, weights);
  dispatch_float(kOp, weights.dtype(), []<class T>() {});
  TERN_CHECK(weights.dim() == 1 || weights.dim() == 2, ShapeError, "[", kOp,
             "] expected weights of shape [C] or [N, C], got ", weights.shape());
  TERN_CHECK(count >= 0, ValueError, "[", kOp, "] expected a count of at least 0, got ", count);
  const int64_t classes = weights.size(-1), rows = weights.dim() == 1 ? 1 : weights.size(0);
  const std::vector<double> w = weights.to_vector<double>();
  for (int64_t r = 0; r < rows; ++r) check_row_of_weights(w.data() + r * classes, classes, count, replacement);
  Shape shape = weights.shape();
  shape.back() = count;
  Tensor out = empty(shape, DType::kI64);
  const int64_t words_per_row = replacement ? count : classes;
  const std::vector<uint64_t> words = random_words(rows * words_per_row, generator);
  parallel_for(rows, 1, [&, to = out.data<int64_t>()](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const auto draw = replacement ? draw_with_replacement : draw_without_replacement;
      draw(w.data() + r * classes, classes, words.data() + r * words_per_row, count, to + r * count);
    }
  });
  return out;
}

Tensor randperm(int64_t n, Generator* generator) {
  TERN_CHECK(n >= 0, ValueError, "[randperm] expected a number of at least 0, got ", n);
  Tensor out = arange(n);
  int64_t* order = out.data<int64_t>();
  const std::vector<uint64_t> words = random_words(n, generator);
  for (int64_t i = n - 1; i > 0; --i)
    std::swap(order[i], order[scaled(words[static_cast<size_t>(i)], static_cast<uint64_t>(i) + 1)]);
  return out;
}

}  // namespace tern
