// What the tests of image files share.
#pragma once

#include <string>

#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/data/decode_image.h>

#include "core/io_support.h"

namespace tern {

inline Tensor decode(const std::string& file, const data::ImageLimits& limits = {}) {
  return data::decode_image(io::bytes_of(file), "f", limits);
}
/// The sentence with which the file, called 'f', is refused.
inline std::string refusal_of(const std::string& file) {
  return sentence_of<FormatError>([&] { static_cast<void>(decode(file)); });
}
inline std::string damaged(const std::string& reason) {
  return "[decode_image] expected a whole image in 'f', got a damaged one (" + reason + ")";
}

}  // namespace tern
