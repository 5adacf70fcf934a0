#include <tern/core/error.h>
#include <tern/nn/parametrization.h>

namespace tern::nn {

Parametrization::Parametrization(std::string_view name) : name_(name) {
  TERN_CHECK(!name.empty() && name.find('.') == std::string_view::npos, ValueError,
             "[parametrization] expected a name without dots, got '", name, "'");
}

}  // namespace tern::nn
