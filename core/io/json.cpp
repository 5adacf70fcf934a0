#include <charconv>
#include <cmath>
#include <unordered_set>

#include <nlohmann/json.hpp>

#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/core/io/file_kind.h>
#include <tern/core/io/json.h>
#include <tern/core/text.h>

namespace tern::io {

std::string_view name_of(Json::Kind kind) {
  switch (kind) {
    case Json::Kind::kNull:
      return "null";
    case Json::Kind::kBool:
      return "a boolean";
    case Json::Kind::kInteger:
      return "an integer";
    case Json::Kind::kNumber:
      return "a number";
    case Json::Kind::kString:
      return "a string";
    case Json::Kind::kArray:
      return "an array";
    case Json::Kind::kObject:
      return "an object";
  }
  return "unknown";
}

// Receives the events of nlohmann's parser (which does not recurse) and builds our values within the limits.
struct JsonBuilder {
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  explicit JsonBuilder(const JsonLimits& l) : limits(l) {}

  JsonLimits limits;
  Json root;
  std::vector<Json> open;  // the containers around the present position
  std::vector<std::string> keys;
  std::vector<std::unordered_set<std::string>> seen;
  int64_t values = 0;
  size_t position = 0;
  std::string problem;

  bool fail(std::string why) {
    if (problem.empty()) problem = std::move(why);
    return false;
  }
  bool count() { return ++values <= limits.max_values || fail(concat("more than ", limits.max_values, " values")); }
  void put(Json v) {
    if (open.empty()) {
      root = std::move(v);
    } else if (auto* items = std::get_if<Json::Array>(&open.back().value_)) {
      items->push_back(std::move(v));
    } else {
      std::get<Json::Object>(open.back().value_).emplace_back(std::move(keys.back()), std::move(v));
      keys.pop_back();
    }
  }
  bool add(Json v) {
    if (!count()) return false;
    put(std::move(v));
    return true;
  }
  bool begin(Json container) {
    if (!count()) return false;
    if (static_cast<int>(open.size()) >= limits.max_depth)
      return fail(concat("more than ", limits.max_depth, " levels of arrays and objects"));
    open.push_back(std::move(container));
    return true;
  }
  bool finish() {
    Json container = std::move(open.back());
    open.pop_back();
    put(std::move(container));
    return true;
  }

  bool null() { return add(Json()); }
  bool boolean(bool v) { return add(v); }
  bool number_integer(number_integer_t v) { return add(static_cast<int64_t>(v)); }
  bool number_unsigned(number_unsigned_t v) { return add(static_cast<uint64_t>(v)); }
  bool number_float(number_float_t v, const string_t&) { return add(v); }
  bool string(string_t& v) { return add(std::move(v)); }
  bool binary(binary_t&) { return fail("binary data"); }
  bool start_object(size_t) {
    if (!begin(Json::object())) return false;
    seen.emplace_back();
    return true;
  }
  bool key(string_t& v) {
    if (!seen.back().insert(v).second) return fail(concat("the key '", v, "' stands twice in one object"));
    keys.push_back(std::move(v));
    return true;
  }
  bool end_object() {
    seen.pop_back();
    return finish();
  }
  bool start_array(size_t) { return begin(Json::array()); }
  bool end_array() { return finish(); }
  bool parse_error(size_t at, const std::string&, const nlohmann::json::exception& error) {
    position = at;
    // nlohmann's text is "[json.exception...] parse error at line 1, column 2: WHAT"; the place is ours to say.
    std::string why = error.what();
    if (const size_t colon = why.find(": "); colon != std::string::npos && why.find("parse error") < colon)
      why = why.substr(colon + 2);
    else if (const size_t bracket = why.find("] "); bracket != std::string::npos)
      why = why.substr(bracket + 2);
    return fail(why);
  }
};

namespace {

// An input iterator that counts the characters taken, so that every error has a place.
struct CountingIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;
  const char* at;
  const char** last;
  const char& operator*() const { return *at; }
  CountingIterator& operator++() {
    ++at;
    *last = at;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator old = *this;
    ++*this;
    return old;
  }
  bool operator==(const CountingIterator& other) const { return at == other.at; }
  bool operator!=(const CountingIterator& other) const { return at != other.at; }
};

[[noreturn]] void throw_kind(std::string_view wanted, Json::Kind got) {
  throw FormatError(concat("[json] expected ", wanted, ", got ", name_of(got)));
}

template <class T, class V>
auto& get(V& value, std::string_view wanted, Json::Kind kind) {
  auto* held = std::get_if<T>(&value);
  if (held == nullptr) throw_kind(wanted, kind);
  return *held;
}

// Of a character of two or three bytes.
unsigned code_point(std::string_view character) {
  unsigned code = static_cast<unsigned char>(character[0]) & (character.size() == 2 ? 0x1fu : 0x0fu);
  for (const char c : character.substr(1)) code = code << 6 | (static_cast<unsigned char>(c) & 0x3fu);
  return code;
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x80) {
      size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
      if (i + length > text.size() || !is_valid_utf8(text.substr(i, length))) {
        out += "\xEF\xBF\xBD";  // U+FFFD
        length = 1;
      } else if (const std::string_view character = text.substr(i, length);
                 length == 4 || !is_control(code_point(character))) {
        out += character;
      } else {  // none of those that act on a terminal or turn a line around is beyond U+FFFF
        out += format_text("\\u%04x", code_point(character));
      }
      i += length;
      continue;
    }
    constexpr char kHex[] = "0123456789abcdef";
    if (c == '"' || c == '\\')
      out += {'\\', static_cast<char>(c)};
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (c == '\r')
      out += "\\r";
    else if (c < 0x20 || c == 0x7F)
      out += {'\\', 'u', '0', '0', kHex[c >> 4], kHex[c & 15]};
    else
      out += static_cast<char>(c);
    ++i;
  }
  out += '"';
}

void append_double(std::string& out, double v) {
  if (!std::isfinite(v)) {
    out += "null";
    return;
  }
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, v).ptr;
  const std::string_view written(text, static_cast<size_t>(end - text));
  out += written;
  if (written.find_first_of(".e") == std::string_view::npos) out += ".0";
}

void append(std::string& out, const Json& v, int indent, int level) {
  const auto new_line = [&](int to) {
    if (indent < 0) return;
    out += '\n';
    out.append(static_cast<size_t>(indent) * static_cast<size_t>(to), ' ');
  };
  switch (v.kind()) {
    case Json::Kind::kNull:
      out += "null";
      return;
    case Json::Kind::kBool:
      out += v.as_bool() ? "true" : "false";
      return;
    case Json::Kind::kInteger:
      out += std::to_string(v.as_int());
      return;
    case Json::Kind::kNumber:
      append_double(out, v.as_number());
      return;
    case Json::Kind::kString:
      append_string(out, v.as_string());
      return;
    case Json::Kind::kArray: {
      out += '[';
      bool first = true;
      for (const Json& item : v.items()) {
        if (!first) out += indent < 0 ? "," : ", ";
        first = false;
        append(out, item, item.is_array() || item.is_object() ? -1 : indent, level + 1);
      }
      out += ']';
      return;
    }
    case Json::Kind::kObject: {
      out += '{';
      bool first = true;
      for (const auto& [key, member] : v.members()) {
        if (!first) out += ',';
        first = false;
        new_line(level + 1);
        append_string(out, key);
        out += indent < 0 ? ":" : ": ";
        append(out, member, indent, level + 1);
      }
      if (!first) new_line(level);
      out += '}';
      return;
    }
  }
}

}  // namespace

Json Json::object(Object members) {
  for (size_t i = 0; i < members.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      TERN_CHECK(members[i].first != members[j].first, ValueError, "[json] expected every key once, got '",
                 members[i].first, "' twice");
  Json out;
  out.value_ = std::move(members);
  return out;
}

Json Json::parse(const char* op, const std::string& name, std::string_view text, const JsonLimits& limits) {
  const auto refuse = [&](size_t position, std::string_view why) {
    const std::string_view before = text.substr(0, position);
    const size_t line = 1 + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
    const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    throw FormatError(concat("[", op, "] expected valid JSON in '", name, "', got an error at line ", line, ", column ",
                             position - line_start + 1, ": ", why, kind_note(bytes_of(text))));
  };
  if (const size_t valid = valid_utf8_prefix(text); valid < text.size()) refuse(valid, "invalid UTF-8");
  // The parser below takes a zero byte for the end.
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) refuse(zero, "a zero byte");
  JsonBuilder builder(limits);
  const char* last = text.data();
  const CountingIterator begin{text.data(), &last}, end{text.data() + text.size(), &last};
  if (!nlohmann::json::sax_parse(begin, end, &builder)) {
    const size_t read = builder.position > 0 ? builder.position : static_cast<size_t>(last - text.data());
    refuse(std::min(std::max<size_t>(read, 1) - 1, text.size()), builder.problem);
  }
  return std::move(builder.root);
}

Json Json::parse_file(const char* op, const std::string& path, const JsonLimits& limits) {
  return parse(op, path, read_file(op, path, uint64_t{256} << 20), limits);
}

bool Json::as_bool() const {
  return get<bool>(value_, "a boolean", kind());
}
int64_t Json::as_int() const {
  return get<int64_t>(value_, "an integer", kind());
}
double Json::as_number() const {
  return is_integer() ? static_cast<double>(as_int()) : get<double>(value_, "a number", kind());
}
const std::string& Json::as_string() const {
  return get<std::string>(value_, "a string", kind());
}
const Json::Array& Json::items() const {
  return get<Array>(value_, "an array", kind());
}
Json::Array& Json::items() {
  return get<Array>(value_, "an array", kind());
}
const Json::Object& Json::members() const {
  return get<Object>(value_, "an object", kind());
}

size_t Json::size() const {
  return is_object() ? members().size() : items().size();
}

const Json& Json::operator[](size_t i) const {
  const Array& all = items();
  TERN_CHECK(i < all.size(), FormatError, "[json] expected an element ", i, " of an array, got one of ", all.size(),
             " elements");
  return all[i];
}

const Json* Json::find(std::string_view key) const {
  for (const auto& [name, member] : members())
    if (name == key) return &member;
  return nullptr;
}

const Json& Json::at(std::string_view key) const {
  const Json* member = find(key);
  TERN_CHECK(member != nullptr, FormatError, "[json] expected a member '", key, "', got none among ", size());
  return *member;
}

Json& Json::operator[](std::string_view key) {
  if (is_null()) value_ = Object();
  auto& all = get<Object>(value_, "an object", kind());
  for (auto& [name, member] : all)
    if (name == key) return member;
  return all.emplace_back(key, Json()).second;
}

bool Json::erase(std::string_view key) {
  return std::erase_if(get<Object>(value_, "an object", kind()),
                       [&](const Member& member) { return member.first == key; }) > 0;
}

void Json::push_back(Json item) {
  if (is_null()) value_ = Array();
  items().push_back(std::move(item));
}

std::string Json::dump(int indent) const {
  std::string out;
  append(out, *this, indent, 0);
  return out;
}

}  // namespace tern::io
