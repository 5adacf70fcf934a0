#include <cstring>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/core/io/safetensors.h>
#include <tern/core/ops/shape.h>

#include "core/io_support.h"

namespace tern {
namespace {

constexpr DType kAll[] = {DType::kF32, DType::kF64, DType::kBF16, DType::kF16,
                          DType::kI64, DType::kI32, DType::kI8,   DType::kU8};

bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.contiguous().raw(), b.contiguous().raw(), static_cast<size_t>(a.bytes())) == 0;
}

// A file with any header text and data.
std::string file_of(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + std::string(data_bytes, '\1');
}

std::string refused_safetensors(const std::string& file) {
  return sentence_of<FormatError>([&] { static_cast<void>(io::parse_safetensors(io::bytes_of(file), "f")); });
}

TEST(Safetensors, RoundTripOfEveryDTypeAndOddShapes) {
  const ScratchDir dir;
  for (const DType dtype : kAll) {
    io::TensorMap tensors{{"scalar", counted({}, dtype)},
                          {"b.weight", counted({3, 1, 5}, dtype)},
                          {"empty", counted({0, 7}, dtype)},
                          {"a", counted({2}, dtype)}};
    io::save_safetensors(dir / "x.safetensors", tensors, {{"key", "value \"quoted\" \n \xc3\xa9"}});
    const auto loaded = io::load_safetensors(dir / "x.safetensors");
    ASSERT_EQ(loaded.tensors.size(), tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) {
      EXPECT_EQ(loaded.tensors[i].first, tensors[i].first);
      EXPECT_TRUE(same_bytes(loaded.tensors[i].second, tensors[i].second)) << tensors[i].first;
    }
    EXPECT_EQ(loaded.metadata, (io::Metadata{{"key", "value \"quoted\" \n \xc3\xa9"}}));
  }
  EXPECT_EQ(dir.list(), std::vector<std::string>{"x.safetensors"});
}

TEST(Safetensors, WritesTheBytesOfTheFormat) {
  Tensor w = empty({2}, DType::kF32);
  w.data<float>()[0] = 1.0f;
  w.data<float>()[1] = -2.0f;
  Tensor b = empty({1}, DType::kU8);
  b.data<uint8_t>()[0] = 7;
  // The header keeps the order of the map, the elements go by falling size so that each is aligned.
  std::string header = R"({"__metadata__":{"format":"pt"},"b":{"dtype":"U8","shape":[1],"data_offsets":[8,9]},)"
                       R"("w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  header.append((8 - header.size() % 8) % 8, ' ');
  const std::string wanted = file_of(header, 0) + std::string("\0\0\x80\x3f\0\0\0\xc0\x07", 9);
  EXPECT_EQ(io::serialize_safetensors({{"b", b}, {"w", w}}, {{"format", "pt"}}), wanted);
}

TEST(Safetensors, ViewsAreWrittenRowMajor) {
  const Tensor x = counted({4, 6}, DType::kF32);
  const auto content =
      io::parse_safetensors(io::bytes_of(io::serialize_safetensors({{"t", x.t()}, {"s", x.slice(1, 1, 6, 2)}})));
  EXPECT_TRUE(same_bytes(content.tensors.at("t"), x.t()));
  EXPECT_TRUE(same_bytes(content.tensors.at("s"), x.slice(1, 1, 6, 2)));
}

TEST(Safetensors, NoTensorsAtAll) {
  const auto content = io::parse_safetensors(io::bytes_of(io::serialize_safetensors({})));
  EXPECT_TRUE(content.tensors.empty());
  EXPECT_EQ(io::parse_safetensors(io::bytes_of(file_of("{}", 0))).tensors.size(), 0u);
}

TEST(Safetensors, ReaderReadsSingleTensors) {
  const ScratchDir dir;
  const Tensor a = counted({3}, DType::kI32), b = counted({2, 2}, DType::kF64);
  io::save_safetensors(dir / "x", {{"a", a}, {"b", b}}, {{"k", "v"}});
  const io::SafetensorsReader reader(dir / "x");
  EXPECT_TRUE(same_bytes(reader.read("b"), b));
  EXPECT_TRUE(same_bytes(reader.read("a"), a));
  EXPECT_TRUE(reader.contains("a"));
  EXPECT_FALSE(reader.contains("c"));
  EXPECT_EQ(reader.infos()[1].shape, (Shape{2, 2}));
  EXPECT_EQ(reader.metadata().at("k"), "v");
  EXPECT_EQ(sentence_of<ValueError>([&] { static_cast<void>(reader.read("c")); }),
            "[load_safetensors] expected a tensor named 'c' in '" + dir / "x" + "', got none among 2 names");
}

TEST(Safetensors, MissingFile) {
  EXPECT_EQ(sentence_of<IoError>([] { static_cast<void>(io::load_safetensors("no/such.safetensors")); }),
            "[load_safetensors] cannot open 'no/such.safetensors': No such file or directory");
  EXPECT_EQ(sentence_of<IoError>([] { static_cast<void>(io::load_safetensors("/")); }),
            "[load_safetensors] expected a regular file, got the directory '/'");
}

// -- one test a rule of the format

TEST(SafetensorsRules, EightBytesOfLength) {
  EXPECT_EQ(refused_safetensors("abc"), "[load_safetensors] expected at least 8 bytes in 'f', got 3");
  EXPECT_EQ(refused_safetensors(""), "[load_safetensors] expected at least 8 bytes in 'f', got 0");
}

TEST(SafetensorsRules, HeaderLengthFitsTheFile) {
  EXPECT_EQ(refused_safetensors(file_of("{}", 0).substr(0, 9)),
            "[load_safetensors] expected a header length of at most 1 bytes in 'f' (9 bytes), got 2");
  const std::string huge = std::string(8, '\xff') + "{}";  // the length plus eight wraps to 7
  EXPECT_EQ(refused_safetensors(huge),
            "[load_safetensors] expected a header length of at most 2 bytes in 'f' (10 bytes), got "
            "18446744073709551615");
}

TEST(SafetensorsRules, TextIsSaidToBeNoSafetensors) {
  EXPECT_EQ(refused_safetensors("{\n  \"epochs\": 3\n}\n"),
            "[load_safetensors] expected the length of a header in the first 8 bytes of 'f', got the text "
            "\"{\\n  \\\"epo\"; this is not a safetensors file");
  for (const char* text : {"version 1 of it", "\r\n\tEntry", "        "})
    EXPECT_TRUE(refused_safetensors(text).ends_with("; this is not a safetensors file")) << text;
  const ScratchDir dir;
  write_raw(dir / "config.json", R"({"architectures": ["LlamaForCausalLM"]})");
  EXPECT_EQ(sentence_of<FormatError>([&] { static_cast<void>(io::load_safetensors(dir / "config.json")); }),
            "[load_safetensors] expected the length of a header in the first 8 bytes of '" + dir / "config.json" +
                "', got the text \"{\\\"archit\"; this is not a safetensors file");
  std::string one_byte_off = "{\"epochs";
  one_byte_off[7] = '\0';
  EXPECT_TRUE(
      refused_safetensors(one_byte_off + "\": 3}").starts_with("[load_safetensors] expected a header length of"));
}

TEST(SafetensorsRules, HeaderIsACappedLength) {
  const ScratchDir dir;
  const uint64_t length = io::kMaxSafetensorsHeader + 1;
  write_raw(dir / "x", std::string(reinterpret_cast<const char*>(&length), 8));
  std::filesystem::resize_file(dir / "x", 200'000'000);  // sparse
  EXPECT_EQ(sentence_of<FormatError>([&] { static_cast<void>(io::load_safetensors(dir / "x")); }),
            "[load_safetensors] expected a header length of at most 100000000 bytes in '" + dir / "x" +
                "' (200000000 bytes), got 100000001");
}

TEST(SafetensorsRules, HeaderBeginsWithABrace) {
  for (const char* header : {"", "  ", " []", "[]", "\xef\xbb\xbf{}"})
    EXPECT_EQ(refused_safetensors(file_of(header, 0)),
              "[load_safetensors] expected the header of 'f' to begin with '{'; this is not a safetensors file");
}

TEST(SafetensorsRules, HeaderIsJson) {
  EXPECT_TRUE(refused_safetensors(file_of("{\"a\"", 0))
                  .starts_with("[load_safetensors] expected valid JSON in 'f', got an error at"));
  EXPECT_TRUE(refused_safetensors(file_of("{} x", 0))
                  .starts_with("[load_safetensors] expected valid JSON in 'f', got an error at"));
  EXPECT_TRUE(refused_safetensors(file_of("{\"\xff\":1}", 0)).ends_with("invalid UTF-8"));
  EXPECT_TRUE(
      refused_safetensors(file_of(std::string("{}\0\0", 4), 0)).starts_with("[load_safetensors] expected valid JSON"));
}

TEST(SafetensorsRules, SpacesAroundAreAllowed) {
  for (const char* header : {"{}      ", "      {}", "\n{}\r\n\t"})
    EXPECT_EQ(io::parse_safetensors(io::bytes_of(file_of(header, 0))).tensors.size(), 0u);
}

TEST(SafetensorsRules, NoKeyTwice) {
  const std::string entry = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_EQ(
      refused_safetensors(file_of("{" + entry + "," + entry + "}", 1)),
      "[load_safetensors] expected valid JSON in 'f', got an error at line 1, column 56: the key 'a' stands twice "
      "in one object");
  EXPECT_NE(refused_safetensors(file_of(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1))
                .find("the key 'dtype' stands twice"),
            std::string::npos);
}

TEST(SafetensorsRules, MetadataIsTextToText) {
  EXPECT_EQ(refused_safetensors(file_of(R"({"__metadata__":{"a":1}})", 0)),
            "[load_safetensors] expected a string as metadata 'a' of 'f', got an integer");
  EXPECT_EQ(refused_safetensors(file_of(R"({"__metadata__":[]})", 0)),
            "[load_safetensors] expected an object as __metadata__ of 'f', got an array");
}

TEST(SafetensorsRules, EntriesAreObjectsOfThreeMembers) {
  EXPECT_EQ(refused_safetensors(file_of(R"({"a":3})", 0)),
            "[load_safetensors] expected an object for tensor 'a' of 'f', got an integer");
  EXPECT_EQ(refused_safetensors(file_of(R"({"a":{"dtype":"U8","shape":[1]}})", 1)),
            "[load_safetensors] expected data_offsets for tensor 'a' of 'f', got none");
  EXPECT_EQ(refused_safetensors(file_of(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1)),
            "[load_safetensors] expected shape for tensor 'a' of 'f', got none");
  EXPECT_EQ(refused_safetensors(file_of(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1)),
            "[load_safetensors] expected dtype for tensor 'a' of 'f', got none");
  EXPECT_EQ(refused_safetensors(file_of(R"({"a":{"dtype":7,"shape":[1],"data_offsets":[0,1]}})", 1)),
            "[load_safetensors] expected a string as dtype of tensor 'a' of 'f', got an integer");
  EXPECT_EQ(refused_safetensors(file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":0}})", 1)),
            "[load_safetensors] expected dtype, shape and data_offsets for tensor 'a' of 'f', got 'x'");
}

TEST(SafetensorsRules, SizesAreWholeNumbers) {
  for (const char* size : {"-1", "1.0", "\"1\"", "18446744073709551615", "null"})
    EXPECT_TRUE(
        refused_safetensors(file_of(concat(R"({"a":{"dtype":"U8","shape":[)", size, R"(],"data_offsets":[0,1]}})"), 1))
            .starts_with("[load_safetensors] expected sizes that are integers of at least 0 in the shape of "
                         "tensor 'a' of 'f', got "))
        << size;
}

TEST(SafetensorsRules, ShapeProductsDoNotWrap) {
  // 2^32 * 2^32 is 0 in 64 bits, and so is 2^62 * 4 in bytes.
  EXPECT_EQ(
      refused_safetensors(file_of(R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0)),
      "[load_safetensors] expected a shape of at most 2^60 elements for tensor 'a' of 'f', got "
      "[4294967296,4294967296]");
  EXPECT_EQ(
      refused_safetensors(file_of(R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0)),
      "[load_safetensors] expected a shape of at most 2^60 elements for tensor 'a' of 'f', got "
      "[4611686018427387904]");
  EXPECT_EQ(refused_safetensors(
                file_of(R"({"a":{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}})", 0)),
            "[load_safetensors] expected a shape of at most 2^60 elements for tensor 'a' of 'f', got "
            "[0,4294967296,4294967296]");
}

TEST(SafetensorsRules, AtMostEightAxes) {
  EXPECT_EQ(refused_safetensors(file_of(R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1)),
            "[load_safetensors] expected at most 8 axes for tensor 'a' of 'f', got 9");
}

TEST(SafetensorsRules, OffsetsAreARangeInTheFile) {
  const auto with = [](const char* offsets, size_t bytes) {
    return refused_safetensors(
        file_of(concat(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":)", offsets, "}}"), bytes));
  };
  for (const char* bad : {"[0]", "[0,1,2]", "[1,0]", "[-1,0]", "[0,1.0]", "[0,18446744073709551616]", "[[],1]"})
    EXPECT_TRUE(with(bad, 1).starts_with(
        "[load_safetensors] expected data_offsets [begin, end] with 0 <= begin <= end for tensor 'a' of 'f', got "))
        << bad;
  EXPECT_EQ(with("[0,1]", 0),
            "[load_safetensors] expected data_offsets within the 0 bytes after the header for tensor 'a' of 'f', got "
            "[0,1]");
  EXPECT_EQ(with("[0,9223372036854775807]", 1),
            "[load_safetensors] expected data_offsets within the 1 bytes after the header for tensor 'a' of 'f', got "
            "[0,9223372036854775807]");
}

TEST(SafetensorsRules, OffsetsMatchTheShape) {
  EXPECT_EQ(refused_safetensors(file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4)),
            "[load_safetensors] expected 8 bytes for tensor 'a' of 'f' (F32 [2]), got data_offsets [0,4]");
}

std::string two(const char* first, const char* second) {
  return concat(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)", first,
                R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)", second, "}}");
}

TEST(SafetensorsRules, NoHoles) {
  EXPECT_EQ(refused_safetensors(file_of(two("[0,2]", "[3,5]"), 5)),
            "[load_safetensors] expected tensor 'b' of 'f' to begin at byte 2 of the data, got 3, which leaves a hole");
  EXPECT_EQ(refused_safetensors(file_of(two("[1,3]", "[3,5]"), 5)),
            "[load_safetensors] expected tensor 'a' of 'f' to begin at byte 0 of the data, got 1, which leaves a hole");
}

TEST(SafetensorsRules, NoOverlap) {
  EXPECT_EQ(refused_safetensors(file_of(two("[0,2]", "[1,3]"), 3)),
            "[load_safetensors] expected tensor 'b' of 'f' to begin at byte 2 of the data, got 1, which leaves an "
            "overlap");
  EXPECT_EQ(refused_safetensors(file_of(two("[0,2]", "[0,2]"), 2)),
            "[load_safetensors] expected tensor 'b' of 'f' to begin at byte 2 of the data, got 0, which leaves an "
            "overlap");
}

TEST(SafetensorsRules, NothingLeftOver) {
  EXPECT_EQ(refused_safetensors(file_of(two("[0,2]", "[2,4]"), 5)),
            "[load_safetensors] expected 4 bytes of data in 'f', as its header says, got 5");
  EXPECT_EQ(refused_safetensors(file_of("{}", 1)),
            "[load_safetensors] expected 0 bytes of data in 'f', as its header says, got 1");
}

TEST(SafetensorsRules, AnyOrderInTheHeader) {
  EXPECT_EQ(io::parse_safetensors(io::bytes_of(file_of(two("[2,4]", "[0,2]"), 4))).tensors[0].first, "a");
}

TEST(SafetensorsRules, NamesThatCannotBeWritten) {
  const Tensor x = counted({1}, DType::kU8);
  EXPECT_EQ(sentence_of<ValueError>([&] {
              static_cast<void>(io::serialize_safetensors({{"__metadata__", x}}));
            }),
            "[save_safetensors] expected tensor names other than __metadata__");
  EXPECT_TRUE(sentence_of<ValueError>([&] {
                static_cast<void>(io::serialize_safetensors({{"\xff", x}}));
              }).starts_with("[save_safetensors] expected tensor names in UTF-8, got '"));
}

// -- hostile files

std::string small_file() {
  return io::serialize_safetensors({{"a", counted({2, 3}, DType::kF32)}, {"bc", counted({5}, DType::kU8)}},
                                   {{"k", "v"}});
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const std::string whole = small_file();
  const ScratchDir dir;
  for (size_t n = 0; n < whole.size(); ++n) {
    EXPECT_FALSE(refused_safetensors(whole.substr(0, n)).empty()) << n;
    write_raw(dir / "cut", whole.substr(0, n));
    EXPECT_THROW(static_cast<void>(io::load_safetensors(dir / "cut")), FormatError) << n;
  }
  EXPECT_EQ(io::parse_safetensors(io::bytes_of(whole)).tensors.size(), 2u);
}

TEST(Safetensors, RandomChangesAreReadOrRefused) {
  const std::string whole = small_file();
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string file = whole;
    for (unsigned changes = 1 + random() % 3; changes > 0; --changes) {
      const size_t at = random() % file.size();
      switch (random() % 3) {
        case 0:
          file[at] = static_cast<char>(random());
          break;
        case 1:
          file.erase(at, 1 + random() % 4);
          break;
        default:
          file.insert(at, 1, "0123456789[]{},:\""[random() % 17]);
      }
      if (file.empty()) file = "x";
    }
    try {
      const auto content = io::parse_safetensors(io::bytes_of(file));
      int64_t bytes = 0;
      for (const auto& [name, tensor] : content.tensors) bytes += tensor.bytes();
      EXPECT_LE(bytes, static_cast<int64_t>(file.size()));
    } catch (const FormatError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 10000);
}

TEST(TensorMap, KeepsOrderAndRefusesRepeatedNames) {
  const Tensor x = counted({1}, DType::kF32), y = counted({2}, DType::kF32);
  io::TensorMap map;
  map.insert("b", x);
  map.insert("a", y);
  EXPECT_EQ(map[0].first, "b");
  map.set("b", y);
  EXPECT_TRUE(map.at("b").is_same(y));
  EXPECT_EQ(map.size(), 2u);
  EXPECT_EQ(sentence_of<ValueError>([&] { map.insert("a", x); }),
            "[tensor_map] expected every name once, got 'a' again");
  EXPECT_EQ(sentence_of<ValueError>([&] { static_cast<void>(map.at("c")); }),
            "[tensor_map] expected a tensor named 'c', got none among 2 names");
  EXPECT_EQ(sentence_of<ValueError>([&] { map.insert("c", Tensor()); }),
            "[tensor_map] expected a defined tensor for 'c', got an undefined one");
  EXPECT_EQ(map.find("c"), nullptr);
}

}  // namespace
}  // namespace tern
