// NumPy's .npy files: one array with its dtype and shape.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include <tern/core/tensor.h>

namespace tern::io {

/// Reads an array of format version 1, 2 or 3, in C or Fortran order; the result is row-major. Element types f4 f8 f2
/// i8 i4 i1 u1 of either byte order; also b1 (as u8 of 0 and 1), i2 and u2 (as i32), u4 and u8 (as i64; values from
/// 2^63 on are refused). At most 8 axes. The header is checked against the file's size before anything is allocated.
/// Throws IoError if the file cannot be read, FormatError for anything else in it; of a file of another kind it says
/// which (FileKind).
[[nodiscard]] Tensor load_npy(const std::string& path);

/// The same from bytes in memory; `name` is for messages. Throws FormatError.
[[nodiscard]] Tensor parse_npy(std::span<const std::byte> bytes, const std::string& name = "memory");

/// Writes an array of any layout as version 1, row-major, atomically (AtomicFile). Throws DTypeError for bf16, which
/// NumPy does not have, and IoError.
void save_npy(const std::string& path, const Tensor& x);

/// The same as bytes in memory. Throws DTypeError.
[[nodiscard]] std::string serialize_npy(const Tensor& x);

}  // namespace tern::io
