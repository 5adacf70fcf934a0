#include <array>

#include "data/image_support.h"
#include "data/image_writer.h"

namespace tern {
namespace {

using test::png_chunk;
using test::png_head;
using test::zlib_stored;

const std::string kPngEnd = png_chunk("IEND", "");

// Rows of bytes, each with filter 0 in front.
std::string rows_of(const std::vector<std::string>& rows) {
  std::string out;
  for (const std::string& row : rows) out += std::string(1, '\0') + row;
  return out;
}
std::string image_data(const std::vector<std::string>& rows) {
  return png_chunk("IDAT", zlib_stored(rows_of(rows)));
}

// 3 x 2 pixels of colour, with chunks around the data that say nothing of the pixels.
const std::vector<std::string> kRows{"abcdefghi", "ABCDEFGHI"};
std::string with_everything() {
  return png_head(3, 2, 8, 2) + png_chunk("gAMA", std::string("\0\0\xb1\x8f", 4)) + png_chunk("tEXt", "Title\0?") +
         png_chunk("tRNS", std::string("\0a\0b\0c", 6)) + image_data(kRows) + png_chunk("tEXt", "Author\0?") + kPngEnd;
}

TEST(ReadPng, NoBitOfAFileCanChangeUnnoticed) {
  const std::string file = with_everything();
  EXPECT_EQ(decode(file).to_vector<uint8_t>(), (std::vector<uint8_t>{'a', 'd', 'g', 'A', 'D', 'G', 'b', 'e', 'h', 'B',
                                                                     'E', 'H', 'c', 'f', 'i', 'C', 'F', 'I'}));
  for (size_t at = 0; at < file.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = file;
      changed[at] = static_cast<char>(changed[at] ^ 1 << bit);
      EXPECT_TRUE(refusal_of(changed).starts_with("[decode_image] expected ")) << at << " bit " << bit;
    }
}

TEST(ReadPng, ACutFileIsRefusedWhereverItIsCut) {
  const std::string file = with_everything();
  for (size_t n = 0; n < file.size(); ++n) EXPECT_NE(refusal_of(file.substr(0, n)), "") << n;
  EXPECT_EQ(refusal_of(file.substr(0, file.size() - 1)), damaged("the file ends early"));
  EXPECT_EQ(decode(file + "what follows is passed over").numel(), 18);
}

TEST(ReadPng, DataThatContradictTheirSumOrTheirSizeAreRefused) {
  const std::string head = png_head(3, 2, 8, 2);
  std::string sum = zlib_stored(rows_of(kRows));
  sum.back() ^= 1;  // the sum within; that of the chunk is right
  EXPECT_EQ(refusal_of(head + png_chunk("IDAT", sum) + kPngEnd), damaged("IDAT: incorrect data check"));
  EXPECT_EQ(refusal_of(head + image_data({kRows[0]}) + kPngEnd), damaged("Not enough image data"));
  EXPECT_EQ(refusal_of(head + image_data({kRows[0], kRows[1], kRows[1]}) + kPngEnd),
            damaged("IDAT: Too much image data"));
  EXPECT_EQ(refusal_of(head + png_chunk("IDAT", zlib_stored(rows_of(kRows)) + "x") + kPngEnd),
            damaged("IDAT: Extra compressed data"));
  EXPECT_EQ(refusal_of(head + kPngEnd), damaged("IEND: out of place"));
  // In pieces is how it may come.
  const std::string stream = zlib_stored(rows_of(kRows));
  std::string pieces;
  for (size_t i = 0; i < stream.size(); i += 5) pieces += png_chunk("IDAT", stream.substr(i, 5));
  EXPECT_EQ(decode(head + pieces + kPngEnd).numel(), 18);
}

TEST(ReadPng, IndicesBeyondThePaletteAreRefused) {
  const std::string head = png_head(4, 1, 2, 3), two = png_chunk("PLTE", "abcdef");
  EXPECT_EQ(decode(head + two + png_chunk("tRNS", "z") + image_data({"\x11"}) + kPngEnd).to_vector<uint8_t>(),
            (std::vector<uint8_t>{'a', 'd', 'a', 'd', 'b', 'e', 'b', 'e', 'c', 'f', 'c', 'f'}));
  EXPECT_EQ(refusal_of(head + two + image_data({"\x12"}) + kPngEnd), damaged("a colour that the palette lacks"));
  EXPECT_EQ(refusal_of(head + image_data({"\x11"}) + kPngEnd), damaged("IDAT: Missing PLTE before IDAT"));
  EXPECT_EQ(refusal_of(head + image_data({"\x11"}) + two + kPngEnd), damaged("IDAT: Missing PLTE before IDAT"));
  EXPECT_EQ(refusal_of(head + two + two + image_data({"\x11"}) + kPngEnd), damaged("PLTE: duplicate"));
}

// Depth, kind, bytes of a row of four pixels, and what becomes of them: one row each of red, green and blue.
TEST(ReadPng, SamplesOfEveryDepthBecomeBytes) {
  struct Kind {
    int depth, kind;
    std::string row;
    std::vector<std::vector<int>> planes;
  };
  const auto grey = [](std::vector<int> v) { return std::vector<std::vector<int>>{v, v, v}; };
  const std::vector<Kind> kinds{
      {1, 0, "\xa0", grey({255, 0, 255, 0})},
      {2, 0, "\x1b", grey({0, 85, 170, 255})},
      {4, 0, "\x1f\x0a", grey({17, 255, 0, 170})},
      {16, 0, std::string("\x12\xff\x34\0\xff\xff\0\x80", 8), grey({0x12, 0x34, 255, 0})},  // cut, not rounded
      {8, 4, std::string("a\0b\1c\2d\xff", 8), grey({'a', 'b', 'c', 'd'})},
      {16, 4, std::string("a?\0\0b?\0\0c?\0\0d?\0\0", 16), grey({'a', 'b', 'c', 'd'})},
      {8,
       6,
       std::string("abc\0def\1ghi\2jkl\xff", 16),
       {{'a', 'd', 'g', 'j'}, {'b', 'e', 'h', 'k'}, {'c', 'f', 'i', 'l'}}},
      {16, 2, "a?b?c?d?e?f?g?h?i?j?k?l?", {{'a', 'd', 'g', 'j'}, {'b', 'e', 'h', 'k'}, {'c', 'f', 'i', 'l'}}},
  };
  for (const auto& [depth, kind, row, planes] : kinds) {
    const auto got = decode(png_head(4, 1, depth, kind) + png_chunk("gAMA", std::string("\0\0\1\0", 4)) +
                            image_data({row}) + kPngEnd);
    std::vector<int64_t> wanted;
    for (const auto& plane : planes) wanted.insert(wanted.end(), plane.begin(), plane.end());
    EXPECT_EQ(got.to_vector<int64_t>(), wanted) << depth << " bits of kind " << kind;
  }
}

TEST(ReadPng, WhatChunksBesideThePixelsHoldDoesNotMatter) {
  const std::string head = png_head(3, 2, 8, 2), data = image_data(kRows) + kPngEnd;
  for (const char* type : {"iCCP", "zTXt", "gAMA", "sRGB", "eXIf", "tRNS", "bKGD", "juNk"})
    EXPECT_EQ(decode(head + png_chunk(type, "nonsense") + data).numel(), 18) << type;
  EXPECT_EQ(refusal_of(head + png_chunk("JuNk", "a chunk that no reader may pass over") + data),
            damaged("JuNk: unhandled critical chunk"));
}

TEST(ReadPng, TheVariantForIPhonesIsNamed) {
  const std::string file = png_head(3, 2, 8, 2), start = file.substr(0, 8), header = file.substr(8);
  EXPECT_EQ(refusal_of(start + png_chunk("CgBI", "\x50\0\x20\x02") + header + image_data(kRows) + kPngEnd),
            "[decode_image] expected a PNG as its standard has it in 'f', got one of the variant for iPhones (CgBI), "
            "whose red and blue are exchanged");
}

TEST(ReadPng, AFileThatWasCarriedAsTextSaysSo) {
  std::string file = with_everything();
  file.erase(4, 1);  // \r\n became \n
  EXPECT_EQ(refusal_of(file), damaged("PNG file corrupted by ASCII conversion"));
}

}  // namespace
}  // namespace tern
