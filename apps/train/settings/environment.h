// What a run records of its surroundings, so that somebody else can tell why figures differ.
#pragma once

#include <string>

#include <tern/core/io/json.h>

namespace tern::train {

/// {"tern": version, "commit": ..., "compiler": ..., "cpu": ..., "isa": ..., "blas": ..., "threads": n}
io::Json environment();

/// {"bytes": n, "fingerprint": a hash of the content}: tells whether a file that a run depends on has changed. Throws
/// IoError.
io::Json file_identity(const std::string& path);

/// Tern's version, "0.1.0".
const char* version();

/// The commit of the sources that the library was built from, with "-dirty" behind it where they differed from it;
/// "unknown" outside a repository.
const char* commit();

}  // namespace tern::train
