// What a call throws, for tests of errors.
#pragma once

#include <exception>
#include <string>

#include <tern/core/error.h>

namespace tern::test {

/// The message of the Kind (any error of Tern's, if not given) that f() throws; a text that says so if it throws
/// nothing or something else.
template <class Kind = Error, class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const Kind& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("another kind of error: ") + error.what();
  }
  return "nothing was thrown";
}

}  // namespace tern::test
