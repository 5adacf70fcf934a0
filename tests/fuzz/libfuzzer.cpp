// One of the fuzz targets for libFuzzer (clang): the program fuzz_NAME, with -fsanitize=fuzzer. Seeds and broken files
// come from `fuzz --write DIR`.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include <tern/core/error.h>

#include "fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const tern::fuzz::Target* const target = [] {
    for (const tern::fuzz::Target& t : tern::fuzz::targets())
      if (std::strcmp(t.name, TERN_FUZZ_TARGET) == 0) return &t;
    std::abort();
  }();
  try {
    target->run(std::string(reinterpret_cast<const char*>(data), size));
  } catch (const tern::InternalError& error) {
    std::cerr << error.what() << "\n";
    std::abort();
  } catch (const tern::MemoryError& error) {  // something was allocated before it was checked
    std::cerr << error.what() << "\n";
    std::abort();
  } catch (const tern::Error&) {
  }
  return 0;
}
