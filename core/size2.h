// Settings of image operations that have a value for each image axis.
#pragma once

#include <cstdint>
#include <string>

namespace tern {

/// A value for the height and one for the width; a single number stands for both: {.stride = 2} or {.stride = {2, 1}}.
struct Size2 {
  int64_t h = 0;
  int64_t w = 0;
  constexpr Size2() = default;
  constexpr Size2(int64_t both) : h(both), w(both) {}
  constexpr Size2(int64_t height, int64_t width) : h(height), w(width) {}
  constexpr bool operator==(const Size2&) const = default;
};

/// "[2, 1]"
inline std::string to_string(const Size2& size) {
  std::string text = "[";
  text += std::to_string(size.h);
  text += ", ";
  text += std::to_string(size.w);
  text += ']';
  return text;
}

}  // namespace tern
