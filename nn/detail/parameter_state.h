// What a Parameter holds. Not for users: included by the sources of this room only.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include <tern/core/tensor.h>
#include <tern/core/tensor_stamp.h>
#include <tern/nn/parametrization.h>

namespace tern::nn::detail {

struct ParameterState {
  Tensor latent;
  bool requires_grad = true;  // wanted when the value is set again
  std::shared_ptr<Parametrization> parametrization;
  bool enabled = true;
  int64_t names = 0;  // parameters that share this state

  // The effective value last computed without a graph, and what it was computed from.
  struct Cache {
    Tensor value;
    TensorStamp latent;
    std::vector<TensorStamp> own;  // the parametrization's parameters and buffers
    uint64_t changes = 0;
    bool training = false;
  } cache;
  std::mutex cache_mutex;
};

}  // namespace tern::nn::detail
