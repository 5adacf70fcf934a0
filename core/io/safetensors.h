// The safetensors format: 8 bytes of header length (little-endian), a JSON header {name: {dtype, shape, data_offsets},
// "__metadata__": {text: text}}, then the elements, row-major and little-endian. PyTorch and Rust tools read and write
// it. Files are treated as hostile: every rule is checked against the real file size before anything is allocated.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tern/core/dtype.h>
#include <tern/core/io/directory.h>
#include <tern/core/io/tensor_map.h>
#include <tern/core/tensor.h>

namespace tern::io {

/// Longest header that is read or written.
inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;

/// Writes tensors (any dtype and layout; rows come out row-major) and metadata to a file, atomically (AtomicFile). The
/// same content gives the same bytes. Elements are placed by falling element size, so that each is aligned; the header
/// keeps the map's order. Throws ValueError for a name or metadata text that is not UTF-8, is "__metadata__", or for a
/// header beyond kMaxSafetensorsHeader; IoError if the file cannot be written, in which case an old one stays whole.
void save_safetensors(const FilePath& path, const TensorMap& tensors, const Metadata& metadata = {});

/// The same as bytes in memory. Throws ValueError likewise.
[[nodiscard]] std::string serialize_safetensors(const TensorMap& tensors, const Metadata& metadata = {});

/// What a file holds.
struct SafetensorsContent {
  TensorMap tensors;  ///< in the order of the header
  Metadata metadata;
};

/// Reads a whole file. Elements of types that tensors lack are converted where that is exact (ElementType); at most 8
/// axes. Throws IoError if it cannot be read, FormatError, naming the tensor, where it breaks a rule of the format or
/// holds elements that no tensor can, and for a file that is something else, saying what it is (FileKind).
[[nodiscard]] SafetensorsContent load_safetensors(const FilePath& path);

/// The same from bytes in memory; `name` is for messages. Throws FormatError.
[[nodiscard]] SafetensorsContent parse_safetensors(std::span<const std::byte> bytes,
                                                   const std::string& name = "memory");

/// Reads single tensors of a file that need not fit in memory as a whole. Tensors that cannot be read are no hindrance
/// to the others.
class SafetensorsReader {
 public:
  /// A tensor as the header describes it.
  struct Info {
    std::string name;
    std::string type;            ///< of its elements, as the format has it: "F32", "BOOL", "F8_E4M3"
    std::optional<DType> dtype;  ///< of the tensor that read() gives; none: it cannot be read
    Shape shape;
    uint64_t begin = 0;  ///< of its elements, in bytes from the end of the header
    uint64_t end = 0;
  };

  /// Opens a file and checks its header. Throws as load_safetensors.
  explicit SafetensorsReader(const FilePath& path);
  ~SafetensorsReader();
  SafetensorsReader(SafetensorsReader&&) noexcept;

  const std::vector<Info>& infos() const;  ///< in the order of the header
  const Metadata& metadata() const;
  bool contains(std::string_view name) const;
  /// The tensor of that name, row-major. Throws ValueError, with the path, if there is none, FormatError, naming it and
  /// its type, if no tensor can hold its elements, IoError if the file cannot be read any more.
  [[nodiscard]] Tensor read(std::string_view name) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tern::io
