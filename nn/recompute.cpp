#include <string>

#include <tern/core/autograd/autograd.h>
#include <tern/core/random.h>
#include <tern/nn/recompute.h>

namespace tern::nn {
namespace {

struct RecomputeBackward {
  static constexpr const char* kName = "recompute";
  std::function<Tensor(std::span<const Tensor>)> fn;
  std::vector<SavedTensor> inputs;      // what fn is called with
  std::vector<SavedTensor> parameters;  // what else it reads
  Generator::State random;
  std::string path;

  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    const autograd::ModuleScope scope(path);
    std::vector<Tensor> again, wanted;
    std::vector<size_t> positions;
    for (size_t i = 0; i < inputs.size(); ++i) {
      again.push_back(inputs[i].defined() ? inputs[i]->detach() : Tensor());
      if (!needs[i]) continue;
      again.back().requires_grad_();
      wanted.push_back(again.back());
      positions.push_back(i);
    }
    for (size_t i = 0; i < parameters.size(); ++i) {
      if (!needs[inputs.size() + i]) continue;
      wanted.push_back(*parameters[i]);
      positions.push_back(inputs.size() + i);
    }
    Tensor output;
    {
      Generator again_random(random);
      const GeneratorGuard replay(again_random);
      const EnableGradGuard record;
      output = fn(again);
    }
    Gradients gradients(inputs.size() + parameters.size());
    if (!output.requires_grad()) return gradients;
    const Tensor outputs[] = {output}, grads[] = {grad_output};
    const std::vector<Tensor> found = autograd::grad(outputs, wanted, grads);
    for (size_t i = 0; i < found.size(); ++i) gradients[positions[i]] = found[i];
    return gradients;
  }
};

}  // namespace

Tensor recompute(const std::function<Tensor(std::span<const Tensor>)>& fn, const std::vector<Tensor>& inputs,
                 const std::vector<Tensor>& parameters) {
  TERN_CHECK(fn != nullptr, ValueError, "[recompute] expected a function, got an empty one");
  RecomputeBackward saved;
  saved.fn = fn;
  saved.inputs.assign(inputs.begin(), inputs.end());
  saved.parameters.assign(parameters.begin(), parameters.end());
  saved.random = random_state();
  saved.path = autograd::current_module_path();
  Tensor output;
  {
    const NoGradGuard no_grad;
    output = fn(inputs);
    // An output that is one of the inputs must not carry the node that the input feeds.
    for (const Tensor& input : inputs)
      if (input.defined() && output.is_same(input)) output = output.detach();
  }
  std::vector<Tensor> all = inputs;
  all.insert(all.end(), parameters.begin(), parameters.end());
  return autograd::record<RecomputeBackward>(output, all, std::move(saved));
}

namespace detail {

Tensor recompute_module(const std::function<Tensor(const Tensor&)>& call, Module& module, const Tensor& x) {
  const auto first = std::make_shared<bool>(true);  // shared by the copies of fn
  const auto fn = [call, &module, first](std::span<const Tensor> in) {
    if (std::exchange(*first, false)) return call(in[0]);
    const NamedTensors buffers = module.named_buffers();
    std::vector<Tensor> kept;
    for (const auto& [name, buffer] : buffers) kept.push_back(buffer.detach().clone());
    const Tensor output = call(in[0]);
    const NoGradGuard no_grad;
    for (size_t i = 0; i < buffers.size(); ++i) {
      Tensor buffer = buffers[i].second;
      buffer.copy_(kept[i]);
    }
    return output;
  };
  return recompute(fn, {x}, module.parameters());
}

}  // namespace detail

Tensor recompute(Module& module, const Tensor& x) {
  return detail::recompute_module([&module](const Tensor& input) { return module(input); }, module, x);
}

}  // namespace tern::nn
