// The training traces of tests/golden/traces: values by formula (tests/golden/README.md), files, comparison of sums.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/io/json.h>
#include <tern/nn/module.h>

namespace tern::test {

inline uint64_t fnv1a64(std::string_view text) {
  uint64_t h = 0xcbf29ce484222325ull;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return h;
}

inline uint64_t splitmix64(uint64_t x) {
  uint64_t z = x + 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

/// offset + (2 u - 1) scale, u in [0, 1) from the hash of name and index.
inline Tensor hashed_uniform(std::string_view name, const Shape& shape, double scale, double offset, DType dtype) {
  Tensor x = empty(shape, DType::kF64);
  const uint64_t start = fnv1a64(name);
  for (int64_t i = 0; i < x.numel(); ++i) {
    const double u = static_cast<double>(splitmix64(start + static_cast<uint64_t>(i)) >> 11) * 0x1p-53;
    x.data<double>()[i] = offset + (2 * u - 1) * scale;
  }
  return x.to(dtype);
}

/// The hash modulo `bound`: labels and tokens.
inline Tensor hashed_integers(std::string_view name, const Shape& shape, uint64_t bound) {
  Tensor x = empty(shape, DType::kI64);
  const uint64_t start = fnv1a64(name);
  for (int64_t i = 0; i < x.numel(); ++i)
    x.data<int64_t>()[i] = static_cast<int64_t>(splitmix64(start + static_cast<uint64_t>(i)) % bound);
  return x;
}

inline Shape shape_of(const io::Json& sizes) {
  Shape shape;
  for (const io::Json& size : sizes.items()) shape.push_back(size.as_int());
  return shape;
}

inline io::Json read_trace(const std::string& name) {
  return io::Json::parse_file("trace", std::string(TERN_GOLDEN_DIR) + "/traces/" + name + ".json");
}

/// The name of a trace's data at one step.
inline std::string at_step(const io::Json& source, int64_t step) {
  std::string name = source.at("name").as_string();
  const size_t place = name.find("{step}");
  return place == std::string::npos ? name : name.replace(place, 6, std::to_string(step));
}

inline Tensor images_of(const io::Json& trace, int64_t step, DType dtype) {
  const io::Json& images = trace.at("images");
  return hashed_uniform(at_step(images, step), shape_of(images.at("shape")), images.at("scale").as_number(),
                        images.at("offset").as_number(), dtype);
}

inline Tensor labels_of(const io::Json& trace, int64_t step) {
  const io::Json& labels = trace.at("labels");
  return hashed_integers(at_step(labels, step), shape_of(labels.at("shape")),
                         static_cast<uint64_t>(labels.at("classes").as_int()));
}

/// Sets every floating-point entry of the state dict as the trace says; a name or shape that differs fails.
inline void fill_by_formula(nn::Module& model, const io::Json& rules) {
  const NoGradGuard no_grad;
  size_t filled = 0;
  for (const auto& [name, entry] : model.state_dict()) {
    if (!entry.is_floating()) continue;
    const io::Json* rule = rules.find(name);
    ASSERT_NE(rule, nullptr) << "the reference has no " << name;
    ASSERT_EQ(entry.shape(), shape_of(rule->at("shape"))) << name;
    Tensor target = entry;
    target.copy_(hashed_uniform(name, entry.shape(), rule->at("scale").as_number(), rule->at("offset").as_number(),
                                entry.dtype()));
    ++filled;
  }
  ASSERT_EQ(filled, rules.size()) << "the reference has more tensors";
}

/// A tensor against its [sum, sum of squares].
inline void expect_sums(const Tensor& x, const io::Json& sums, const std::string& name) {
  double sum = 0, squares = 0;
  for (const double v : x.to_vector<double>()) {
    sum += v;
    squares += v * v;
  }
  const double wanted = sums[1].as_number();
  // What cancels exactly on paper (the key part of a qkv bias) is only noise; it must stay that small.
  constexpr double kNoise = 1e-13;
  const double tolerance = 1e-8 * std::sqrt(static_cast<double>(x.numel()) * wanted) + kNoise;
  EXPECT_NEAR(sum, sums[0].as_number(), tolerance) << name;
  EXPECT_NEAR(squares, wanted, 1e-7 * wanted + kNoise) << name;
}

}  // namespace tern::test
