#include <tern/core/blas.h>
#include <tern/core/cpu.h>
#include <tern/core/error.h>
#include <tern/core/parallel.h>
#include <tern/train/environment.h>

#include "commit.h"

namespace tern::train {

const char* version() {
  return TERN_VERSION;
}

const char* commit() {
  return TERN_COMMIT;
}

io::Json environment() {
  io::Json json = io::Json::object();
  json["tern"] = version();
  json["commit"] = commit();
#if defined(__clang__)
  json["compiler"] = concat("clang ", __clang_major__, ".", __clang_minor__);
#else
  json["compiler"] = concat("g++ ", __GNUC__, ".", __GNUC_MINOR__);
#endif
  json["cpu"] = cpu_name();
  json["isa"] = name_of(isa());
  json["blas"] = blas::config();
  json["threads"] = num_threads();
  return json;
}

}  // namespace tern::train
