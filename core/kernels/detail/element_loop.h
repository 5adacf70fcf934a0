// Loops of element-wise functions as pointers: an op looks up the one for its function and dtype, and hands it to the
// kernel that runs it over strided operands.
#pragma once

#include <cstdint>

namespace tern {

/// y[i] = f(x[i], a, b), i in [0, n); element i of an operand is at i times its step.
template <class T>
using UnaryLoop = void (*)(T* y, int64_t y_step, const T* x, int64_t x_step, int64_t n, T a, T b);
/// o[i] = f(x[i], y[i], a, b)
template <class O, class T>
using BinaryLoop = void (*)(O* o, int64_t o_step, const T* x, int64_t x_step, const T* y, int64_t y_step, int64_t n,
                            T a, T b);
/// o[i] = f(x[i], y[i], z[i])
template <class T>
using TernaryLoop = void (*)(T* o, int64_t o_step, const T* x, int64_t x_step, const T* y, int64_t y_step, const T* z,
                             int64_t z_step, int64_t n);
/// o[i] = f(x[i])
template <class T>
using TruthLoop = void (*)(uint8_t* o, int64_t o_step, const T* x, int64_t x_step, int64_t n);

/// The loops of one function for f32 and f64, or for all dtypes that are computed with. LoopsOf<T>: for elements of
/// type T; a base class, so that an object converts to const LoopsOf<T>&. Null: the function does not take that dtype.
template <template <class> class LoopsOf>
struct ForReal : LoopsOf<float>, LoopsOf<double> {};
template <template <class> class LoopsOf>
struct ForArithmetic : LoopsOf<float>,
                       LoopsOf<double>,
                       LoopsOf<int64_t>,
                       LoopsOf<int32_t>,
                       LoopsOf<int8_t>,
                       LoopsOf<uint8_t> {};

}  // namespace tern
