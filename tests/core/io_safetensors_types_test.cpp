// Element types that tensors lack, and the vectors of the format's own tests (huggingface/safetensors, Apache-2.0,
// safetensors/src/tensor.rs), whose names the tests bear.
#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/core/io/element_type.h>
#include <tern/core/io/npy.h>
#include <tern/core/io/safetensors.h>
#include <tern/core/ops/shape.h>

#include "core/io_support.h"

namespace tern {
namespace {

using std::string_literals::operator""s;

std::string file_of(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

// One tensor "x" beside the f32 tensor "w" of 1 and 2.
std::string beside(const std::string& type, const std::string& shape, const std::string& data) {
  return file_of(concat(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"x":{"dtype":")", type,
                        R"(","shape":)", shape, R"(,"data_offsets":[8,)", 8 + data.size(), "]}}"),
                 "\0\0\x80\x3f\0\0\0\x40"s + data);
}

template <class T>
std::string bytes_of_all(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

Tensor read_x(const std::string& type, const std::string& shape, const std::string& data) {
  return io::parse_safetensors(io::bytes_of(beside(type, shape, data)), "f").tensors.at("x");
}

std::string refused(const std::string& file) {
  return sentence_of<FormatError>([&] { static_cast<void>(io::parse_safetensors(io::bytes_of(file), "f")); });
}

bool is_read(const std::string& file) {
  static_cast<void>(io::parse_safetensors(io::bytes_of(file), "f"));
  return true;
}

TEST(ElementTypes, IntegersAreWidenedAndBooleansChecked) {
  const Tensor mask = read_x("BOOL", "[3]", "\1\0\1"s);
  EXPECT_EQ(mask.dtype(), DType::kU8);
  EXPECT_EQ(mask.to_vector<int64_t>(), (std::vector<int64_t>{1, 0, 1}));
  EXPECT_EQ(refused(beside("BOOL", "[1]", "\2")),
            "[load_safetensors] expected booleans of 0 and 1 in tensor 'x' of 'f', got 2");
  const Tensor i16 = read_x("I16", "[3]", bytes_of_all<int16_t>({-32768, -1, 32767}));
  EXPECT_EQ(i16.dtype(), DType::kI32);
  EXPECT_EQ(i16.to_vector<int64_t>(), (std::vector<int64_t>{-32768, -1, 32767}));
  const Tensor u16 = read_x("U16", "[1,2]", bytes_of_all<uint16_t>({65535, 1}));
  EXPECT_EQ(u16.dtype(), DType::kI32);
  EXPECT_EQ(u16.shape(), (Shape{1, 2}));
  EXPECT_EQ(u16.to_vector<int64_t>(), (std::vector<int64_t>{65535, 1}));
  const Tensor u32 = read_x("U32", "[2]", bytes_of_all<uint32_t>({4294967295u, 7}));
  EXPECT_EQ(u32.dtype(), DType::kI64);
  EXPECT_EQ(u32.to_vector<int64_t>(), (std::vector<int64_t>{4294967295, 7}));
  const Tensor u64 = read_x("U64", "[2]", bytes_of_all<uint64_t>({9223372036854775807u, 0}));
  EXPECT_EQ(u64.dtype(), DType::kI64);
  EXPECT_EQ(u64.to_vector<int64_t>(), (std::vector<int64_t>{9223372036854775807, 0}));
  EXPECT_EQ(refused(beside("U64", "[1]", bytes_of_all<uint64_t>({9223372036854775808u}))),
            "[load_safetensors] expected unsigned integers below 2^63 in tensor 'x' of 'f', got 9223372036854775808");
  EXPECT_EQ(read_x("U16", "[0]", "").numel(), 0);
}

// From the definitions: OCP 8-bit Floating Point Specification (E4M3, E5M2), arXiv 2206.02915 (FNUZ), OCP Microscaling
// Formats (E8M0).
TEST(ElementTypes, EightBitFloatsAreExact) {
  const auto value = [](const char* type, int bits) {
    const Tensor x = read_x(type, "[1]", std::string(1, static_cast<char>(bits)));
    EXPECT_EQ(x.dtype(), DType::kF32);
    return static_cast<float>(x.item());
  };
  struct Value {
    const char* type;
    int bits;
    float wanted;
  };
  for (const auto& [type, bits, wanted] : std::vector<Value>{
           {"F8_E4M3", 0x00, 0.0f},         {"F8_E4M3", 0x38, 1.0f},         {"F8_E4M3", 0xb9, -1.125f},
           {"F8_E4M3", 0x7e, 448.0f},       {"F8_E4M3", 0x78, 256.0f},       {"F8_E4M3", 0x08, 0.015625f},
           {"F8_E4M3", 0x07, 0.013671875f}, {"F8_E4M3", 0x01, 0.001953125f}, {"F8_E5M2", 0x3c, 1.0f},
           {"F8_E5M2", 0x7b, 57344.0f},     {"F8_E5M2", 0xc2, -3.0f},        {"F8_E5M2", 0x01, 0x1p-16f},
           {"F8_E5M2", 0x7c, HUGE_VALF},    {"F8_E5M2", 0xfc, -HUGE_VALF},   {"F8_E4M3FNUZ", 0x40, 1.0f},
           {"F8_E4M3FNUZ", 0x7f, 240.0f},   {"F8_E4M3FNUZ", 0x01, 0x1p-10f}, {"F8_E5M2FNUZ", 0x40, 1.0f},
           {"F8_E5M2FNUZ", 0x7f, 57344.0f}, {"F8_E5M2FNUZ", 0x01, 0x1p-17f}, {"F8_E8M0", 0x7f, 1.0f},
           {"F8_E8M0", 0x80, 2.0f},         {"F8_E8M0", 0x00, 0x1p-127f},    {"F8_E8M0", 0xfe, 0x1p127f}})
    EXPECT_EQ(value(type, bits), wanted) << type << " " << bits;
  EXPECT_TRUE(std::signbit(value("F8_E4M3", 0x80)));
  for (const auto& [type, bits] : std::vector<std::pair<const char*, int>>{{"F8_E4M3", 0x7f},
                                                                           {"F8_E4M3", 0xff},
                                                                           {"F8_E5M2", 0x7d},
                                                                           {"F8_E5M2", 0xff},
                                                                           {"F8_E4M3FNUZ", 0x80},
                                                                           {"F8_E5M2FNUZ", 0x80},
                                                                           {"F8_E8M0", 0xff}})
    EXPECT_TRUE(std::isnan(value(type, bits))) << type << " " << bits;
  // E5M2 is the upper half of an f16, whose conversion other tests know.
  for (int bits = 0; bits < 256; ++bits) {
    Half half;
    half.bits = static_cast<uint16_t>(bits << 8);
    const auto wanted = static_cast<float>(half), got = value("F8_E5M2", bits);
    EXPECT_TRUE(got == wanted || (std::isnan(got) && std::isnan(wanted))) << bits;
  }
}

TEST(ElementTypes, WhatNoTensorHoldsIsNoHindranceToTheRest) {
  const ScratchDir dir;
  struct Other {
    const char* type;
    const char* shape;
    size_t bytes;
  };
  for (const auto& [type, shape, bytes] : std::vector<Other>{{"C64", "[2]", 16},
                                                             {"F4", "[3,2]", 3},
                                                             {"F6_E2M3", "[4]", 3},
                                                             {"F6_E3M2", "[2,4]", 6},
                                                             {"F128", "[1]", 16}}) {
    const std::string file = beside(type, shape, std::string(bytes, '\0'));
    write_raw(dir / "f", file);
    const std::string why = concat("[load_safetensors] expected elements that a tensor can hold in tensor 'x' of '",
                                   dir / "f", "', got dtype ", type);
    const io::SafetensorsReader reader(dir / "f");
    EXPECT_EQ(reader.read("w").to_vector<double>(), (std::vector<double>{1, 2}));
    ASSERT_EQ(reader.infos().size(), 2u);
    EXPECT_EQ(reader.infos()[1].type, type);
    EXPECT_FALSE(reader.infos()[1].dtype.has_value());
    EXPECT_EQ(reader.infos()[0].dtype, DType::kF32);
    EXPECT_EQ(sentence_of<FormatError>([&] { static_cast<void>(reader.read("x")); }), why);
    EXPECT_EQ(sentence_of<FormatError>([&] { static_cast<void>(io::load_safetensors(dir / "f")); }), why);
  }
  for (const char* name : {"", "f32", "F 32", "F32\\u001b", "F3\\u00e9", "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456"})
    EXPECT_TRUE(refused(beside(name, "[1]", "abcd"))
                    .starts_with("[load_safetensors] expected the name of an element type as dtype of tensor 'x' of "
                                 "'f', got '"))
        << name;
  EXPECT_EQ(refused(beside("U16", "[2]", "abc")),
            "[load_safetensors] expected 4 bytes for tensor 'x' of 'f' (U16 [2]), got data_offsets [8,11]");
  EXPECT_EQ(refused(beside("F4", "[3]", "ab")),
            "[load_safetensors] expected whole bytes for tensor 'x' of 'f', got 3 elements of 4 bits");
  EXPECT_EQ(refused(beside("F6_E2M3", "[4]", "ab")),
            "[load_safetensors] expected 3 bytes for tensor 'x' of 'f' (F6_E2M3 [4]), got data_offsets [8,10]");
}

TEST(ElementTypes, NumPysTooInEitherByteOrder) {
  const auto read = [](const std::string& descr, const std::string& data) {
    const std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (2,)}";
    return io::parse_npy(io::bytes_of("\x93NUMPY\1\0"s + static_cast<char>(header.size()) + "\0"s + header + data),
                         "f");
  };
  using Values = std::vector<int64_t>;
  EXPECT_EQ(read("<u2", "\1\2\xff\xff").to_vector<int64_t>(), (Values{0x201, 65535}));
  EXPECT_EQ(read(">u2", "\1\2\xff\xff").to_vector<int64_t>(), (Values{0x102, 65535}));
  EXPECT_EQ(read("<i2", "\1\2\xff\xff").to_vector<int64_t>(), (Values{0x201, -1}));
  EXPECT_EQ(read(">u4", "\1\2\3\4\xff\xff\xff\xfe").to_vector<int64_t>(), (Values{0x1020304, 4294967294}));
  EXPECT_EQ(read(">i8", "\0\0\0\0\0\0\1\2\xff\xff\xff\xff\xff\xff\xff\xfe"s).to_vector<int64_t>(), (Values{258, -2}));
  EXPECT_EQ(read("<u8", "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\x40"s).to_vector<int64_t>(), (Values{1, 0x4000000000000002}));
  EXPECT_EQ(read(">f4", "\x3f\x80\0\0\xc0\0\0\0"s).to_vector<double>(), (std::vector<double>{1, -2}));
  EXPECT_EQ(read(">f8", "\x3f\xf0\0\0\0\0\0\0\xc0\0\0\0\0\0\0\0"s).to_vector<double>(), (std::vector<double>{1, -2}));
  EXPECT_EQ(read("<i1", "\1\xff").to_vector<int64_t>(), (Values{1, -1}));
  EXPECT_EQ(sentence_of<FormatError>([&] { static_cast<void>(read("<u8", "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x80"s)); }),
            "[load_npy] expected unsigned integers below 2^63 in 'f', got 9223372036854775808");
}

// -- the vectors of the format's tests

const std::string kTest = R"({"test":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]}})";

TEST(SafetensorsVectors, TestEmptyShapesAllowed) {
  const auto content = io::parse_safetensors(
      io::bytes_of(file_of(R"({"test":{"dtype":"I32","shape":[],"data_offsets":[0,4]}})", std::string(4, '\0'))));
  EXPECT_EQ(content.tensors.at("test").shape(), Shape{});
}
TEST(SafetensorsVectors, TestDeserialization) {
  const auto content = io::parse_safetensors(io::bytes_of(file_of(kTest, std::string(16, '\0'))));
  EXPECT_EQ(content.tensors.at("test").to_vector<int64_t>(), (std::vector<int64_t>{0, 0, 0, 0}));
}
TEST(SafetensorsVectors, TestJsonAttack) {
  std::string header = "{";
  for (int i = 0; i < 10; ++i)
    header += concat(i > 0 ? "," : "", R"("weight_)", i, R"(":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]})");
  EXPECT_NE(refused(file_of(header + "}", std::string(16, '\0'))).find("an overlap"), std::string::npos);
}
TEST(SafetensorsVectors, TestMetadataIncompleteBuffer) {
  EXPECT_NE(refused(file_of(kTest, std::string(16, '\0') + "extra_bogus_data_for_polyglot_file")), "");
  EXPECT_NE(refused(file_of(kTest, std::string(14, '\0'))), "");
}
TEST(SafetensorsVectors, TestHeaderTooLarge) {
  EXPECT_NE(refused("<\0\0\0\0\xff\xff\xff"s + kTest + std::string(16, '\0')), "");
}
TEST(SafetensorsVectors, TestHeaderTooSmall) {
  EXPECT_NE(refused(""), "");
}
TEST(SafetensorsVectors, TestInvalidHeaderLength) {
  EXPECT_NE(refused("<\0\0\0\0\0\0\0"s), "");
}
TEST(SafetensorsVectors, TestInvalidHeaderNonUtf8) {
  EXPECT_NE(refused("\1\0\0\0\0\0\0\0\xff"s), "");
}
TEST(SafetensorsVectors, TestInvalidHeaderNotJson) {
  EXPECT_NE(refused("\1\0\0\0\0\0\0\0{"s), "");
}
TEST(SafetensorsVectors, TestWhitespacePaddedHeader) {
  EXPECT_TRUE(is_read(file_of("{}\r \t\n", "")));
}
// Refused there, as the format's page has it; its first readers took it, and files with it are about.
TEST(SafetensorsVectors, TestWhitespaceLeadingPaddedHeader) {
  EXPECT_TRUE(is_read(file_of("\t\n{}\r ", "")));
  EXPECT_NE(refused(file_of("\v{}", "")), "");
}
TEST(SafetensorsVectors, TestZeroSizedTensor) {
  const auto content = io::parse_safetensors(
      io::bytes_of(file_of(R"({"test":{"dtype":"I32","shape":[2,0],"data_offsets":[0, 0]}})", "")));
  EXPECT_EQ(content.tensors.at("test").shape(), (Shape{2, 0}));
}
TEST(SafetensorsVectors, TestInvalidInfo) {
  EXPECT_NE(refused(file_of(R"({"test":{"dtype":"I32","shape":[2,2],"data_offsets":[0, 4]}})", "")), "");
}
TEST(SafetensorsVectors, TestValidationOverflow) {
  for (const char* size : {"18446744073709551614", "9223372036854775807"})
    EXPECT_NE(refused(file_of(concat(R"({"test":{"dtype":"I32","shape":[2,)", size, R"(],"data_offsets":[0,16]}})"),
                              std::string(16, '\0'))),
              "");
}
TEST(SafetensorsVectors, TestSerializationFp4) {
  const ScratchDir dir;
  write_raw(dir / "f", file_of(R"({"attn.0":{"dtype":"F4","shape":[1,2],"data_offsets":[0,1]}})", "\0"s));
  EXPECT_EQ(io::SafetensorsReader(dir / "f").infos()[0].shape, (Shape{1, 2}));
}
TEST(SafetensorsVectors, TestSerializationFp4Misaligned) {
  EXPECT_NE(refused(file_of(R"({"attn.0":{"dtype":"F4","shape":[1,3],"data_offsets":[0,2]}})", "\0\0"s)), "");
}
TEST(SafetensorsVectors, TestSerializationFp4Invalid) {
  EXPECT_NE(refused(file_of(R"({"attn.0":{"dtype":"F4","shape":[1,2,3],"data_offsets":[0,4]}})", "\0\0\0\0"s)), "");
}

}  // namespace
}  // namespace tern
