#include <algorithm>
#include <numeric>
#include <optional>

#include <tern/core/autograd/autograd.h>
#include <tern/core/io/bytes.h>
#include <tern/core/io/element_type.h>
#include <tern/core/io/file_kind.h>
#include <tern/core/io/json.h>
#include <tern/core/io/safetensors.h>

namespace tern::io {
namespace {

constexpr const char* kLoad = "load_safetensors";
constexpr const char* kSave = "save_safetensors";
constexpr std::string_view kMetadataKey = "__metadata__";
constexpr uint64_t kLengthBytes = 8;

using Info = SafetensorsReader::Info;

struct Header {
  std::vector<Info> infos;
  Metadata metadata;
};

std::string place_of(const Info& info, const std::string& file) {
  return concat("tensor '", info.name, "' of '", file, "'");
}

const ElementType& readable_type(const Info& info, const std::string& file) {
  const ElementType* type = find_element_type(info.type);
  TERN_CHECK(type != nullptr && type->dtype.has_value(), FormatError, "[", kLoad,
             "] expected elements that a tensor can hold in ", place_of(info, file), ", got dtype ", info.type);
  return *type;
}

// One tensor's entry: everything about it that can be checked without its neighbours.
Info parse_entry(const std::string& name, const Json& entry, uint64_t data_bytes, const std::string& file) {
  const auto where = [&] { return concat("tensor '", name, "' of '", file, "'"); };
  TERN_CHECK(entry.is_object(), FormatError, "[", kLoad, "] expected an object for ", where(), ", got ",
             name_of(entry.kind()));
  for (const auto& [key, member] : entry.members())
    TERN_CHECK(key == "dtype" || key == "shape" || key == "data_offsets", FormatError, "[", kLoad,
               "] expected dtype, shape and data_offsets for ", where(), ", got '", key, "'");
  const auto member = [&](std::string_view key, Json::Kind kind) -> const Json& {
    const Json* found = entry.find(key);
    TERN_CHECK(found != nullptr, FormatError, "[", kLoad, "] expected ", key, " for ", where(), ", got none");
    TERN_CHECK(found->kind() == kind, FormatError, "[", kLoad, "] expected ", name_of(kind), " as ", key, " of ",
               where(), ", got ", name_of(found->kind()));
    return *found;
  };

  Info info{.name = name, .type = member("dtype", Json::Kind::kString).as_string(), .dtype = {}, .shape = {}};
  const bool is_name = !info.type.empty() && info.type.size() <= 32 &&
                       info.type.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == std::string::npos;
  TERN_CHECK(is_name, FormatError, "[", kLoad, "] expected the name of an element type as dtype of ", where(),
             ", got '", info.type, "'");
  const ElementType* type = find_element_type(info.type);  // null: one that came into the format later
  if (type != nullptr) info.dtype = type->dtype;

  const auto& sizes = member("shape", Json::Kind::kArray).items();
  TERN_CHECK(sizes.size() <= static_cast<size_t>(kMaxDims), FormatError, "[", kLoad, "] expected at most ", kMaxDims,
             " axes for ", where(), ", got ", sizes.size());
  uint64_t elements = 1, extent = 1;  // extent counts empty axes as 1: strides are made of it
  for (const Json& size : sizes) {
    TERN_CHECK(size.is_integer() && size.as_int() >= 0, FormatError, "[", kLoad,
               "] expected sizes that are integers of at least 0 in the shape of ", where(), ", got ", size.dump());
    const auto v = static_cast<uint64_t>(size.as_int());
    const auto product = checked_mul(extent, std::max<uint64_t>(v, 1));
    TERN_CHECK(product && *product <= uint64_t{1} << 60, FormatError, "[", kLoad,
               "] expected a shape of at most 2^60 elements for ", where(), ", got ",
               member("shape", Json::Kind::kArray).dump());
    extent = *product;
    elements *= v;
    info.shape.push_back(size.as_int());
  }

  const Json& offsets = member("data_offsets", Json::Kind::kArray);
  const bool two = offsets.size() == 2 && offsets[0].is_integer() && offsets[1].is_integer() &&
                   offsets[0].as_int() >= 0 && offsets[1].as_int() >= offsets[0].as_int();
  TERN_CHECK(two, FormatError, "[", kLoad, "] expected data_offsets [begin, end] with 0 <= begin <= end for ", where(),
             ", got ", offsets.dump());
  info.begin = static_cast<uint64_t>(offsets[0].as_int());
  info.end = static_cast<uint64_t>(offsets[1].as_int());
  TERN_CHECK(info.end <= data_bytes, FormatError, "[", kLoad, "] expected data_offsets within the ", data_bytes,
             " bytes after the header for ", where(), ", got ", offsets.dump());
  if (type == nullptr) return info;
  const auto bits = static_cast<uint64_t>(type->bits);
  const bool whole = bits % 8 == 0 || elements * bits % 8 == 0;
  TERN_CHECK(whole, FormatError, "[", kLoad, "] expected whole bytes for ", where(), ", got ", elements,
             " elements of ", bits, " bits");
  const uint64_t needed = bits % 8 == 0 ? elements * (bits / 8) : elements * bits / 8;  // at most 2^63
  TERN_CHECK(info.end - info.begin == needed, FormatError, "[", kLoad, "] expected ", needed, " bytes for ", where(),
             " (", info.type, " ", info.shape, "), got data_offsets ", offsets.dump());
  return info;
}

// Ranges, in order, must cover the data exactly.
void check_coverage(const std::vector<Info>& infos, uint64_t data_bytes, const std::string& file) {
  std::vector<const Info*> order;
  for (const Info& info : infos) order.push_back(&info);
  std::sort(order.begin(), order.end(),
            [](const Info* a, const Info* b) { return a->begin != b->begin ? a->begin < b->begin : a->end < b->end; });
  uint64_t position = 0;
  for (const Info* info : order) {
    TERN_CHECK(info->begin == position, FormatError, "[", kLoad, "] expected tensor '", info->name, "' of '", file,
               "' to begin at byte ", position, " of the data, got ", info->begin, ", which leaves ",
               info->begin > position ? "a hole" : "an overlap");
    position = info->end;
  }
  TERN_CHECK(position == data_bytes, FormatError, "[", kLoad, "] expected ", position, " bytes of data in '", file,
             "', as its header says, got ", data_bytes);
}

Header parse_header(std::string_view text, uint64_t data_bytes, const std::string& file) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  TERN_CHECK(first != std::string_view::npos && text[first] == '{', FormatError, "[", kLoad,
             "] expected the header of '", file, "' to begin with '{'; this is not a safetensors file");
  const Json json = Json::parse(kLoad, file, text, {.max_depth = 4, .max_values = 1 << 22});
  Header header;
  for (const auto& [name, entry] : json.members()) {
    if (name != kMetadataKey) {
      header.infos.push_back(parse_entry(name, entry, data_bytes, file));
      continue;
    }
    TERN_CHECK(entry.is_object(), FormatError, "[", kLoad, "] expected an object as __metadata__ of '", file, "', got ",
               name_of(entry.kind()));
    for (const auto& [key, value] : entry.members()) {
      TERN_CHECK(value.is_string(), FormatError, "[", kLoad, "] expected a string as metadata '", key, "' of '", file,
                 "', got ", name_of(value.kind()));
      header.metadata.emplace(key, value.as_string());
    }
  }
  check_coverage(header.infos, data_bytes, file);
  return header;
}

// The length field against the size of the file; returns the header's length.
uint64_t check_length(uint64_t length, uint64_t file_bytes, const std::string& file) {
  // Eight characters make a length that no file has: one who gave a JSON file, say, is not helped by that number.
  const std::string_view bytes(reinterpret_cast<const char*>(&length), sizeof length);
  const bool is_text = std::all_of(
      bytes.begin(), bytes.end(), [](char c) { return (c >= ' ' && c <= '~') || c == '\n' || c == '\r' || c == '\t'; });
  TERN_CHECK(!is_text, FormatError, "[", kLoad, "] expected the length of a header in the first 8 bytes of '", file,
             "', got the text ", Json(bytes).dump(), "; this is not a safetensors file");
  TERN_CHECK(length <= kMaxSafetensorsHeader && length <= file_bytes - kLengthBytes, FormatError, "[", kLoad,
             "] expected a header length of at most ", std::min(kMaxSafetensorsHeader, file_bytes - kLengthBytes),
             " bytes in '", file, "' (", file_bytes, " bytes), got ", length);
  return length;
}

void check_size(uint64_t file_bytes, const std::string& file) {
  TERN_CHECK(file_bytes >= kLengthBytes, FormatError, "[", kLoad, "] expected at least 8 bytes in '", file, "', got ",
             file_bytes);
}

struct Plan {
  std::string header;         // with its length in front and padded
  std::vector<size_t> order;  // in which elements are written
};

Plan plan_file(const TensorMap& tensors, const Metadata& metadata) {
  const auto check_text = [](std::string_view what, const std::string& text) {
    TERN_CHECK(is_valid_utf8(text), ValueError, "[", kSave, "] expected ", what, " in UTF-8, got '", text, "'");
  };
  Plan plan;
  plan.order.resize(tensors.size());
  std::iota(plan.order.begin(), plan.order.end(), size_t{0});
  std::stable_sort(plan.order.begin(), plan.order.end(), [&](size_t a, size_t b) {
    return size_of(tensors[a].second.dtype()) > size_of(tensors[b].second.dtype());
  });
  std::vector<int64_t> begin(tensors.size());
  int64_t position = 0;
  for (const size_t i : plan.order) {
    begin[i] = position;
    position += tensors[i].second.bytes();
  }

  Json::Object json;
  if (!metadata.empty()) {
    Json::Object texts;
    for (const auto& [key, value] : metadata) {
      check_text("metadata", key);
      check_text("metadata", value);
      texts.emplace_back(key, value);
    }
    json.emplace_back(kMetadataKey, Json::object(std::move(texts)));
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    check_text("tensor names", name);
    TERN_CHECK(name != kMetadataKey, ValueError, "[", kSave, "] expected tensor names other than __metadata__");
    Json entry = Json::object();
    entry["dtype"] = element_type_of(tensor.dtype()).name;
    Json::Array sizes;
    for (const int64_t size : tensor.shape()) sizes.emplace_back(size);
    entry["shape"] = Json::array(std::move(sizes));
    entry["data_offsets"] = Json::array({begin[i], begin[i] + tensor.bytes()});
    json.emplace_back(name, std::move(entry));
  }
  std::string text = "{";
  for (const auto& [name, entry] : json) {
    if (text.size() > 1) text += ',';
    text += Json(name).dump() + ":" + entry.dump();
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  TERN_CHECK(text.size() <= kMaxSafetensorsHeader, ValueError, "[", kSave, "] expected a header of at most ",
             kMaxSafetensorsHeader, " bytes, got ", text.size());
  const uint64_t length = text.size();
  plan.header.assign(reinterpret_cast<const char*>(&length), sizeof length);
  plan.header += text;
  return plan;
}

// Calls write(data, bytes) for every part of the file in turn.
template <class Write>
void write_parts(const TensorMap& tensors, const Metadata& metadata, Write&& write) {
  const NoGradGuard no_grad;
  const Plan plan = plan_file(tensors, metadata);
  write(plan.header.data(), plan.header.size());
  for (const size_t i : plan.order) {
    const Tensor rows = tensors[i].second.contiguous();
    write(rows.raw(), static_cast<size_t>(rows.bytes()));
  }
}

}  // namespace

void save_safetensors(const FilePath& path, const TensorMap& tensors, const Metadata& metadata) {
  static_cast<void>(plan_file(tensors, metadata));  // refuses what cannot be written before the disk is touched
  AtomicFile file(kSave, path);
  write_parts(tensors, metadata, [&](const void* data, size_t bytes) { file.write(data, bytes); });
  file.commit();
}

std::string serialize_safetensors(const TensorMap& tensors, const Metadata& metadata) {
  std::string out;
  write_parts(tensors, metadata,
              [&](const void* data, size_t bytes) { out.append(static_cast<const char*>(data), bytes); });
  return out;
}

struct SafetensorsReader::Impl {
  explicit Impl(const FilePath& place) : file(kLoad, place) {
    naming_kind(file, FileKind::kUnknown, [&] { open(place.text()); });
  }
  void open(const std::string& path) {
    check_size(file.size(), path);
    uint64_t length = 0;
    file.read_at(0, std::as_writable_bytes(std::span(&length, 1)));
    check_length(length, file.size(), path);
    std::string text(length, '\0');
    file.read_at(kLengthBytes, std::as_writable_bytes(std::span(text)));
    data_begin = kLengthBytes + length;
    header = parse_header(text, file.size() - data_begin, path);
    for (size_t i = 0; i < header.infos.size(); ++i) index.emplace(header.infos[i].name, i);
  }
  const Info* find(std::string_view name) const {
    const auto it = index.find(name);
    return it == index.end() ? nullptr : &header.infos[it->second];
  }
  Tensor read(const Info& info) const {
    const ElementType& type = readable_type(info, file.path());
    Tensor out = empty(info.shape, *type.dtype);
    if (type.is_stored_as_dtype) {
      file.read_at(data_begin + info.begin, {out.raw(), info.end - info.begin});
    } else {
      std::vector<std::byte> bytes(info.end - info.begin);
      file.read_at(data_begin + info.begin, bytes);
      decode_elements(kLoad, place_of(info, file.path()), type, bytes, out);
    }
    return out;
  }

  InputFile file;
  uint64_t data_begin = 0;
  Header header;
  std::map<std::string, size_t, std::less<>> index;
};

SafetensorsReader::SafetensorsReader(const FilePath& path) : impl_(std::make_unique<Impl>(path)) {}
SafetensorsReader::~SafetensorsReader() = default;
SafetensorsReader::SafetensorsReader(SafetensorsReader&&) noexcept = default;

const std::vector<Info>& SafetensorsReader::infos() const {
  return impl_->header.infos;
}
const Metadata& SafetensorsReader::metadata() const {
  return impl_->header.metadata;
}
bool SafetensorsReader::contains(std::string_view name) const {
  return impl_->find(name) != nullptr;
}
Tensor SafetensorsReader::read(std::string_view name) const {
  const Info* info = impl_->find(name);
  TERN_CHECK(info != nullptr, ValueError, "[", kLoad, "] expected a tensor named '", name, "' in '", impl_->file.path(),
             "', got none among ", infos().size(), " names");
  return impl_->read(*info);
}

SafetensorsContent load_safetensors(const FilePath& path) {
  const SafetensorsReader reader(path);
  SafetensorsContent content;
  content.metadata = reader.metadata();
  for (const Info& info : reader.infos()) content.tensors.insert(info.name, reader.read(info.name));
  return content;
}

namespace {

SafetensorsContent parse_content(std::span<const std::byte> bytes, const std::string& name) {
  check_size(bytes.size(), name);
  ByteReader reader(kLoad, name, bytes);
  const uint64_t length = check_length(reader.read<uint64_t>("the header length"), bytes.size(), name);
  const std::string_view text = reader.take_text(length, "the header");
  Header header = parse_header(text, reader.remaining(), name);
  const auto data = reader.take(reader.remaining(), "the elements");
  SafetensorsContent content;
  content.metadata = std::move(header.metadata);
  for (const Info& info : header.infos) {
    const ElementType& type = readable_type(info, name);
    Tensor out = empty(info.shape, *type.dtype);
    decode_elements(kLoad, place_of(info, name), type, data.subspan(info.begin, info.end - info.begin), out);
    content.tensors.insert(info.name, out);
  }
  return content;
}

}  // namespace

SafetensorsContent parse_safetensors(std::span<const std::byte> bytes, const std::string& name) {
  return naming_kind(bytes, FileKind::kUnknown, [&] { return parse_content(bytes, name); });
}

}  // namespace tern::io
