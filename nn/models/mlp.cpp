#include <tern/nn/models/mlp.h>

#include <tern/core/activation.h>
#include <tern/core/dropout.h>
#include <tern/core/shape.h>

namespace tern::nn::models {

Mlp::Mlp(const Options& options) : options_(options), layers(this, "layers") {
  TERN_CHECK(options.dropout >= 0 && options.dropout < 1, ValueError, "[Mlp] expected dropout in [0, 1), got ", options.dropout);
  int64_t in = options.in_features;
  for (const int64_t width : options.hidden) {
    layers->add<Linear>({.in_features = in, .out_features = width});
    in = width;
  }
  layers->add<Linear>({.in_features = in, .out_features = options.num_classes});
}

Tensor Mlp::forward(const Tensor& x) {
  Tensor y = flatten(x, 1);
  for (int64_t i = 0; i + 1 < layers->size(); ++i) {
    y = relu(layers[i](y));
    if (options_.dropout > 0) y = dropout(y, options_.dropout, is_training());
  }
  return layers[-1](y);
}

}  // namespace tern::nn::models
