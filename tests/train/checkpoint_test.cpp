#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/io/safetensors.h>
#include <tern/core/ops/create.h>
#include <tern/core/random.h>
#include <tern/nn/layers/linear.h>
#include <tern/train/weights/checkpoint.h>

#include "message_of.h"
#include "temporary_directory.h"

namespace tern::train {
namespace {

using tern::testing::TemporaryDirectory;

Checkpoint small_checkpoint() {
  manual_seed(1);
  Checkpoint checkpoint;
  checkpoint.weights.insert("conv.weight", randn({4, 3, 3, 3}));
  checkpoint.weights.insert("bn.num_batches_tracked", zeros({}, DType::kI64));
  checkpoint.state.insert("optimizer.momentum", randn({4, 3, 3, 3}));
  checkpoint.metadata["tern.config"] = "{\"epochs\":3}";
  return checkpoint;
}

bool same(const Checkpoint& a, const Checkpoint& b) {
  const auto same_tensors = [](const io::TensorMap& x, const io::TensorMap& y) {
    if (x.size() != y.size()) return false;
    for (size_t i = 0; i < x.size(); ++i) {
      if (x[i].first != y[i].first || x[i].second.dtype() != y[i].second.dtype() ||
          x[i].second.shape() != y[i].second.shape() ||
          std::memcmp(x[i].second.raw(), y[i].second.raw(), static_cast<size_t>(x[i].second.bytes())) != 0)
        return false;
    }
    return true;
  };
  return same_tensors(a.weights, b.weights) && same_tensors(a.state, b.state) && a.metadata == b.metadata;
}

TEST(Checkpoint, EveryTruncationIsRefused) {
  TemporaryDirectory directory;
  const std::string path = directory / "a.safetensors";
  save_checkpoint(path, small_checkpoint());
  const std::string bytes = io::read_file("test", path);
  for (size_t length = bytes.size(); length-- > 0;) {
    std::filesystem::resize_file(path, length);
    EXPECT_THROW((void)load_checkpoint(path), FormatError) << length;
  }
}

TEST(Checkpoint, AChangedByteIsDetectedOrHarmless) {
  TemporaryDirectory directory;
  const std::string path = directory / "a.safetensors";
  save_checkpoint(path, small_checkpoint());
  const std::string bytes = io::read_file("test", path);
  const Checkpoint good = load_checkpoint(path);
  Generator random(7);
  int refused = 0, harmless = 0;
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  const auto put = [&](size_t at, char c) {
    file.seekp(static_cast<std::streamoff>(at));
    file.put(c).flush();
  };
  for (int i = 0; i < 10000; ++i) {
    const size_t at = random.below(bytes.size());
    put(at, static_cast<char>(bytes[at] ^ static_cast<char>(1 + random.below(255))));
    try {
      ASSERT_TRUE(same(load_checkpoint(path), good)) << "change " << i;
      ++harmless;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
      ++refused;
    }
    put(at, bytes[at]);
  }
  EXPECT_GT(refused, 9000);
  EXPECT_EQ(refused + harmless, 10000);
}

TEST(Checkpoint, TheChecksumCoversNamesTypesShapesElementsAndMetadata) {
  const Tensor x = zeros({2, 6});
  const std::string base = checksum({{"x", x}}, {{"a", "b"}});
  EXPECT_EQ(checksum({{"x", x.clone()}}, {{"a", "b"}, {meta::kChecksum, "whatever"}}), base);
  Tensor other = zeros({2, 6});
  other.data<float>()[11] = 1;
  std::set<std::string> all{base};
  for (const io::TensorMap& tensors :
       {io::TensorMap{{"y", x}}, io::TensorMap{{"x", zeros({2, 6}, DType::kI32)}}, io::TensorMap{{"x", zeros({6, 2})}},
        io::TensorMap{{"x", zeros({12})}}, io::TensorMap{{"x", other}}, io::TensorMap{}})
    EXPECT_TRUE(all.insert(checksum(tensors, {{"a", "b"}})).second);
  for (const io::Metadata& metadata :
       {io::Metadata{}, io::Metadata{{"a", "c"}}, io::Metadata{{"b", "b"}}, io::Metadata{{"ab", ""}}})
    EXPECT_TRUE(all.insert(checksum({{"x", x}}, metadata)).second);
}

TEST(Checkpoint, SaysWhatIsWrongWithIt) {
  TemporaryDirectory directory;
  const std::string path = directory / "a.safetensors";
  save_checkpoint(path, small_checkpoint());
  const io::SafetensorsContent content = io::load_safetensors(path);
  EXPECT_EQ(content.metadata.at(meta::kChecksum), checksum(content.tensors, content.metadata));
  const auto expect = [&](const std::string& key, const std::string& value, const std::string& text) {
    io::Metadata metadata = content.metadata;
    if (value.empty())
      metadata.erase(key);
    else
      metadata[key] = value;
    io::save_safetensors(path, content.tensors, metadata);
    try {
      (void)load_checkpoint(path);
      ADD_FAILURE() << "nothing was thrown for " << key << " = " << value;
    } catch (const FormatError& error) {
      EXPECT_EQ(std::string(error.what()).find("[checkpoint] expected "), 0u) << error.what();
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  };
  expect(meta::kFormat, "2", "expected a file of format 1 or before in " + path + ", got format 2, written by Tern ");
  expect(meta::kFormat, "one", "expected the number of a format in " + path + ", got \"one\"");
  expect(meta::kFormat, "", "expected the number of a format in " + path + ", got none");
  expect(meta::kChecksum, "0123456789abcdef", "expected content with the checksum 0123456789abcdef in " + path);
  expect(meta::kChecksum, "", "expected content with the checksum that the file lacks in " + path);
  expect(meta::kConfig, "{}", "; the file is damaged");
}

TEST(Checkpoint, WhatDoesNotFitNamesTheFile) {
  TemporaryDirectory directory;
  const std::string path = directory / "a.safetensors";
  const auto linear = nn::make<nn::Linear>(nn::Linear::Options{.in_features = 2, .out_features = 3, .bias = false});
  save_checkpoint(path, {.weights = {{"weight", ones({3, 2})}, {"other", ones({1})}}, .state = {}, .metadata = {}});
  const Checkpoint read = load_checkpoint(path);
  EXPECT_EQ(tern::test::message_of<FormatError>([&] { (void)read.metadata_at(meta::kPreprocessing); }),
            "[checkpoint] expected metadata \"tern.preprocessing\" in " + path + ", got none");
  EXPECT_EQ(tern::test::message_of<ValueError>([&] { load_weights(*linear, read); }),
            "[load_state_dict] expected the 1 tensors of Linear, got 2; unexpected: other; the file is " + path);
  Checkpoint made;
  EXPECT_EQ(tern::test::message_of<FormatError>([&] { (void)made.metadata_at("tern.config"); }),
            "[checkpoint] expected metadata \"tern.config\", got none");
  EXPECT_EQ(tern::test::message_of<ValueError>([&] { load_weights(*linear, made); }),
            "[load_state_dict] expected the 1 tensors of Linear, got 0; missing: weight");
}

// Files of other programs have neither format nor checksum.
TEST(Checkpoint, ForeignFilesAreReadAsTheyAre) {
  TemporaryDirectory directory;
  const std::string path = directory / "a.safetensors";
  io::save_safetensors(path, {{"x", ones({2})}}, {{"format", "pt"}});
  const Checkpoint read = load_checkpoint(path);
  EXPECT_FALSE(read.is_ours());
  EXPECT_EQ(read.weights.size(), 1u);
}

}  // namespace
}  // namespace tern::train
