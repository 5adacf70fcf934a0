#include <tern/optim/kernels/update.h>

namespace tern::kernels::TERN_ISA {
namespace {

inline float root(float v) {
  return __builtin_sqrtf(v);
}
inline double root(double v) {
  return __builtin_sqrt(v);
}

// body(segment) for every segment, task by task.
template <class Segment, class Body>
void for_segments(const Segment* segments, const int64_t* tasks, int64_t task_count, const Body& body) {
  parallel_for(task_count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task)
      for (int64_t s = tasks[task]; s < tasks[task + 1]; ++s) body(segments[s]);
  });
}

}  // namespace

template <class T>
void sgd_update(const SgdSegment<T>* segments, const int64_t* tasks, int64_t task_count) {
  for_segments(segments, tasks, task_count, [](const SgdSegment<T>& s) {
    T* __restrict p = s.p;
    const T* __restrict g = s.g;
    T* __restrict buffer = s.buffer;
    const T lr = s.lr, decay = s.decay, momentum = s.momentum, keep = s.keep;
    if (buffer == nullptr) {
      for (int64_t i = 0; i < s.n; ++i) p[i] -= lr * (g[i] + decay * p[i]);
      return;
    }
    if (s.first) {
      const T ahead = s.nesterov ? T(1) + momentum : T(1);
      for (int64_t i = 0; i < s.n; ++i) {
        buffer[i] = g[i] + decay * p[i];
        p[i] -= lr * (ahead * buffer[i]);
      }
      return;
    }
    if (s.nesterov) {
      for (int64_t i = 0; i < s.n; ++i) {
        const T gradient = g[i] + decay * p[i];
        buffer[i] = momentum * buffer[i] + keep * gradient;
        p[i] -= lr * (gradient + momentum * buffer[i]);
      }
      return;
    }
    for (int64_t i = 0; i < s.n; ++i) {
      buffer[i] = momentum * buffer[i] + keep * (g[i] + decay * p[i]);
      p[i] -= lr * buffer[i];
    }
  });
}

template <class T>
void adam_update(const AdamSegment<T>* segments, const int64_t* tasks, int64_t task_count) {
  for_segments(segments, tasks, task_count, [](const AdamSegment<T>& s) {
    T* __restrict p = s.p;
    const T* __restrict g = s.g;
    T* __restrict m = s.m;
    T* __restrict v = s.v;
    T* __restrict v_max = s.v_max;
    const T beta1 = s.beta1, beta2 = s.beta2, rest1 = s.rest1, rest2 = s.rest2;
    const T eps = s.eps, step_size = s.step_size, root_c2 = s.root_c2;
    const T decay = s.decay, shrink = s.shrink;
    if (v_max == nullptr) {
      for (int64_t i = 0; i < s.n; ++i) {
        const T w = p[i] * shrink;
        const T gradient = g[i] + decay * p[i];
        m[i] = beta1 * m[i] + rest1 * gradient;
        v[i] = beta2 * v[i] + rest2 * (gradient * gradient);
        p[i] = w - step_size * (m[i] / (root(v[i]) / root_c2 + eps));
      }
      return;
    }
    for (int64_t i = 0; i < s.n; ++i) {
      const T w = p[i] * shrink;
      const T gradient = g[i] + decay * p[i];
      m[i] = beta1 * m[i] + rest1 * gradient;
      v[i] = beta2 * v[i] + rest2 * (gradient * gradient);
      v_max[i] = v_max[i] > v[i] ? v_max[i] : v[i];
      p[i] = w - step_size * (m[i] / (root(v_max[i]) / root_c2 + eps));
    }
  });
}

template <class T>
void average_update(const AverageSegment<T>* segments, const int64_t* tasks, int64_t task_count, double decay) {
  const T keep = static_cast<T>(decay), take = static_cast<T>(1.0 - decay);
  for_segments(segments, tasks, task_count, [=](const AverageSegment<T>& s) {
    T* __restrict average = s.average;
    const T* __restrict p = s.p;
    for (int64_t i = 0; i < s.n; ++i) average[i] = keep * average[i] + take * p[i];
  });
}

template <class T>
void swap_values(const AverageSegment<T>* segments, const int64_t* tasks, int64_t task_count) {
  for_segments(segments, tasks, task_count, [](const AverageSegment<T>& s) {
    T* __restrict a = s.average;
    T* __restrict b = const_cast<T*>(s.p);
    for (int64_t i = 0; i < s.n; ++i) {
      const T v = a[i];
      a[i] = b[i];
      b[i] = v;
    }
  });
}

template <class T>
void norm_partials(const GradientSegment<T>* segments, const int64_t* tasks, int64_t task_count, int power,
                   double* partial) {
  parallel_for(task_count, 1, [=](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      constexpr int64_t kLanes = 8;  // partial sums side by side, added in order at the end
      double sum[kLanes] = {};
      double largest = 0;
      bool nan = false;
      for (int64_t s = tasks[task]; s < tasks[task + 1]; ++s) {
        const T* g = segments[s].g;
        const int64_t n = segments[s].n;
        for (int64_t i = 0; i < n; i += kLanes) {
          const int64_t lanes = n - i < kLanes ? n - i : kLanes;
          for (int64_t k = 0; k < lanes; ++k) {
            const double v = static_cast<double>(g[i + k]);
            const double magnitude = v < 0 ? -v : v;
            if (power == 2) {
              sum[k] += v * v;
            } else if (power == 1) {
              sum[k] += magnitude;
            } else {
              largest = magnitude > largest ? magnitude : largest;
              nan |= v != v;
            }
          }
        }
      }
      if (power == 0) {
        partial[task] = nan ? __builtin_nan("") : largest;
        continue;
      }
      partial[task] = 0;
      for (int64_t k = 0; k < kLanes; ++k) partial[task] += sum[k];
    }
  });
}

template <class T>
void scale_values(const GradientSegment<T>* segments, const int64_t* tasks, int64_t task_count, T factor) {
  for_segments(segments, tasks, task_count, [=](const GradientSegment<T>& s) {
    for (int64_t i = 0; i < s.n; ++i) s.g[i] *= factor;
  });
}

template <class T>
void clamp_values(const GradientSegment<T>* segments, const int64_t* tasks, int64_t task_count, T limit) {
  for_segments(segments, tasks, task_count, [=](const GradientSegment<T>& s) {
    for (int64_t i = 0; i < s.n; ++i) {
      const T v = s.g[i];
      s.g[i] = v > limit ? limit : v < -limit ? -limit : v;
    }
  });
}

#define INSTANTIATE(T)                                                                           \
  template void sgd_update(const SgdSegment<T>*, const int64_t*, int64_t);                       \
  template void adam_update(const AdamSegment<T>*, const int64_t*, int64_t);                     \
  template void average_update(const AverageSegment<T>*, const int64_t*, int64_t, double);       \
  template void swap_values(const AverageSegment<T>*, const int64_t*, int64_t);                  \
  template void norm_partials(const GradientSegment<T>*, const int64_t*, int64_t, int, double*); \
  template void scale_values(const GradientSegment<T>*, const int64_t*, int64_t, T);             \
  template void clamp_values(const GradientSegment<T>*, const int64_t*, int64_t, T);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
