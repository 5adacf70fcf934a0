// Element types. f32 is what Tern computes in, f64 is for gradient checks and references, bf16 and f16 are storage
// formats, i64 holds indices and labels, u8 holds images and truth values (comparisons give u8 tensors of 0 and 1).
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <tern/core/error.h>

namespace tern {

/// f32 and f64 (IEEE), bf16, f16, signed integers of 64, 32 and 8 bits, and bytes.
enum class DType : uint8_t { kF32, kF64, kBF16, kF16, kI64, kI32, kI8, kU8 };

/// Brain float: the upper half of an f32. Conversion from f32 rounds half to even and keeps NaN.
struct BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  explicit BFloat16(float v) {
    uint32_t u = std::bit_cast<uint32_t>(v);
    if ((u & 0x7fffffffu) > 0x7f800000u) {
      bits = static_cast<uint16_t>((u >> 16) | 0x40u);
    } else {
      bits = static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
    }
  }
  explicit operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};

/// IEEE binary16. Conversion from f32 rounds half to even, overflows to infinity and keeps NaN.
struct Half {
  uint16_t bits = 0;
  Half() = default;
  explicit Half(float v);
  explicit operator float() const;
};

/// "f32", "i64", ...
std::string_view name_of(DType dtype);
inline std::string to_string(DType dtype) {
  return std::string(name_of(dtype));
}
/// Bytes of one element.
int64_t size_of(DType dtype);
/// True for f32, f64, bf16 and f16.
bool is_floating(DType dtype);
/// The dtype that an operation on both computes in: the wider float if both are floating (bf16 with f16 gives f32), the
/// float beside an integer, else the wider integer (u8 with i8 gives i32).
DType promote(DType a, DType b);

/// The dtype of a C++ type: float, double, BFloat16, Half, int64_t, int32_t, int8_t or uint8_t.
template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>)
    return DType::kF32;
  else if constexpr (std::is_same_v<T, double>)
    return DType::kF64;
  else if constexpr (std::is_same_v<T, BFloat16>)
    return DType::kBF16;
  else if constexpr (std::is_same_v<T, Half>)
    return DType::kF16;
  else if constexpr (std::is_same_v<T, int64_t>)
    return DType::kI64;
  else if constexpr (std::is_same_v<T, int32_t>)
    return DType::kI32;
  else if constexpr (std::is_same_v<T, int8_t>)
    return DType::kI8;
  else {
    static_assert(std::is_same_v<T, uint8_t>, "not an element type");
    return DType::kU8;
  }
}

/// Calls f.operator()<T>() with the C++ type of a compute dtype (f32 or f64). Throws DTypeError, naming `op`, for any
/// other.
template <class F>
decltype(auto) dispatch_float(const char* op, DType dtype, F&& f) {
  switch (dtype) {
    case DType::kF32:
      return f.template operator()<float>();
    case DType::kF64:
      return f.template operator()<double>();
    default:
      throw DTypeError(concat("[", op, "] expected f32 or f64, got ", dtype));
  }
}

/// The same over every dtype.
template <class F>
decltype(auto) dispatch_all(DType dtype, F&& f) {
  switch (dtype) {
    case DType::kF32:
      return f.template operator()<float>();
    case DType::kF64:
      return f.template operator()<double>();
    case DType::kBF16:
      return f.template operator()<BFloat16>();
    case DType::kF16:
      return f.template operator()<Half>();
    case DType::kI64:
      return f.template operator()<int64_t>();
    case DType::kI32:
      return f.template operator()<int32_t>();
    case DType::kI8:
      return f.template operator()<int8_t>();
    case DType::kU8:
      return f.template operator()<uint8_t>();
  }
  throw InternalError("unknown dtype");
}

/// The same over f32, f64 and i64: for loops that narrower integers reach by conversion. Throws DTypeError for any
/// other.
template <class F>
decltype(auto) dispatch_wide(const char* op, DType dtype, F&& f) {
  switch (dtype) {
    case DType::kF32:
      return f.template operator()<float>();
    case DType::kF64:
      return f.template operator()<double>();
    case DType::kI64:
      return f.template operator()<int64_t>();
    default:
      throw DTypeError(concat("[", op, "] expected f32, f64 or an integer dtype, got ", dtype));
  }
}

/// The same over f32, f64 and the integers: the dtypes that have arithmetic. Throws DTypeError for bf16 and f16.
template <class F>
decltype(auto) dispatch_arithmetic(const char* op, DType dtype, F&& f) {
  switch (dtype) {
    case DType::kI32:
      return f.template operator()<int32_t>();
    case DType::kI8:
      return f.template operator()<int8_t>();
    case DType::kU8:
      return f.template operator()<uint8_t>();
    default:
      return dispatch_wide(op, dtype, std::forward<F>(f));
  }
}

/// Converts between element types; a float becomes an integer by truncation, through f32 for bf16 and f16. What a
/// number beyond the integer type's range, or NaN, becomes is not specified, as in C++ and PyTorch.
template <class To, class From>
To convert_element(From v) {
  constexpr bool from_half = std::is_same_v<From, BFloat16> || std::is_same_v<From, Half>;
  constexpr bool to_half = std::is_same_v<To, BFloat16> || std::is_same_v<To, Half>;
  if constexpr (std::is_same_v<To, From>)
    return v;
  else if constexpr (from_half)
    return convert_element<To>(static_cast<float>(v));
  else if constexpr (to_half)
    return To(static_cast<float>(v));
  else
    return static_cast<To>(v);
}

/// For numbers that ops are given beside tensors of that dtype. Both throw ValueError, naming `op`, for NaN and for a
/// number beyond an integer dtype's range; floating dtypes take any. check_number lets a fraction pass, which
/// convert_element cuts off; check_whole does not.
void check_number(const char* op, DType dtype, double v);
void check_whole(const char* op, DType dtype, double v);

}  // namespace tern
