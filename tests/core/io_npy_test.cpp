#include <cstring>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/core/io/npy.h>
#include <tern/core/ops/shape.h>

#include "core/io_support.h"

namespace tern {
namespace {

std::string npy(const std::string& header, const std::string& data, char major = 1, char minor = 0) {
  std::string out = "\x93NUMPY";
  out += major;
  out += minor;
  const auto n = static_cast<uint32_t>(header.size());
  out.append(reinterpret_cast<const char*>(&n), major == 1 ? 2 : 4);
  return out + header + data;
}

std::string refused_npy(const std::string& file) {
  return sentence_of<FormatError>([&] { static_cast<void>(io::parse_npy(io::bytes_of(file), "f")); });
}

TEST(Npy, RoundTrip) {
  const ScratchDir dir;
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kI64, DType::kI32, DType::kI8, DType::kU8})
    for (const Shape& shape : {Shape{}, Shape{5}, Shape{2, 3}, Shape{0, 4}, Shape{3, 1, 2, 2}}) {
      const Tensor x = counted(shape, dtype);
      io::save_npy(dir / "x.npy", x);
      const Tensor y = io::load_npy(dir / "x.npy");
      ASSERT_EQ(y.shape(), shape);
      ASSERT_EQ(y.dtype(), dtype);
      EXPECT_EQ(std::memcmp(x.raw(), y.raw(), static_cast<size_t>(x.bytes())), 0);
    }
}

TEST(Npy, WritesWhatNumPyWrites) {
  // numpy.save of numpy.array([1, -2], dtype='<i4'), numpy 1.24
  const std::string wanted =
      npy("{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }" + std::string(60, ' ') + "\n",
          std::string("\1\0\0\0\xfe\xff\xff\xff", 8));
  Tensor x = empty({2}, DType::kI32);
  x.data<int32_t>()[0] = 1;
  x.data<int32_t>()[1] = -2;
  EXPECT_EQ(io::serialize_npy(x), wanted);
  EXPECT_NE(io::serialize_npy(counted({}, DType::kF32)).find("'shape': (), }"), std::string::npos);
  EXPECT_NE(io::serialize_npy(counted({2, 3}, DType::kF32)).find("'shape': (2, 3), }"), std::string::npos);
  EXPECT_EQ(io::serialize_npy(counted({2, 3}, DType::kF32)).size() % 64, 24u);
}

TEST(Npy, FortranOrderBecomesRowMajor) {
  for (const char major : {1, 2, 3}) {
    const Tensor x = io::parse_npy(
        io::bytes_of(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3)}", "\1\2\3\4\5\6", major)));
    EXPECT_TRUE(x.is_contiguous());
    EXPECT_EQ(x.to_vector<int64_t>(), (std::vector<int64_t>{1, 3, 5, 2, 4, 6}));
  }
}

TEST(Npy, ViewsAreWrittenRowMajor) {
  const Tensor x = counted({3, 4}, DType::kF64);
  const Tensor y = io::parse_npy(io::bytes_of(io::serialize_npy(x.t())));
  EXPECT_EQ(y.to_vector<double>(), x.t().contiguous().to_vector<double>());
  EXPECT_EQ(y.shape(), (Shape{4, 3}));
}

TEST(Npy, Booleans) {
  const std::string header = "{'descr': '|b1', 'fortran_order': False, 'shape': (2,)}";
  EXPECT_EQ(io::parse_npy(io::bytes_of(npy(header, std::string("\1\0", 2)))).to_vector<int64_t>(),
            (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(refused_npy(npy(header, "\1\2")), "[load_npy] expected booleans of 0 and 1 in 'f', got 2");
}

TEST(Npy, AnyOrderOfKeysAndEitherQuote) {
  const Tensor x = io::parse_npy(io::bytes_of(npy("{\"shape\":(1,),\"fortran_order\":False,'descr':'|u1',}\n", "\7")));
  EXPECT_EQ(x.item<int>(), 7);
}

// NumPy's own test material: win64python2.npy, and an array of objects, which are pickles.
TEST(Npy, OfPython2) {
  const Tensor x = io::parse_npy(
      io::bytes_of(npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2L,), }\n", std::string(16, '\0'))));
  EXPECT_EQ(x.shape(), Shape{2});
  EXPECT_EQ(refused_npy(npy("{'descr': '|O', 'fortran_order': False, 'shape': (1L, L)}", "")),
            "[load_npy] expected an element type among f4 f8 f2 i8 i4 i2 i1 u8 u4 u2 u1 b1, got '|O', in the header of "
            "'f'");
  EXPECT_EQ(refused_npy(npy("{'shape': (L,)}", "a")), "[load_npy] expected a size, got 'L,)}' in the header of 'f'");
}

TEST(NpyRules, EachIsChecked) {
  const std::string ok = "{'descr': '|u1', 'fortran_order': False, 'shape': (2,)}";
  EXPECT_EQ(refused_npy("PK"), "[load_npy] expected 'f' to begin with \\x93NUMPY; this is not a .npy file");
  EXPECT_EQ(refused_npy(npy(ok, "ab", 4)), "[load_npy] expected format version 1.0, 2.0 or 3.0 in 'f', got 4.0");
  EXPECT_EQ(refused_npy(npy(ok, "ab", 1, 1)), "[load_npy] expected format version 1.0, 2.0 or 3.0 in 'f', got 1.1");
  EXPECT_EQ(refused_npy(npy(ok, "a")), "[load_npy] expected 2 bytes after the header of 'f' (U8 [2]), got 1");
  EXPECT_EQ(refused_npy(npy(ok, "abc")), "[load_npy] expected 2 bytes after the header of 'f' (U8 [2]), got 3");
  EXPECT_EQ(refused_npy(npy(std::string(70000, ' '), "", 2)),
            "[load_npy] expected a header of at most 65536 bytes in 'f', got 70000");
  EXPECT_EQ(
      refused_npy(npy("{'descr': '<c8', 'fortran_order': False, 'shape': ()}", "abcdefgh")),
      "[load_npy] expected an element type among f4 f8 f2 i8 i4 i2 i1 u8 u4 u2 u1 b1, got '<c8', in the header of 'f'");
  EXPECT_EQ(refused_npy(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}", "abcd")),
            "[load_npy] expected one element type, not a structure, in the header of 'f'");
  EXPECT_EQ(refused_npy(npy("{'descr': '|u1', 'fortran_order': 0, 'shape': ()}", "a")),
            "[load_npy] expected True or False, got '0, 'shape': ()}' in the header of 'f'");
  EXPECT_EQ(refused_npy(npy("{'descr': '|u1', 'fortran_order': False}", "a")),
            "[load_npy] expected all of descr, fortran_order and shape in the header of 'f'");
  EXPECT_EQ(refused_npy(npy("{'descr': '|u1', 'descr': '|u1'}", "a")),
            "[load_npy] expected every key once, got 'descr' twice in the header of 'f'");
  EXPECT_EQ(refused_npy(npy("{'shapes': ()}", "a")),
            "[load_npy] expected the keys descr, fortran_order and shape, got 'shapes' in the header of 'f'");
  EXPECT_EQ(refused_npy(npy("{'shape': (-1,)}", "a")), "[load_npy] expected a size, got '-1,)}' in the header of 'f'");
  EXPECT_EQ(refused_npy(npy("{'shape': (1,1,1,1,1,1,1,1,1)}", "a")),
            "[load_npy] expected at most 8 axes in the header of 'f'");
  EXPECT_EQ(refused_npy(npy("{'shape': (99999999999999999999,)}", "a")),
            "[load_npy] expected sizes that fit 64 bits in the header of 'f'");
  EXPECT_EQ(refused_npy(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", "")),
            "[load_npy] expected a shape of at most 2^60 elements in 'f', got [4294967296, 4294967296]");
  EXPECT_EQ(refused_npy(npy(ok + " x", "ab")),
            "[load_npy] expected nothing after the dictionary, got 'x' in the header of 'f'");
  EXPECT_EQ(sentence_of<DTypeError>([] { static_cast<void>(io::serialize_npy(empty({1}, DType::kBF16))); }),
            "[save_npy] expected an element type that NumPy has, got bf16; convert it to f32 first");
}

TEST(Npy, TruncationsAndRandomChangesAreReadOrRefused) {
  const std::string whole = io::serialize_npy(counted({2, 3}, DType::kF32));
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(refused_npy(whole.substr(0, n)).empty()) << n;
  std::mt19937 random(3);
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string file = whole;
    for (unsigned changes = 1 + random() % 3; changes > 0; --changes)
      file[random() % 80] = random() % 2 ? static_cast<char>(random()) : "0123456789(){},:'"[random() % 17];
    try {
      const Tensor x = io::parse_npy(io::bytes_of(file));
      const int64_t data = static_cast<int64_t>(file.size()) - 128;
      EXPECT_TRUE(x.bytes() == data || x.bytes() == 2 * data) << "integers may have been widened";
    } catch (const FormatError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 10000);
}

}  // namespace
}  // namespace tern
