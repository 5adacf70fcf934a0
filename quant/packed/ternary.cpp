#include <array>

#include <tern/quant/packed/product.h>
#include <tern/quant/packed/ternary.h>

namespace tern::packed {
namespace {

constexpr int64_t kBlock = 128, kBlockBytes = 32;

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
  uint8_t filler_digit = 0;  // what fills a row's last byte or block up
};

enum class Layout : uint8_t { kLinear, kBlock128, kDigits, kFixed };

constexpr ByteTable make_table(Layout layout) {
  ByteTable table;
  const bool base3 = layout == Layout::kDigits || layout == Layout::kFixed;
  table.per_byte = base3 ? 5 : 4;
  table.filler_digit = layout == Layout::kBlock128 ? 1 : 0;
  const int count = base3 ? 243 : 81;
  for (int number = 0; number < count; ++number) {
    std::array<int, 5> digits{};
    for (int n = table.per_byte, rest = number; n-- > 0; rest /= 3) digits[static_cast<size_t>(n)] = rest % 3;
    int byte = number;
    if (layout == Layout::kFixed) byte = (number * 256 + 242) / 243;
    if (!base3) {
      byte = 0;
      for (int n = 0; n < 4; ++n)
        byte |= digits[static_cast<size_t>(n)] << (layout == Layout::kLinear ? 2 * n : 6 - 2 * n);
    }
    auto& entry = table.entries[static_cast<size_t>(byte)];
    entry.valid = true;
    for (size_t n = 0; n < 5; ++n) entry.codes[n] = static_cast<int8_t>(digits[n] - 1);
    table.bytes[static_cast<size_t>(number)] = static_cast<uint8_t>(byte);
  }
  return table;
}

template <Layout layout>
inline constexpr ByteTable kTable = make_table(layout);

// The weight of a row that is number n in the row's byte b.
template <Layout layout>
int64_t place(int64_t b, int n) {
  if constexpr (layout == Layout::kBlock128) return b / kBlockBytes * kBlock + n * kBlockBytes + b % kBlockBytes;
  return b * kTable<layout>.per_byte + n;
}

template <Layout layout>
int64_t row_bytes(int64_t n) {
  if constexpr (layout == Layout::kBlock128) return (n + kBlock - 1) / kBlock * kBlockBytes;
  return (n + kTable<layout>.per_byte - 1) / kTable<layout>.per_byte;
}

template <Layout layout>
void pack_row(const int8_t* codes, int64_t n, uint8_t* bytes) {
  const ByteTable& table = kTable<layout>;
  for (int64_t b = 0, count = row_bytes<layout>(n); b < count; ++b) {
    int number = 0;
    for (int k = 0; k < table.per_byte; ++k) {
      const int64_t i = place<layout>(b, k);
      number = number * 3 + (i < n ? codes[i] + 1 : table.filler_digit);
    }
    bytes[b] = table.bytes[static_cast<size_t>(number)];
  }
}

template <Layout layout>
void unpack_row(const uint8_t* bytes, int64_t n, int8_t* codes) {
  const ByteTable& table = kTable<layout>;
  for (int64_t b = 0, count = row_bytes<layout>(n); b < count; ++b) {
    const auto& of_byte = table.entries[bytes[b]].codes;
    for (int k = 0; k < table.per_byte; ++k)
      if (const int64_t i = place<layout>(b, k); i < n) codes[i] = of_byte[static_cast<size_t>(k)];
  }
}

template <Layout layout>
int64_t first_wrong_byte(const uint8_t* bytes, int64_t n, bool& filler) {
  const ByteTable& table = kTable<layout>;
  // Where rows end inside a byte, or a block, weights beyond the end must be fillers.
  const int64_t whole = layout == Layout::kBlock128 ? n / kBlock * kBlockBytes : n / table.per_byte;
  for (int64_t b = 0, count = row_bytes<layout>(n); b < count; ++b) {
    const auto& entry = table.entries[bytes[b]];
    if (!entry.valid) return b;
    if (b < whole) continue;
    for (int k = 0; k < table.per_byte; ++k)
      if (place<layout>(b, k) >= n && entry.codes[static_cast<size_t>(k)] + 1 != table.filler_digit) {
        filler = true;
        return b;
      }
  }
  return -1;
}

template <Layout layout>
constexpr Format ternary(std::string_view name, double bits, const Format* computed_as) {
  return {.name = name,
          .version = 1,
          .codes = "ternary codes",
          .min_code = -1,
          .max_code = 1,
          .bits = bits,
          .row_bytes = row_bytes<layout>,
          .pack_row = pack_row<layout>,
          .unpack_row = unpack_row<layout>,
          .first_wrong_byte = first_wrong_byte<layout>,
          .computed_as = computed_as};
}

constexpr Format with_product(Format format, decltype(Format::product) product) {
  format.activations = Activations::kTokens;
  format.product = product;
  return format;
}

}  // namespace

constinit const Format pack2_block128 =
    with_product(ternary<Layout::kBlock128>("pack2_block128", 2, nullptr), ternary_product_of);
constinit const Format pack2_linear = ternary<Layout::kLinear>("pack2_linear", 2, &pack2_block128);
constinit const Format pack3_digits = ternary<Layout::kDigits>("pack3_digits", 1.6, &pack2_block128);
constinit const Format pack3_fixed = ternary<Layout::kFixed>("pack3_fixed", 1.6, &pack2_block128);

}  // namespace tern::packed
