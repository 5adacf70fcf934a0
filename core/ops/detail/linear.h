// What the ops on linear layers share.
#pragma once

#include <tern/core/kernels/linear.h>
#include <tern/core/linalg/gemm.h>
#include <tern/core/ops/linear.h>

namespace tern::detail {

/// [..., n] as [rows, n], without a copy where the strides allow it; outside the graph.
Tensor fold_rows(const Tensor& x);

/// A weight [out, in] in panels, for x weight^T: with `keep`, those beside its memory (kept_forms.h), which it must
/// keep.
template <class T>
gemm::Panels<T> weight_panels(const Tensor& weight, bool keep);

/// Sums of the columns of [rows, cols], added by blocks of rows in order.
Tensor column_sums(const Tensor& x);

/// a^T b for a [k, m] and b [k, n]: a weight's gradient.
Tensor transposed_product(const Tensor& a, const Tensor& b);

kernels::LinearAct kernel_act(Activation activation);

/// Throws as linear does, with these names.
void check_linear(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const char* weight_name = "a weight", const char* bias_name = "a bias");
/// Throws as feed_forward does for its second map; the first has been checked.
void check_down(const char* op, const Tensor& x, const Tensor& up_weight, const Tensor& down_weight,
                const Tensor& down_bias);

}  // namespace tern::detail
