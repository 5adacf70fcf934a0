#include <array>

#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/data/decode_image.h>
#include <tern/data/image_folder.h>
#include <tern/data/loader.h>

#include "data/image_support.h"
#include "data/image_writer.h"
#include "data/support.h"

namespace tern {
namespace {

std::vector<uint8_t> pixels(int width, int height, int channels) {
  std::vector<uint8_t> out(static_cast<size_t>(width * height * channels));
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint8_t>(i * 11 + i / 7);
  return out;
}

// Planes [3, H, W] as the decoder should give them.
std::vector<uint8_t> planes(const std::vector<uint8_t>& rows, int width, int height, int channels) {
  std::vector<uint8_t> out;
  for (int c = 0; c < 3; ++c)
    for (int i = 0; i < width * height; ++i)
      out.push_back(rows[static_cast<size_t>(i * channels + (channels >= 3 ? c : 0))]);
  return out;
}

TEST(DecodeImage, PngAndBmpAreExact) {
  for (const int channels : {1, 2, 3, 4})
    for (const auto& [width, height] : {std::pair{1, 1}, {7, 5}, {40, 3}}) {
      const auto rows = pixels(width, height, channels);
      const Tensor png = decode(test::png_of(rows, width, height, channels));
      EXPECT_EQ(png.shape(), (Shape{3, height, width}));
      EXPECT_EQ(png.to_vector<uint8_t>(), planes(rows, width, height, channels)) << channels;
      if (channels == 3) {
        EXPECT_EQ(decode(test::bmp_of(rows, width, height, 3)).to_vector<uint8_t>(), planes(rows, width, height, 3));
      }
    }
}

TEST(DecodeImage, JpegIsClose) {
  std::vector<uint8_t> rows;
  for (int y = 0; y < 16; ++y)
    for (int x = 0; x < 24; ++x)
      for (int c = 0; c < 3; ++c) rows.push_back(static_cast<uint8_t>(40 + 5 * x + 3 * y + 10 * c));
  const auto got = decode(test::jpg_of(rows, 24, 16, 3, 95)).to_vector<uint8_t>();
  const auto wanted = planes(rows, 24, 16, 3);
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 8);
}

TEST(DecodeImage, RowsOfABmpMayGoFromTopToBottom) {
  const auto rows = pixels(7, 5, 3);
  std::string file = test::bmp_of(rows, 7, 5, 3);
  // A height of -5: the rows of the file, of which the lowest came first, now begin with the highest.
  file.replace(22, 4, "\xfb\xff\xff\xff");
  std::vector<uint8_t> turned;
  for (int y = 4; y >= 0; --y) turned.insert(turned.end(), rows.begin() + y * 21, rows.begin() + (y + 1) * 21);
  EXPECT_EQ(decode(file).to_vector<uint8_t>(), planes(turned, 7, 5, 3));
  file.replace(22, 4, std::string("\0\0\0\x80", 4));
  EXPECT_THROW(static_cast<void>(decode(file)), FormatError);
}

TEST(DecodeImage, LargeImagesOfAnyShapeAreRead) {
  for (const auto& [width, height, channels] :
       {std::array{900, 700, 4}, {1, 1'000'000, 1}, {1'000'000, 1, 1}, {3000, 2, 3}}) {
    const std::vector<uint8_t> rows(static_cast<size_t>(width * height * channels), 200);
    EXPECT_EQ(decode(test::png_of(rows, width, height, channels)).shape(), (Shape{3, height, width}));
    if (width > 65'535 || height > 65'535) continue;
    EXPECT_EQ(decode(test::jpg_of(rows, width, height, channels, 50)).shape(), (Shape{3, height, width}));
    EXPECT_EQ(decode(test::bmp_of(rows, width, height, channels)).shape(), (Shape{3, height, width}));
  }
}

TEST(DecodeImage, OtherContentIsRefused) {
  const std::pair<std::string, const char*> contents[] = {
      {"", "an empty file"},
      {"x", "other content"},
      {"P6 1 1 255 abc", "other content"},
      {"GIF89a.............", "a GIF image"},
      {"RIFF....WEBPVP8 ", "a WebP image"},
      {std::string("\0\0\0 ftypavif", 12), "an AVIF image"},
      {std::string("II*\0\x08", 5), "a TIFF image"},
      {std::string("\0\0\0\x0cjP  \r\n", 10), "a JPEG 2000 image"},
      {"<!DOCTYPE html><html>404", "an HTML page"},
      {"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer; fetch what it stands for with git lfs pull"},
  };
  for (const auto& [content, name] : contents)
    EXPECT_EQ(sentence_of<FormatError>([&content = content] { static_cast<void>(decode(content)); }),
              concat("[decode_image] expected a PNG, JPEG or BMP image in 'f', got ", name));
}

TEST(DecodeImage, SizeIsCappedBeforeDecoding) {
  const std::string png = test::png_of(pixels(20, 10, 3), 20, 10, 3);
  EXPECT_EQ(sentence_of<FormatError>([&] { static_cast<void>(decode(png, {.max_pixels = 199})); }),
            "[decode_image] expected an image of 1 to 199 pixels in 'f', got 20 x 10");
  EXPECT_EQ(sentence_of<FormatError>([&] { static_cast<void>(decode(png, {.max_file_bytes = 10})); }),
            concat("[decode_image] expected at most 10 bytes in 'f', got ", png.size()));
  const std::string rest = png.substr(33);
  const std::string lie = test::png_head(8000, 8000, 8, 2) + rest;
  EXPECT_EQ(sentence_of<FormatError>([&] { static_cast<void>(decode(lie)); }),
            concat("[decode_image] expected the pixels of a 8000 x 8000 image in 'f', got a file of only ", png.size(),
                   " bytes"));
  const std::string huge = test::png_head(60000, 60000, 8, 2) + rest;
  EXPECT_EQ(sentence_of<FormatError>([&] { static_cast<void>(decode(huge, {.max_pixels = 1000})); }),
            "[decode_image] expected an image of 1 to 1000 pixels in 'f', got 60000 x 60000");
  std::string jpg = test::jpg_of(pixels(16, 16, 3), 16, 16, 3, 80);
  const size_t frame = jpg.find("\xff\xc0");  // its height and width stand 5 bytes on
  ASSERT_NE(frame, std::string::npos);
  jpg.replace(frame + 5, 4, "\xea\x60\xea\x60");
  for (const int64_t most : {int64_t{1000}, data::ImageLimits().max_pixels})
    EXPECT_EQ(sentence_of<FormatError>([&] { static_cast<void>(decode(jpg, {.max_pixels = most})); }),
              concat("[decode_image] expected an image of 1 to ", most, " pixels in 'f', got 60000 x 60000"));
}

// Data are unpacked as rows need them: what a file claims beyond is not read, nor room made for it.
TEST(DecodeImage, AFileCannotAskForMoreThanItsImageNeeds) {
  const auto refused = [](const std::string& file, const char* reason) {
    EXPECT_EQ(sentence_of<FormatError>([&] { static_cast<void>(decode(file)); }),
              concat("[decode_image] expected a whole image in 'f', got a damaged one (", reason, ")"));
  };
  // 16 MiB of zeros in some 100 KiB, in a file that says it is an image of one pixel.
  const std::string zeros = test::png_of(std::vector<uint8_t>(size_t{1} << 24), 1 << 12, 1 << 12, 1);
  ASSERT_LT(zeros.size(), size_t{1} << 18);
  refused(test::png_head(1, 1, 8, 0) + zeros.substr(33), "IDAT: Too much image data");
  // A chunk of data that says it is 1.5 GB long.
  std::string chunk = test::png_of(std::vector<uint8_t>(12), 2, 2, 3);
  const auto data_size = [](const std::string& png) { return png.find("IDAT") - 4; };
  chunk.replace(data_size(chunk), 4, "\x5b\0\0\0", 4);
  refused(chunk, "the file ends early");
  // The same of 64 MiB, in a file of an image that is wide and low.
  std::string wide = test::png_of(pixels(9, 9, 3), 9, 9, 3);
  wide.replace(data_size(wide), 4, std::string("\4\0\0\0", 4));
  refused(test::png_head(65556, 12, 8, 2) + wide.substr(33), "the file ends early");
}

// Nothing of one image comes into another: what a damaged file leaves open is the same every time.
TEST(DecodeImage, WhatADamagedJpegLacksIsNotTakenFromMemory) {
  const std::string noise = test::jpg_of(pixels(64, 64, 3), 64, 64, 3, 95);
  std::string file = test::jpg_of(std::vector<uint8_t>(64 * 64 * 3, 90), 64, 64, 3, 95);
  const size_t scan = file.find("\xff\xda"), tables = file.find("\xff\xc4");
  ASSERT_TRUE(tables < scan && scan < file.size());
  EXPECT_EQ(sentence_of<FormatError>([&] { static_cast<void>(decode(file.substr(0, scan) + "\xff\xd9")); }),
            "[decode_image] expected a whole image in 'f', got a damaged one (Invalid JPEG file structure: missing SOS "
            "marker)");
  const auto outcome = [](const std::string& damaged) {
    try {
      return decode(damaged).to_vector<uint8_t>();
    } catch (const FormatError&) {
      return std::vector<uint8_t>();
    }
  };
  const std::string no_tables = file.substr(0, tables) + file.substr(scan),
                    half = file.substr(0, scan + 40) + "\xff\xd9";
  for (const std::string& damaged : {no_tables, half}) {
    const auto first = outcome(damaged);
    static_cast<void>(decode(noise));
    EXPECT_EQ(outcome(damaged), first);
  }
}

TEST(DecodeImage, TruncationsAndRandomChangesAreReadOrRefused) {
  std::mt19937 random(2);
  for (const std::string& whole :
       {test::png_of(pixels(9, 6, 3), 9, 6, 3), test::jpg_of(pixels(16, 16, 3), 16, 16, 3, 80),
        test::bmp_of(pixels(9, 6, 3), 9, 6, 3)}) {
    for (size_t n = 0; n < whole.size(); ++n) {
      try {
        const Tensor image = decode(whole.substr(0, n));
        EXPECT_LE(image.numel(), 3 * 16 * 16);
      } catch (const FormatError&) {
      }
    }
    for (int round = 0; round < 1500; ++round) {
      std::string file = whole;
      for (unsigned changes = 1 + random() % 4; changes > 0; --changes)
        file[random() % file.size()] = static_cast<char>(random());
      try {
        EXPECT_LE(decode(file, {.max_pixels = 100'000}).numel(), 300'000);
      } catch (const FormatError&) {
      }
    }
  }
}

TEST(ImageFolder, ClassesAndFilesInOrderOfTheirNames) {
  const ScratchDir dir;
  const auto put = [&](const std::string& path, uint8_t value) {
    std::filesystem::create_directories(std::filesystem::path(dir / path).parent_path());
    write_raw(dir / path, test::png_of({value, value, value}, 1, 1, 3));
  };
  put("dog/b.png", 3);
  put("dog/a.PNG", 2);
  put("dog/sub/c.png", 4);
  put("cat/z.bmp.jpeg", 1);  // the content decides how it is read
  put("cat/.hidden.png", 9);
  put(".git/x.png", 9);
  write_raw(dir / "cat/notes.txt", "not an image");
  write_raw(dir / "readme.png", "not in a class");
  const data::ImageFolder folder(dir.path());
  EXPECT_EQ(folder.class_names(), (std::vector<std::string>{"cat", "dog"}));
  ASSERT_EQ(folder.size(), 4);
  for (int64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(folder.get(i).image.to_vector<int64_t>(), std::vector<int64_t>(3, i + 1));
    EXPECT_EQ(folder.label(i), i == 0 ? 0 : 1);
    EXPECT_EQ(folder.get(i).label, folder.label(i));
  }
  EXPECT_EQ(folder.path(1), dir / "dog/a.PNG");
  EXPECT_EQ(sentence_of<ValueError>([&] { static_cast<void>(folder.get(4)); }),
            "[image_folder] expected an index in [0, 4), got 4");

  write_raw(dir / "dog/d.png", "broken");
  const data::ImageFolder broken(dir.path());
  data::DataLoader loader(broken, {.batch_size = 5, .workers = 1});
  EXPECT_EQ(sentence_of<FormatError>([&] {
              for (const auto& batch : loader) static_cast<void>(batch);
            }),
            "[decode_image] expected a PNG, JPEG or BMP image in '" + dir / "dog/d.png" + "', got other content");
}

TEST(ImageFolder, TheFingerprintIsOfTheFilesContents) {
  const ScratchDir dir;
  constexpr size_t kEnd = 16 << 10, kLarge = 2 * kEnd + 1000;
  const auto put = [&](const std::string& path, const std::string& content) {
    std::filesystem::create_directories(std::filesystem::path(dir / path).parent_path());
    write_raw(dir / path, content);
  };
  const auto of = [&](const std::string& root) { return data::ImageFolder(dir / root).fingerprint(); };
  const std::string small(2 * kEnd, 's'), large(kLarge, 'l');
  for (const std::string root : {"here/", "elsewhere/deeper/"}) {
    put(root + "cat/a.png", small);
    put(root + "dog/b.png", large);
    put(root + "dog/empty.png", "");
  }
  const uint64_t fresh = of("here");
  EXPECT_EQ(of("here"), fresh);
  EXPECT_EQ(of("elsewhere/deeper"), fresh) << "the same files in another place";

  const auto with = [&](const std::string& path, std::string content, size_t at) {
    const std::string whole = content;
    content[at] = '!';
    put(path, content);
    const uint64_t changed = of("here");
    put(path, whole);
    EXPECT_EQ(of("here"), fresh);
    return changed;
  };
  for (const size_t at : {size_t{0}, kEnd, 2 * kEnd - 1}) EXPECT_NE(with("here/cat/a.png", small, at), fresh) << at;
  for (const size_t at : {size_t{0}, kEnd - 1, kLarge - kEnd, kLarge - 1})
    EXPECT_NE(with("here/dog/b.png", large, at), fresh) << at;
  EXPECT_EQ(with("here/dog/b.png", large, kLarge / 2), fresh) << "as far as it goes";

  put("here/dog/b.png", large + "l");
  EXPECT_NE(of("here"), fresh);
  put("here/dog/b.png", large);
  std::filesystem::rename(dir / "here/dog/b.png", dir / "here/dog/c.png");
  EXPECT_NE(of("here"), fresh);

  const data::ImageFolder folder(dir / "elsewhere/deeper");
  std::filesystem::remove(dir / "elsewhere/deeper/dog/b.png");
  EXPECT_EQ(sentence_of<IoError>([&] { static_cast<void>(folder.fingerprint()); }),
            "[image_folder] cannot open '" + dir / "elsewhere/deeper/dog/b.png" + "': No such file or directory");
}

TEST(ImageFolder, WhatIsMissingIsNamed) {
  const ScratchDir dir;
  EXPECT_EQ(sentence_of<IoError>([&] { data::ImageFolder(dir / "no"); }),
            "[image_folder] cannot read '" + dir / "no" + "': No such file or directory");
  EXPECT_EQ(sentence_of<IoError>([&] { data::ImageFolder(dir.path()); }),
            "[image_folder] expected a directory for each class in '" + dir.path().string() + "', got none");
  std::filesystem::create_directory(dir / "cat");
  EXPECT_EQ(sentence_of<IoError>([&] { data::ImageFolder(dir.path()); }),
            "[image_folder] expected images (.png, .jpg, .jpeg, .bmp) in '" + dir / "cat" + "', got none");
  EXPECT_EQ(sentence_of<IoError>([&] { static_cast<void>(data::load_image(dir / "x.png")); }),
            "[load_image] cannot open '" + dir / "x.png" + "': No such file or directory");
}

}  // namespace
}  // namespace tern
