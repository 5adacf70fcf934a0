// JSONTestSuite: what must be read, what must be refused, and what may be either (tests/core/suites/json).
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/io/json.h>

namespace tern {
namespace {

namespace fs = std::filesystem;

// The value; none where the text is refused.
std::optional<io::Json> read(const std::string& name, const std::string& text) {
  try {
    return io::Json::parse("test", name, text);
  } catch (const FormatError&) {
    return std::nullopt;
  }
}

TEST(JsonSuite, ReadsWhatIsJsonAndNothingElse) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(std::string(TERN_SOURCE_DIR) + "/tests/core/suites/json"))
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  EXPECT_EQ(files.size(), 316u);
  for (const fs::path& file : files) {
    std::ifstream in(file, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    const std::string name = file.filename().string();
    const std::optional<io::Json> value = read(name, text);
    if (name.starts_with("y_object_duplicated_key")) {  // our own rule: which of the two was meant cannot be known
      ASSERT_FALSE(value.has_value()) << name;
    } else if (name.starts_with("y_")) {
      ASSERT_TRUE(value.has_value()) << name;
    }
    if (name.starts_with("n_")) {
      ASSERT_FALSE(value.has_value()) << name;
    }
    if (!value.has_value()) continue;
    const std::optional<io::Json> again = read(name, value->dump());
    ASSERT_TRUE(again.has_value()) << name;
    EXPECT_EQ(*again, *value) << name << " does not come back";
  }
}

TEST(JsonSuite, DeepNestingIsRefused) {
  EXPECT_FALSE(read("n_structure_100000_opening_arrays", std::string(100'000, '[')).has_value());
  std::string objects;
  for (int i = 0; i < 50'000; ++i) objects += "[{\"\":";
  EXPECT_FALSE(read("n_structure_open_array_object", objects).has_value());
}

}  // namespace
}  // namespace tern
