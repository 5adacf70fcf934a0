#include <array>

#include "data/image_support.h"
#include "data/image_writer.h"

namespace tern {
namespace {

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int v : values) out += static_cast<char>(v);
  return out;
}
std::string segment(int marker, const std::string& data) {
  const auto size = static_cast<int>(data.size()) + 2;
  return bytes({0xFF, marker, size >> 8, size & 255}) + data;
}
std::string adobe(int transform) {
  return segment(0xEE, "Adobe" + bytes({0, 100, 0, 0, 0, 0, transform}));
}
const std::string kJpegStart = bytes({0xFF, 0xD8}), kJpegEnd = bytes({0xFF, 0xD9});

// A JPEG whose components have one value each: quantized by 8, so that a block's coefficient is value - 128; codes of
// four bits for the size of that number, and one bit that ends the block.
struct Flat {
  std::vector<int> values;
  int width = 8, height = 8;
  int restart = 0;
  std::string app = "";

  std::string tables() const {
    std::string sizes = bytes({0}) + bytes({0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    for (int i = 0; i < 12; ++i) sizes += static_cast<char>(i);
    const std::string ends = bytes({0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    return app + segment(0xDB, bytes({0, 8}) + std::string(63, '\1')) + segment(0xC4, sizes) + segment(0xC4, ends) +
           (restart > 0 ? segment(0xDD, bytes({0, restart})) : "");
  }
  std::string frame(int marker = 0xC0, int precision = 8) const {
    std::string data = bytes({precision, 0, height, 0, width, static_cast<int>(values.size())});
    for (size_t c = 0; c < values.size(); ++c) data += bytes({static_cast<int>(c) + 1, 0x11, 0});
    return segment(marker, data);
  }
  // The data of `blocks` blocks of these components, interleaved, from the start or after a restart.
  std::string blocks_of(const std::vector<int>& components, int blocks) const {
    std::string bits;
    const auto put = [&](int v, int count) {
      for (int i = count - 1; i >= 0; --i) bits += (v >> i & 1) != 0 ? '1' : '0';
    };
    for (int block = 0; block < blocks; ++block)
      for (const int c : components) {
        const int change = block == 0 ? values[static_cast<size_t>(c)] - 128 : 0;
        int size = 0;
        while (std::abs(change) >> size != 0) ++size;
        put(size, 4);
        put(change < 0 ? change + (1 << size) - 1 : change, size);
        put(0, 1);
      }
    while (bits.size() % 8 != 0) bits += '1';
    std::string out;
    for (size_t i = 0; i < bits.size(); i += 8) {
      out += static_cast<char>(std::stoi(bits.substr(i, 8), nullptr, 2));
      if (out.back() == '\xff') out += '\0';
    }
    return out;
  }
  std::string scan_head(const std::vector<int>& components) const {
    std::string data = bytes({static_cast<int>(components.size())});
    for (const int c : components) data += bytes({c + 1, 0});
    return segment(0xDA, data + bytes({0, 63, 0}));
  }
  std::vector<int> all() const {
    std::vector<int> components;
    for (size_t c = 0; c < values.size(); ++c) components.push_back(static_cast<int>(c));
    return components;
  }
  std::string scan(const std::vector<int>& components) const {
    const int blocks = (width + 7) / 8 * ((height + 7) / 8);
    if (restart == 0) return scan_head(components) + blocks_of(components, blocks);
    std::string out = scan_head(components);
    for (int done = 0; done < blocks; done += restart) {
      if (done > 0) out += bytes({0xFF, 0xD0 + done / restart % 8 - 1});
      out += blocks_of(components, std::min(restart, blocks - done));
    }
    return out;
  }
  std::string head() const { return kJpegStart + tables() + frame(); }
  std::string file() const { return head() + scan(all()) + kJpegEnd; }
};

std::vector<int64_t> colour_of(const std::string& file) {
  const auto v = decode(file).to_vector<int64_t>();
  return {v[0], v[v.size() / 3], v[2 * v.size() / 3]};
}

TEST(ReadJpeg, ComponentsAreTheColoursTheyAreMarkedAs) {
  using V = std::vector<int64_t>;
  EXPECT_EQ(colour_of(Flat{.values = {77}}.file()), (V{77, 77, 77}));
  EXPECT_EQ(colour_of(Flat{.values = {100, 128, 128}}.file()), (V{100, 100, 100}));
  EXPECT_EQ(colour_of(Flat{.values = {40, 80, 120}, .app = adobe(0)}.file()), (V{40, 80, 120}));
  // Pillow's values: as Adobe's programs write them, 255 is no ink.
  EXPECT_EQ(colour_of(Flat{.values = {40, 80, 120, 200}, .app = adobe(0)}.file()), (V{31, 63, 94}));
  EXPECT_EQ(colour_of(Flat{.values = {40, 80, 120, 200}, .app = adobe(2)}.file()), (V{177, 151, 200}));
}

// Without the marker readers differ: 31 63 94, 46 38 29 and 29 62 0 have all been seen for these values.
TEST(ReadJpeg, FourComponentsWithoutAMarkerAreNotGuessed) {
  EXPECT_EQ(refusal_of(Flat{.values = {40, 80, 120, 200}}.file()),
            "[decode_image] expected a JPEG of 4 components with Adobe's marker in 'f', got one without: whether its "
            "largest value is full ink or none is not known");
}

TEST(ReadJpeg, KindsThatAreNotReadAreNamed) {
  const Flat flat{.values = {100, 128, 128}};
  const auto with = [&](const std::string& frame) {
    return kJpegStart + flat.tables() + frame + flat.scan(flat.all()) + kJpegEnd;
  };
  const auto sentence = [](const std::string& wanted, const std::string& got) {
    return "[decode_image] expected " + wanted + " in 'f', got " + got;
  };
  EXPECT_EQ(refusal_of(with(flat.frame(0xC1, 12))), sentence("a JPEG of 8 bits a sample", "one of 12"));
  EXPECT_EQ(refusal_of(with(flat.frame(0xC3))), sentence("a baseline or progressive JPEG", "a lossless one"));
  EXPECT_EQ(refusal_of(with(flat.frame(0xC5))), sentence("a baseline or progressive JPEG", "a hierarchical one"));
  EXPECT_EQ(refusal_of(with(segment(0xDE, bytes({8, 0, 8, 0, 8, 1, 1, 0x11, 0})))),
            sentence("a baseline or progressive JPEG", "a hierarchical one"));
  EXPECT_EQ(refusal_of(Flat{.values = {1, 2}}.file()), sentence("a JPEG of 1, 3 or 4 components", "one of 2"));
  EXPECT_EQ(refusal_of(with(Flat{.values = {1, 2, 3}, .height = 0}.frame())),
            sentence("a JPEG that begins with its size", "one of 8 x 0 (a height that comes later is not read)"));
}

// libjpeg makes up what is missing and only warns.
TEST(ReadJpeg, ACutFileIsRefusedWhereverItIsCut) {
  const std::string suites = TERN_SOURCE_DIR "/tests/data/suites/jpeg/";
  for (const char* name : {"baseline", "progressive", "arithmetic", "grey", "cmyk", "restart_rows", "scans_separate"}) {
    const std::string file = read_raw(suites + name + ".jpg");
    ASSERT_GT(file.size(), 400U) << name;
    for (size_t n = 0; n < file.size(); ++n) EXPECT_NE(refusal_of(file.substr(0, n)), "") << name << " cut at " << n;
    EXPECT_EQ(decode(file + "what follows is passed over").numel(), 3 * 45 * 31);
  }
}

TEST(ReadJpeg, ACutScanWithAnEndBehindItIsRefused) {
  const std::string file = read_raw(TERN_SOURCE_DIR "/tests/data/suites/jpeg/baseline.jpg");
  const size_t scan = file.find(bytes({0xFF, 0xDA}));
  ASSERT_NE(scan, std::string::npos);
  for (size_t n = scan + 14; n + 3 < file.size(); ++n)
    EXPECT_EQ(refusal_of(file.substr(0, n) + kJpegEnd), damaged("Corrupt JPEG data: premature end of data segment"))
        << n;
}

TEST(ReadJpeg, EveryComponentNeedsAScan) {
  const Flat flat{.values = {40, 80, 120}, .app = adobe(0)};
  const std::string two = flat.head() + flat.scan({0}) + flat.scan({2});
  EXPECT_EQ(colour_of(two + flat.scan({1}) + kJpegEnd), (std::vector<int64_t>{40, 80, 120}));
  EXPECT_EQ(refusal_of(two + kJpegEnd), damaged("no scan of component 2 of 3"));
  EXPECT_EQ(refusal_of(flat.head() + kJpegEnd), damaged("Invalid JPEG file structure: missing SOS marker"));
  // A progressive file that lost its first scans has no mean values.
  const std::string file = read_raw(TERN_SOURCE_DIR "/tests/data/suites/jpeg/progressive.jpg");
  std::vector<size_t> scans;
  for (size_t at = file.find(bytes({0xFF, 0xDA})); at != std::string::npos; at = file.find(bytes({0xFF, 0xDA}), at + 2))
    scans.push_back(at);
  ASSERT_GT(scans.size(), 3U);
  const size_t tables = file.find(bytes({0xFF, 0xC4}), scans[0]);
  ASSERT_LT(tables, scans[1]);
  EXPECT_NE(refusal_of(file.substr(0, scans[0]) + file.substr(tables)), "");
}

TEST(ReadJpeg, BytesBetweenRestartsAreDamageAndBehindTheScanPadding) {
  const Flat flat{.values = {77}, .width = 32, .restart = 2};
  EXPECT_EQ(decode(flat.file()).shape(), (Shape{3, 8, 32}));
  std::string file = flat.file();
  file.insert(file.find(bytes({0xFF, 0xD0})), std::string(40, 'a'));
  EXPECT_EQ(refusal_of(file), damaged("Corrupt JPEG data: 40 extraneous bytes before marker 0xd0"));
  // Cameras and programs leave some before the end; every pixel is there by then.
  EXPECT_EQ(colour_of(flat.head() + flat.scan({0}) + "abc" + kJpegEnd), (std::vector<int64_t>{77, 77, 77}));
  file = flat.file();
  file.erase(file.find(bytes({0xFF, 0xD0})), 2);
  EXPECT_NE(refusal_of(file), "");
}

TEST(ReadJpeg, ScansWithoutEndAreRefused) {
  const Flat flat{.values = {40, 80, 120}};
  std::string file = flat.head();
  for (int i = 0; i < 600; ++i) file += flat.scan({i % 3});
  EXPECT_EQ(refusal_of(file + kJpegEnd), damaged("more than 500 scans"));
}

}  // namespace
}  // namespace tern
