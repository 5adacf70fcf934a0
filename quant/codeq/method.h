// CoDeQ's entry in the registry of methods.
#pragma once

#include <tern/quant/method.h>

namespace tern::quant::codeq {

/// Key "codeq", metadata key "tern.quantizers"; it has no packed form.
Method method();

}  // namespace tern::quant::codeq
