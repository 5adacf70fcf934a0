#include <tern/core/error.h>
#include <tern/core/ops/pool.h>
#include <tern/core/ops/pool1d.h>
#include <tern/core/ops/shape.h>

namespace tern {
namespace {

template <class Pool>
Tensor along_the_width(const char* op, const Tensor& x, const Pool& pool) {
  check_defined(op, x);
  TERN_CHECK(x.dim() == 3, ShapeError, "[", op, "] expected an input of shape [N, C, L], got ", x.shape());
  return squeeze(pool(unsqueeze(x, 2)), 2);
}

}  // namespace

Tensor max_pool1d(const Tensor& x, const MaxPool1dOptions& o) {
  return along_the_width("max_pool1d", x, [&](const Tensor& images) {
    return max_pool2d(images, {.kernel_size = {1, o.kernel_size},
                               .stride = {1, o.stride},
                               .padding = {0, o.padding},
                               .dilation = {1, o.dilation},
                               .ceil_mode = o.ceil_mode});
  });
}

Tensor avg_pool1d(const Tensor& x, const AvgPool1dOptions& o) {
  return along_the_width("avg_pool1d", x, [&](const Tensor& images) {
    return avg_pool2d(images, {.kernel_size = {1, o.kernel_size},
                               .stride = {1, o.stride},
                               .padding = {0, o.padding},
                               .ceil_mode = o.ceil_mode,
                               .count_include_pad = o.count_include_pad});
  });
}

Tensor adaptive_avg_pool1d(const Tensor& x, int64_t output_size) {
  return along_the_width("adaptive_avg_pool1d", x, [&](const Tensor& images) {
    return adaptive_avg_pool2d(images, {1, output_size});
  });
}

Tensor adaptive_max_pool1d(const Tensor& x, int64_t output_size) {
  return along_the_width("adaptive_max_pool1d", x, [&](const Tensor& images) {
    return adaptive_max_pool2d(images, {1, output_size});
  });
}

}  // namespace tern
