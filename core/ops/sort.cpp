#include <algorithm>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/ops/detail/index.h>
#include <tern/core/ops/sort.h>
#include <tern/core/parallel.h>

namespace tern {
namespace {

template <class T>
struct Entry {
  T value;
  int64_t index;
};

template <class T>
bool is_less(T a, T b) {
  return a < b || (b != b && a == a);  // a NaN is above every number
}

// By value, then by index: a total order, so that any sort is a stable one.
template <class T, bool kDescending>
struct Before {
  bool operator()(const Entry<T>& a, const Entry<T>& b) const {
    if (kDescending ? is_less(b.value, a.value) : is_less(a.value, b.value)) return true;
    if (kDescending ? is_less(a.value, b.value) : is_less(b.value, a.value)) return false;
    return a.index < b.index;
  }
};

// The first k entries in order.
template <class T, bool kDescending>
void order(std::vector<Entry<T>>& entries, int64_t k) {
  const auto middle = entries.begin() + k;
  const Before<T, kDescending> before;
  if (k == static_cast<int64_t>(entries.size())) {
    std::sort(entries.begin(), entries.end(), before);
  } else if (k > 0) {
    std::nth_element(entries.begin(), middle - 1, entries.end(), before);
    std::sort(entries.begin(), middle, before);
  }
}

constexpr int64_t kFew = 32;  // up to so many, topk keeps a sorted list instead of selecting

// The first k of n elements in order, for small k: most elements fail against the last of the list at once.
template <class T, bool kDescending>
void first_few(const T* x, int64_t n, int64_t step, int64_t k, Entry<T>* list) {
  const auto before = [](T a, T b) { return kDescending ? is_less(b, a) : is_less(a, b); };
  int64_t count = 0;
  for (int64_t i = 0; i < n; ++i) {
    const T v = x[i * step];
    if (count == k && !before(v, list[k - 1].value)) continue;  // of equals the first stays
    int64_t at = count < k ? count++ : k - 1;
    for (; at > 0 && before(v, list[at - 1].value); --at) list[at] = list[at - 1];
    list[at] = {v, i};
  }
}

struct SortBackward {
  static constexpr const char* kName = "sort";
  SavedTensor indices;
  Shape shape;
  int64_t axis = 0;
  Gradients backward(const Tensor& grad_output) const { return {spread_along(shape, axis, *indices, grad_output)}; }
};

SortResult first_in_order(const char* op, const Tensor& x, int64_t axis, int64_t k, bool descending) {
  Shape shape = x.shape();
  if (x.dim() > 0) shape[axis] = k;
  Tensor values = empty(shape, x.dtype()), indices = empty(shape, DType::kI64);
  const int64_t n = x.dim() == 0 ? 1 : x.shape()[axis];
  Shape heads = x.shape();
  if (x.dim() > 0) heads[axis] = 1;
  const int64_t lines = values.numel() == 0 ? 0 : numel_of(heads);
  const int64_t from_step = x.dim() == 0 ? 0 : x.strides()[axis], to_step = x.dim() == 0 ? 0 : values.strides()[axis];
  dispatch_arithmetic(op, x.dtype(), [&]<class T>() {
    const T* source = x.data<T>();
    T* sorted = values.data<T>();
    int64_t* where = indices.data<int64_t>();
    parallel_for(lines, std::max<int64_t>(2048 / std::max<int64_t>(n, 1), 1), [&](int64_t begin, int64_t end) {
      std::vector<Entry<T>> entries(static_cast<size_t>(n));
      for (int64_t line = begin; line < end; ++line) {
        int64_t rest = line, from = 0, to = 0;
        for (int64_t a = x.dim() - 1; a >= 0; --a) {
          from += rest % heads[a] * x.strides()[a];
          to += rest % heads[a] * values.strides()[a];
          rest /= heads[a];
        }
        if (0 < k && k <= kFew && k < n) {
          if (descending)
            first_few<T, true>(source + from, n, from_step, k, entries.data());
          else
            first_few<T, false>(source + from, n, from_step, k, entries.data());
        } else {
          for (int64_t i = 0; i < n; ++i) entries[static_cast<size_t>(i)] = {source[from + i * from_step], i};
          if (descending)
            order<T, true>(entries, k);
          else
            order<T, false>(entries, k);
        }
        for (int64_t i = 0; i < k; ++i) {
          sorted[to + i * to_step] = entries[static_cast<size_t>(i)].value;
          where[to + i * to_step] = entries[static_cast<size_t>(i)].index;
        }
      }
    });
  });
  if (!x.is_floating()) return {values, indices};
  return {autograd::record<SortBackward>(values, {x}, {.indices = indices, .shape = x.shape(), .axis = axis}), indices};
}

}  // namespace

SortResult sort(const Tensor& x, int64_t axis, bool descending) {
  check_defined("sort", x);
  const int64_t a = normalize_axis("sort", axis, x.dim());
  return first_in_order("sort", x, a, x.dim() == 0 ? 1 : x.shape()[a], descending);
}

Tensor argsort(const Tensor& x, int64_t axis, bool descending) {
  check_defined("argsort", x);
  return sort(x.detach(), axis, descending).indices;
}

SortResult topk(const Tensor& x, int64_t k, int64_t axis, bool largest) {
  check_defined("topk", x);
  const int64_t a = normalize_axis("topk", axis, x.dim());
  const int64_t n = x.dim() == 0 ? 1 : x.shape()[a];
  TERN_CHECK(k >= 0 && k <= n && (x.dim() > 0 || k == 1), ValueError, "[topk] expected k in [", x.dim() > 0 ? 0 : 1,
             ", ", n, "] (axis ", a, " of ", x.shape(), "), got ", k);
  return first_in_order("topk", x, a, k, largest);
}

}  // namespace tern
