#include <algorithm>
#include <utility>

#include <tern/core/error.h>
#include <tern/quant/method.h>

namespace tern::quant {
namespace detail {
// methods_list.cpp, which the build writes from the list in CMakeLists.txt.
std::deque<Method> built_in_methods();
}  // namespace detail

namespace {

std::deque<Method>& all_methods() {
  static std::deque<Method> methods = detail::built_in_methods();
  return methods;
}

}  // namespace

const std::deque<Method>& methods() {
  return all_methods();
}

void register_method(Method method) {
  TERN_CHECK(!method.key.empty() && !method.metadata_key.empty(), ValueError,
             "[register_method] expected a key and a metadata key, got \"", method.key, "\" and \"",
             method.metadata_key, "\"");
  for (const char c : method.key)
    TERN_CHECK((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_', ValueError,
               "[register_method] expected a key of letters, digits and _, got \"", method.key, "\"");
  for (const Method& other : methods())
    TERN_CHECK(other.key != method.key && other.metadata_key != method.metadata_key, ValueError,
               "[register_method] expected a key and a metadata key that no other method has, got \"", method.key,
               "\" and \"", method.metadata_key, "\" beside \"", other.key, "\" and \"", other.metadata_key, "\"");
  TERN_CHECK(method.is_in && method.describe && method.restore && method.layer_states, ValueError,
             "[register_method] expected is_in, describe, restore and layer_states of \"", method.key,
             "\", got not all of them");
  all_methods().push_back(std::move(method));
}

const Method* find_method(std::string_view key) {
  const auto& all = methods();
  const auto it = std::find_if(all.begin(), all.end(), [&](const Method& m) { return m.key == key; });
  return it == all.end() ? nullptr : &*it;
}

Tensor effective_weight(const nn::Module& model, const LayerState& layer) {
  if (const Method* method = find_method(layer.method); method != nullptr && method->effective)
    if (Tensor weight = method->effective(model, layer); weight.defined()) return weight;
  return model.get_parameter(layer.parameter)();
}

}  // namespace tern::quant
