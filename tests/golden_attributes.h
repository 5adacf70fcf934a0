// Attributes of a golden case: JSON values that convert to what an op takes.
#pragma once

#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <tern/core/io/json.h>

namespace tern::test {

template <class T>
constexpr bool kIsVector = false;
template <class T>
constexpr bool kIsVector<std::vector<T>> = true;

class Json {
 public:
  Json() = default;
  Json(io::Json value) : value_(std::move(value)) {}

  bool contains(const char* key) const { return value_.contains(key); }
  Json at(const char* key) const { return value_.at(key); }
  Json at(int i) const { return value_[static_cast<size_t>(i)]; }
  bool is_array() const { return value_.is_array(); }
  std::string dump() const { return value_.dump(); }

  /// A bool, a number, a string, or a vector of them. Throws FormatError for a value of another kind.
  template <class T>
  T get() const {
    if constexpr (std::is_same_v<T, bool>) {
      return value_.as_bool();
    } else if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(value_.as_int());
    } else if constexpr (std::is_floating_point_v<T>) {
      return value_.as_number();
    } else if constexpr (std::is_same_v<T, std::string>) {
      return value_.as_string();
    } else {
      T list;
      for (const io::Json& item : value_.items()) list.push_back(Json(item).get<typename T::value_type>());
      return list;
    }
  }
  template <class T>
  T value(const char* key, T missing) const {
    return contains(key) ? at(key).get<T>() : missing;
  }
  template <class T>
  requires(std::is_arithmetic_v<T> || std::is_same_v<T, std::string> || kIsVector<T>) operator T() const {
    return get<T>();
  }
  bool operator==(const char* text) const { return value_.as_string() == text; }

 private:
  io::Json value_;
};

}  // namespace tern::test
