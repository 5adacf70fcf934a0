// The update loops of the optimizers. A segment is a run of one parameter's elements with the numbers its update needs;
// a task is a run of segments of about one grain of work, so that many small parameters cost one parallel loop.
#pragma once

#include <cstdint>

#include <tern/core/kernels/kernel.h>

namespace tern::kernels {

template <class T>
struct SgdSegment {
  T* p;        // [n] parameter
  const T* g;  // [n] gradient
  T* buffer;   // [n] momentum buffer; null without momentum
  int64_t n;
  T lr, decay, momentum, keep;  // keep = 1 - dampening
  bool nesterov, first;         // first: the buffer is set to the gradient
};

template <class T>
struct AdamSegment {
  T* p;        // [n] parameter
  const T* g;  // [n] gradient
  T* m;        // [n] mean of gradients
  T* v;        // [n] mean of squared gradients
  T* v_max;    // [n] largest v so far; null without amsgrad
  int64_t n;
  T beta1, beta2, rest1, rest2, eps;  // rest = 1 - beta, rounded once
  T step_size;                        // lr / (1 - beta1^t)
  T root_c2;                          // sqrt(1 - beta2^t)
  T decay, shrink;                    // coupled decay; decoupled: the parameter is multiplied by shrink first
};

template <class T>
struct AverageSegment {
  T* average;  // [n]
  const T* p;  // [n]
  int64_t n;
};

template <class T>
struct GradientSegment {
  T* g;  // [n]
  int64_t n;
};

}  // namespace tern::kernels

// tasks: [task_count + 1] first segment of each task
TERN_DECLARE_KERNELS(
    /// g' = g + decay p; buffer = momentum buffer + keep g'; p -= lr (g' + momentum buffer with nesterov, else buffer)
    template <class T> void sgd_update(const SgdSegment<T>* segments, const int64_t* tasks, int64_t task_count);
    /// Kingma and Ba, "Adam", algorithm 1 in PyTorch's arrangement of the bias corrections
    template <class T> void adam_update(const AdamSegment<T>* segments, const int64_t* tasks, int64_t task_count);
    /// average = decay average + (1 - decay) p
    template <class T>
    void average_update(const AverageSegment<T>* segments, const int64_t* tasks, int64_t task_count, double decay);
    /// average and p change places
    template <class T> void swap_values(const AverageSegment<T>* segments, const int64_t* tasks, int64_t task_count);
    /// partial[task] = sum of |g|^power over the task's segments for power 1 and 2, largest |g| for power 0 (NaN wins)
    template <class T> void norm_partials(const GradientSegment<T>* segments, const int64_t* tasks, int64_t task_count,
                                          int power, double* partial);
    /// g *= factor
    template <class T>
    void scale_values(const GradientSegment<T>* segments, const int64_t* tasks, int64_t task_count, T factor);
    /// g = min(max(g, -limit), limit); NaN stays
    template <class T>
    void clamp_values(const GradientSegment<T>* segments, const int64_t* tasks, int64_t task_count, T limit);)
