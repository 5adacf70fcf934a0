#include <cmath>

#include <tern/core/error.h>
#include <tern/optim/clip.h>
#include <tern/optim/detail/segments.h>
#include <tern/optim/kernels/update.h>

namespace tern::optim {
namespace {

// Calls body(list, T) for the gradients of each dtype, in the order of the parameters.
template <class Body>
void over_gradients(const char* op, const std::vector<Tensor>& params, Body&& body) {
  std::vector<Tensor> gradients;
  for (const Tensor& param : params) {
    TERN_CHECK(param.defined(), ValueError, "[", op, "] expected tensors, got an undefined one");
    const Tensor gradient = param.grad();
    if (!gradient.defined()) continue;
    dispatch_float(op, gradient.dtype(), []<class T>() {});  // throws for other dtypes
    if (gradient.is_dense()) {
      gradients.push_back(gradient);
    } else {
      Tensor handle = param;
      handle.set_grad(gradient.contiguous());
      gradients.push_back(handle.grad());
    }
  }
  const auto over = [&]<class T>(T) {
    optim::detail::SegmentList<kernels::GradientSegment<T>> list;
    for (Tensor& gradient : gradients) {
      if (gradient.dtype() != dtype_of<T>()) continue;
      T* g = gradient.data<T>();
      list.add(gradient.numel(),
               [&](int64_t begin, int64_t n) { return kernels::GradientSegment<T>{.g = g + begin, .n = n}; });
    }
    list.finish();
    if (list.task_count() > 0) body(list, T{});
  };
  over(float{});
  over(double{});
}

void bump_versions(const std::vector<Tensor>& params) {
  for (const Tensor& param : params)
    if (const Tensor gradient = param.grad(); gradient.defined()) gradient.storage()->bump_version();
}

double norm_of(const char* op, const std::vector<Tensor>& params, double norm_type) {
  TERN_CHECK(norm_type == 1 || norm_type == 2 || (std::isinf(norm_type) && norm_type > 0), ValueError, "[", op,
             "] expected norm_type 1, 2 or infinity, got ", norm_type);
  const int power = std::isinf(norm_type) ? 0 : static_cast<int>(norm_type);
  double total = 0;
  over_gradients(op, params, [&]<class T, class List>(const List& list, T) {
    std::vector<double> partial(static_cast<size_t>(list.task_count()));
    TERN_KERNEL(norm_partials<T>)(list.segments(), list.tasks(), list.task_count(), power, partial.data());
    for (const double v : partial) {
      if (power != 0)
        total += v;
      else if (v > total || std::isnan(v))
        total = v;
    }
  });
  return power == 2 ? std::sqrt(total) : total;
}

}  // namespace

double grad_norm(const std::vector<Tensor>& params, double norm_type) {
  return norm_of("grad_norm", params, norm_type);
}

double clip_grad_norm_(const std::vector<Tensor>& params, double max_norm, const ClipOptions& options) {
  TERN_CHECK(max_norm >= 0, ValueError, "[clip_grad_norm_] expected max_norm of at least 0, got ", max_norm);
  const double norm = norm_of("clip_grad_norm_", params, options.norm_type);
  TERN_CHECK(!options.error_if_nonfinite || std::isfinite(norm), NonFiniteError,
             "[clip_grad_norm_] expected gradients with a finite norm, got ", norm);
  const double factor = std::isnan(norm) ? norm : std::min(1.0, max_norm / (norm + 1e-6));
  if (factor == 1) return norm;
  over_gradients("clip_grad_norm_", params, [&]<class T, class List>(const List& list, T) {
    TERN_KERNEL(scale_values<T>)(list.segments(), list.tasks(), list.task_count(), static_cast<T>(factor));
  });
  bump_versions(params);
  return norm;
}

void clip_grad_value_(const std::vector<Tensor>& params, double clip_value) {
  TERN_CHECK(clip_value >= 0, ValueError, "[clip_grad_value_] expected clip_value of at least 0, got ", clip_value);
  over_gradients("clip_grad_value_", params, [&]<class T, class List>(const List& list, T) {
    TERN_KERNEL(clamp_values<T>)(list.segments(), list.tasks(), list.task_count(), static_cast<T>(clip_value));
  });
  bump_versions(params);
}

}  // namespace tern::optim
