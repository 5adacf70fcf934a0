// An image on its way through a chain of transforms. Cropping, padding, flipping and normalising only change how it is
// looked at; pixels move once, when the result is written into its batch. Not part of the public interface.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <tern/core/tensor.h>

namespace tern::data::detail {

class Image {
 public:
  /// Shows a u8 or f32 tensor [C, H, W], C, H and W at least 1. Keeps the tensor. Throws DTypeError, ShapeError.
  void show(const Tensor& image);

  int64_t channels() const { return channels_; }
  int64_t height() const { return height_; }
  int64_t width() const { return width_; }
  /// f32 values, or bytes that a table turns into such.
  bool is_float() const { return floats_ != nullptr || table_ != nullptr; }
  /// Set by normalize: the values are no longer in [0, 1].
  bool normalized = false;

  /// Shows the rectangle of that place and size; where it leaves the present one, 0.
  void window(int64_t top, int64_t left, int64_t height, int64_t width);
  /// Left and right change places.
  void flip();
  /// Turns each byte p of channel c into table[c * 256 + p]. Only for bytes. The table must live until the image is
  /// written or shows something else.
  void map(const float* table);

  /// The bytes in rows, [C, H, W], to be changed at will. Only for bytes.
  uint8_t* bytes();
  /// The values as f32 in rows, [C, H, W], to be changed at will; bytes become p / 255.
  float* floats();
  /// Shows other content of the same kind: `out` was filled by the caller.
  void show_bytes(std::vector<uint8_t>& out, int64_t height, int64_t width);
  void show_floats(std::vector<float>& out, int64_t height, int64_t width);

  /// Writes the values as f32; element (c, y, x) goes to out[c * stride_c + y * stride_y + x * stride_x].
  void write(float* out, int64_t stride_c, int64_t stride_y, int64_t stride_x) const;
  /// The values as a tensor of its own: u8 if they are still bytes, else f32.
  Tensor to_tensor() const;

 private:
  void look_at(const uint8_t* bytes, const float* floats, int64_t height, int64_t width);
  template <class From, class To, class Map>
  void copy(const From* from, To* out, int64_t stride_c, int64_t stride_y, int64_t stride_x, const Map& map) const;
  void copy_bytes(uint8_t* out) const;
  bool shows_all() const;  // every stored pixel in its place

  Tensor shown_;  // keeps what is looked at alive
  const uint8_t* bytes_ = nullptr;
  const float* floats_ = nullptr;  // exactly one of the two
  const float* table_ = nullptr;
  int64_t channels_ = 0, height_ = 0, width_ = 0;
  int64_t stored_height_ = 0, stored_width_ = 0;
  // Shown (y, x) is stored (top_ + y, flipped_ ? left_ - x : left_ + x); 0 outside rows [row_begin_, row_end_) and
  // columns [column_begin_, column_end_).
  int64_t top_ = 0, left_ = 0;
  bool flipped_ = false;
  int64_t row_begin_ = 0, row_end_ = 0, column_begin_ = 0, column_end_ = 0;
  std::vector<uint8_t> own_bytes_, spare_bytes_;
  std::vector<float> own_floats_, spare_floats_;
};

/// The table of p / 255 for one channel.
const std::array<float, 256>& unit_table();

}  // namespace tern::data::detail
