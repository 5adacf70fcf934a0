// A multi-layer perceptron.
#pragma once

#include <string>
#include <vector>

#include <tern/nn/layers/containers.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/models/model.h>

namespace tern::nn::models {

/// Linear layers with ReLU and dropout between them. Inputs with more axes than one a sample are flattened: x
/// [N, ...] with in_features values a sample; result [N, num_classes]. Parameter names: layers.0.weight, layers.0.bias,
/// layers.1.weight, ... Making one throws ValueError for options out of range, calling it ShapeError for another number
/// of values a sample.
class Mlp : public Model {
 public:
  struct Options {
    int64_t in_features = 3 * 32 * 32;         ///< values a sample, at least 1
    std::vector<int64_t> hidden = {512, 256};  ///< sizes of the hidden layers, each at least 1; may be empty
    int64_t num_classes = 10;
    double dropout = 0;  ///< after each hidden layer, in [0, 1]
  };
  explicit Mlp(const Options& options);
  const Options& options() const { return options_; }
  /// From a JSON object of these names, or null. Throws ValueError for other keys and values out of range.
  static Options options_from(const io::Json& config);

  Tensor forward(const Tensor& x) override;
  std::string model_name() const override { return "mlp"; }
  io::Json config() const override;
  std::string head_path() const override { return "layers." + std::to_string(options_.hidden.size()); }

 private:
  Options options_;

 public:
  Child<ModuleListOf<Linear>> layers{this, "layers"};
};

}  // namespace tern::nn::models
