// What a run records of its surroundings, so that somebody else can tell why figures differ.
#pragma once

#include <tern/core/io/json.h>

namespace tern::train {

/// {"tern": version, "compiler": ..., "cpu": ..., "isa": ..., "blas": ..., "threads": n}
io::Json environment();

/// Tern's version, "0.1.0".
const char* version();

}  // namespace tern::train
