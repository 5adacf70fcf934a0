// Modules with all the places where they stand.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <tern/nn/module.h>

namespace tern::nn {

/// A module of a tree and every path that leads to it; the first is the one that named_modules() gives.
struct ModulePlaces {
  std::shared_ptr<Module> module;
  std::vector<std::string> paths;
};

/// The modules of a tree in the order of named_modules(), each once: what a change of a tree goes by, so that a module
/// that stands in several places is treated as one. Throws as named_modules(true).
[[nodiscard]] std::vector<ModulePlaces> module_places(const Module& model);

}  // namespace tern::nn
