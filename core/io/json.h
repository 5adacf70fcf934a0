// JSON values: strict parsing of texts that are not trusted, and writing. Objects keep the order of their members.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace tern::io {

/// What a text may hold at most.
struct JsonLimits {
  int max_depth = 64;            ///< arrays and objects inside one another
  int64_t max_values = 1 << 22;  ///< values in all
};

/// A JSON value. Numbers written without point or exponent that fit an int64 are integers, all others doubles; so are
/// integers of C++ that int64 does not hold.
class Json {
 public:
  /// kNumber: a double.
  enum class Kind { kNull, kBool, kInteger, kNumber, kString, kArray, kObject };
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  /// Null; the others below are of the value given, a vector as an array.
  Json() = default;
  Json(std::nullptr_t) {}
  Json(bool v) : value_(v) {}
  template <std::integral T>
  requires(!std::same_as<T, bool>) Json(T v) : value_(from_integer(v)) {}
  Json(double v) : value_(v) {}
  Json(const char* text) : value_(std::string(text)) {}
  Json(std::string_view text) : value_(std::string(text)) {}
  Json(std::string text) : value_(std::move(text)) {}
  template <class T>
  Json(const std::vector<T>& items) : value_(Array(items.begin(), items.end())) {}
  static Json array(Array items = {}) {
    Json out;
    out.value_ = std::move(items);
    return out;
  }
  /// Members in that order. Throws ValueError if a key stands twice.
  static Json object(Object members = {});

  /// Parses a whole text. Strict: one value, no comments, no trailing commas, valid UTF-8, no key twice in an object,
  /// no NaN, within the limits. Throws FormatError with `name`, line, column and reason.
  static Json parse(const char* op, const std::string& name, std::string_view text, const JsonLimits& limits = {});
  /// Reads and parses a file of at most 256 MiB. Throws IoError too.
  static Json parse_file(const char* op, const std::string& path, const JsonLimits& limits = {});

  Kind kind() const { return static_cast<Kind>(value_.index()); }
  bool is_null() const { return kind() == Kind::kNull; }
  bool is_bool() const { return kind() == Kind::kBool; }
  bool is_integer() const { return kind() == Kind::kInteger; }
  bool is_number() const { return kind() == Kind::kInteger || kind() == Kind::kNumber; }
  bool is_string() const { return kind() == Kind::kString; }
  bool is_array() const { return kind() == Kind::kArray; }
  bool is_object() const { return kind() == Kind::kObject; }

  // Each throws FormatError "[json] expected KIND, got KIND" for a value of another kind; so do the members below.
  bool as_bool() const;
  int64_t as_int() const;    ///< kInteger only
  double as_number() const;  ///< of an integer too
  const std::string& as_string() const;
  const Array& items() const;
  Array& items();
  const Object& members() const;

  /// Number of elements of an array or members of an object.
  size_t size() const;
  /// Of an array. Throws FormatError unless i is below size().
  const Json& operator[](size_t i) const;
  /// The member of that key of an object, or nullptr.
  const Json* find(std::string_view key) const;
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  /// The member of that key. Throws FormatError if there is none.
  const Json& at(std::string_view key) const;
  /// The member of that key, added as null if absent. A null value becomes an object first.
  Json& operator[](std::string_view key);
  /// Removes a member; false if there was none.
  bool erase(std::string_view key);
  /// Appends to an array. A null value becomes an array first.
  void push_back(Json item);

  /// JSON text on one line, or indented by that many spaces a level of objects (arrays stay on one line). Doubles print
  /// in the shortest form that reads back equal, with ".0" where they look like integers; NaN and infinities print as
  /// null. Bytes that are not UTF-8 print as U+FFFD.
  std::string dump(int indent = -1) const;
  bool operator==(const Json&) const = default;

 private:
  friend struct JsonBuilder;
  using Value = std::variant<std::nullptr_t, bool, int64_t, double, std::string, Array, Object>;
  template <std::integral T>
  static Value from_integer(T v) {
    if (std::in_range<int64_t>(v)) return static_cast<int64_t>(v);
    return static_cast<double>(v);
  }
  Value value_ = nullptr;
};

/// "null", "a boolean", "an integer", ...
std::string_view name_of(Json::Kind kind);

}  // namespace tern::io
