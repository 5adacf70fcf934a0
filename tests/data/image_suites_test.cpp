// Image files of others, against what PIL makes of them (tests/golden/data/images.json, tests/data/suites/README.md).
#include <cstdio>
#include <cstdlib>
#include <set>

#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/core/io/json.h>
#include <tern/data/decode_image.h>
#include <tern/data/image_folder.h>

#include "data/support.h"

namespace tern {
namespace {

namespace fs = std::filesystem;

// fnv1a64 of red, green and blue of each pixel, rows from the top.
std::string hash_of(const Tensor& image) {
  const uint8_t* planes = image.data<uint8_t>();
  const int64_t pixels = image.size(1) * image.size(2);
  uint64_t hash = 0xcbf29ce484222325;
  for (int64_t i = 0; i < pixels; ++i)
    for (int64_t c = 0; c < 3; ++c) hash = (hash ^ planes[c * pixels + i]) * 0x100000001b3;
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

// What was read in the notation of the golden file, or the sentence of the refusal.
std::string outcome(const std::string& path) {
  try {
    const Tensor image = data::load_image(path);
    return concat("[", image.size(2), ",", image.size(1), ",\"", hash_of(image), "\"]");
  } catch (const FormatError& error) {
    return error.what();
  }
}

io::Json expected_in(const std::string& path) {
  return io::Json::parse("golden", path, read_raw(path)).at("files");
}

// Damaged on purpose: a wrong sum, which PIL overlooks in an image's data.
const std::set<std::string> kPilOverlooks{"pngsuite/xcsn0g01.png"};

TEST(ImageSuites, EveryFileGivesThePixelsOfPilOrIsRefused) {
  const std::string suites = TERN_SOURCE_DIR "/tests/data/suites";
  std::set<std::string> known;
  const io::Json expected = expected_in(TERN_GOLDEN_DIR "/data/images.json");
  for (const auto& [name, pixels] : expected.members()) {
    known.insert(name);
    const std::string got = outcome(suites + "/" + name);
    if (pixels.is_null() || kPilOverlooks.contains(name)) {
      EXPECT_TRUE(got.starts_with("[decode_image] expected ")) << name << ": " << got;
    } else {
      EXPECT_EQ(got, pixels.dump()) << name;
    }
  }
  size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(suites)) {
    const std::string extension = entry.path().extension().string();
    if (extension != ".png" && extension != ".jpg") continue;
    ++files;
    EXPECT_TRUE(known.contains(fs::relative(entry.path(), suites).string())) << entry.path();
  }
  EXPECT_EQ(files, known.size());
  EXPECT_GE(files, 175U + 60U);
}

// For image_suite.sh: a directory, and what gen/images.py prints of it. Shows every difference; other pixels fail,
// unless PIL is known to be wrong.
TEST(ImageSuites, ADirectoryOfOnesChoice) {
  const char* directory = std::getenv("TERN_IMAGE_SUITE");
  const char* golden = std::getenv("TERN_IMAGE_SUITE_EXPECTED");
  if (directory == nullptr || golden == nullptr) GTEST_SKIP() << "for tests/data/image_suite.sh";
  // bmpsuite's runs with jumps and odd counts: Pillow 9.4 loses its place in them.
  const std::set<std::string> pil_is_wrong{"pal4rle.bmp", "pal4rlecut.bmp", "pal4rletrns.bmp", "pal8rlecut.bmp",
                                           "pal8rletrns.bmp"};
  int same = 0, other = 0, ours = 0, pils = 0, none = 0;
  const io::Json expected = expected_in(golden);
  for (const auto& [name, pixels] : expected.members()) {
    const std::string got = outcome((fs::path(directory) / name).string());
    const bool read = got.starts_with("[") && !got.starts_with("[decode_image]");
    const char* verdict = nullptr;
    if (read && pixels.is_null()) ++ours, verdict = "PIL refuses";
    if (!read && !pixels.is_null()) ++pils, verdict = "PIL reads";
    if (!read && pixels.is_null()) ++none, verdict = "PIL refuses as well";
    if (read && got == pixels.dump()) ++same;
    if (read && !pixels.is_null() && got != pixels.dump()) {
      const bool known = pil_is_wrong.contains(fs::path(name).filename().string());
      verdict = known ? "PIL loses its place in the runs" : "other pixels than PIL";
      if (!known) ADD_FAILURE() << name << " has other pixels";
      ++other;
    }
    if (verdict != nullptr) std::printf("%-28s %s; %s\n", name.c_str(), verdict, got.c_str());
  }
  std::printf("%d of the same pixels, %d of others, %d read by Tern alone, %d by PIL alone, %d by neither\n", same,
              other, ours, pils, none);
}

}  // namespace
}  // namespace tern
