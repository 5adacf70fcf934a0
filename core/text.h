// Comparing names, for messages that say what was probably meant.
#pragma once

#include <cstddef>
#include <string_view>

namespace tern {

/// How many letters must be inserted, removed, replaced or swapped with their neighbour to turn a into b (optimal
/// string alignment distance).
[[nodiscard]] size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace tern
