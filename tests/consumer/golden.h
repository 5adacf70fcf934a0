// Comparing a model in double precision with what PyTorch computed (consumer_models.py among the scripts of the golden
// files), from values that both make alike.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include <tern/tern.h>

namespace models {

using namespace tern;

/// n numbers in [-0.5, 0.5) that belong to a name.
inline std::vector<double> pattern(const std::string& name, int64_t n) {
  int64_t seed = 7;
  for (const char c : name) seed = (seed * 31 + static_cast<unsigned char>(c)) % 65521;
  std::vector<double> values;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t x = (i * 48271 + seed) % 65537;
    values.push_back(static_cast<double>((x * x % 65537 * 31 + x * 7 + seed) % 65537) / 65537.0 - 0.5);
  }
  return values;
}

/// What a parameter or buffer of that name starts with.
inline Tensor initial_value(const std::string& name, const Shape& shape) {
  if (name.ends_with("num_batches_tracked")) return full(shape, 3, DType::kI64);
  const Tensor v = tensor(pattern(name, numel_of(shape)), shape);
  if (shape.size() > 1) return v * (2 * std::sqrt(3.0 / static_cast<double>(numel_of(shape) / shape[0])));
  if (name.ends_with("running_var")) return v * 0.5 + 1;
  return name.ends_with("weight") ? v * 0.4 + 1 : v * 0.2;
}

inline Tensor image_input(const Shape& shape) {
  return tensor(pattern("input", numel_of(shape)), shape) * 4;
}

inline Tensor label_input(const Shape& shape, int64_t classes) {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < numel_of(shape); ++i) labels.push_back((i * i + 3 * i) % 23 % classes);
  return tensor(labels, shape);
}

/// Compares with a golden file and keeps the largest difference. Throws ValueError for one above the tolerance.
class Golden {
 public:
  static constexpr double kTolerance = 1e-11;

  explicit Golden(const std::string& path) : file_(io::load_safetensors(path).tensors) {
    for (const auto& [name, value] : file_)
      if (name.starts_with("grad.") && name != "grad.input")
        largest_ = std::max(largest_, std::sqrt(value.to_vector<double>()[1] / elements_of(name.substr(5))));
  }

  /// Values for everything that the PyTorch model has, by name.
  io::TensorMap state() const {
    io::TensorMap state;
    for (const auto& [name, shape] : file_)
      if (name.starts_with("shape."))
        state.insert(name.substr(6), initial_value(name.substr(6), Shape(shape.to_vector<int64_t>())));
    return state;
  }

  /// Every element, relative to the largest.
  void same(const std::string& name, const Tensor& value) {
    const Tensor& expected = file_.at(name);
    TERN_CHECK(value.shape() == expected.shape(), ShapeError, name, ": expected ", expected.shape(), ", got ",
               value.shape());
    note(name, amax(abs(value.detach() - expected)).item() / amax(abs(expected)).item());
  }

  /// Sum, sum of squares and eight elements, relative to the mean size of the elements; for gradients that are 0 but
  /// for rounding (a bias that the next batch norm takes away) to that of the largest gradient.
  void same_summary(const std::string& name, const Tensor& value) {
    ++compared_;
    const std::vector<double> expected = file_.at(name).to_vector<double>(), x = value.to_vector<double>();
    const double n = static_cast<double>(x.size());
    double sum = 0, squares = 0;
    for (const double v : x) sum += v, squares += v * v;
    const double size = std::sqrt(expected[1] / n), scale = size < 1e-9 * largest_ ? largest_ : size;
    zero_ += scale > size;
    note(name + " (sum)", std::abs(sum - expected[0]) / (n * scale));
    note(name + " (squares)", std::abs(squares - expected[1]) / (n * scale * scale));
    for (size_t i = 0; i < 8; ++i) note(name, std::abs(x[i * x.size() / 8] - expected[2 + i]) / scale);
  }

  /// Ends the comparison: every summary of the file has been asked for.
  void finish() const {
    int64_t summaries = 0;
    for (const auto& [name, value] : file_) summaries += name.starts_with("grad.") || name.starts_with("after.");
    TERN_CHECK(compared_ == summaries, ValueError, "expected ", summaries, " gradients and buffers, got ", compared_);
    std::cout << "equal to PyTorch: " << compared_ << " gradients and buffers, of which " << zero_
              << " are 0, largest relative difference " << worst_ << " (" << where_ << ")\n";
  }

 private:
  double elements_of(const std::string& name) const {
    return static_cast<double>(numel_of(Shape(file_.at("shape." + name).to_vector<int64_t>())));
  }
  void note(const std::string& name, double difference) {
    TERN_CHECK(difference <= kTolerance, ValueError, name, " differs from PyTorch's by ", difference);
    if (difference >= worst_) worst_ = difference, where_ = name;
  }

  io::TensorMap file_;
  int64_t compared_ = 0, zero_ = 0;
  double largest_ = 0, worst_ = 0;
  std::string where_;
};

/// Gives the model the values of the file's names, and compares an output in evaluation, then output, loss, gradients
/// and running statistics of a step in training.
inline void compare_with_torch(nn::Module& net, const std::string& path, Tensor input, const Tensor& labels,
                               const std::function<Tensor(const Tensor&)>& forward) {
  Golden golden(path);
  net.to(DType::kF64);
  net.load_state_dict(golden.state());
  {
    const NoGradGuard no_grad;
    const nn::EvalModeGuard eval(net);
    golden.same("output_eval", forward(input));
  }
  if (input.is_floating()) input.requires_grad_();
  const Tensor output = forward(input);
  const Tensor loss = cross_entropy(output, labels);
  loss.backward();
  golden.same("output", output);
  golden.same("loss", loss);
  for (const auto& [name, parameter] : net.named_parameters()) golden.same_summary("grad." + name, parameter.grad());
  if (input.is_floating()) golden.same_summary("grad.input", input.grad());
  for (const auto& [name, buffer] : net.named_buffers()) golden.same_summary("after." + name, buffer);
  golden.finish();
}

}  // namespace models
