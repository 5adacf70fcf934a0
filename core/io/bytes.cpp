#include <tern/core/io/bytes.h>

namespace tern::io {

void ByteReader::throw_end(size_t count, std::string_view what) const {
  throw FormatError(concat("[", op_, "] expected ", what, " (", count, " bytes) at byte ", offset_, " of '", name_,
                           "', got the end of the file after ", data_.size(), " bytes"));
}

void ByteReader::expect_end() const {
  TERN_CHECK(at_end(), FormatError, "[", op_, "] expected the end of '", name_, "' at byte ", offset_, ", got ",
             remaining(), " more bytes");
}

size_t valid_utf8_prefix(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const begin = p;
  const auto* const end = p + text.size();
  while (p < end) {
    const auto* const start = p;
    const auto bad = [&] { return static_cast<size_t>(start - begin); };
    const unsigned lead = *p++;
    if (lead < 0x80) continue;
    int more;
    unsigned low = 0x80, high = 0xBF;  // what the first continuation byte may be
    if (lead >= 0xC2 && lead <= 0xDF) {
      more = 1;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      more = 2;
      if (lead == 0xE0) low = 0xA0;
      if (lead == 0xED) high = 0x9F;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      more = 3;
      if (lead == 0xF0) low = 0x90;
      if (lead == 0xF4) high = 0x8F;
    } else {
      return bad();
    }
    for (; more > 0; --more, low = 0x80, high = 0xBF)
      if (p == end || *p < low || *p++ > high) return bad();
  }
  return text.size();
}

}  // namespace tern::io
