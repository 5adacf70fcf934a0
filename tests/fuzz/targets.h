// What is fuzzed: every reader of files that are not trusted.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace tern::fuzz {

struct Target {
  const char* name;
  /// Reads the bytes. May throw tern::Error; anything else is a bug.
  void (*run)(const std::string& bytes);
  /// Whole files to start from.
  std::vector<std::string> (*seeds)();
};

std::span<const Target> targets();

}  // namespace tern::fuzz
