// Integers and bytes from files that are not trusted: arithmetic that notices overflow, and a cursor that never leaves
// its buffer.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <tern/core/error.h>

namespace tern::io {

static_assert(std::endian::native == std::endian::little,
              "Tern's file formats are read and written on little-endian machines");

/// a + b, or nothing where the sum does not fit.
template <class T>
[[nodiscard]] std::optional<T> checked_add(T a, T b) {
  T sum;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

/// a * b, or nothing where the product does not fit.
template <class T>
[[nodiscard]] std::optional<T> checked_mul(T a, T b) {
  T product;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// v as another integer type, or nothing where it does not fit.
template <class To, class From>
[[nodiscard]] std::optional<To> checked_cast(From v) {
  To out;
  if (__builtin_add_overflow(v, From{0}, &out)) return std::nullopt;
  return out;
}

/// Bytes from the start that are well-formed UTF-8 (no overlong forms, no surrogates, nothing above U+10FFFF).
[[nodiscard]] size_t valid_utf8_prefix(std::string_view text);
[[nodiscard]] inline bool is_valid_utf8(std::string_view text) {
  return valid_utf8_prefix(text) == text.size();
}

/// A cursor over bytes in memory, little-endian. Every read is checked against what is left; one past the end throws
/// FormatError "[op] expected WHAT (N bytes) at byte OFFSET of 'NAME', got the end of the file after M bytes".
class ByteReader {
 public:
  /// `op` and `name` (a path, usually) are for messages; `data` and `op` must outlive the reader.
  ByteReader(const char* op, std::string name, std::span<const std::byte> data)
      : op_(op), name_(std::move(name)), data_(data) {}

  /// Bytes read so far, and left.
  size_t offset() const { return offset_; }
  size_t remaining() const { return data_.size() - offset_; }
  bool at_end() const { return remaining() == 0; }
  const char* op() const { return op_; }
  const std::string& name() const { return name_; }

  /// The next number. T: an integer or floating-point type of fixed size.
  template <class T>
  T read(std::string_view what) {
    static_assert(std::is_arithmetic_v<T>);
    T v;
    std::memcpy(&v, take(sizeof(T), what).data(), sizeof(T));
    return v;
  }
  /// The next `count` bytes, without a copy.
  std::span<const std::byte> take(size_t count, std::string_view what) {
    if (count > remaining()) [[unlikely]]
      throw_end(count, what);
    const auto out = data_.subspan(offset_, count);
    offset_ += count;
    return out;
  }
  /// The next `count` bytes as text.
  std::string_view take_text(size_t count, std::string_view what) {
    const auto bytes = take(count, what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  /// Throws FormatError unless everything has been read.
  void expect_end() const;

 private:
  [[noreturn]] void throw_end(size_t count, std::string_view what) const;

  const char* op_;
  std::string name_;
  std::span<const std::byte> data_;
  size_t offset_ = 0;
};

/// The bytes of a text.
inline std::span<const std::byte> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

}  // namespace tern::io
