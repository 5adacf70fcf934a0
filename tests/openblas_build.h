// Which of Debian's builds of OpenBLAS this process has, for tests that run with each of them. ctest chooses one by
// LD_LIBRARY_PATH and says in TERN_OPENBLAS_BUILD which; where it is not installed another one is found.
#pragma once

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include <tern/core/linalg/blas.h>

namespace tern::testing {

/// "serial", "openmp" or "pthread".
inline std::string openblas_build() {
  const std::string config = blas::config();
  if (config.find("SINGLE_THREADED") != std::string::npos) return "serial";
  return config.find("USE_OPENMP") != std::string::npos ? "openmp" : "pthread";
}

/// The build that the test is to run with; empty if any will do.
inline std::string wanted_openblas_build() {
  const char* wanted = std::getenv("TERN_OPENBLAS_BUILD");
  return wanted == nullptr ? "" : wanted;
}

#define TERN_NEEDS_OPENBLAS_BUILD()                                      \
  if (const std::string wanted = tern::testing::wanted_openblas_build(); \
      !wanted.empty() && wanted != tern::testing::openblas_build())      \
  GTEST_SKIP() << "the " << wanted << " build of OpenBLAS is not installed (Debian: libopenblas0-" << wanted << ")"

}  // namespace tern::testing
