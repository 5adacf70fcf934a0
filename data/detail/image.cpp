#include <algorithm>
#include <utility>

#include <tern/core/error.h>
#include <tern/core/ops/copy.h>
#include <tern/data/detail/image.h>

namespace tern::data::detail {

const std::array<float, 256>& unit_table() {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> values{};
    for (size_t p = 0; p < values.size(); ++p) values[p] = static_cast<float>(p) / 255.0f;
    return values;
  }();
  return table;
}

void Image::look_at(const uint8_t* bytes, const float* floats, int64_t height, int64_t width) {
  bytes_ = bytes;
  floats_ = floats;
  table_ = nullptr;
  height_ = stored_height_ = row_end_ = height;
  width_ = stored_width_ = column_end_ = width;
  top_ = left_ = row_begin_ = column_begin_ = 0;
  flipped_ = false;
}

void Image::show(const Tensor& image) {
  TERN_CHECK(image.dim() == 3 && image.numel() > 0, ShapeError,
             "[transform] expected an image [C, H, W] that is not empty, got shape ", image.shape());
  TERN_CHECK(image.dtype() == DType::kU8 || image.dtype() == DType::kF32, DTypeError,
             "[transform] expected an image of u8 or f32, got ", image.dtype());
  shown_ = contiguous(image);
  channels_ = image.shape()[0];
  normalized = false;
  if (image.dtype() == DType::kU8)
    look_at(std::as_const(shown_).data<uint8_t>(), nullptr, image.shape()[1], image.shape()[2]);
  else
    look_at(nullptr, std::as_const(shown_).data<float>(), image.shape()[1], image.shape()[2]);
}

void Image::window(int64_t top, int64_t left, int64_t height, int64_t width) {
  const bool leaves = top < 0 || left < 0 || top + height > height_ || left + width > width_;
  if (leaves && table_ != nullptr) floats();  // what lies outside is the value 0, not table[0]
  // What was shown until now is all that can be seen.
  row_begin_ = std::max(row_begin_, top_);
  row_end_ = std::min(row_end_, top_ + height_);
  const int64_t first = flipped_ ? left_ - width_ + 1 : left_;
  column_begin_ = std::max(column_begin_, first);
  column_end_ = std::min(column_end_, first + width_);
  top_ += top;
  left_ += flipped_ ? -left : left;
  height_ = height;
  width_ = width;
}

void Image::flip() {
  left_ += flipped_ ? 1 - width_ : width_ - 1;
  flipped_ = !flipped_;
}

void Image::map(const float* table) {
  TERN_ASSERT(bytes_ != nullptr && table_ == nullptr, "a table for an image that is not bytes");
  table_ = table;
}

template <class From, class To, class Map>
void Image::copy(const From* from, To* out, int64_t stride_c, int64_t stride_y, int64_t stride_x,
                 const Map& map) const {
  // Columns [begin, end) of the result have a stored pixel.
  const int64_t low = flipped_ ? left_ - column_end_ + 1 : column_begin_ - left_;
  const int64_t high = flipped_ ? left_ - column_begin_ + 1 : column_end_ - left_;
  const int64_t begin = std::clamp<int64_t>(low, 0, width_), end = std::clamp<int64_t>(high, begin, width_);
  for (int64_t c = 0; c < channels_; ++c) {
    const From* plane = from + c * stored_height_ * stored_width_;
    const To outside = map.outside(c);
    for (int64_t y = 0; y < height_; ++y) {
      To* row = out + c * stride_c + y * stride_y;
      const int64_t stored_y = top_ + y;
      const bool inside = stored_y >= row_begin_ && stored_y < row_end_;
      const int64_t from_x = inside ? begin : 0, to_x = inside ? end : 0;
      for (int64_t x = 0; x < from_x; ++x) row[x * stride_x] = outside;
      if (from_x < to_x) {
        const From* pixel = plane + stored_y * stored_width_ + (flipped_ ? left_ - from_x : left_ + from_x);
        To* o = row + from_x * stride_x;
        const int64_t n = to_x - from_x;
        if (flipped_)
          for (int64_t x = 0; x < n; ++x) o[x * stride_x] = map(c, pixel[-x]);
        else
          for (int64_t x = 0; x < n; ++x) o[x * stride_x] = map(c, pixel[x]);
      }
      for (int64_t x = to_x; x < width_; ++x) row[x * stride_x] = outside;
    }
  }
}

namespace {

struct SameBytes {
  uint8_t outside(int64_t) const { return 0; }
  uint8_t operator()(int64_t, uint8_t v) const { return v; }
};
struct SameFloats {
  float outside(int64_t) const { return 0; }
  float operator()(int64_t, float v) const { return v; }
};
struct ByTable {
  const float* table;
  int64_t step;  // from one channel's table to the next
  float outside(int64_t c) const { return table[c * step]; }
  float operator()(int64_t c, uint8_t v) const { return table[c * step + v]; }
};

}  // namespace

void Image::write(float* out, int64_t stride_c, int64_t stride_y, int64_t stride_x) const {
  if (floats_ != nullptr)
    copy(floats_, out, stride_c, stride_y, stride_x, SameFloats{});
  else if (table_ != nullptr)
    copy(bytes_, out, stride_c, stride_y, stride_x, ByTable{table_, 256});
  else
    copy(bytes_, out, stride_c, stride_y, stride_x, ByTable{unit_table().data(), 0});
}

void Image::copy_bytes(uint8_t* out) const {
  copy(bytes_, out, height_ * width_, width_, int64_t{1}, SameBytes{});
}

uint8_t* Image::bytes() {
  TERN_ASSERT(!is_float(), "the bytes of an image of floats");
  if (bytes_ == own_bytes_.data() && shows_all()) return own_bytes_.data();
  spare_bytes_.resize(static_cast<size_t>(channels_ * height_ * width_));
  copy_bytes(spare_bytes_.data());
  show_bytes(spare_bytes_, height_, width_);
  return own_bytes_.data();
}

bool Image::shows_all() const {
  return !flipped_ && top_ == 0 && left_ == 0 && height_ == stored_height_ && width_ == stored_width_ &&
         row_begin_ == 0 && row_end_ == height_ && column_begin_ == 0 && column_end_ == width_;
}

float* Image::floats() {
  if (floats_ != nullptr && floats_ == own_floats_.data() && shows_all()) return own_floats_.data();
  spare_floats_.resize(static_cast<size_t>(channels_ * height_ * width_));
  write(spare_floats_.data(), height_ * width_, width_, 1);
  show_floats(spare_floats_, height_, width_);
  return own_floats_.data();
}

void Image::show_bytes(std::vector<uint8_t>& out, int64_t height, int64_t width) {
  own_bytes_.swap(out);
  look_at(own_bytes_.data(), nullptr, height, width);
}

void Image::show_floats(std::vector<float>& out, int64_t height, int64_t width) {
  own_floats_.swap(out);
  look_at(nullptr, own_floats_.data(), height, width);
}

Tensor Image::to_tensor() const {
  Tensor out = empty({channels_, height_, width_}, is_float() ? DType::kF32 : DType::kU8);
  if (is_float())
    write(out.data<float>(), height_ * width_, width_, 1);
  else
    copy_bytes(out.data<uint8_t>());
  return out;
}

}  // namespace tern::data::detail
