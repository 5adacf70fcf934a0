#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include <tern/core/error.h>
#include <tern/core/io/json.h>
#include <tern/data/relabeled.h>
#include <tern/train/weights/classes.h>

namespace tern::train {
namespace {

using Names = std::vector<std::string>;

bool only_counts(const Names& names) {
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] != std::to_string(i)) return false;
  return true;
}

// "\"ant\", \"bee\" and 7 more".
std::string listed(const Names& names) {
  constexpr size_t kMaxShown = 5;
  std::string out;
  for (size_t i = 0; i < std::min(names.size(), kMaxShown); ++i)
    out += concat(i == 0 ? "" : ", ", "\"", names[i], "\"");
  return names.size() > kMaxShown ? concat(out, " and ", names.size() - kMaxShown, " more") : out;
}

}  // namespace

Names classes_of(const Checkpoint& checkpoint) {
  const auto text = checkpoint.metadata.find(meta::kClasses);
  if (!checkpoint.is_ours() || text == checkpoint.metadata.end()) return {};
  Names names;
  const io::Json list = io::Json::parse("checkpoint", meta::kClasses, text->second);
  for (const io::Json& name : list.items()) names.push_back(name.as_string());
  return names;
}

std::string to_text(const Names& classes) {
  return io::Json(classes).dump();
}

std::vector<int64_t> class_places(const ClassList& some, const ClassList& all) {
  std::unordered_map<std::string_view, int64_t> place_of;
  std::unordered_set<std::string_view> twice;
  for (size_t i = 0; i < all.names.size(); ++i)
    if (!place_of.try_emplace(all.names[i], static_cast<int64_t>(i)).second) twice.insert(all.names[i]);
  std::vector<int64_t> places(some.names.size());
  Names unknown;
  for (size_t i = 0; i < some.names.size(); ++i) {
    const auto at = place_of.find(some.names[i]);
    if (at == place_of.end())
      unknown.push_back(some.names[i]);
    else
      places[i] = at->second;
  }
  const bool by_place = some.names == all.names || (!unknown.empty() && some.names.size() == all.names.size() &&
                                                    (only_counts(some.names) || only_counts(all.names)));
  if (by_place) {
    for (size_t i = 0; i < places.size(); ++i) places[i] = static_cast<int64_t>(i);
    return places;
  }
  TERN_CHECK(unknown.empty(), ValueError, "[classes] expected classes of ", all.owner, " (", listed(all.names),
             ") alone, got also ", listed(unknown), " in ", some.owner);
  for (const std::string& name : some.names)
    TERN_CHECK(!twice.contains(name), ValueError, "[classes] expected every class of ", all.owner, " once, got \"",
               name, "\" twice");
  return places;
}

std::shared_ptr<const data::Dataset> with_classes(const std::shared_ptr<const data::Dataset>& dataset,
                                                  const std::string& owner, const ClassList& all) {
  if (dataset->class_names() == all.names) return dataset;
  return data::share(data::Relabeled(dataset, class_places({dataset->class_names(), owner}, all), all.names));
}

}  // namespace tern::train
