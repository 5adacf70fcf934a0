#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include <tern/core/error.h>
#include <tern/core/io/element_type.h>

namespace tern::io {
namespace {

constexpr ElementType kTypes[] = {
    {"F32", 32, DType::kF32, true},  {"F64", 64, DType::kF64, true},  {"BF16", 16, DType::kBF16, true},
    {"F16", 16, DType::kF16, true},  {"I64", 64, DType::kI64, true},  {"I32", 32, DType::kI32, true},
    {"I8", 8, DType::kI8, true},     {"U8", 8, DType::kU8, true},     {"BOOL", 8, DType::kU8},
    {"I16", 16, DType::kI32},        {"U16", 16, DType::kI32},        {"U32", 32, DType::kI64},
    {"U64", 64, DType::kI64},        {"F8_E4M3", 8, DType::kF32},     {"F8_E5M2", 8, DType::kF32},
    {"F8_E4M3FNUZ", 8, DType::kF32}, {"F8_E5M2FNUZ", 8, DType::kF32}, {"F8_E8M0", 8, DType::kF32},
    {"F4", 4, std::nullopt},         {"F6_E2M3", 6, std::nullopt},    {"F6_E3M2", 6, std::nullopt},
    {"C64", 64, std::nullopt}};

template <class To, class From>
void widen(std::span<const std::byte> bytes, To* out) {
  for (size_t i = 0; i < bytes.size() / sizeof(From); ++i) {
    From v;
    std::memcpy(&v, bytes.data() + i * sizeof(From), sizeof(From));
    out[i] = static_cast<To>(v);
  }
}

// sign, exponent and mantissa, IEEE's way but for what the types say of infinities and NaN.
float float8(std::string_view type, uint8_t bits) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  if (type == "F8_E8M0") return bits == 0xff ? kNan : std::ldexp(1.0f, bits - 127);
  const bool fnuz = type.ends_with("FNUZ");  // finite, NaN in the place of the negative zero, a bias of one more
  const int mantissa_bits = type.starts_with("F8_E4M3") ? 3 : 2, exponent_bits = 7 - mantissa_bits;
  const int bias = (1 << (exponent_bits - 1)) - (fnuz ? 0 : 1);
  const int mantissa = bits & ((1 << mantissa_bits) - 1), exponent = (bits & 0x7f) >> mantissa_bits;
  const float sign = (bits & 0x80) != 0 ? -1.0f : 1.0f;
  if (fnuz && bits == 0x80) return kNan;
  if (type == "F8_E4M3" && (bits & 0x7f) == 0x7f) return kNan;
  if (type == "F8_E5M2" && exponent == 31) return mantissa != 0 ? kNan : sign * std::numeric_limits<float>::infinity();
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), 1 - bias - mantissa_bits);
  return sign * std::ldexp(static_cast<float>((1 << mantissa_bits) + mantissa), exponent - bias - mantissa_bits);
}

}  // namespace

const ElementType* find_element_type(std::string_view name) {
  const auto* found = std::find_if(std::begin(kTypes), std::end(kTypes), [&](auto& t) { return t.name == name; });
  return found == std::end(kTypes) ? nullptr : found;
}

const ElementType& element_type_of(DType dtype) {
  return *std::find_if(std::begin(kTypes), std::end(kTypes),
                       [&](auto& t) { return t.is_stored_as_dtype && t.dtype == dtype; });
}

void decode_elements(const char* op, const std::string& where, const ElementType& type,
                     std::span<const std::byte> bytes, Tensor& out) {
  TERN_ASSERT(type.dtype == out.dtype() && static_cast<int64_t>(bytes.size()) * 8 == out.numel() * type.bits,
              "elements of ", type.name, " for a tensor of another size or dtype");
  if (bytes.empty()) return;
  if (type.is_stored_as_dtype) {
    std::memcpy(out.raw(), bytes.data(), bytes.size());
  } else if (type.name == "BOOL") {
    for (const std::byte b : bytes)
      TERN_CHECK(b <= std::byte{1}, FormatError, "[", op, "] expected booleans of 0 and 1 in ", where, ", got ",
                 static_cast<int>(b));
    std::memcpy(out.raw(), bytes.data(), bytes.size());
  } else if (type.name == "I16") {
    widen<int32_t, int16_t>(bytes, out.data<int32_t>());
  } else if (type.name == "U16") {
    widen<int32_t, uint16_t>(bytes, out.data<int32_t>());
  } else if (type.name == "U32") {
    widen<int64_t, uint32_t>(bytes, out.data<int64_t>());
  } else if (type.name == "U64") {
    int64_t* const values = out.data<int64_t>();
    widen<int64_t, uint64_t>(bytes, values);
    for (int64_t i = 0; i < out.numel(); ++i)
      TERN_CHECK(values[i] >= 0, FormatError, "[", op, "] expected unsigned integers below 2^63 in ", where, ", got ",
                 std::bit_cast<uint64_t>(values[i]));
  } else {
    std::array<float, 256> table;
    for (size_t i = 0; i < table.size(); ++i) table[i] = float8(type.name, static_cast<uint8_t>(i));
    float* const values = out.data<float>();
    for (size_t i = 0; i < bytes.size(); ++i) values[i] = table[static_cast<uint8_t>(bytes[i])];
  }
}

}  // namespace tern::io
