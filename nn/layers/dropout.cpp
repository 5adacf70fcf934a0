#include <tern/core/ops/dropout.h>
#include <tern/nn/layers/dropout.h>

namespace tern::nn {
namespace {

void check_probability(const char* type, double p) {
  TERN_CHECK(p >= 0 && p <= 1, ValueError, "[", type, "] expected a probability p in [0, 1], got ", p);
}

}  // namespace

Dropout::Dropout(const Options& options) : options_(options) {
  check_probability("Dropout", options.p);
}

Tensor Dropout::forward(const Tensor& x) {
  return dropout(x, options_.p, is_training());
}

Dropout2d::Dropout2d(const Options& options) : options_(options) {
  check_probability("Dropout2d", options.p);
}

Tensor Dropout2d::forward(const Tensor& x) {
  return dropout2d(x, options_.p, is_training());
}

DropPath::DropPath(const Options& options) : options_(options) {
  check_probability("DropPath", options.p);
}

Tensor DropPath::forward(const Tensor& x) {
  return drop_path(x, options_.p, is_training());
}

}  // namespace tern::nn
