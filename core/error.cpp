#include <charconv>

#include <tern/core/error.h>

namespace tern {

void Error::set_module_path(std::string_view path) {
  if (path.empty() || text_.size() != message_.size()) return;
  text_ = message_ + " (in " + std::string(path) + ")";
}

namespace detail {

std::string to_text(double v) {
  char buffer[40];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, v);
  return std::string(buffer, result.ptr);
}

}  // namespace detail
}  // namespace tern
