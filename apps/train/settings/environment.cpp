#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include <tern/core/cpu.h>
#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/io/hash.h>
#include <tern/core/linalg/blas.h>
#include <tern/core/parallel.h>
#include <tern/train/settings/environment.h>

#include "commit.h"

namespace tern::train {

io::Json file_identity(const std::string& path) {
  const io::InputFile file("run", path);
  io::Hash64 hash;
  std::vector<std::byte> block(1 << 20);
  for (uint64_t at = 0; at < file.size(); at += block.size()) {
    const std::span<std::byte> part(block.data(), std::min<uint64_t>(block.size(), file.size() - at));
    file.read_at(at, part);
    hash.add(part.data(), part.size());
  }
  return io::Json::object({{"bytes", file.size()}, {"fingerprint", io::hex(hash.value())}});
}

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
