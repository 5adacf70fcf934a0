// Errors that Tern throws. The library never prints, exits or aborts: a user's mistake is one of these exceptions, with
// one sentence that starts with the operation: "[conv2d] expected ..., got ... (in layer1.0.conv1)".
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace tern {

/// Base of everything Tern throws. what() is the message followed by the module path, when there is one. Messages hold
/// names from files, so they are kept as one_line() of text.h makes them: control characters escaped, length bounded.
class Error : public std::exception {
 public:
  explicit Error(std::string message);
  const char* what() const noexcept override { return text_.c_str(); }
  /// The sentence without the module path.
  const std::string& message() const noexcept { return message_; }
  /// Names the module in which the error arose ("layer1.0.conv1"); the first call wins, as the innermost module calls
  /// first.
  void set_module_path(std::string_view path);

 private:
  std::string message_;
  std::string text_;
};

struct ShapeError : Error {
  using Error::Error;
};  ///< shapes, sizes or axes that do not fit together
struct DTypeError : Error {
  using Error::Error;
};  ///< an element type the operation does not take
struct ValueError : Error {
  using Error::Error;
};  ///< a value out of range, an impossible setting
struct IoError : Error {
  using Error::Error;
};  ///< a file that cannot be opened, read or written
struct FormatError : Error {
  using Error::Error;
};  ///< a file or text whose content breaks its format
struct StateError : Error {
  using Error::Error;
};  ///< a call that the object's present state forbids
struct MemoryError : Error {
  using Error::Error;
};  ///< memory that the system would not give
struct NonFiniteError : Error {
  using Error::Error;
};  ///< NaN or infinity where anomaly mode or a safeguard looks
struct InternalError : Error {
  using Error::Error;
};  ///< a bug in Tern itself, never the caller's

/// fn(); an Error that comes out of it names that module.
template <class F>
decltype(auto) in_module(std::string_view path, F&& fn) {
  try {
    return std::forward<F>(fn)();
  } catch (Error& error) {
    error.set_module_path(path);
    throw;
  }
}

namespace detail {
std::string to_text(double v);
std::string to_text(float v);
template <class T>
void append_text(std::string& out, const T& v) {
  if constexpr (std::is_same_v<T, bool>) {
    out += v ? "true" : "false";
  } else if constexpr (std::is_same_v<T, char>) {
    out += v;
  } else if constexpr (std::is_integral_v<T>) {
    out += std::to_string(v);
  } else if constexpr (std::is_floating_point_v<T>) {
    out += to_text(v);
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    out += std::string_view(v);
  } else {
    out += to_string(v);  // found by argument-dependent lookup: Shape, DType, ...
  }
}
}  // namespace detail

/// Joins texts, numbers, shapes and dtypes into one string. Floating-point numbers print in their shortest form.
template <class... Args>
[[nodiscard]] std::string concat(const Args&... args) {
  std::string out;
  (detail::append_text(out, args), ...);
  return out;
}

/// Checks for user mistakes: throws Kind(concat(args...)) unless the condition holds; the text is only built on
/// failure.
#define TERN_CHECK(condition, Kind, ...)               \
  do {                                                 \
    if (!(condition)) [[unlikely]]                     \
      throw ::tern::Kind(::tern::concat(__VA_ARGS__)); \
  } while (false)

/// Checks for our own bugs; the message says so.
#define TERN_ASSERT(condition, ...)                                                                          \
  do {                                                                                                       \
    if (!(condition)) [[unlikely]]                                                                           \
      throw ::tern::InternalError(::tern::concat("this is a bug in Tern, please report it: ", __VA_ARGS__)); \
  } while (false)

}  // namespace tern
