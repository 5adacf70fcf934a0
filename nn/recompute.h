// Trading time for memory: blocks that keep only their inputs and run again during the backward pass.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <tern/nn/child.h>

namespace tern::nn {

/// fn(inputs), without keeping what its backward needs (Chen et al., "Training deep nets with sublinear memory cost",
/// 2016): when the backward comes, fn runs a second time, with the random numbers of the first (of the default
/// generator), and its graph is walked then. inputs: any, also undefined. `parameters` are the further tensors that fn
/// reads and that want gradients; a gradient of a tensor that is in neither list is lost. fn must compute the same both
/// times. Throws ValueError for an empty fn, and what fn throws.
[[nodiscard]] Tensor recompute(const std::function<Tensor(std::span<const Tensor>)>& fn,
                               const std::vector<Tensor>& inputs, const std::vector<Tensor>& parameters);

/// The same for a module called with one tensor. Its buffers keep what the first run left in them, so running
/// statistics count a batch once. The module must live, in the same mode, until the backward has run.
[[nodiscard]] Tensor recompute(Module& module, const Tensor& x);

/// The same for a child, inside its scope.
template <class T>
[[nodiscard]] Tensor recompute(const Child<T>& child, const Tensor& x);

namespace detail {
Tensor recompute_module(const std::function<Tensor(const Tensor&)>& call, Module& module, const Tensor& x);
}

template <class T>
Tensor recompute(const Child<T>& child, const Tensor& x) {
  return detail::recompute_module([&child](const Tensor& input) { return child(input); }, *child.module(), x);
}

}  // namespace tern::nn
