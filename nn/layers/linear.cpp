#include <tern/core/ops/linear.h>
#include <tern/nn/init.h>
#include <tern/nn/layers/linear.h>

namespace tern::nn {
namespace {

const Linear::Options& checked(const Linear::Options& o) {
  TERN_CHECK(o.in_features >= 1 && o.out_features >= 1, ValueError,
             "[Linear] expected in_features and out_features of at least 1, got ", o.in_features, " and ",
             o.out_features);
  return o;
}

}  // namespace

Linear::Linear(const Options& options)
    : options_(checked(options)),
      weight(this, "weight", empty({options.out_features, options.in_features})),
      bias(this, "bias", options.bias ? empty({options.out_features}) : Tensor()) {
  reset_parameters();
}

void Linear::reset_parameters() {
  Tensor w = weight.latent(), b = bias.latent();
  init::default_weight_(w);
  if (b.defined()) init::default_bias_(b, w);
}

Tensor Linear::forward(const Tensor& x) {
  return linear(x, weight(), bias());
}

std::string Linear::extra_text() const {
  return concat(options_.in_features, ", ", options_.out_features, options_.bias ? "" : ", bias=false");
}

int64_t Linear::macs(const Shape&, const Shape& output) const {
  return numel_of(output) * options_.in_features;
}

}  // namespace tern::nn
