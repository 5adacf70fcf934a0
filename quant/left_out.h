// What a method of compression leaves as it is.
#pragma once

#include <string>

namespace tern::quant {

/// A parameter that a method does not compress, by its path ("embed.weight"), and why: a phrase, for people.
struct LeftOut {
  std::string path;
  std::string reason;
  bool operator==(const LeftOut&) const = default;
};

}  // namespace tern::quant
