// The element-wise functions of two operands, comparisons and classifications, one struct each: all that
// kernels/binary and the ops know about them. To add one, write its struct here, with the macro of its kind below it.
//
// forward(x, y) is the value; first(g, x, y) and second(g, x, y) are g times the derivative by x and by y, where a
// loop is needed for it: the sums, products and quotients in elementwise.cpp need none or another function's. M is
// elementwise_math.h as compiled for an instruction set.
#pragma once

#include <tern/core/kernels/binary.h>

#ifndef TERN_BINARY
#define TERN_BINARY(Op)
#endif
#ifndef TERN_COMPARE
#define TERN_COMPARE(Op)
#endif
#ifndef TERN_CLASSIFY
#define TERN_CLASSIFY(Op)
#endif

namespace tern {

#define TERN_ELEMENT          \
  template <class M, class T> \
  [[gnu::always_inline]] static T

struct AddOp {
  static constexpr BinaryTraits kTraits{.name = "add", .integers = true};
  TERN_ELEMENT forward(T x, T y) { return static_cast<T>(x + y); }
};
TERN_BINARY(AddOp)

struct SubOp {
  static constexpr BinaryTraits kTraits{.name = "sub", .integers = true};
  TERN_ELEMENT forward(T x, T y) { return static_cast<T>(x - y); }
};
TERN_BINARY(SubOp)

struct MulOp {
  static constexpr BinaryTraits kTraits{.name = "mul", .integers = true};
  TERN_ELEMENT forward(T x, T y) { return static_cast<T>(x * y); }
};
TERN_BINARY(MulOp)

/// x != x: NaN wins on either side.
struct MaximumOp {
  static constexpr BinaryTraits kTraits{.name = "maximum", .integers = true};
  TERN_ELEMENT forward(T x, T y) { return x > y || x != x ? x : y; }
  TERN_ELEMENT first(T g, T x, T y) { return x == y ? g * T(0.5) : x < y ? T(0) : g; }
  TERN_ELEMENT second(T g, T x, T y) { return first<M>(g, y, x); }
};
TERN_BINARY(MaximumOp)

struct MinimumOp {
  static constexpr BinaryTraits kTraits{.name = "minimum", .integers = true};
  TERN_ELEMENT forward(T x, T y) { return x < y || x != x ? x : y; }
  TERN_ELEMENT first(T g, T x, T y) { return x == y ? g * T(0.5) : x > y ? T(0) : g; }
  TERN_ELEMENT second(T g, T x, T y) { return first<M>(g, y, x); }
};
TERN_BINARY(MinimumOp)

struct DivOp {
  static constexpr BinaryTraits kTraits{.name = "div"};
  TERN_ELEMENT forward(T x, T y) { return x / y; }
  TERN_ELEMENT second(T g, T x, T y) { return -g * ((x / y) / y); }
};
TERN_BINARY(DivOp)

struct PowOp {
  static constexpr BinaryTraits kTraits{.name = "pow"};
  TERN_ELEMENT forward(T x, T y) { return M::power(x, y); }
  TERN_ELEMENT first(T g, T x, T y) { return y == T(0) ? T(0) : g * (y * M::power(x, y - T(1))); }
  TERN_ELEMENT second(T g, T x, T y) { return x == T(0) && y >= T(0) ? T(0) : g * (M::power(x, y) * M::log(x)); }
};
TERN_BINARY(PowOp)

struct SwigluOp {
  static constexpr BinaryTraits kTraits{.name = "swiglu"};
  TERN_ELEMENT forward(T x, T y) { return x * M::sigmoid(x) * y; }
};
TERN_BINARY(SwigluOp)

struct GluOp {
  static constexpr BinaryTraits kTraits{.name = "glu"};
  TERN_ELEMENT forward(T x, T y) { return x * M::sigmoid(y); }
};
TERN_BINARY(GluOp)

struct PreluOp {
  static constexpr BinaryTraits kTraits{.name = "prelu"};
  TERN_ELEMENT forward(T x, T y) { return x > T(0) ? x : x * y; }
  TERN_ELEMENT first(T g, T x, T y) { return x > T(0) ? g : g * y; }
  TERN_ELEMENT second(T g, T x, T) { return x > T(0) ? T(0) : g * x; }
};
TERN_BINARY(PreluOp)

struct AddReluOp {
  static constexpr BinaryTraits kTraits{.name = "add_relu"};
  TERN_ELEMENT forward(T x, T y) { return x + y < T(0) ? T(0) : x + y; }
};
TERN_BINARY(AddReluOp)

#undef TERN_ELEMENT
#define TERN_TRUTH   \
  template <class T> \
  [[gnu::always_inline]] static bool

struct EqOp {
  static constexpr const char* kName = "eq";
  TERN_TRUTH forward(T x, T y) { return x == y; }
};
TERN_COMPARE(EqOp)

struct NeOp {
  static constexpr const char* kName = "ne";
  TERN_TRUTH forward(T x, T y) { return x != y; }
};
TERN_COMPARE(NeOp)

struct LtOp {
  static constexpr const char* kName = "lt";
  TERN_TRUTH forward(T x, T y) { return x < y; }
};
TERN_COMPARE(LtOp)

struct LeOp {
  static constexpr const char* kName = "le";
  TERN_TRUTH forward(T x, T y) { return x <= y; }
};
TERN_COMPARE(LeOp)

struct GtOp {
  static constexpr const char* kName = "gt";
  TERN_TRUTH forward(T x, T y) { return x > y; }
};
TERN_COMPARE(GtOp)

struct GeOp {
  static constexpr const char* kName = "ge";
  TERN_TRUTH forward(T x, T y) { return x >= y; }
};
TERN_COMPARE(GeOp)

struct AndOp {
  static constexpr const char* kName = "logical_and";
  TERN_TRUTH forward(T x, T y) { return x != T(0) && y != T(0); }
};
TERN_COMPARE(AndOp)

struct OrOp {
  static constexpr const char* kName = "logical_or";
  TERN_TRUTH forward(T x, T y) { return x != T(0) || y != T(0); }
};
TERN_COMPARE(OrOp)

struct XorOp {
  static constexpr const char* kName = "logical_xor";
  TERN_TRUTH forward(T x, T y) { return (x != T(0)) != (y != T(0)); }
};
TERN_COMPARE(XorOp)

struct IsNanOp {
  static constexpr const char* kName = "isnan";
  static constexpr bool kOfIntegers = false;  ///< its value for every integer
  TERN_TRUTH forward(T x) { return x != x; }
};
TERN_CLASSIFY(IsNanOp)

struct IsInfOp {
  static constexpr const char* kName = "isinf";
  static constexpr bool kOfIntegers = false;  ///< its value for every integer
  TERN_TRUTH forward(T x) { return x == x && x - x != T(0); }
};
TERN_CLASSIFY(IsInfOp)

struct IsFiniteOp {
  static constexpr const char* kName = "isfinite";
  static constexpr bool kOfIntegers = true;  ///< its value for every integer
  TERN_TRUTH forward(T x) { return x - x == T(0); }
};
TERN_CLASSIFY(IsFiniteOp)

#undef TERN_TRUTH
#undef TERN_BINARY
#undef TERN_COMPARE
#undef TERN_CLASSIFY

}  // namespace tern
