#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <system_error>
#include <vector>

#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/core/text.h>

namespace tern {

size_t edit_distance(std::string_view a, std::string_view b) {
  // d[i][j]: distance of the first i letters of a to the first j of b.
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i)
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

// Iterative: one place to return to is enough.
bool glob_matches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t]) && pattern[p] != '*') {
      ++p, ++t;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool is_control(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto lead = static_cast<unsigned char>(text[0]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (text.size() < length || !io::is_valid_utf8(text.substr(0, length))) {
      out += format_text("\\x%02x", static_cast<unsigned>(lead));
      text.remove_prefix(1);
      continue;
    }
    char32_t character = length == 1 ? lead : lead & (0x7fu >> length);
    for (size_t i = 1; i < length; ++i) character = character << 6 | (static_cast<unsigned char>(text[i]) & 0x3fu);
    if (!is_control(character))
      out += text.substr(0, length);
    else
      out += format_text(character < 0x100 ? "\\x%02x" : "\\u%04x", static_cast<unsigned>(character));
    text.remove_prefix(length);
  }
  return out;
}

std::string aligned(const std::vector<std::vector<std::string>>& lines, size_t left, bool ragged) {
  if (lines.empty()) return {};
  std::vector<size_t> widths(lines[0].size(), 0);
  for (const auto& line : lines)
    for (size_t c = 0; c < line.size(); ++c) widths[c] = std::max(widths[c], line[c].size());
  if (ragged && !widths.empty()) widths.back() = 0;
  std::string out;
  for (const auto& line : lines) {
    std::string text;
    for (size_t c = 0; c < line.size(); ++c) {
      const std::string blanks(widths[c] > line[c].size() ? widths[c] - line[c].size() : 0, ' ');
      text += c == 0 ? "" : "  ";
      text += c < left ? line[c] + blanks : blanks + line[c];
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  }
  return out;
}

std::string without_middle(std::string_view text, size_t most) {
  if (text.size() <= most) return std::string(text);
  // The middle of a character is no place to cut.
  const auto is_inside = [&](size_t i) { return (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80; };
  const size_t kept = most - 40;  // beside the words that say so
  size_t head = kept * 2 / 3, tail = text.size() - kept / 3;
  while (is_inside(head)) --head;
  while (tail < text.size() && is_inside(tail)) ++tail;
  return concat(text.substr(0, head), "[... ", tail - head, " bytes ...]", text.substr(tail));
}

std::string one_line(std::string_view text) {
  const std::string shown = printable(text);
  if (shown.size() <= kMaxWord) return shown;
  std::string out;
  for (size_t begin = 0; begin < shown.size();) {
    const size_t end = std::min(shown.find(' ', begin), shown.size() - 1) + 1;  // with its space
    out += without_middle(std::string_view(shown).substr(begin, end - begin), kMaxWord);
    begin = end;
  }
  return without_middle(out, kMaxLine);
}

std::string system_reason(int error) {
  return std::generic_category().message(error);
}

std::string format_text(const char* pattern, ...) {
  char buffer[256];
  va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(buffer, sizeof buffer, pattern, arguments);
  va_end(arguments);
  return buffer;
}

}  // namespace tern
