#include <algorithm>
#include <limits>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/index.h>
#include <tern/core/ops/join.h>
#include <tern/core/ops/shape.h>
#include <tern/core/parallel.h>

namespace tern {
namespace {

constexpr int64_t kMaxPadding = int64_t{1} << 60;  // two of them and a size do not overflow

struct CatBackward {
  static constexpr const char* kName = "cat";
  std::vector<int64_t> sizes;
  int64_t axis = 0;
  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    Gradients grads(sizes.size());
    int64_t at = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (needs[i]) grads[i] = slice(grad_output, axis, at, at + sizes[i]);
      at += sizes[i];
    }
    return grads;
  }
};

struct SplitBackward {
  static constexpr const char* kName = "split";
  std::vector<int64_t> sizes;
  int64_t axis = 0;
  Shape shape;
  DType dtype = DType::kF32;
  MemoryFormat format = MemoryFormat::kContiguous;
  Gradients backward(std::span<const Tensor> grad_outputs, NeedsGrad) const {
    Tensor grad_input = empty(shape, dtype, format);
    int64_t at = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      Tensor piece = slice(grad_input, axis, at, at + sizes[i]);
      if (grad_outputs[i].defined())
        piece.copy_(grad_outputs[i]);
      else
        piece.zero_();
      at += sizes[i];
    }
    return {grad_input};
  }
};

struct UnbindBackward {
  static constexpr const char* kName = "unbind";
  int64_t axis = 0;
  Shape shape;
  DType dtype = DType::kF32;
  MemoryFormat format = MemoryFormat::kContiguous;
  Gradients backward(std::span<const Tensor> grad_outputs, NeedsGrad) const {
    const Tensor grad_input = empty(shape, dtype, format);
    for (int64_t i = 0; i < shape[axis]; ++i) {
      Tensor position = select(grad_input, axis, i);
      const Tensor& g = grad_outputs[static_cast<size_t>(i)];
      if (g.defined())
        position.copy_(g);
      else
        position.zero_();
    }
    return {grad_input};
  }
};

struct PadBackward {
  static constexpr const char* kName = "pad";
  std::vector<int64_t> opposite;
  Gradients backward(const Tensor& grad_output) const { return {pad(grad_output, opposite)}; }
};

struct FlipBackward {
  static constexpr const char* kName = "flip";
  Dims axes;
  Gradients backward(const Tensor& grad_output) const { return {flip(grad_output, axes)}; }
};

struct RollBackward {
  static constexpr const char* kName = "roll";
  int64_t shift = 0, axis = 0;
  Gradients backward(const Tensor& grad_output) const { return {roll(grad_output, {-shift}, {axis})}; }
};

struct TriangleBackward {
  static constexpr const char* kName = "triangle";
  int64_t diagonal = 0;
  bool lower = true;
  Gradients backward(const Tensor& grad_output) const {
    return {lower ? tril(grad_output, diagonal) : triu(grad_output, diagonal)};
  }
};

MemoryFormat common_format(std::span<const Tensor> tensors) {
  for (const Tensor& x : tensors)
    if (x.dim() != 4 || !x.is_contiguous(MemoryFormat::kChannelsLast)) return MemoryFormat::kContiguous;
  for (const Tensor& x : tensors)
    if (x.memory_format() == MemoryFormat::kChannelsLast) return MemoryFormat::kChannelsLast;
  return MemoryFormat::kContiguous;
}

Tensor roll_axis(const Tensor& x, int64_t wanted_shift, int64_t axis) {
  const int64_t size = x.size(axis);
  if (size == 0) return x;
  const int64_t shift = (wanted_shift % size + size) % size;
  if (shift == 0) return x;
  Tensor out = empty_like(x);
  const Tensor source = x.detach();
  slice(out, axis, 0, shift).copy_(slice(source, axis, size - shift, size));
  slice(out, axis, shift, size).copy_(slice(source, axis, 0, size - shift));
  return autograd::record<RollBackward>(out, {x}, {.shift = shift, .axis = axis});
}

Tensor triangle(const char* op, const Tensor& x, int64_t wanted_diagonal, bool lower) {
  check_defined(op, x);
  TERN_CHECK(x.dim() >= 2, ShapeError, "[", op, "] expected at least 2 axes, got shape ", x.shape());
  Tensor out = x.detach().clone(MemoryFormat::kContiguous);
  const int64_t rows = x.size(-2), columns = x.size(-1);
  const int64_t diagonal = std::clamp<int64_t>(wanted_diagonal, -rows - 1, columns);  // no diagonal lies further out
  const int64_t row_bytes = columns * size_of(x.dtype());
  if (out.numel() > 0)
    parallel_for(out.numel() / columns, chunk_items(columns), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const int64_t row = r % rows;
        const int64_t cut = std::clamp<int64_t>(row + diagonal + (lower ? 1 : 0), 0, columns);
        std::byte* first = out.raw() + r * row_bytes;
        std::byte* middle = first + cut * size_of(x.dtype());
        std::fill(lower ? middle : first, lower ? first + row_bytes : middle, std::byte{0});
      }
    });
  if (!x.is_floating()) return out;
  return autograd::record<TriangleBackward>(out, {x}, {.diagonal = diagonal, .lower = lower});
}

}  // namespace

Tensor cat(std::span<const Tensor> tensors, int64_t wanted_axis) {
  TERN_CHECK(!tensors.empty(), ValueError, "[cat] expected at least one tensor, got none");
  for (const Tensor& x : tensors) check_defined("cat", x);
  const Tensor& first = tensors[0];
  TERN_CHECK(first.dim() > 0, ShapeError, "[cat] expected tensors of at least one axis, got a scalar");
  const int64_t axis = normalize_axis("cat", wanted_axis, first.dim());
  Shape shape = first.shape();
  shape[axis] = 0;
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& x = tensors[i];
    TERN_CHECK(x.dtype() == first.dtype(), DTypeError, "[cat] expected tensors of one dtype, got ", first.dtype(),
               " and, at position ", i, ", ", x.dtype());
    bool fits = x.dim() == first.dim();
    for (int64_t a = 0; fits && a < x.dim(); ++a) fits = a == axis || x.shape()[a] == shape[a];
    TERN_CHECK(fits, ShapeError, "[cat] expected tensors that differ along axis ", axis, " alone, got ", first.shape(),
               " and, at position ", i, ", ", x.shape());
    sizes.push_back(x.shape()[axis]);
    shape[axis] += x.shape()[axis];
  }
  const Tensor out = empty(shape, first.dtype(), common_format(tensors));
  int64_t at = 0;
  for (const Tensor& x : tensors) {
    const int64_t size = x.shape()[axis];
    if (x.numel() > 0) slice(out, axis, at, at + size).copy_(x.detach());
    at += size;
  }
  if (!first.is_floating()) return out;
  return autograd::record<CatBackward>(out, tensors, {.sizes = std::move(sizes), .axis = axis});
}

Tensor cat(const std::vector<Tensor>& tensors, int64_t axis) {
  return cat(std::span<const Tensor>(tensors), axis);
}

Tensor stack(std::span<const Tensor> tensors, int64_t wanted_axis) {
  TERN_CHECK(!tensors.empty(), ValueError, "[stack] expected at least one tensor, got none");
  for (const Tensor& x : tensors) check_defined("stack", x);
  const int64_t axis = normalize_axis("stack", wanted_axis, tensors[0].dim() + 1);
  std::vector<Tensor> lifted;
  for (size_t i = 0; i < tensors.size(); ++i) {
    TERN_CHECK(tensors[i].dtype() == tensors[0].dtype(), DTypeError, "[stack] expected tensors of one dtype, got ",
               tensors[0].dtype(), " and, at position ", i, ", ", tensors[i].dtype());
    TERN_CHECK(tensors[i].shape() == tensors[0].shape(), ShapeError, "[stack] expected tensors of one shape, got ",
               tensors[0].shape(), " and, at position ", i, ", ", tensors[i].shape());
    lifted.push_back(unsqueeze(tensors[i], axis));
  }
  return cat(lifted, axis);
}

Tensor stack(const std::vector<Tensor>& tensors, int64_t axis) {
  return stack(std::span<const Tensor>(tensors), axis);
}

std::vector<Tensor> split_sizes(const Tensor& x, const std::vector<int64_t>& sizes, int64_t wanted_axis) {
  check_defined("split", x);
  TERN_CHECK(x.dim() > 0, ShapeError, "[split] expected at least one axis, got a scalar");
  const int64_t axis = normalize_axis("split", wanted_axis, x.dim());
  int64_t total = 0;
  bool negative = false;
  for (const int64_t size : sizes) {
    negative |= size < 0;
    if (__builtin_add_overflow(total, size, &total)) total = std::numeric_limits<int64_t>::max();
  }
  TERN_CHECK(!negative && total == x.shape()[axis], ShapeError, "[split] expected sizes that add up to ",
             x.shape()[axis], " (axis ", axis, " of ", x.shape(), "), got a total of ", total,
             negative ? " with a negative size" : "");
  std::vector<Tensor> pieces;
  int64_t at = 0;
  for (const int64_t size : sizes) {
    pieces.push_back(slice(x.detach(), axis, at, at + size));
    at += size;
  }
  if (!x.is_floating() || pieces.empty()) return pieces;
  const Tensor inputs[] = {x};
  return autograd::record_all<SplitBackward>(
      std::move(pieces), inputs,
      {.sizes = sizes, .axis = axis, .shape = x.shape(), .dtype = x.dtype(), .format = x.memory_format()});
}

std::vector<Tensor> split(const Tensor& x, int64_t size, int64_t wanted_axis) {
  check_defined("split", x);
  TERN_CHECK(x.dim() > 0, ShapeError, "[split] expected at least one axis, got a scalar");
  TERN_CHECK(size > 0, ValueError, "[split] expected a size of at least 1, got ", size);
  const int64_t total = x.size(wanted_axis);
  std::vector<int64_t> sizes;
  for (int64_t at = 0; at < total; at += size) sizes.push_back(std::min(size, total - at));
  if (sizes.empty()) sizes.push_back(0);
  return split_sizes(x, sizes, wanted_axis);
}

std::vector<Tensor> chunk(const Tensor& x, int64_t chunks, int64_t axis) {
  check_defined("chunk", x);
  TERN_CHECK(x.dim() > 0, ShapeError, "[chunk] expected at least one axis, got a scalar");
  TERN_CHECK(chunks > 0, ValueError, "[chunk] expected at least 1 chunk, got ", chunks);
  const int64_t total = x.size(axis);
  return split(x, std::max<int64_t>(total / chunks + (total % chunks != 0), 1), axis);
}

std::vector<Tensor> unbind(const Tensor& x, int64_t wanted_axis) {
  check_defined("unbind", x);
  TERN_CHECK(x.dim() > 0, ShapeError, "[unbind] expected at least one axis, got a scalar");
  const int64_t axis = normalize_axis("unbind", wanted_axis, x.dim());
  std::vector<Tensor> positions;
  for (int64_t i = 0; i < x.size(axis); ++i) positions.push_back(select(x.detach(), axis, i));
  if (!x.is_floating() || positions.empty()) return positions;
  const Tensor inputs[] = {x};
  return autograd::record_all<UnbindBackward>(
      std::move(positions), inputs,
      {.axis = axis, .shape = x.shape(), .dtype = x.dtype(), .format = x.memory_format()});
}

Tensor pad(const Tensor& x, const std::vector<int64_t>& padding, double value) {
  check_defined("pad", x);
  const int64_t pairs = static_cast<int64_t>(padding.size()) / 2;
  TERN_CHECK(padding.size() % 2 == 0 && pairs <= x.dim(), ShapeError,
             "[pad] expected pairs (before, after) for at most ", x.dim(), " axes (shape ", x.shape(), "), got ",
             padding.size(), " numbers");
  check_number("pad", x.dtype(), value);
  for (const int64_t amount : padding)
    TERN_CHECK(amount >= -kMaxPadding && amount <= kMaxPadding, ShapeError,
               "[pad] expected amounts of at most 2^60, got ", amount);
  Shape shape = x.shape();
  std::vector<int64_t> opposite;
  const auto before = [&](int64_t axis) { return padding[static_cast<size_t>(2 * (x.dim() - 1 - axis))]; };
  const auto after = [&](int64_t axis) { return padding[static_cast<size_t>(2 * (x.dim() - 1 - axis) + 1)]; };
  for (int64_t a = x.dim() - pairs; a < x.dim(); ++a) {
    // Each side may crop what is there, and the other may add to what is left.
    const int64_t left = x.shape()[a] + std::min<int64_t>(before(a), 0) + std::min<int64_t>(after(a), 0);
    shape[a] += before(a) + after(a);
    TERN_CHECK(left >= 0 && shape[a] >= 0, ShapeError, "[pad] expected to crop at most ", x.shape()[a],
               " positions of axis ", a, " of ", x.shape(), ", got ", before(a), " and ", after(a));
  }
  for (const int64_t amount : padding) opposite.push_back(-amount);
  const Tensor out = empty(shape, x.dtype(), x.memory_format());
  Tensor inside = out, source = x.detach();
  for (int64_t a = x.dim() - pairs; a < x.dim(); ++a) {
    const int64_t b = before(a), e = after(a), size = inside.shape()[a];
    if (b > 0) slice(inside, a, 0, b).fill_(value);
    if (e > 0) slice(inside, a, size - e, size).fill_(value);
    inside = slice(inside, a, std::max<int64_t>(b, 0), size - std::max<int64_t>(e, 0));
    source = slice(source, a, std::max<int64_t>(-b, 0), source.shape()[a] - std::max<int64_t>(-e, 0));
  }
  if (source.numel() > 0) inside.copy_(source);
  if (!x.is_floating()) return out;
  return autograd::record<PadBackward>(out, {x}, {.opposite = std::move(opposite)});
}

Tensor pad2d(const Tensor& x, int64_t amount, double value) {
  check_defined("pad2d", x);
  TERN_CHECK(x.dim() >= 2, ShapeError, "[pad2d] expected at least 2 axes, got shape ", x.shape());
  return pad(x, {amount, amount, amount, amount}, value);
}

Tensor flip(const Tensor& x, const Dims& wanted_axes) {
  check_defined("flip", x);
  if (wanted_axes.empty()) return clone(x);
  const Dims axes = normalize_axes("flip", wanted_axes, x.dim());
  Layout layout{x.shape(), x.strides(), x.offset()};
  for (const int64_t a : axes) {
    layout.offset += std::max<int64_t>(x.shape()[a] - 1, 0) * x.strides()[a];
    layout.strides[a] = -x.strides()[a];
  }
  Tensor out = empty_like(x);
  if (x.numel() > 0) out.copy_(alias_with(x, layout));
  if (!x.is_floating()) return out;
  return autograd::record<FlipBackward>(out, {x}, {.axes = axes});
}

Tensor roll(const Tensor& x, const Dims& shifts, const Dims& axes) {
  check_defined("roll", x);
  if (axes.empty()) {
    TERN_CHECK(shifts.size() == 1, ValueError, "[roll] expected one shift when no axes are given, got ", shifts);
    return reshape(roll_axis(reshape(x, {x.numel()}), shifts[0], 0), x.shape());
  }
  TERN_CHECK(shifts.size() == axes.size(), ValueError, "[roll] expected a shift for each axis, got ", shifts,
             " for axes ", axes);
  Tensor out = x;
  for (int64_t i = 0; i < axes.size(); ++i) out = roll_axis(out, shifts[i], normalize_axis("roll", axes[i], x.dim()));
  return out.is_same(x) ? clone(x) : out;
}

Tensor repeat(const Tensor& x, const Dims& repeats) {
  check_defined("repeat", x);
  TERN_CHECK(repeats.size() >= x.dim(), ShapeError, "[repeat] expected at least ", x.dim(), " numbers for shape ",
             x.shape(), ", got ", repeats);
  for (const int64_t r : repeats)
    TERN_CHECK(r >= 0, ValueError, "[repeat] expected numbers of at least 0, got ", repeats);
  Shape shape(repeats.size(), 1);
  std::copy(x.shape().begin(), x.shape().end(), shape.end() - x.dim());
  Tensor out = reshape(x, shape);
  for (int64_t a = repeats.size() - 1; a >= 0; --a) {
    if (repeats[a] == 1) continue;
    if (shape[a] == 1) {  // no new axis needed
      shape[a] = repeats[a];
      out = expand(out, shape);
      continue;
    }
    Shape wide = shape, merged = shape;
    wide.insert(a, repeats[a]);
    merged[a] *= repeats[a];
    out = reshape(expand(unsqueeze(out, a), wide), merged);
    shape = merged;
  }
  return out.shares_storage_with(x) ? clone(out, MemoryFormat::kContiguous) : out;
}

Tensor repeat_interleave(const Tensor& x, const Tensor& repeats, std::optional<int64_t> wanted_axis) {
  constexpr const char* kOp = "repeat_interleave";
  check_defined(kOp, x, repeats);
  const Tensor source = wanted_axis && x.dim() > 0 ? x : reshape(x, {x.numel()});
  const int64_t axis = wanted_axis ? normalize_axis(kOp, *wanted_axis, x.dim()) : 0, size = source.size(axis);
  TERN_CHECK(repeats.dtype() == DType::kI64, DTypeError, "[", kOp, "] expected repeats of i64, got ", repeats.dtype());
  TERN_CHECK(repeats.dim() <= 1 && (repeats.numel() == 1 || repeats.numel() == size), ShapeError, "[", kOp,
             "] expected one number of repeats or ", size, ", got ", repeats.shape());
  const Tensor counts = repeats.contiguous();
  const auto count_of = [&, v = counts.data<int64_t>()](int64_t i) { return v[counts.numel() == 1 ? 0 : i]; };
  int64_t total = 0;
  for (int64_t i = 0; i < size; ++i) {
    TERN_CHECK(count_of(i) >= 0, ValueError, "[", kOp, "] expected repeats of at least 0, got ", count_of(i));
    if (__builtin_add_overflow(total, count_of(i), &total)) total = std::numeric_limits<int64_t>::max();
  }
  Tensor positions = empty({total}, DType::kI64);
  int64_t* to = positions.data<int64_t>();
  for (int64_t i = 0; i < size; ++i) to = std::fill_n(to, count_of(i), i);
  return index_select(source, axis, positions);
}

Tensor repeat_interleave(const Tensor& x, int64_t repeats, std::optional<int64_t> axis) {
  return repeat_interleave(x, tensor({repeats}), axis);
}

Tensor tril(const Tensor& x, int64_t diagonal) {
  return triangle("tril", x, diagonal, true);
}

Tensor triu(const Tensor& x, int64_t diagonal) {
  return triangle("triu", x, diagonal, false);
}

}  // namespace tern
