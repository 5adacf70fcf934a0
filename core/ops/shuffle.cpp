#include <limits>

#include <tern/core/error.h>
#include <tern/core/ops/shape.h>
#include <tern/core/ops/shuffle.h>

namespace tern {
namespace {

void check_images(const char* op, const Tensor& x, const char* what, int64_t number) {
  check_defined(op, x);
  TERN_CHECK(x.dim() == 4, ShapeError, "[", op, "] expected an input of shape [N, C, H, W], got ", x.shape());
  TERN_CHECK(number >= 1 && number < int64_t{1} << 31, ValueError, "[", op, "] expected ", what, " of at least 1, got ",
             number);
}

}  // namespace

Tensor pixel_shuffle(const Tensor& x, int64_t factor) {
  check_images("pixel_shuffle", x, "a factor", factor);
  const Shape& s = x.shape();
  TERN_CHECK(s[1] % (factor * factor) == 0, ShapeError, "[pixel_shuffle] expected channels in runs of ",
             factor * factor, ", got ", s);
  TERN_CHECK(s[2] < int64_t{1} << 32 && s[3] < int64_t{1} << 32, ShapeError,
             "[pixel_shuffle] expected images of fewer than 2^32 rows and columns, got ", s);
  const int64_t channels = s[1] / (factor * factor);
  return reshape(permute(reshape(x, {s[0], channels, factor, factor, s[2], s[3]}), {0, 1, 4, 2, 5, 3}),
                 {s[0], channels, s[2] * factor, s[3] * factor});
}

Tensor pixel_unshuffle(const Tensor& x, int64_t factor) {
  check_images("pixel_unshuffle", x, "a factor", factor);
  const Shape& s = x.shape();
  TERN_CHECK(s[2] % factor == 0 && s[3] % factor == 0, ShapeError,
             "[pixel_unshuffle] expected a height and width that ", factor, " divides, got ", s);
  TERN_CHECK(s[1] <= std::numeric_limits<int64_t>::max() / (factor * factor), ShapeError,
             "[pixel_unshuffle] expected channels of which ", factor * factor, " times as many can be counted, got ",
             s);
  const int64_t height = s[2] / factor, width = s[3] / factor;
  return reshape(permute(reshape(x, {s[0], s[1], height, factor, width, factor}), {0, 1, 3, 5, 2, 4}),
                 {s[0], s[1] * factor * factor, height, width});
}

Tensor channel_shuffle(const Tensor& x, int64_t groups) {
  check_images("channel_shuffle", x, "a number of groups", groups);
  const Shape& s = x.shape();
  TERN_CHECK(s[1] % groups == 0, ShapeError, "[channel_shuffle] expected channels that ", groups,
             " groups divide, got ", s);
  return reshape(transpose(reshape(x, {s[0], groups, s[1] / groups, s[2], s[3]}), 1, 2), s);
}

}  // namespace tern
