#include <charconv>

#include <tern/core/error.h>
#include <tern/core/text.h>

namespace tern {

Error::Error(std::string message) : message_(one_line(message)), text_(message_) {}

void Error::set_module_path(std::string_view path) {
  if (path.empty() || text_.size() != message_.size()) return;
  text_ = message_ + " (in " + one_line(path) + ")";
}

namespace detail {

namespace {

template <class T>
std::string shortest(T v) {
  if (v != v) return "nan";  // without the sign that means nothing
  char buffer[40];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, v);
  return std::string(buffer, result.ptr);
}

}  // namespace

std::string to_text(double v) {
  return shortest(v);
}
std::string to_text(float v) {
  return shortest(v);
}

}  // namespace detail
}  // namespace tern
