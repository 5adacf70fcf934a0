#include <array>
#include <cmath>
#include <limits>

#include <tern/core/dtype.h>

namespace tern {

std::string_view name_of(DType dtype) {
  static constexpr std::array<std::string_view, 8> kNames{"f32", "f64", "bf16", "f16", "i64", "i32", "i8", "u8"};
  return kNames[static_cast<size_t>(dtype)];
}

int64_t size_of(DType dtype) {
  static constexpr std::array<int64_t, 8> kSizes{4, 8, 2, 2, 8, 4, 1, 1};
  return kSizes[static_cast<size_t>(dtype)];
}

bool is_floating(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF64 || dtype == DType::kBF16 || dtype == DType::kF16;
}

DType promote(DType a, DType b) {
  if (a == b) return a;
  const bool fa = is_floating(a), fb = is_floating(b);
  if (fa != fb) return fa ? a : b;
  if (fa) return a == DType::kF64 || b == DType::kF64 ? DType::kF64 : DType::kF32;
  if (size_of(a) == size_of(b)) return DType::kI32;  // i8 with u8
  return size_of(a) > size_of(b) ? a : b;
}

void check_number(const char* op, DType dtype, double v) {
  dispatch_all(dtype, [&]<class T>() {
    if constexpr (std::is_integral_v<T>) {
      constexpr double kLow = static_cast<double>(std::numeric_limits<T>::min());
      constexpr double kBeyond = 2.0 * static_cast<double>(std::numeric_limits<T>::max() / 2 + 1);
      const double whole = std::trunc(v);
      TERN_CHECK(whole >= kLow && whole < kBeyond, ValueError, "[", op, "] expected a number that ", dtype,
                 " can hold, got ", v);
    }
  });
}

void check_whole(const char* op, DType dtype, double v) {
  check_number(op, dtype, v);
  TERN_CHECK(is_floating(dtype) || v == std::trunc(v), ValueError, "[", op, "] expected a number that ", dtype,
             " can hold, got ", v);
}

Half::Half(float v) {
  const uint32_t u = std::bit_cast<uint32_t>(v);
  const uint32_t sign = (u >> 16) & 0x8000u;
  const uint32_t magnitude = u & 0x7fffffffu;
  uint32_t out;
  if (magnitude > 0x7f800000u) {
    out = 0x7e00u;  // NaN
  } else if (magnitude >= 0x477ff000u) {
    out = 0x7c00u;  // rounds to infinity from 65520 on
  } else if (magnitude >= 0x38800000u) {
    const uint32_t rebased = magnitude - 0x38000000u;
    out = (rebased + 0xfffu + ((rebased >> 13) & 1u)) >> 13;
  } else {
    // Subnormal: adding 0.5 lines the binary point up with f16's smallest step; the addition itself rounds half to
    // even.
    out = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  }
  bits = static_cast<uint16_t>(sign | out);
}

Half::operator float() const {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu;
  const uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

}  // namespace tern
