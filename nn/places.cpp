#include <unordered_map>
#include <utility>

#include <tern/nn/places.h>

namespace tern::nn {

std::vector<ModulePlaces> module_places(const Module& model) {
  std::vector<ModulePlaces> places;
  std::unordered_map<const Module*, size_t> known;
  for (auto& [path, module] : model.named_modules(true)) {
    const auto [it, fresh] = known.try_emplace(module.get(), places.size());
    if (fresh) places.push_back({.module = module, .paths = {}});
    places[it->second].paths.push_back(std::move(path));
  }
  return places;
}

}  // namespace tern::nn
