#include <cstdlib>
#include <fstream>

#include <tern/core/cpu.h>
#include <tern/core/error.h>

namespace tern {
namespace {

Isa best_isa() {
  Isa limit = Isa::kAvx512;
  if (const char* text = std::getenv("TERN_MAX_ISA"); text != nullptr && *text != '\0') {
    const std::string_view name = text;
    TERN_CHECK(name == "portable" || name == "avx2" || name == "avx512", ValueError,
               "[cpu] expected TERN_MAX_ISA to be portable, avx2 or avx512, got ", name);
    limit = name == "portable" ? Isa::kPortable : name == "avx2" ? Isa::kAvx2 : Isa::kAvx512;
  }
  [[maybe_unused]] const auto allowed = [&](Isa isa) { return static_cast<int>(isa) <= static_cast<int>(limit); };
#if defined(__x86_64__)
  __builtin_cpu_init();
#ifdef TERN_HAVE_AVX512
  if (allowed(Isa::kAvx512) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16"))
    return Isa::kAvx512;
#endif
#ifdef TERN_HAVE_AVX2
  if (allowed(Isa::kAvx2) && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::kAvx2;
#endif
#endif
  return Isa::kPortable;
}

}  // namespace

Isa isa() {
  static const Isa chosen = best_isa();
  return chosen;
}

std::string_view name_of(Isa isa) {
  return isa == Isa::kAvx512 ? "avx512" : isa == Isa::kAvx2 ? "avx2" : "portable";
}

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  return "unknown";
}

}  // namespace tern
