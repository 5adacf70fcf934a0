// A multi-layer perceptron.
#pragma once

#include <vector>

#include <tern/nn/containers.h>
#include <tern/nn/linear.h>

namespace tern::nn::models {

/// Linear layers with ReLU between: in_features -> hidden[0] -> ... -> num_classes. x: [N, ...] with in_features values an
/// example, flattened; result: [N, num_classes]. Names: layers.0.weight, layers.0.bias, layers.1.weight, ...
class Mlp : public Module {
 public:
  struct Options {
    int64_t in_features = 3 * 32 * 32;
    std::vector<int64_t> hidden = {512, 256};  ///< may be empty: then the model is linear
    int64_t num_classes = 10;
    double dropout = 0.0;  ///< after every ReLU, in [0, 1)
  };
  explicit Mlp(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;

 private:
  Options options_;

 public:
  Child<ModuleListOf<Linear>> layers;
};

}  // namespace tern::nn::models
