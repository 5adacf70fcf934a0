// Making tensors: constants, ranges, values from memory, random numbers. Results are row-major leaves. All throw
// ShapeError for a shape with negative sizes or more than 2^62 elements. dtype is any where nothing else is said.
//
// Random fills take their numbers from the default generator, or from `generator` if one is given, which they advance.
// Element i depends on the generator's state and i alone, so any number of threads gives the same tensor.
#pragma once

#include <initializer_list>
#include <span>
#include <type_traits>
#include <vector>

#include <tern/core/random.h>
#include <tern/core/tensor.h>

namespace tern {

/// All elements 0.
[[nodiscard]] Tensor zeros(const Shape& shape, DType dtype = DType::kF32);
/// All elements 1.
[[nodiscard]] Tensor ones(const Shape& shape, DType dtype = DType::kF32);
/// All elements `value`, converted to dtype (to an integer by truncation). Here and in full_like: ValueError for NaN
/// and for a number that an integer dtype cannot hold.
[[nodiscard]] Tensor full(const Shape& shape, double value, DType dtype = DType::kF32);

/// 0, 1 or `value` everywhere, with x's shape, dtype and memory format.
[[nodiscard]] Tensor zeros_like(const Tensor& x);
[[nodiscard]] Tensor ones_like(const Tensor& x);
[[nodiscard]] Tensor full_like(const Tensor& x, double value);

/// 0, 1, ..., end - 1. Throws ValueError for a negative end.
[[nodiscard]] Tensor arange(int64_t end, DType dtype = DType::kI64);
/// begin, begin + step, ... as long as it stays before end. Throws ValueError for a step of 0 or of the wrong sign.
[[nodiscard]] Tensor arange(int64_t begin, int64_t end, int64_t step = 1, DType dtype = DType::kI64);
/// `steps` numbers from begin to end, both included, at equal distances: [steps]; begin alone for 1. dtype: f32 or f64
/// (DTypeError). Throws ValueError for negative steps.
[[nodiscard]] Tensor linspace(double begin, double end, int64_t steps, DType dtype = DType::kF32);
/// The identity: [rows, columns] with ones on the diagonal; columns = rows if not given (or negative).
[[nodiscard]] Tensor eye(int64_t rows, int64_t columns = -1, DType dtype = DType::kF32);

/// A copy of the elements at `data` (row-major), with their type as dtype.
template <class T>
[[nodiscard]] Tensor from_data(const T* data, const Shape& shape) {
  Tensor out = empty(shape, dtype_of<T>());
  T* to = out.data<T>();
  for (int64_t i = 0; i < out.numel(); ++i) to[i] = data[i];
  return out;
}

/// A tensor of the given elements (row-major), with their type as dtype. Throws ShapeError if they are not as many as
/// the shape has.
template <class T>
[[nodiscard]] Tensor tensor(const std::vector<T>& values, const Shape& shape) {
  TERN_CHECK(numel_of(shape) == static_cast<int64_t>(values.size()), ShapeError, "[tensor] expected ", numel_of(shape),
             " values for shape ", shape, ", got ", values.size());
  return from_data(values.data(), shape);
}
/// The same as one axis.
template <class T>
[[nodiscard]] Tensor tensor(const std::vector<T>& values) {
  return tensor(values, {static_cast<int64_t>(values.size())});
}
/// A 1-D tensor of literals, as torch.tensor makes it: f32 from floating-point ones, i64 from integers. tensor({1.0,
/// 2.0}).
template <class T>
requires std::is_arithmetic_v<T>
[[nodiscard]] Tensor tensor(std::initializer_list<T> values) {
  using Element = std::conditional_t<std::is_floating_point_v<T>, float, int64_t>;
  return tensor(std::vector<Element>(values.begin(), values.end()));
}

/// Uniform in [0, 1). dtype: f32 (24 random bits an element) or f64 (53); DTypeError for others here and in randn.
[[nodiscard]] Tensor rand(const Shape& shape, DType dtype = DType::kF32, Generator* generator = nullptr);
/// Normal with mean 0 and standard deviation 1, by the Box-Muller transform. dtype: f32 or f64.
[[nodiscard]] Tensor randn(const Shape& shape, DType dtype = DType::kF32, Generator* generator = nullptr);
/// Uniform integers in [low, high), i64. Throws ValueError unless low < high.
[[nodiscard]] Tensor randint(int64_t low, int64_t high, const Shape& shape, Generator* generator = nullptr);
/// 1 with the given probability, else 0. dtype: any. Throws ValueError for a probability outside [0, 1].
[[nodiscard]] Tensor bernoulli(double probability, const Shape& shape, DType dtype = DType::kU8,
                               Generator* generator = nullptr);
/// The numbers 0 .. n-1 in random order, i64 [n]; every order is as likely. Throws ValueError for a negative n.
[[nodiscard]] Tensor randperm(int64_t n, Generator* generator = nullptr);
/// `count` draws from 0 .. C-1 with probabilities proportional to `weights`, one row of draws per row of weights, in
/// the order in which they are drawn: i64 [count] for weights [C], [N, count] for [N, C]. Without replacement no number
/// is drawn twice (Efraimidis and Spirakis, 2006: the smallest of E / weight, E exponential). weights: f32 or f64
/// (DTypeError), need not add up to 1. Throws ShapeError for other numbers of axes; ValueError for a negative count,
/// for weights that are negative, not finite, all 0 in a row or without a finite sum there, and without replacement for
/// more draws than the row has weights other than 0.
[[nodiscard]] Tensor multinomial(const Tensor& weights, int64_t count, bool replacement = false,
                                 Generator* generator = nullptr);
/// rand and randn with x's shape, dtype and memory format.
[[nodiscard]] Tensor rand_like(const Tensor& x, Generator* generator = nullptr);
[[nodiscard]] Tensor randn_like(const Tensor& x, Generator* generator = nullptr);

/// Fills x in place with uniform numbers in [low, high), in the order of memory. Here and below: throws ShapeError
/// unless x is dense, DTypeError unless it is f32 or f64, StateError if it requires a gradient while gradients are
/// recorded, and ValueError for low above high, a negative deviation, or bounds and moments that x's dtype cannot hold.
void fill_uniform(Tensor& x, double low, double high, Generator* generator = nullptr);
/// Fills x in place with normal numbers.
void fill_normal(Tensor& x, double mean, double standard_deviation, Generator* generator = nullptr);

}  // namespace tern
