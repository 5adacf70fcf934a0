#include <algorithm>
#include <cstdlib>

#include <tern/core/ops/detail/reduce_plan.h>

namespace tern {
namespace {

constexpr int64_t kPart = 32768;    // elements in a partial result: enough to be worth a hand-over
constexpr int64_t kManyItems = 64;  // independent outputs (or tiles) that keep all threads busy without partial results

bool holds(const Dims& axes, int64_t axis) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

}  // namespace

Shape reduced_shape(const Shape& shape, const Dims& axes, bool keepdim) {
  Shape out;
  for (int64_t a = 0; a < shape.size(); ++a) {
    if (!holds(axes, a))
      out.push_back(shape[a]);
    else if (keepdim)
      out.push_back(1);
  }
  return out;
}

Tensor empty_reduced(const Tensor& x, const Dims& axes, bool keepdim, DType dtype) {
  return empty(reduced_shape(x.shape(), axes, keepdim), dtype, keepdim ? x.memory_format() : MemoryFormat::kContiguous);
}

ReducePlan make_reduce_plan(const Tensor& x, const Dims& axes, const Tensor& out) {
  const bool keepdim = out.dim() == x.dim();
  Dims out_strides(x.dim(), 0), order;
  for (int64_t a = 0, o = 0; a < x.dim(); ++a) {
    if (!holds(axes, a)) out_strides[a] = out.strides()[o];
    if (keepdim || !holds(axes, a)) ++o;
  }
  for (int64_t a = x.dim() - 1; a >= 0; --a)
    if (x.shape()[a] != 1) order.push_back(a);
  const auto reach = [&](int64_t a) { return x.strides()[a] == 0 ? INT64_MAX : std::abs(x.strides()[a]); };
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return reach(a) < reach(b); });

  ReducePlan plan;
  plan.columns = !order.empty() && !holds(axes, order[0]);
  for (const int64_t a : order) {
    const int64_t size = x.shape()[a], stride = x.strides()[a];
    if (holds(axes, a)) {
      const int64_t last = plan.reduced_axes - 1;
      plan.reduced *= size;
      if (last >= 0 && stride == plan.reduced_stride[last] * plan.reduced_size[last]) {
        plan.reduced_size[last] *= size;
        continue;
      }
      plan.reduced_size[plan.reduced_axes] = size;
      plan.reduced_stride[plan.reduced_axes++] = stride;
    } else {
      const int64_t last = plan.kept_axes - 1;
      plan.kept *= size;
      if (last >= 0 && stride == plan.kept_stride[last] * plan.kept_size[last] &&
          out_strides[a] == plan.out_stride[last] * plan.kept_size[last]) {
        plan.kept_size[last] *= size;
        continue;
      }
      plan.kept_size[plan.kept_axes] = size;
      plan.kept_stride[plan.kept_axes] = stride;
      plan.out_stride[plan.kept_axes++] = out_strides[a];
    }
  }
  if (plan.kept == 0 || plan.reduced == 0) return plan;

  plan.part = plan.reduced;
  int64_t items = plan.kept;
  if (plan.columns) {
    plan.tile = std::min(plan.kept_size[0], kReduceTile);
    items = plan.kept / plan.kept_size[0] * ((plan.kept_size[0] + plan.tile - 1) / plan.tile);
  }
  if (items < kManyItems) plan.part = std::min(plan.reduced, std::max<int64_t>(kPart / plan.tile, 1));
  plan.parts = (plan.reduced + plan.part - 1) / plan.part;
  return plan;
}

}  // namespace tern
