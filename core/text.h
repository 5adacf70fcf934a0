// Texts: comparing names, patterns, numbers in a given form.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tern {

/// How many letters must be inserted, removed, replaced or swapped with their neighbour to turn a into b (optimal
/// string alignment distance).
[[nodiscard]] size_t edit_distance(std::string_view a, std::string_view b);

/// Whether the whole text fits a pattern in which * stands for any characters, also none, and ? for one.
[[nodiscard]] bool glob_matches(std::string_view pattern, std::string_view text);

/// What std::printf would print, cut to 255 characters.
[[nodiscard, gnu::format(printf, 1, 2)]] std::string format_text(const char* pattern, ...);

/// What the system says of one of its error numbers (errno): "No such file or directory".
[[nodiscard]] std::string system_reason(int error);

/// Whether a character acts on the text around it instead of being seen: control characters (U+0000 to U+001F, U+007F
/// to U+009F), line and paragraph separators, and those that turn the direction of writing around.
[[nodiscard]] bool is_control(char32_t character);

/// A text that can be shown on one line of a terminal: such characters are written as \xNN or \uNNNN, bytes that are
/// not UTF-8 as \xNN.
[[nodiscard]] std::string printable(std::string_view text);

/// A text of well-formed UTF-8 in at most `most` bytes (at least 100): a longer one loses its middle, where
/// "[... N bytes ...]" stands instead.
[[nodiscard]] std::string without_middle(std::string_view text, size_t most);

/// What one_line leaves of a word (what stands between two spaces) and of a text, in bytes.
inline constexpr size_t kMaxWord = 512, kMaxLine = 16384;

/// Lines of cells as columns two blanks apart: the first `left` of them flush left, the others flush right, blanks at
/// the ends of lines left out. Every line has as many cells as the first. With `ragged` the last column is flush left
/// and as long as it likes.
[[nodiscard]] std::string aligned(const std::vector<std::vector<std::string>>& lines, size_t left, bool ragged = false);

/// A message, which may hold names from files, as one line of bounded length: printable(), longer words and texts
/// without_middle(). What it gives it leaves as it is.
[[nodiscard]] std::string one_line(std::string_view text);

}  // namespace tern
