#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include <tern/core/error.h>
#include <tern/core/parallel.h>
#include <tern/quant/packed/ternary.h>

namespace tern::quant::packed {
namespace {

constexpr int64_t kBlock = 128, kBlockBytes = 32;

constexpr std::string_view kNames[] = {"pack2_linear", "pack2_block128", "pack3_digits", "pack3_fixed"};

// What a byte of a format stands for, for all formats but pack2_block128 in the order of its weights; there, of weights
// p, p + 32, p + 64 and p + 96 of a block.
struct ByteTable {
  int per_byte = 0;
  struct Entry {
    bool valid = false;
    std::array<int8_t, 5> codes{};
  };
  std::array<Entry, 256> entries{};
  std::array<uint8_t, 243>
      bytes{};               // of the number whose base-3 digits are those of the codes, the first most significant
  uint8_t filler_digit = 0;  // what fills a row's last byte up
};

constexpr ByteTable make_table(TernaryFormat format) {
  ByteTable table;
  const bool base3 = format == TernaryFormat::kPack3Digits || format == TernaryFormat::kPack3Fixed;
  table.per_byte = base3 ? 5 : 4;
  table.filler_digit = format == TernaryFormat::kPack2Block128 ? 1 : 0;
  const int count = base3 ? 243 : 81;
  for (int number = 0; number < count; ++number) {
    std::array<int, 5> digits{};
    for (int n = table.per_byte, rest = number; n-- > 0; rest /= 3) digits[static_cast<size_t>(n)] = rest % 3;
    int byte = number;
    if (format == TernaryFormat::kPack3Fixed) byte = (number * 256 + 242) / 243;
    if (!base3) {
      byte = 0;
      for (int n = 0; n < 4; ++n)
        byte |= digits[static_cast<size_t>(n)] << (format == TernaryFormat::kPack2Linear ? 2 * n : 6 - 2 * n);
    }
    auto& entry = table.entries[static_cast<size_t>(byte)];
    entry.valid = true;
    for (size_t n = 0; n < 5; ++n) entry.codes[n] = static_cast<int8_t>(digits[n] - 1);
    table.bytes[static_cast<size_t>(number)] = static_cast<uint8_t>(byte);
  }
  return table;
}

constexpr ByteTable kTables[] = {make_table(TernaryFormat::kPack2Linear), make_table(TernaryFormat::kPack2Block128),
                                 make_table(TernaryFormat::kPack3Digits), make_table(TernaryFormat::kPack3Fixed)};

const ByteTable& table_of(TernaryFormat format) {
  return kTables[static_cast<size_t>(format)];
}

// The weight of a row that is number n in the row's byte b.
int64_t place(TernaryFormat format, int per_byte, int64_t b, int n) {
  if (format != TernaryFormat::kPack2Block128) return b * per_byte + n;
  return b / kBlockBytes * kBlock + n * kBlockBytes + b % kBlockBytes;
}

void check_scale(float scale) {
  TERN_CHECK(std::isfinite(scale) && scale > 0, FormatError, "[packed] expected a finite scale above 0, got ", scale);
}

// All but the bytes' values.
void check_form(const PackedTernary& w) {
  TERN_CHECK(w.out_features >= 1 && w.in_features >= 1 && w.in_features <= kMaxInFeatures, FormatError,
             "[packed] expected sizes of at least 1, rows of at most ", kMaxInFeatures, ", got ", w.out_features,
             " rows of ", w.in_features);
  TERN_CHECK(w.bytes.defined(), FormatError, "[packed] expected bytes, got none");
  const Shape wanted{w.out_features, bytes_per_row(w.format, w.in_features)};
  TERN_CHECK(w.bytes.dtype() == DType::kU8 && w.bytes.shape() == wanted && w.bytes.is_contiguous(), FormatError,
             "[packed] expected u8 ", wanted, " row by row for ", w.out_features, " x ", w.in_features, " weights in ",
             w.format, ", got ", describe(w.bytes));
  check_scale(w.scale);
}

// The first place where a row's bytes are not what the format allows, or -1.
int64_t first_wrong_byte(TernaryFormat format, const uint8_t* bytes, int64_t in_features) {
  const ByteTable& table = table_of(format);
  const int64_t count = bytes_per_row(format, in_features);
  const bool block = format == TernaryFormat::kPack2Block128;
  // Where rows end inside a byte, or a block, weights beyond the end must be fillers.
  const int64_t whole = block ? in_features / kBlock * kBlockBytes : in_features / table.per_byte;
  for (int64_t b = 0; b < count; ++b) {
    const auto& entry = table.entries[bytes[b]];
    if (!entry.valid) return b;
    if (b < whole) continue;
    for (int n = 0; n < table.per_byte; ++n)
      if (place(format, table.per_byte, b, n) >= in_features &&
          entry.codes[static_cast<size_t>(n)] + 1 != table.filler_digit)
        return b;
  }
  return -1;
}

int64_t rows_of_a_chunk(int64_t in_features) {
  return std::max<int64_t>(1, kElementwiseGrain * 4 / in_features);
}

}  // namespace

std::string_view name_of(TernaryFormat format) {
  return kNames[static_cast<size_t>(format)];
}

TernaryFormat ternary_format(std::string_view name) {
  for (size_t i = 0; i < std::size(kNames); ++i)
    if (name == kNames[i]) return static_cast<TernaryFormat>(i);
  throw ValueError(
      concat("[packed] expected a format among pack2_linear, pack2_block128, pack3_digits and pack3_fixed, "
             "got \"",
             name, "\""));
}

int64_t bytes_per_row(TernaryFormat format, int64_t in_features) {
  if (format == TernaryFormat::kPack2Block128) return (in_features + kBlock - 1) / kBlock * kBlockBytes;
  const int per_byte = table_of(format).per_byte;
  return (in_features + per_byte - 1) / per_byte;
}

PackedTernary pack(const Tensor& codes, float scale, TernaryFormat format) {
  check_defined("packed", codes);
  TERN_CHECK(codes.dtype() == DType::kI8, DTypeError, "[packed] expected codes of dtype i8, got ", codes.dtype());
  TERN_CHECK(codes.dim() == 2 && codes.size(0) >= 1 && codes.size(1) >= 1 && codes.size(1) <= kMaxInFeatures,
             ShapeError, "[packed] expected codes [out_features, in_features] of sizes above 0, rows of at most ",
             kMaxInFeatures, ", got ", codes.shape());
  TERN_CHECK(std::isfinite(scale) && scale > 0, ValueError, "[packed] expected a finite scale above 0, got ", scale);
  const Tensor dense = codes.contiguous();
  const int8_t* from = dense.data<int8_t>();
  const int64_t rows = codes.size(0), in = codes.size(1), row_bytes = bytes_per_row(format, in);
  PackedTernary out{format, rows, in, empty({rows, row_bytes}, DType::kU8), scale};
  uint8_t* to = out.bytes.data<uint8_t>();
  const ByteTable& table = table_of(format);
  parallel_for(rows, rows_of_a_chunk(in), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int8_t* row = from + r * in;
      for (int64_t i = 0; i < in; ++i)
        TERN_CHECK(row[i] >= -1 && row[i] <= 1, ValueError, "[packed] expected codes of -1, 0 or 1, got ",
                   static_cast<int>(row[i]), " at [", r, ", ", i, "]");
      for (int64_t b = 0; b < row_bytes; ++b) {
        int number = 0;
        for (int n = 0; n < table.per_byte; ++n) {
          const int64_t i = place(format, table.per_byte, b, n);
          number = number * 3 + (i < in ? row[i] + 1 : table.filler_digit);
        }
        to[r * row_bytes + b] = table.bytes[static_cast<size_t>(number)];
      }
    }
  });
  return out;
}

void check(const PackedTernary& w) {
  check_form(w);
  const uint8_t* bytes = w.bytes.data<uint8_t>();
  const int64_t row_bytes = w.bytes.size(1);
  parallel_for(w.out_features, rows_of_a_chunk(w.in_features), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t b = first_wrong_byte(w.format, bytes + r * row_bytes, w.in_features);
      TERN_CHECK(b < 0, FormatError, "[packed] expected bytes of ternary codes in ", w.format, ", got ",
                 static_cast<int>(bytes[r * row_bytes + b]), " as byte ", b, " of row ", r,
                 table_of(w.format).entries[bytes[r * row_bytes + b]].valid ? ", where the row must be filled up" : "");
    }
  });
}

Tensor unpack(const PackedTernary& w) {
  check(w);
  const int64_t in = w.in_features, row_bytes = w.bytes.size(1);
  Tensor out = empty({w.out_features, in}, DType::kI8);
  int8_t* to = out.data<int8_t>();
  const uint8_t* from = w.bytes.data<uint8_t>();
  const ByteTable& table = table_of(w.format);
  parallel_for(w.out_features, rows_of_a_chunk(in), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t b = 0; b < row_bytes; ++b) {
        const auto& codes = table.entries[from[r * row_bytes + b]].codes;
        for (int n = 0; n < table.per_byte; ++n) {
          const int64_t i = place(w.format, table.per_byte, b, n);
          if (i < in) to[r * in + i] = codes[static_cast<size_t>(n)];
        }
      }
  });
  return out;
}

Tensor dequantize(const PackedTernary& w) {
  const Tensor codes = unpack(w);
  Tensor out = empty(codes.shape());
  const int8_t* from = codes.data<int8_t>();
  float* to = out.data<float>();
  for (int64_t i = 0; i < out.numel(); ++i) to[i] = static_cast<float>(from[i]) * w.scale;
  return out;
}

PackedTernary repack(const PackedTernary& w, TernaryFormat format) {
  if (format != w.format) return pack(unpack(w), w.scale, format);
  check(w);
  return w;
}

}  // namespace tern::quant::packed
