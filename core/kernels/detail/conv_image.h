// How the direct convolution kernels cut images into pieces and see their borders. For kernel sources only.
//
// A piece is a band of output rows of one image, or several whole small images. The part of the input that it needs is
// copied, with the zeros around it, into the thread's scratch: the inner loops then have no borders, one group's
// channels lie side by side, and what they read again and again is in the first-level cache. The copy costs one or two
// percent of the arithmetic; where no position reaches outside and there is one group, the input is read in place.
// Weights that exceed the second-level cache are read anew for every piece, so pieces are larger then.
#pragma once

#include <tern/core/kernels/conv_direct.h>
#include <tern/core/kernels/detail/simd.h>

namespace tern::kernels::TERN_ISA {
namespace {

#ifdef __AVX512F__
constexpr int kVectorRegisters = 32;
#else
constexpr int kVectorRegisters = 16;
#endif

template <class T>
using Vec = typename Simd<T>::Vec;

template <class T>
constexpr int kLanes = Simd<T>::kWidth;

/// Vectors of output channels that are worked on together, at most.
constexpr int kMaxVectors = kVectorRegisters == 32 ? 4 : 2;

/// Vectors of the block of output channels that starts at `done` of `padded` (whole vectors).
template <class T>
constexpr int block_vectors(int64_t done, int64_t padded) {
  int vectors = kMaxVectors;
  while (padded - done < vectors * kLanes<T>) vectors /= 2;
  return vectors;
}

constexpr int64_t kPieceBytes = 96 << 10;         ///< of copied input, if a single row needs no more
constexpr int64_t kLargePieceBytes = 1 << 20;     ///< the same where weights are large
constexpr int64_t kLargePiecePositions = 512;     ///< no more images in a piece where weights are large
constexpr int64_t kLargeWeightBytes = 256 << 10;  ///< large weights, of all groups

template <class T>
struct Pieces {
  int64_t rows;      ///< output rows of a piece
  int64_t images;    ///< images of a piece; 1 unless rows is out_h
  int64_t bands;     ///< pieces of an image
  int64_t count;     ///< pieces in all
  bool large;        ///< weights are
  bool in_place;     ///< no copy
  int64_t window_w;  ///< columns of the copied window
  int64_t scratch;   ///< elements of the copy, for the largest piece

  explicit Pieces(const DirectConv& c) {
    window_w = (c.out_w - 1) * c.step_w + (c.taps_w - 1) * c.dilation_w + 1;
    const int64_t whole_h = window_h(c, c.out_h);
    in_place = c.groups == 1 && c.first_h >= 0 && c.first_w >= 0 && c.first_h + whole_h <= c.in_h &&
               c.first_w + window_w <= c.in_w;
    const int64_t row_bytes = window_w * c.channels * static_cast<int64_t>(sizeof(T));
    large = c.groups * c.depth() * c.out_channels * static_cast<int64_t>(sizeof(T)) > kLargeWeightBytes;
    const int64_t limit = large ? kLargePieceBytes : kPieceBytes;
    rows = c.out_h;
    while (rows > 1 && window_h(c, rows) * row_bytes > limit) rows = (rows + 1) / 2;
    images = 1;
    const int64_t image_bytes = whole_h * row_bytes + 1;
    if (rows == c.out_h && large) {
      while (images < c.batch && images * c.out_h * c.out_w < kLargePiecePositions &&
             (images + 1) * image_bytes <= limit)
        ++images;
    } else if (rows == c.out_h) {
      while (images * 2 * image_bytes <= kPieceBytes / 2 && images * 64 <= c.batch) images *= 2;
    }
    bands = (c.out_h + rows - 1) / rows;
    count = bands * ((c.batch + images - 1) / images);
    scratch = in_place ? 0 : images * window_h(c, rows) * window_w * c.channels;
  }

  /// Input rows that so many output rows need.
  static int64_t window_h(const DirectConv& c, int64_t out_rows) {
    return (out_rows - 1) * c.step_h + (c.taps_h - 1) * c.dilation_h + 1;
  }
};

/// A piece as the inner loops see it: input and output positions of one group, without borders.
template <class T>
struct Piece {
  int64_t images, rows, first_image, first_row;
  const T* x;  ///< tap (0, 0) of the piece's first output position
  int64_t x_image, x_row, x_pixel;
};

/// Piece number i, copied into `scratch` unless it can be read in place.
template <class T>
inline Piece<T> open_piece(const DirectConv& c, const Pieces<T>& pieces, int64_t i, int64_t group, const T* x,
                           T* scratch) {
  Piece<T> p;
  p.first_image = i / pieces.bands * pieces.images;
  p.first_row = i % pieces.bands * pieces.rows;
  p.images = c.batch - p.first_image < pieces.images ? c.batch - p.first_image : pieces.images;
  p.rows = c.out_h - p.first_row < pieces.rows ? c.out_h - p.first_row : pieces.rows;
  const int64_t in_row = c.in_w * c.in_pixel, in_image = c.in_h * in_row;
  const int64_t top = p.first_row * c.step_h + c.first_h;
  if (pieces.in_place) {
    p.x = x + p.first_image * in_image + top * in_row + c.first_w * c.in_pixel;
    p.x_image = in_image;
    p.x_row = in_row;
    p.x_pixel = c.in_pixel;
    return p;
  }
  const int64_t height = Pieces<T>::window_h(c, p.rows), width = pieces.window_w, channels = c.channels;
  p.x = scratch;
  p.x_pixel = channels;
  p.x_row = width * channels;
  p.x_image = height * p.x_row;
  // Columns [left, right) of the window lie inside of the image.
  int64_t left = c.first_w < 0 ? -c.first_w : 0, right = c.in_w - c.first_w;
  left = left < width ? left : width;
  right = right > width ? width : right < left ? left : right;
  T* to = scratch;
  for (int64_t n = 0; n < p.images; ++n) {
    const T* image = x + (p.first_image + n) * in_image + group * channels;
    for (int64_t r = 0; r < height; ++r, to += p.x_row) {
      const int64_t row = top + r;
      if (row < 0 || row >= c.in_h || left == right) {
        __builtin_memset(to, 0, static_cast<size_t>(p.x_row) * sizeof(T));
        continue;
      }
      __builtin_memset(to, 0, static_cast<size_t>(left * channels) * sizeof(T));
      const T* from = image + row * in_row + (left + c.first_w) * c.in_pixel;
      if (c.groups == 1) {
        __builtin_memcpy(to + left * channels, from, static_cast<size_t>((right - left) * channels) * sizeof(T));
      } else {
        for (int64_t w = left; w < right; ++w, from += c.in_pixel)
          for (int64_t k = 0; k < channels; ++k) to[w * channels + k] = from[k];
      }
      __builtin_memset(to + right * channels, 0, static_cast<size_t>((width - right) * channels) * sizeof(T));
    }
  }
  return p;
}

/// y = relu(y + residual), as far as `finish` asks for it, at a piece's positions and `channels` output channels, from
/// number `first` on: while the piece is in the caches.
template <class T>
inline void finish_piece(const DirectConv& c, const Piece<T>& piece, const ConvFinish<T>& finish, int64_t first,
                         int64_t channels, T* y) {
  if (!finish.more()) return;
  const bool dense = channels == c.out_pixel;  // then a row goes at once
  const int64_t count = dense ? 1 : c.out_w, length = dense ? c.out_w * channels : channels;
  for (int64_t n = 0; n < piece.images; ++n) {
    for (int64_t r = 0; r < piece.rows; ++r) {
      const int64_t row = (piece.first_image + n) * c.out_image + (piece.first_row + r) * c.out_row + first;
      for (int64_t j = 0; j < count; ++j) {
        T* to = y + row + j * c.out_pixel;
        if (finish.residual != nullptr) {
          const T* from = finish.residual + (to - y);
          for (int64_t i = 0; i < length; ++i) to[i] += from[i];
        }
        if (finish.relu)
          for (int64_t i = 0; i < length; ++i) to[i] = to[i] < T(0) ? T(0) : to[i];
      }
    }
  }
}

}  // namespace
}  // namespace tern::kernels::TERN_ISA
