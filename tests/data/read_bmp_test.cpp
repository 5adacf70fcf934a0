#include <array>

#include "data/image_support.h"

namespace tern {
namespace {

std::string number(int64_t v, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += static_cast<char>(v >> (8 * i) & 255);
  return out;
}

// A BMP from its parts.
struct Bmp {
  int width = 0, height = 0, bits = 0;
  int compression = 0;
  std::string pixels = "";
  std::string palette = "";
  int header = 40;  // bytes
  int64_t colours = 0;
  std::string masks = "";  // behind a header of 40 bytes, within longer ones
  std::string gap = "";    // before the pixels
  int64_t offset = -1;     // where the header says that the pixels are; -1: where they are
  int planes = 1;

  std::string file() const {
    std::string fields = number(header, 4);
    if (header == 12) {
      fields += number(width, 2) + number(height, 2) + number(planes, 2) + number(bits, 2);
    } else {
      fields += number(width, 4) + number(height, 4) + number(planes, 2) + number(bits, 2) + number(compression, 4) +
                number(7, 4) + number(2835, 4) + number(2835, 4) + number(colours, 4) + number(0, 4) + masks;
      fields.resize(static_cast<size_t>(header) + (header == 40 ? masks.size() : 0), '\0');
    }
    const std::string before = fields + palette + gap;
    const auto at = offset < 0 ? static_cast<int64_t>(14 + before.size()) : offset;
    return "BM" + number(9, 4) + number(0, 4) + number(at, 4) + before + pixels;
  }
};

// Blue, green, red and a byte that does not count, for index i the colour (10 i, 10 i + 1, 10 i + 2).
std::string palette_of(int colours, int entry = 4) {
  std::string out;
  for (int i = 0; i < colours; ++i) out += number(10 * i + 2, 1) + number(10 * i + 1, 1) + number(10 * i, entry - 2);
  return out;
}
// Planes of an image whose pixels are those colours.
std::vector<uint8_t> indexed(const std::vector<int>& indices) {
  std::vector<uint8_t> out;
  for (int c = 0; c < 3; ++c)
    for (const int i : indices) out.push_back(static_cast<uint8_t>(10 * i + c));
  return out;
}
std::vector<uint8_t> pixels_of(const Bmp& bmp) {
  return decode(bmp.file()).to_vector<uint8_t>();
}

// Two rows of three pixels, the lower first; rows are filled up to four bytes.
const Bmp kOne{.width = 3, .height = 2, .bits = 1, .pixels = {"\xa0...\x40...", 8}, .palette = palette_of(2)};
const Bmp kTwo{.width = 3, .height = 2, .bits = 2, .pixels = {"\x1b...\xe4...", 8}, .palette = palette_of(4)};
const Bmp kFour{.width = 3, .height = 2, .bits = 4, .pixels = {"\x12\x3f..\x45\x6f..", 8}, .palette = palette_of(16)};
const Bmp kEight{.width = 3, .height = 2, .bits = 8, .pixels = {"\1\2\3.\4\5\6.", 8}, .palette = palette_of(25)};

TEST(ReadBmp, IndicesOfEveryDepth) {
  EXPECT_EQ(pixels_of(kOne), indexed({0, 1, 0, 1, 0, 1}));
  EXPECT_EQ(pixels_of(kTwo), indexed({3, 2, 1, 0, 1, 2}));
  EXPECT_EQ(pixels_of(kFour), indexed({4, 5, 6, 1, 2, 3}));
  Bmp eight = kEight;
  eight.colours = 25;
  EXPECT_EQ(pixels_of(eight), indexed({4, 5, 6, 1, 2, 3}));
}

TEST(ReadBmp, HeadersOfEverySize) {
  for (const int header : {12, 16, 24, 40, 48, 64, 108, 124}) {
    Bmp bmp = kFour;
    bmp.header = header;
    if (header == 12) bmp.palette = palette_of(16, 3);
    EXPECT_EQ(pixels_of(bmp), indexed({4, 5, 6, 1, 2, 3})) << header;
  }
  for (const int header : {0, 3, 11, 13, 65, 66, 107, 125, 1 << 20}) {
    Bmp bmp = kFour;
    bmp.header = 40;
    std::string file = bmp.file() + std::string(200, '\0');
    file.replace(14, 4, number(header, 4));
    EXPECT_EQ(refusal_of(file),
              concat("[decode_image] expected a BMP with a header of 12, 16 to 64, 108 or 124 bytes in "
                     "'f', got one of ",
                     header));
  }
}

TEST(ReadBmp, ThePaletteIsWhatLiesBeforeThePixels) {
  Bmp bmp = kEight;  // its header does not say how many colours it has: 256, of which there is room for 25
  EXPECT_EQ(pixels_of(bmp), indexed({4, 5, 6, 1, 2, 3}));
  bmp.pixels[2] = 25;
  EXPECT_EQ(refusal_of(bmp.file()), damaged("a colour that the palette lacks"));
  bmp = kEight;
  bmp.gap = "something else";
  bmp.colours = 25;
  EXPECT_EQ(pixels_of(bmp), indexed({4, 5, 6, 1, 2, 3}));
  bmp.palette = palette_of(256) + palette_of(44);  // more than there are indices
  bmp.colours = 300;
  EXPECT_EQ(pixels_of(bmp), indexed({4, 5, 6, 1, 2, 3}));
  bmp.colours = 305402420;
  EXPECT_EQ(refusal_of(bmp.file()), damaged("a palette of 305402420 colours"));
  bmp = kEight;  // programs that forget the palette in saying where the pixels are, or say nothing
  bmp.colours = 25;
  for (const int64_t offset : {54, 0}) {
    bmp.offset = offset;
    EXPECT_EQ(pixels_of(bmp), indexed({4, 5, 6, 1, 2, 3})) << offset;
  }
  bmp.offset = 53;
  EXPECT_EQ(refusal_of(bmp.file()), damaged("pixels that begin within the header"));
}

TEST(ReadBmp, ColoursWithoutPalette) {
  const std::vector<uint8_t> two{'c', 'f', 'b', 'e', 'a', 'd'};
  Bmp bmp{.width = 2, .height = 1, .bits = 24, .pixels = "abcdef.."};
  EXPECT_EQ(pixels_of(bmp), two);
  bmp.palette = palette_of(17);  // a suggestion for screens of few colours
  bmp.colours = 17;
  EXPECT_EQ(pixels_of(bmp), two);
  EXPECT_EQ(pixels_of({.width = 2, .height = 1, .bits = 24, .pixels = "abcdef..", .header = 12}), two);
  EXPECT_EQ(pixels_of({.width = 2, .height = 1, .bits = 32, .pixels = std::string("abc\0def\xff", 8)}), two);
  EXPECT_EQ(pixels_of({.width = 1, .height = -2, .bits = 24, .pixels = "abc.def."}), two) << "from the top";
}

// The samples of 16 and 32 bits: value * 255 / largest, cut.
TEST(ReadBmp, Masks) {
  const auto masks = [](std::initializer_list<int64_t> values) {
    std::string out;
    for (const int64_t v : values) out += number(v, 4);
    return out;
  };
  const auto colour = [](int r, int g, int b) {
    return std::vector<uint8_t>{static_cast<uint8_t>(r), static_cast<uint8_t>(g), static_cast<uint8_t>(b)};
  };
  const std::string word = number(0b1'00011'11110'00001, 2) + "..";
  EXPECT_EQ(pixels_of({.width = 1, .height = 1, .bits = 16, .pixels = word}), colour(24, 246, 8));
  const std::string rgb565 = masks({0xF800, 0x7E0, 0x1F}), rgb10 = masks({0x3FF00000, 0xFFC00, 0x3FF});
  EXPECT_EQ(pixels_of({.width = 1,
                       .height = 1,
                       .bits = 16,
                       .compression = 3,
                       .pixels = number(0b00011'111110'00001, 2) + "..",
                       .masks = rgb565}),
            colour(24, 250, 8));
  for (const int header : {40, 52, 56, 108, 124})
    EXPECT_EQ(pixels_of({.width = 1,
                         .height = 1,
                         .bits = 32,
                         .compression = 3,
                         .pixels = number(int64_t{1023} << 20 | 512 << 10 | 3, 4),
                         .header = header,
                         .masks = rgb10}),
              colour(255, 127, 0))
        << header;
  const std::string with_alpha = masks({0xFF, 0xFF00, 0xFF0000, 0xFF000000});
  EXPECT_EQ(pixels_of({.width = 1, .height = 1, .bits = 32, .compression = 6, .pixels = "abcd", .masks = with_alpha}),
            colour('a', 'b', 'c'));
  EXPECT_EQ(
      pixels_of({.width = 1, .height = 1, .bits = 32, .compression = 3, .pixels = "abcd", .masks = masks({0, 0, 0})}),
      colour('c', 'b', 'a'));
  const std::vector<std::string> wrong{masks({0xFF00, 0xFF, 0}), masks({0xF0F, 0x30, 0x3000}),
                                       masks({0xFF, 0xFF0, 0xF000}), masks({0x1F0000, 0x3E0, 0x1F})};
  for (const std::string& broken : wrong)
    EXPECT_EQ(refusal_of(
                  Bmp{.width = 1, .height = 1, .bits = 16, .compression = 3, .pixels = "abcd", .masks = broken}.file()),
              damaged("masks of colours that are empty, in pieces or overlap"));
}

// Rows of 8, from the bottom: a run, pixels as they are (an odd number), the end of the row, a jump, the end.
TEST(ReadBmp, Runs) {
  Bmp bmp{.width = 8, .height = 3, .bits = 8, .compression = 1, .palette = palette_of(16)};
  bmp.pixels = std::string("\3\1\0\3\4\5\6\0\2\2\0\0", 12) + std::string("\1\7\0\2\4\0\2\x0b\0\0", 10) +
               std::string("\x08\x0c\0\1", 4);
  const std::vector<int> bottom{1, 1, 1, 4, 5, 6, 2, 2}, middle{7, 0, 0, 0, 0, 11, 11, 0}, top(8, 12);
  const auto stacked = [](std::initializer_list<std::vector<int>> rows) {
    std::vector<int> all;
    for (const auto& row : rows) all.insert(all.end(), row.begin(), row.end());
    return indexed(all);
  };
  EXPECT_EQ(pixels_of(bmp), stacked({top, middle, bottom}));
  bmp.height = -3;
  EXPECT_EQ(pixels_of(bmp), stacked({bottom, middle, top}));
  bmp.height = 3;
  bmp.pixels.resize(bmp.pixels.size() - 2);  // the mark of the end says nothing that is not known by then
  EXPECT_EQ(pixels_of(bmp), stacked({top, middle, bottom}));

  bmp.bits = 4;
  bmp.compression = 2;
  bmp.pixels = std::string("\5\x12\0\3\x34\x5f\0\0", 8) + std::string("\1\x70\0\2\1\1\5\x98\0\1", 10);
  EXPECT_EQ(pixels_of(bmp), stacked({{0, 0, 9, 8, 9, 8, 9, 0}, {7, 0, 0, 0, 0, 0, 0, 0}, {1, 2, 1, 2, 1, 3, 4, 5}}));
}

TEST(ReadBmp, RunsThatLeaveTheImageAreRefused) {
  Bmp bmp{.width = 8, .height = 2, .bits = 8, .compression = 1, .palette = palette_of(16)};
  const auto with = [&](const std::string& runs) {
    bmp.pixels = runs;
    return refusal_of(bmp.file());
  };
  EXPECT_EQ(with(std::string("\x09\1\0\1", 4)), damaged("a run beyond the end of its row"));
  EXPECT_EQ(with(std::string("\6\1\0\3\1\1\1\0\0\1", 10)), damaged("a run beyond the end of its row"));
  EXPECT_EQ(with(std::string("\0\0\0\0\1\1\0\1", 8)), damaged("a run beyond the end of its row"));
  EXPECT_EQ(with(std::string("\0\0\0\0\0\0\0\1", 8)), damaged("too many rows"));
  EXPECT_EQ(with(std::string("\0\2\x09\0\0\1", 6)), damaged("a jump out of the image"));
  EXPECT_EQ(with(std::string("\0\2\0\3\0\1", 6)), damaged("a jump out of the image"));
  EXPECT_EQ(with(std::string("\x08\x10\0\0\x08\1\0\1", 8)), damaged("a colour that the palette lacks"));
}

// Wherever the file is cut, except in the bytes that fill up its last row.
TEST(ReadBmp, ACutFileIsRefused) {
  const Bmp runs{.width = 8,
                 .height = 2,
                 .bits = 8,
                 .compression = 1,
                 .pixels = {"\x08\1\0\0\0\x08"
                            "abcdefgh",
                            14},
                 .palette = palette_of(256)};
  const Bmp masked{.width = 2,
                   .height = 2,
                   .bits = 32,
                   .compression = 3,
                   .pixels = "abcdefghijklmnop",
                   .masks = number(0xFF, 4) + number(0xFF00, 4) + number(0xFF0000, 4)};
  const Bmp colours{.width = 3, .height = 2, .bits = 24, .pixels = "abcdefghi...ABCDEFGHI..."};
  const Bmp words{.width = 3, .height = -2, .bits = 16, .pixels = "abcdef..ABCDEF..", .header = 124};
  const auto check = [](const std::string& file, size_t filling) {
    EXPECT_GT(decode(file).numel(), 0);
    for (size_t n = 0; n + filling < file.size(); ++n) EXPECT_NE(refusal_of(file.substr(0, n)), "") << n;
    for (size_t n = file.size() - filling; n < file.size(); ++n)
      EXPECT_EQ(decode(file.substr(0, n)).to_vector<uint8_t>(), decode(file).to_vector<uint8_t>());
  };
  check(kOne.file(), 3);
  check(kTwo.file(), 3);
  check(kFour.file(), 2);
  check(kEight.file(), 1);
  check(colours.file(), 3);
  check(words.file(), 2);
  check(masked.file(), 0);
  check(runs.file(), 0);
  EXPECT_EQ(refusal_of(colours.file().substr(0, 60)), damaged("pixels up to byte 75, of which there are 60"));
}

TEST(ReadBmp, KindsThatAreNotReadAreNamed) {
  const auto sentence = [](const std::string& wanted, const std::string& got) {
    return "[decode_image] expected " + wanted + " in 'f', got " + got;
  };
  const std::string kinds = "a BMP without compression, with runs (RLE4, RLE8) or with masks";
  const auto of = [](int bits, int compression, int header = 40, int planes = 1) {
    return refusal_of(Bmp{.width = 1,
                          .height = 1,
                          .bits = bits,
                          .compression = compression,
                          .pixels = std::string(64, 'x'),
                          .palette = palette_of(2),
                          .header = header,
                          .planes = planes}
                          .file());
  };
  EXPECT_EQ(of(0, 4), sentence(kinds, "one that wraps a JPEG"));
  EXPECT_EQ(of(0, 5), sentence(kinds, "one that wraps a PNG"));
  EXPECT_EQ(of(24, 4, 64), sentence(kinds, "one with runs of 24 bits (RLE24)"));
  EXPECT_EQ(of(1, 3, 64), sentence(kinds, "one with Huffman codes"));
  EXPECT_EQ(of(24, 11), sentence(kinds, "one with compression 11"));
  EXPECT_EQ(of(64, 0), sentence("a BMP of 1, 2, 4, 8, 16, 24 or 32 bits a pixel", "one of 64"));
  EXPECT_EQ(of(0, 0), sentence("a BMP of 1, 2, 4, 8, 16, 24 or 32 bits a pixel", "one of 0"));
  EXPECT_EQ(of(8, 2), damaged("compression 2 of 8 bits a pixel"));
  EXPECT_EQ(of(24, 0, 40, 0), damaged("0 planes"));
}

TEST(ReadBmp, SizesAreChecked) {
  const auto of = [](int width, int height) {
    return refusal_of(Bmp{.width = width, .height = height, .bits = 24, .pixels = std::string(64, 'x')}.file());
  };
  const std::string limit = "[decode_image] expected an image of 1 to 64000000 pixels in 'f', got ";
  EXPECT_EQ(of(-3, 2), limit + "-3 x 2");
  EXPECT_EQ(of(0, 2), limit + "0 x 2");
  EXPECT_EQ(of(3, 0), limit + "3 x 0");
  EXPECT_EQ(of(2147483647, 2147483647), limit + "2147483647 x 2147483647");
  EXPECT_EQ(of(1, std::numeric_limits<int>::min()), limit + "1 x 2147483648");
  EXPECT_EQ(of(8000, 8000),
            "[decode_image] expected the pixels of a 8000 x 8000 image in 'f', got a file of only 118 bytes");
  EXPECT_EQ(of(1000, 30), damaged("pixels up to byte 90054, of which there are 118"));
}

}  // namespace
}  // namespace tern
