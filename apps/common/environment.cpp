#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include <tern/core/blas.h>
#include <tern/core/cpu.h>
#include <tern/core/error.h>
#include <tern/core/io/hash.h>
#include <tern/core/parallel.h>
#include <tern/train/environment.h>

#include "commit.h"

namespace tern::train {

io::Json file_identity(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  TERN_CHECK(file.is_open(), IoError, "[run] expected to read ", path, ", got: ", std::strerror(errno));
  io::Hash64 hash;
  int64_t bytes = 0;
  std::vector<char> block(1 << 20);
  while (file.read(block.data(), static_cast<std::streamsize>(block.size())), file.gcount() > 0) {
    hash.add(block.data(), static_cast<size_t>(file.gcount()));
    bytes += file.gcount();
  }
  TERN_CHECK(file.eof(), IoError, "[run] expected to read ", path, ", got an error after ", bytes, " bytes");
  return io::Json::object({{"bytes", bytes}, {"fingerprint", io::hex(hash.value())}});
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
