// Looking up rows of a table.
#pragma once

#include <optional>

#include <tern/core/tensor.h>

namespace tern {

/// weight[indices]: a row of weight for each index. indices: i64, any shape; weight: [V, D], f32 or f64; result:
/// indices' shape and then D. The row padding_idx (counted from the back when negative) gets no gradient. Gradients of
/// repeated indices are added in their order. Throws ValueError naming an index outside [0, V) or a padding_idx outside
/// [-V, V), ShapeError for a weight that is not 2-D, DTypeError for other dtypes.
[[nodiscard]] Tensor embedding(const Tensor& indices, const Tensor& weight,
                               std::optional<int64_t> padding_idx = std::nullopt);

}  // namespace tern
