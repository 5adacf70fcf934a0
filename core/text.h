// Texts: comparing names, patterns, numbers in a given form.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tern {

/// How many letters must be inserted, removed, replaced or swapped with their neighbour to turn a into b (optimal
/// string alignment distance).
[[nodiscard]] size_t edit_distance(std::string_view a, std::string_view b);

/// Whether the whole text fits a pattern in which * stands for any characters, also none, and ? for one.
[[nodiscard]] bool glob_matches(std::string_view pattern, std::string_view text);

/// What std::printf would print, cut to 255 characters.
[[nodiscard, gnu::format(printf, 1, 2)]] std::string format_text(const char* pattern, ...);

}  // namespace tern
