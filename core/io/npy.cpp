#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/io/bytes.h>
#include <tern/core/io/element_type.h>
#include <tern/core/io/file_kind.h>
#include <tern/core/io/npy.h>
#include <tern/core/ops/shape.h>

namespace tern::io {
namespace {

constexpr const char* kLoadNpy = "load_npy";
constexpr const char* kSaveNpy = "save_npy";
constexpr std::string_view kMagic = "\x93NUMPY";
constexpr uint64_t kMaxHeader = 65536;

// NumPy's letter and size of an element, and the type by the name that ElementType has.
struct Descr {
  std::string_view code;
  std::string_view type;
};
constexpr Descr kDescrs[] = {{"f4", "F32"}, {"f8", "F64"},  {"f2", "F16"}, {"i8", "I64"}, {"i4", "I32"}, {"i1", "I8"},
                             {"u1", "U8"},  {"b1", "BOOL"}, {"i2", "I16"}, {"u2", "U16"}, {"u4", "U32"}, {"u8", "U64"}};

struct NpyHeader {
  const ElementType* type = nullptr;
  bool big_endian = false;
  bool fortran = false;
  Shape shape;
};

// The header is a Python dictionary with three known keys; this reads that much of Python and no more.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  NpyHeader parse() {
    NpyHeader header;
    bool has_descr = false, has_order = false, has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      bool& seen = key == "descr" ? has_descr : key == "fortran_order" ? has_order : has_shape;
      if (key != "descr" && key != "fortran_order" && key != "shape")
        fail(concat("the keys descr, fortran_order and shape, got '", key, "'"));
      if (seen) fail(concat("every key once, got '", key, "' twice"));
      seen = true;
      if (key == "descr")
        parse_descr(header);
      else if (key == "fortran_order")
        header.fortran = parse_bool();
      else
        header.shape = parse_shape();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_blanks();
    if (at_ != text_.size()) fail(concat("nothing after the dictionary, got '", text_.substr(at_, 20), "'"));
    if (!has_descr || !has_order || !has_shape) fail("all of descr, fortran_order and shape");
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw FormatError(concat("[", kLoadNpy, "] expected ", what, " in the header of '", file_, "'"));
  }
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  bool accept(char c) {
    skip_blanks();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(concat("'", c, "', got '", text_.substr(at_, 20), "'"));
  }
  std::string_view quoted() {
    skip_blanks();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    const size_t end = quote == '\'' || quote == '"' ? text_.find(quote, at_ + 1) : std::string_view::npos;
    if (end == std::string_view::npos) fail(concat("a quoted word, got '", text_.substr(at_, 20), "'"));
    const std::string_view word = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return word;
  }
  void parse_descr(NpyHeader& header) {
    skip_blanks();
    if (at_ < text_.size() && text_[at_] == '[') fail("one element type, not a structure,");
    const std::string_view descr = quoted();
    // The byte order first; '|' where there is none to speak of.
    const auto* known = std::find_if(std::begin(kDescrs), std::end(kDescrs), [&](auto& d) {
      return descr.size() == 3 && descr.substr(1) == d.code &&
             (descr[0] == '<' || descr[0] == '>' || (descr[0] == '|' && d.code[1] == '1'));
    });
    if (known == std::end(kDescrs))
      fail(concat("an element type among f4 f8 f2 i8 i4 i2 i1 u8 u4 u2 u1 b1, got '", descr, "',"));
    header.type = find_element_type(known->type);
    header.big_endian = descr[0] == '>' && header.type->bits > 8;
  }
  bool parse_bool() {
    skip_blanks();
    for (const std::string_view word : {"True", "False"})
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return word == "True";
      }
    fail(concat("True or False, got '", text_.substr(at_, 20), "'"));
  }
  Shape parse_shape() {
    Shape shape;
    expect('(');
    while (!accept(')')) {
      skip_blanks();
      int64_t size = 0;
      const size_t start = at_;
      for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
        const auto tens = checked_mul<int64_t>(size, 10);
        const auto next = tens ? checked_add<int64_t>(*tens, text_[at_] - '0') : std::nullopt;
        if (!next) fail("sizes that fit 64 bits");
        size = *next;
      }
      if (at_ == start) fail(concat("a size, got '", text_.substr(at_, 20), "'"));
      if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // a long of Python 2
      if (shape.size() == kMaxDims) fail(concat("at most ", kMaxDims, " axes"));
      shape.push_back(size);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return shape;
  }

  std::string_view text_;
  const std::string& file_;
  size_t at_ = 0;
};

Tensor parse_array(std::span<const std::byte> bytes, const std::string& name) {
  ByteReader reader(kLoadNpy, name, bytes);
  TERN_CHECK(bytes.size() >= kMagic.size() && reader.take_text(kMagic.size(), "the magic string") == kMagic,
             FormatError, "[", kLoadNpy, "] expected '", name, "' to begin with \\x93NUMPY; this is not a .npy file");
  const int major = reader.read<uint8_t>("the version");
  const int minor = reader.read<uint8_t>("the version");
  TERN_CHECK(major >= 1 && major <= 3 && minor == 0, FormatError, "[", kLoadNpy,
             "] expected format version 1.0, 2.0 or 3.0 in '", name, "', got ", major, ".", minor);
  const uint64_t length = major == 1 ? uint64_t{reader.read<uint16_t>("the header length")}
                                     : uint64_t{reader.read<uint32_t>("the header length")};
  TERN_CHECK(length <= kMaxHeader, FormatError, "[", kLoadNpy, "] expected a header of at most ", kMaxHeader,
             " bytes in '", name, "', got ", length);
  const NpyHeader header = HeaderParser(reader.take_text(length, "the header"), name).parse();

  uint64_t extent = 1, elements = 1;  // extent counts empty axes as 1: strides are made of it
  for (const int64_t size : header.shape) {
    const auto product = checked_mul(extent, std::max<uint64_t>(static_cast<uint64_t>(size), 1));
    TERN_CHECK(product && *product <= uint64_t{1} << 60, FormatError, "[", kLoadNpy,
               "] expected a shape of at most 2^60 elements in '", name, "', got ", header.shape);
    extent = *product;
    elements *= static_cast<uint64_t>(size);
  }
  const auto item = static_cast<size_t>(header.type->bits / 8);
  const uint64_t needed = elements * item;
  TERN_CHECK(needed == reader.remaining(), FormatError, "[", kLoadNpy, "] expected ", needed,
             " bytes after the header of '", name, "' (", header.type->name, " ", header.shape, "), got ",
             reader.remaining());
  auto data = reader.take(needed, "the elements");
  std::vector<std::byte> turned;
  if (header.big_endian) {
    turned.assign(data.begin(), data.end());
    for (size_t i = 0; i < turned.size(); i += item)
      std::reverse(turned.begin() + static_cast<std::ptrdiff_t>(i),
                   turned.begin() + static_cast<std::ptrdiff_t>(i + item));
    data = turned;
  }

  Shape stored = header.shape;  // as the elements lie in the file, outermost axis first
  if (header.fortran) std::reverse(stored.begin(), stored.end());
  Tensor out = empty(stored, *header.type->dtype);
  decode_elements(kLoadNpy, concat("'", name, "'"), *header.type, data, out);
  if (!header.fortran || out.dim() < 2) return out;
  Dims axes;
  for (int64_t i = out.dim() - 1; i >= 0; --i) axes.push_back(i);
  return out.permute(axes).contiguous();
}

}  // namespace

Tensor parse_npy(std::span<const std::byte> bytes, const std::string& name) {
  return naming_kind(bytes, FileKind::kNpy, [&] { return parse_array(bytes, name); });
}

Tensor load_npy(const std::string& path) {
  return parse_npy(bytes_of(read_file(kLoadNpy, path)), path);
}

std::string serialize_npy(const Tensor& x) {
  const NoGradGuard no_grad;
  const std::string_view type = element_type_of(x.dtype()).name;
  const auto* known = std::find_if(std::begin(kDescrs), std::end(kDescrs), [&](auto& d) { return d.type == type; });
  TERN_CHECK(known != std::end(kDescrs), DTypeError, "[", kSaveNpy, "] expected an element type that NumPy has, got ",
             x.dtype(), "; convert it to f32 first");
  std::string sizes;
  for (const int64_t size : x.shape()) sizes += std::to_string(size) + ", ";
  if (x.dim() > 1) sizes.resize(sizes.size() - 2);
  if (x.dim() == 1) sizes.pop_back();  // "(3,)"
  std::string text = concat("{'descr': '", known->code[1] == '1' ? '|' : '<', known->code,
                            "', 'fortran_order': False, 'shape': (", sizes, "), }");
  const size_t before = kMagic.size() + 4;
  text.append(63 - (before + text.size()) % 64, ' ');  // the elements start at a multiple of 64
  text += '\n';
  std::string out(kMagic);
  out += {'\1', '\0', static_cast<char>(text.size() & 255), static_cast<char>(text.size() >> 8)};
  out += text;
  const Tensor rows = x.contiguous();
  out.append(reinterpret_cast<const char*>(rows.raw()), static_cast<size_t>(rows.bytes()));
  return out;
}

void save_npy(const std::string& path, const Tensor& x) {
  write_file_atomic(kSaveNpy, path, serialize_npy(x));
}

}  // namespace tern::io
