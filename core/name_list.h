// Lists of names in messages: of bounded length, whatever went wrong.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <tern/core/error.h>

namespace tern {

/// "a, b, c"; of more than `most` names the first ones and how many follow: "a, b and 7 more".
[[nodiscard]] inline std::string name_list(const std::vector<std::string>& names, size_t most = 8) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), most); ++i) text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > most) text += concat(" and ", names.size() - most, " more");
  return text;
}

}  // namespace tern
