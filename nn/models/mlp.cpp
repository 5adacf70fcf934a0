#include <tern/core/ops/activation.h>
#include <tern/core/ops/dropout.h>
#include <tern/core/ops/shape.h>
#include <tern/nn/models/config_reader.h>
#include <tern/nn/models/mlp.h>

namespace tern::nn::models {

Mlp::Mlp(const Options& options) : options_(options) {
  TERN_CHECK(options.dropout >= 0 && options.dropout <= 1, ValueError, "[Mlp] expected dropout in [0, 1], got ",
             options.dropout);
  int64_t size = options.in_features;
  for (const int64_t next : options.hidden) {
    layers->add({.in_features = size, .out_features = next});
    size = next;
  }
  layers->add({.in_features = size, .out_features = options.num_classes});
}

Tensor Mlp::forward(const Tensor& x) {
  Shape sample = x.shape();
  if (x.dim() >= 2) sample.erase(0);
  TERN_CHECK(x.dim() >= 2 && numel_of(sample) == options_.in_features, ShapeError,
             "[Mlp] expected input [N, ...] with ", options_.in_features, " values a sample, got ", x.shape());
  Tensor y = flatten(x, 1, -1);
  for (int64_t i = 0; i < layers->size(); ++i) {
    y = layers[i](y);
    if (i + 1 < layers->size()) y = dropout(relu(y), options_.dropout, is_training());
  }
  return y;
}

io::Json Mlp::config() const {
  return io::Json::object({{"in_features", options_.in_features},
                           {"hidden", options_.hidden},
                           {"num_classes", options_.num_classes},
                           {"dropout", options_.dropout}});
}

Mlp::Options Mlp::options_from(const io::Json& config) {
  Options o;
  ConfigReader reader("Mlp", config);
  reader.read("in_features", o.in_features, 1);
  reader.read("hidden", o.hidden, 1);
  reader.read("num_classes", o.num_classes, 1);
  reader.read("dropout", o.dropout, 0, 1);
  reader.finish();
  return o;
}

}  // namespace tern::nn::models
