#include <limits>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/kernels/pool.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/detail/image.h>
#include <tern/core/ops/pool.h>
#include <tern/core/ops/shape.h>

namespace tern {
namespace {

// The windows of one axis, owned.
struct Windows {
  std::vector<int64_t> begin, end, divisor;
  int64_t dilation = 1;
  int64_t count() const { return static_cast<int64_t>(begin.size()); }
  PoolAxis axis() const { return {begin.data(), end.data(), divisor.data(), dilation}; }
};

struct AxisOptions {
  int64_t size, kernel, stride, padding, dilation;
  bool ceil_mode;
};

int64_t window_count(const AxisOptions& o) {
  const int64_t room = o.size + 2 * o.padding - o.dilation * (o.kernel - 1) - 1;
  if (room < 0 && !(o.ceil_mode && room + o.stride - 1 >= 0)) return 0;
  int64_t count = (room + (o.ceil_mode ? o.stride - 1 : 0)) / o.stride + 1;
  if (o.ceil_mode && (count - 1) * o.stride >= o.size + o.padding) --count;
  return count;
}

// Windows clipped to the input, empty where only padding is seen (dilated ones alone); a mean divides by what is left,
// or by the part inside input and padding.
Windows sliding_windows(const AxisOptions& o, bool count_padding) {
  Windows w;
  w.dilation = o.dilation;
  for (int64_t i = 0; i < window_count(o); ++i) {
    const int64_t first = i * o.stride - o.padding;
    const int64_t last = std::min(first + o.dilation * (o.kernel - 1) + 1, o.size + o.padding);
    const int64_t skipped = first < 0 ? (-first + o.dilation - 1) / o.dilation * o.dilation : 0;
    w.begin.push_back(first + skipped);
    w.end.push_back(std::min(last, o.size));
    w.divisor.push_back(count_padding ? last - first : w.end.back() - w.begin.back());
  }
  return w;
}

Windows covering_windows(int64_t size, int64_t count) {
  Windows w;
  for (int64_t i = 0; i < count; ++i) {
    w.begin.push_back(i * size / count);
    w.end.push_back(((i + 1) * size + count - 1) / count);
    w.divisor.push_back(w.end.back() - w.begin.back());
  }
  return w;
}

void check_images(const char* op, const Tensor& x) {
  detail::check_images(op, x);
  TERN_CHECK(x.shape()[2] <= std::numeric_limits<int32_t>::max() / x.shape()[3], ShapeError, "[", op,
             "] expected images of fewer than 2^31 pixels, got input ", x.shape());
}

void check_window(const char* op, Size2 kernel, Size2 stride, Size2 padding, Size2 dilation) {
  TERN_CHECK(kernel.h >= 1 && kernel.w >= 1, ValueError, "[", op, "] expected a kernel_size of at least 1, got ",
             kernel);
  TERN_CHECK(stride.h >= 1 && stride.w >= 1, ValueError, "[", op, "] expected a stride of at least 1, got ", stride);
  TERN_CHECK(dilation.h >= 1 && dilation.w >= 1, ValueError, "[", op, "] expected a dilation of at least 1, got ",
             dilation);
  TERN_CHECK(padding.h >= 0 && padding.w >= 0, ValueError, "[", op, "] expected a padding of at least 0, got ",
             padding);
  TERN_CHECK(padding.h <= kernel.h / 2 && padding.w <= kernel.w / 2, ValueError, "[", op,
             "] expected a padding of at most half the kernel_size ", kernel, ", got ", padding);
}

void check_output(const char* op, const Tensor& x, const Windows& rows, const Windows& columns, Size2 kernel) {
  TERN_CHECK(rows.count() > 0 && columns.count() > 0, ShapeError, "[", op,
             "] expected an input that a window of kernel_size ", kernel, " fits into, got ", x.shape());
}

// x in one of the two dense formats.
Tensor dense_images(const Tensor& x) {
  return x.memory_format() == MemoryFormat::kChannelsLast || x.is_contiguous() ? x : contiguous(x);
}

PoolImages images_of(const Tensor& x, int64_t out_h, int64_t out_w) {
  return {x.shape()[0],
          x.shape()[1],
          x.shape()[2],
          x.shape()[3],
          out_h,
          out_w,
          x.memory_format() == MemoryFormat::kChannelsLast};
}

MemoryFormat format_of(const PoolImages& images) {
  return images.channels_last ? MemoryFormat::kChannelsLast : MemoryFormat::kContiguous;
}

struct MaxPoolBackward {
  static constexpr const char* kName = "max_pool2d";
  PoolImages images;
  Tensor index;
  Gradients backward(const Tensor& grad_output) const {
    const Tensor g = contiguous(grad_output, format_of(images));
    Tensor grad_x = empty({images.batch, images.channels, images.in_h, images.in_w}, g.dtype(), format_of(images));
    dispatch_float(kName, g.dtype(), [&]<class T>() {
      TERN_KERNEL(max_pool_grad<T>)(images, g.data<T>(), index.data<int32_t>(), grad_x.data<T>());
    });
    return {grad_x};
  }
};

struct MeanPoolBackward {
  static constexpr const char* kName = "avg_pool2d";
  PoolImages images;
  Windows rows, columns;
  Gradients backward(const Tensor& grad_output) const {
    const Tensor g = contiguous(grad_output, format_of(images));
    Tensor grad_x = empty({images.batch, images.channels, images.in_h, images.in_w}, g.dtype(), format_of(images));
    dispatch_float(kName, g.dtype(), [&]<class T>() {
      TERN_KERNEL(mean_pool_grad<T>)(images, rows.axis(), columns.axis(), g.data<T>(), grad_x.data<T>());
    });
    return {grad_x};
  }
};

Tensor mean_over(const Tensor& input, Windows rows, Windows columns) {
  const Tensor x = dense_images(input);
  const PoolImages images = images_of(x, rows.count(), columns.count());
  Tensor y = empty({images.batch, images.channels, images.out_h, images.out_w}, x.dtype(), format_of(images));
  dispatch_float("avg_pool2d", x.dtype(), [&]<class T>() {
    TERN_KERNEL(mean_pool<T>)(images, rows.axis(), columns.axis(), x.data<T>(), y.data<T>());
  });
  return autograd::record<MeanPoolBackward>(y, {x},
                                            {.images = images, .rows = std::move(rows), .columns = std::move(columns)});
}

Tensor max_over(const Tensor& input, const Windows& rows, const Windows& columns) {
  const Tensor x = dense_images(input);
  const PoolImages images = images_of(x, rows.count(), columns.count());
  Tensor y = empty({images.batch, images.channels, images.out_h, images.out_w}, x.dtype(), format_of(images));
  Tensor index = empty_like(y, DType::kI32);
  dispatch_float("max_pool2d", x.dtype(), [&]<class T>() {
    TERN_KERNEL(max_pool<T>)(images, rows.axis(), columns.axis(), x.data<T>(), y.data<T>(), index.data<int32_t>());
  });
  return autograd::record<MaxPoolBackward>(y, {x}, {.images = images, .index = index});
}

struct ShortcutBackward {
  static constexpr const char* kName = "shortcut_a";
  PoolImages images;
  int64_t stride = 1, out_channels = 0, before = 0;
  Gradients backward(const Tensor& grad_output) const {
    const Tensor g = contiguous(grad_output, format_of(images));
    Tensor grad_x = empty({images.batch, images.channels, images.in_h, images.in_w}, g.dtype(), format_of(images));
    dispatch_float(kName, g.dtype(), [&]<class T>() {
      TERN_KERNEL(subsample_grad<T>)(images, stride, out_channels, before, g.data<T>(), grad_x.data<T>());
    });
    return {grad_x};
  }
};

}  // namespace

Tensor max_pool2d(const Tensor& x, const MaxPool2dOptions& o) {
  check_images("max_pool2d", x);
  const Size2 stride{o.stride.h == 0 ? o.kernel_size.h : o.stride.h, o.stride.w == 0 ? o.kernel_size.w : o.stride.w};
  check_window("max_pool2d", o.kernel_size, stride, o.padding, o.dilation);
  const Windows rows =
      sliding_windows({x.shape()[2], o.kernel_size.h, stride.h, o.padding.h, o.dilation.h, o.ceil_mode}, false);
  const Windows columns =
      sliding_windows({x.shape()[3], o.kernel_size.w, stride.w, o.padding.w, o.dilation.w, o.ceil_mode}, false);
  check_output("max_pool2d", x, rows, columns, o.kernel_size);
  return max_over(x, rows, columns);
}

Tensor avg_pool2d(const Tensor& x, const AvgPool2dOptions& o) {
  check_images("avg_pool2d", x);
  const Size2 stride{o.stride.h == 0 ? o.kernel_size.h : o.stride.h, o.stride.w == 0 ? o.kernel_size.w : o.stride.w};
  check_window("avg_pool2d", o.kernel_size, stride, o.padding, 1);
  Windows rows =
      sliding_windows({x.shape()[2], o.kernel_size.h, stride.h, o.padding.h, 1, o.ceil_mode}, o.count_include_pad);
  Windows columns =
      sliding_windows({x.shape()[3], o.kernel_size.w, stride.w, o.padding.w, 1, o.ceil_mode}, o.count_include_pad);
  check_output("avg_pool2d", x, rows, columns, o.kernel_size);
  return mean_over(x, std::move(rows), std::move(columns));
}

Tensor adaptive_avg_pool2d(const Tensor& x, Size2 output_size) {
  check_images("adaptive_avg_pool2d", x);
  TERN_CHECK(output_size.h >= 1 && output_size.w >= 1, ValueError,
             "[adaptive_avg_pool2d] expected an output_size of at least 1, got ", output_size);
  return mean_over(x, covering_windows(x.shape()[2], output_size.h), covering_windows(x.shape()[3], output_size.w));
}

Tensor adaptive_max_pool2d(const Tensor& x, Size2 output_size) {
  check_images("adaptive_max_pool2d", x);
  TERN_CHECK(output_size.h >= 1 && output_size.w >= 1, ValueError,
             "[adaptive_max_pool2d] expected an output_size of at least 1, got ", output_size);
  return max_over(x, covering_windows(x.shape()[2], output_size.h), covering_windows(x.shape()[3], output_size.w));
}

Tensor global_avg_pool(const Tensor& x) {
  check_images("global_avg_pool", x);
  return reshape(mean_over(x, covering_windows(x.shape()[2], 1), covering_windows(x.shape()[3], 1)),
                 {x.shape()[0], x.shape()[1]});
}

Tensor shortcut_a(const Tensor& input, int64_t out_channels, int64_t stride) {
  check_images("shortcut_a", input);
  TERN_CHECK(stride >= 1, ValueError, "[shortcut_a] expected a stride of at least 1, got ", stride);
  TERN_CHECK(out_channels >= input.shape()[1], ValueError, "[shortcut_a] expected at least the input's ",
             input.shape()[1], " channels, got out_channels ", out_channels);
  const Tensor x = dense_images(input);
  const PoolImages images = images_of(x, (x.shape()[2] + stride - 1) / stride, (x.shape()[3] + stride - 1) / stride);
  const int64_t before = (out_channels - images.channels) / 2;
  Tensor y = empty({images.batch, out_channels, images.out_h, images.out_w}, x.dtype(), format_of(images));
  dispatch_float("shortcut_a", x.dtype(), [&]<class T>() {
    TERN_KERNEL(subsample<T>)(images, stride, out_channels, before, x.data<T>(), y.data<T>());
  });
  return autograd::record<ShortcutBackward>(
      y, {x}, {.images = images, .stride = stride, .out_channels = out_channels, .before = before});
}

}  // namespace tern
