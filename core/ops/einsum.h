// Sums of products over named axes.
#pragma once

#include <string_view>
#include <vector>

#include <tern/core/tensor.h>

namespace tern {

/// The sum of products that `equation` describes (Einstein's convention), as torch.einsum:
///   einsum("bij,bjk->bik", {a, b})    batched matrix product        einsum("ii->i", {a})     diagonal
///   einsum("i,j->ij", {u, v})         outer product                 einsum("...ij->...ji", {a})  transposes
/// Each operand has a letter (a-z, A-Z) per axis; operands are separated by commas and blanks are ignored. Axes with
/// one letter have one size, or size 1, which broadcasts. A letter that an operand repeats takes its diagonal. "..."
/// stands for the axes that are left, which broadcast. After "->" come the axes of the result; letters that are missing
/// there are summed over, and so are the axes of "..." if it is. Without "->" the result has the axes of "..." and
/// then, in alphabetical order (A-Z before a-z), the letters that occur once.
///
/// Operands are contracted from left to right, by matmul where both share letters that are summed. All are f32 or all
/// f64 (DTypeError) and get gradients. A single operand that is only rearranged gives a view. Throws ValueError for an
/// equation that is no such text or has another number of operands, ShapeError for operands that do not fit it and
/// where an intermediate result has more than 8 axes.
[[nodiscard]] Tensor einsum(std::string_view equation, const std::vector<Tensor>& operands);

}  // namespace tern
