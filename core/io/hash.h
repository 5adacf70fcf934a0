// XXH64 (Yann Collet's xxHash, https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md): a fast 64-bit hash that tells
// damaged or changed data from what was meant. It is no defence against somebody who forges data on purpose.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tern::io {

/// Hashes bytes as they come; the same bytes in other pieces give the same value.
///
///   Hash64 hash;
///   hash.add(text);
///   hash.value();   // as xxh64sum prints it, once through hex()
class Hash64 {
 public:
  explicit Hash64(uint64_t seed = 0);
  void add(const void* data, size_t bytes);
  void add(std::string_view text) { add(text.data(), text.size()); }
  /// A number as its eight bytes, lowest first.
  void add_number(uint64_t number);
  /// A text with its length before it, so that two texts in a row cannot be taken for two others.
  void add_sized(std::string_view text);
  /// Of everything added so far; more may be added afterwards.
  uint64_t value() const;

 private:
  void consume(const std::byte* stripe);

  uint64_t seed_;
  std::array<uint64_t, 4> lanes_;
  std::array<std::byte, 32> buffer_ = {};
  size_t buffered_ = 0;
  uint64_t total_ = 0;
};

/// The hash of one piece of data.
[[nodiscard]] uint64_t hash64(std::string_view bytes, uint64_t seed = 0);

/// Sixteen hexadecimal digits.
[[nodiscard]] std::string hex(uint64_t value);

}  // namespace tern::io
