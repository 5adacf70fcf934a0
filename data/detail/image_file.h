// What the readers of the image formats share. Not part of the public interface.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <tern/core/tensor.h>
#include <tern/data/decode_image.h>

namespace tern::data::detail {

/// The content of a file, what it is called in messages, and what is allowed.
struct ImageFile {
  std::span<const std::byte> bytes;
  const std::string& name;
  const ImageLimits& limits;

  /// A u8 tensor [3, height, width] that is not filled. Throws FormatError for a size beyond the limits, or beyond what
  /// a file of so few bytes can hold.
  Tensor canvas(int64_t width, int64_t height) const;
  /// Throws FormatError: the file breaks its format, `reason` says how.
  [[noreturn]] void throw_damaged(std::string_view reason) const;
  /// Throws FormatError: the file may be whole, but is of a kind that is not read. Says "expected WANTED, got FOUND".
  [[noreturn]] void throw_unsupported(std::string_view wanted, std::string_view found) const;
  /// Throws MemoryError.
  [[noreturn]] void throw_no_memory() const;
};

/// Writes a row of pixels, red, green and blue in turn, to its place in three planes that lie `plane` bytes apart.
void put_rgb(const uint8_t* samples, uint8_t* out, size_t width, size_t plane);

/// Where a C library goes from an error handler that must not return.
class Landing {
 public:
  /// Runs step(). False if it was left by leave(), in which case nothing is destroyed on the way: neither the step nor
  /// what it calls may own anything with a destructor, and its captures are references.
  template <class Step>
  [[nodiscard]] bool run(const Step& step) {
    if (setjmp(place_) != 0) return false;
    step();
    return true;
  }
  [[noreturn]] void leave() { std::longjmp(place_, 1); }

 private:
  std::jmp_buf place_;
};

}  // namespace tern::data::detail
