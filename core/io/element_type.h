// The element types of files: more than tensors have. Integers of sizes that tensors lack are widened, 8-bit floats
// become f32, both exactly; what tensors cannot hold is known by name and size alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <tern/core/dtype.h>
#include <tern/core/tensor.h>

namespace tern::io {

/// An element type by the name that safetensors has for it.
///
/// | name | read as |
/// | F32 F64 BF16 F16 I64 I32 I8 U8 | the dtype of that name |
/// | BOOL | u8; bytes other than 0 and 1 are refused |
/// | I16 U16 | i32 |
/// | U32 | i64 |
/// | U64 | i64; values from 2^63 on are refused |
/// | F8_E4M3 F8_E5M2 F8_E4M3FNUZ F8_E5M2FNUZ F8_E8M0 | f32 (E4M3 as PyTorch's e4m3fn: no infinities) |
/// | F4 F6_E2M3 F6_E3M2 C64 | nothing: an error |
struct ElementType {
  std::string_view name;
  int64_t bits = 0;                 ///< of one element
  std::optional<DType> dtype;       ///< of the tensors that are read from it
  bool is_stored_as_dtype = false;  ///< the bytes are those of the tensor
};

/// The type of that name; null if there is none.
[[nodiscard]] const ElementType* find_element_type(std::string_view name);
/// The type that a dtype is written as.
[[nodiscard]] const ElementType& element_type_of(DType dtype);

/// Fills a tensor, row-major and of type.dtype, from its elements as a file holds them (little-endian). Throws
/// FormatError "[op] expected ... in WHERE, got ..." for a value that the tensor cannot hold.
void decode_elements(const char* op, const std::string& where, const ElementType& type,
                     std::span<const std::byte> bytes, Tensor& out);

}  // namespace tern::io
