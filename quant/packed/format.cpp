#include <algorithm>
#include <cmath>

#include <tern/core/error.h>
#include <tern/core/ops/create.h>
#include <tern/core/parallel.h>
#include <tern/quant/packed/format.h>
#include <tern/quant/packed/ternary.h>

namespace tern::packed {
namespace {

constexpr const Format* kFormats[] = {&pack2_linear, &pack2_block128, &pack3_digits, &pack3_fixed};

int64_t rows_of_a_chunk(int64_t in_features) {
  return std::max<int64_t>(1, kElementwiseGrain * 4 / in_features);
}

int64_t row_bytes_of(const PackedWeight& w) {
  return w.format->row_bytes(w.in_features);
}

// Calls fn(row) for the rows of a matrix, several at a time.
template <class F>
void for_each_row(int64_t rows, int64_t in_features, const F& fn) {
  parallel_for(rows, rows_of_a_chunk(in_features), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) fn(r);
  });
}

// What is wrong with scales or zero points; empty if nothing is.
std::string wrong_scales(const PackedWeight& w) {
  const bool grouped = w.format->scales == ScaleOf::kGroup;
  if (grouped != (w.group_size > 0))
    return concat("[packed] expected ", grouped ? "a group_size of at least 1" : "no group_size", " in ",
                  w.format->name, ", got ", w.group_size);
  const Shape wanted = scale_shape(*w.format, w.out_features, w.in_features, w.group_size);
  if (!w.scales.defined()) return concat("[packed] expected a scale f32 ", wanted, ", got none");
  if (w.scales.dtype() != DType::kF32 || w.scales.shape() != wanted)
    return concat("[packed] expected a scale f32 ", wanted, ", got ", describe(w.scales));
  for (const float scale : w.scales.to_vector<float>())
    if (!(std::isfinite(scale) && scale > 0)) return concat("[packed] expected a finite scale above 0, got ", scale);
  const bool there = w.zero_points.defined();
  if (there != w.format->has_zero_points)
    return concat("[packed] expected ", there ? "no " : "", "zero points in ", w.format->name, ", got ",
                  there ? "some" : "none");
  if (there && (w.zero_points.dtype() != DType::kI32 || w.zero_points.shape() != wanted))
    return concat("[packed] expected zero points i32 ", wanted, ", got ", describe(w.zero_points));
  return {};
}

}  // namespace

std::span<const Format* const> formats() {
  return kFormats;
}

const Format& format_of(std::string_view name) {
  std::string known;
  for (size_t i = 0; i < std::size(kFormats); ++i) {
    if (kFormats[i]->name == name) return *kFormats[i];
    known += concat(i == 0 ? "" : i + 1 == std::size(kFormats) ? " and " : ", ", kFormats[i]->name);
  }
  throw ValueError(concat("[packed] expected a format among ", known, ", got \"", name, "\""));
}

Shape scale_shape(const Format& format, int64_t out_features, int64_t in_features, int64_t group_size) {
  switch (format.scales) {
    case ScaleOf::kTensor:
      return {};
    case ScaleOf::kRow:
      return {out_features};
    case ScaleOf::kGroup:
      break;
  }
  TERN_CHECK(group_size >= 1, FormatError, "[packed] expected a group_size of at least 1, got ", group_size);
  return {out_features, (in_features + group_size - 1) / group_size};
}

PackedWeight pack(const Tensor& codes, float scale, const Format& format) {
  TERN_CHECK(format.scales == ScaleOf::kTensor, ValueError, "[packed] expected a format with one scale, got ",
             format.name);
  return pack(codes, full({}, scale), format);
}

PackedWeight pack(const Tensor& codes, const Tensor& scales, const Format& format, const Tensor& zero_points,
                  int64_t group_size) {
  check_defined("packed", codes);
  TERN_CHECK(codes.dtype() == DType::kI8, DTypeError, "[packed] expected codes of dtype i8, got ", codes.dtype());
  TERN_CHECK(codes.dim() == 2 && codes.size(0) >= 1 && codes.size(1) >= 1 && codes.size(1) <= kMaxInFeatures,
             ShapeError, "[packed] expected codes [out_features, in_features] of sizes above 0, rows of at most ",
             kMaxInFeatures, ", got ", codes.shape());
  const int64_t rows = codes.size(0), in = codes.size(1), row_bytes = format.row_bytes(in);
  PackedWeight out{.format = &format,
                   .out_features = rows,
                   .in_features = in,
                   .bytes = empty({rows, row_bytes}, DType::kU8),
                   .scales = scales,
                   .zero_points = zero_points,
                   .group_size = group_size};
  if (const std::string wrong = wrong_scales(out); !wrong.empty()) throw ValueError(wrong);
  const Tensor dense = codes.contiguous();
  const int8_t* from = dense.data<int8_t>();
  uint8_t* to = out.bytes.data<uint8_t>();
  for_each_row(rows, in, [&](int64_t r) {
    const int8_t* row = from + r * in;
    for (int64_t i = 0; i < in; ++i)
      TERN_CHECK(row[i] >= format.min_code && row[i] <= format.max_code, ValueError, "[packed] expected ", format.codes,
                 " from ", format.min_code, " to ", format.max_code, ", got ", static_cast<int>(row[i]), " at [", r,
                 ", ", i, "]");
    format.pack_row(row, in, to + r * row_bytes);
  });
  return out;
}

void check_form(const PackedWeight& w) {
  TERN_CHECK(w.format != nullptr, FormatError, "[packed] expected a format, got none");
  TERN_CHECK(w.out_features >= 1 && w.in_features >= 1 && w.in_features <= kMaxInFeatures, FormatError,
             "[packed] expected sizes of at least 1, rows of at most ", kMaxInFeatures, ", got ", w.out_features,
             " rows of ", w.in_features);
  TERN_CHECK(w.bytes.defined(), FormatError, "[packed] expected bytes, got none");
  const Shape wanted{w.out_features, row_bytes_of(w)};
  TERN_CHECK(w.bytes.dtype() == DType::kU8 && w.bytes.shape() == wanted && w.bytes.is_contiguous(), FormatError,
             "[packed] expected u8 ", wanted, " row by row for ", w.out_features, " x ", w.in_features, " weights in ",
             w.format->name, ", got ", tern::describe(w.bytes));
  if (const std::string wrong = wrong_scales(w); !wrong.empty()) throw FormatError(wrong);
}

void check(const PackedWeight& w) {
  check_form(w);
  const uint8_t* bytes = w.bytes.data<uint8_t>();
  const int64_t row_bytes = row_bytes_of(w);
  for_each_row(w.out_features, w.in_features, [&](int64_t r) {
    const uint8_t* row = bytes + r * row_bytes;
    bool filler = false;
    const int64_t b = w.format->first_wrong_byte(row, w.in_features, filler);
    TERN_CHECK(b < 0, FormatError, "[packed] expected bytes of ", w.format->codes, " in ", w.format->name, ", got ",
               static_cast<int>(row[b]), " as byte ", b, " of row ", r,
               filler ? ", where the row must be filled up" : "");
  });
}

Tensor unpack(const PackedWeight& w) {
  check(w);
  Tensor out = empty({w.out_features, w.in_features}, DType::kI8);
  int8_t* to = out.data<int8_t>();
  const uint8_t* from = w.bytes.data<uint8_t>();
  const int64_t row_bytes = row_bytes_of(w);
  for_each_row(w.out_features, w.in_features,
               [&](int64_t r) { w.format->unpack_row(from + r * row_bytes, w.in_features, to + r * w.in_features); });
  return out;
}

Tensor dequantize(const PackedWeight& w) {
  const Tensor codes = unpack(w), scales = w.scales.contiguous(),
               zero_points = w.zero_points.defined() ? w.zero_points.contiguous() : Tensor();
  Tensor out = empty(codes.shape());
  const int8_t* from = codes.data<int8_t>();
  float* to = out.data<float>();
  const int64_t in = w.in_features, groups = w.scales.dim() == 2 ? w.scales.size(1) : 1;
  for_each_row(w.out_features, in, [&](int64_t r) {
    for (int64_t i = 0; i < in; ++i) {
      const int64_t at = w.scales.dim() == 0 ? 0 : r * groups + (w.scales.dim() == 2 ? i / w.group_size : 0);
      const int32_t zero = zero_points.defined() ? zero_points.data<int32_t>()[at] : 0;
      to[r * in + i] = static_cast<float>(from[r * in + i] - zero) * scales.data<float>()[at];
    }
  });
  return out;
}

PackedWeight repack(const PackedWeight& w, const Format& format) {
  if (&format != w.format) return pack(unpack(w), w.scales, format, w.zero_points, w.group_size);
  check(w);
  return w;
}

}  // namespace tern::packed
