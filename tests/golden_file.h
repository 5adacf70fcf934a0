// Reading golden files: the cases of tests/golden/ops/*.safetensors (see tests/golden/README.md).
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <tern/core/tensor.h>

#include "golden_attributes.h"

namespace tern::test {

/// One op on one set of inputs.
struct GoldenCase {
  std::string name;
  Json attributes;
  std::map<std::string, Tensor> tensors;  ///< "in0", "out", "grad_out", "grad0", ...

  bool has(const std::string& key) const { return tensors.count(key) != 0; }
  const Tensor& operator[](const std::string& key) const {
    const auto it = tensors.find(key);
    if (it == tensors.end()) throw std::runtime_error("golden case " + name + " has no tensor " + key);
    return it->second;
  }
  /// in0, in1, ...
  std::vector<Tensor> inputs() const {
    std::vector<Tensor> all;
    while (has("in" + std::to_string(all.size()))) all.push_back(tensors.at("in" + std::to_string(all.size())));
    return all;
  }
  std::string op() const { return attributes.at("op"); }
};

/// All cases of a file, by name. The file is ours, so its reader trusts it; core/io/safetensors is the careful one.
inline std::vector<GoldenCase> load_golden(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot open " + path.string());
  uint64_t header_bytes = 0;
  file.read(reinterpret_cast<char*>(&header_bytes), 8);
  std::string header(header_bytes, '\0');
  file.read(header.data(), static_cast<std::streamsize>(header_bytes));
  const std::string data((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const io::Json entries = io::Json::parse("golden", path.string(), header);
  const std::map<std::string, DType> dtypes{{"F64", DType::kF64}, {"F32", DType::kF32}, {"I64", DType::kI64},
                                            {"I32", DType::kI32}, {"U8", DType::kU8},   {"BOOL", DType::kU8}};
  std::map<std::string, GoldenCase> cases;
  for (const auto& [name, text] : entries.at("__metadata__").members()) {
    cases[name].name = name;
    cases[name].attributes = io::Json::parse("golden", name, text.as_string());
  }
  for (const auto& [key, entry] : entries.members()) {
    const Json value(entry);
    if (key == "__metadata__") continue;
    const size_t slash = key.rfind('/');
    const auto begin = value.at("data_offsets").at(0).get<size_t>(), end = value.at("data_offsets").at(1).get<size_t>();
    Tensor x =
        empty(Shape(value.at("shape").get<std::vector<int64_t>>()), dtypes.at(value.at("dtype").get<std::string>()));
    if (end > data.size() || end - begin != static_cast<size_t>(x.bytes()))
      throw std::runtime_error(path.string() + " is broken at " + key);
    if (x.numel() != 0) std::memcpy(x.raw(), data.data() + begin, end - begin);
    cases.at(key.substr(0, slash)).tensors[key.substr(slash + 1)] = x;
  }
  std::vector<GoldenCase> all;
  for (auto& [name, one] : cases) all.push_back(std::move(one));
  return all;
}

/// Cases of every file in tests/golden/ops but `but`, with the file's stem before the name: "conv/conv2d_stride2".
inline std::vector<GoldenCase> load_golden_ops(const std::string& but = "") {
  std::vector<std::filesystem::path> files;
  const std::filesystem::path folder = std::filesystem::path(TERN_GOLDEN_DIR) / "ops";
  if (std::filesystem::is_directory(folder))
    for (const auto& file : std::filesystem::directory_iterator(folder))
      if (file.path().extension() == ".safetensors" && file.path().stem() != but) files.push_back(file.path());
  std::sort(files.begin(), files.end());
  std::vector<GoldenCase> all;
  for (const auto& file : files)
    for (GoldenCase& one : load_golden(file)) {
      one.name = file.stem().string() + "/" + one.name;
      all.push_back(std::move(one));
    }
  return all;
}

}  // namespace tern::test
