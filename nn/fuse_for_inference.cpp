#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <typeinfo>
#include <utility>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/kept_forms.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>
#include <tern/nn/fuse_for_inference.h>
#include <tern/nn/layers/batch_norm.h>
#include <tern/nn/layers/containers.h>
#include <tern/nn/layers/conv2d.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/parametrization.h>
#include <tern/nn/places.h>
#include <tern/nn/scoped_hooks.h>

namespace tern::nn {
namespace {

using autograd::Node;

// What folding one norm may change, of the largest output, in units of the dtype's precision: some 4 in an f32 layer
// (5e-7). Errors of several norms add up.
constexpr double kRounding = 64;

double precision_of(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return 0x1p-53;
    case DType::kF16:
      return 0x1p-11;
    case DType::kBF16:
      return 0x1p-9;
    default:
      return 0x1p-24;
  }
}

// What one forward showed of a layer or norm.
struct Seen {
  std::string path;
  std::shared_ptr<Module> module;
  size_t places = 1;  // in the model
  int64_t calls = 0;
  std::shared_ptr<Node> input{}, output{};  // what made the tensors, in the last call
  Shape input_shape{};
};

template <class T>
bool is_exactly(const Module& module) {
  return typeid(module) == typeid(T);
}

bool is_layer(const Module& module) {
  return dynamic_cast<const Conv2d*>(&module) != nullptr || dynamic_cast<const Linear*>(&module) != nullptr;
}

// Why a layer or norm cannot be folded, from itself alone; empty if it can.
std::string obstacle(const Module& module) {
  if (module.has_hooks()) return concat("the ", module.type_name(), " has a hook");
  if (!is_exactly<Conv2d>(module) && !is_exactly<Linear>(module) && !is_exactly<BatchNorm1d>(module) &&
      !is_exactly<BatchNorm2d>(module))
    return concat("a ", module.type_name(), " may compute something of its own");
  for (const Parameter* p : module.own_parameters()) {
    if (!p->defined()) continue;
    if (p->parametrization() != nullptr)
      return concat("the ", module.type_name(), "'s ", p->name(), " is parametrized (",
                    p->parametrization()->type_name(), "); bake it first");
    if (p->is_tied()) return concat("the ", module.type_name(), "'s ", p->name(), " is tied");
  }
  if (const auto* norm = dynamic_cast<const BatchNorm*>(&module);
      norm != nullptr && !norm->options().track_running_stats)
    return "the norm has no running statistics";
  return {};
}

// How many inputs of the graph's operations each operation's result is.
std::map<const Node*, int64_t> readers_of(const std::shared_ptr<Node>& last) {
  std::map<const Node*, int64_t> readers;
  std::set<const Node*> met{last.get()};
  std::vector<const Node*> open{last.get()};
  while (!open.empty()) {
    const Node* node = open.back();
    open.pop_back();
    for (const autograd::Edge& edge : node->edges) {
      if (edge.node == nullptr) continue;
      ++readers[edge.node.get()];
      if (met.insert(edge.node.get()).second) open.push_back(edge.node.get());
    }
  }
  return readers;
}

// Whether the norm's channels, axis 1 of what it reads, are the layer's outputs: axis 1 of a convolution's result, the
// last of a linear layer's.
bool normalizes_outputs(const Seen& norm, const Module& layer) {
  return dynamic_cast<const Conv2d*>(&layer) != nullptr || norm.input_shape.size() == 2;
}

// A layer with a bias that computes norm(layer(x)).
std::shared_ptr<Module> folded(const Module& layer, const BatchNorm& norm) {
  const DType dtype = layer.find_parameter("weight")->latent().dtype();
  const auto f64 = [](const Tensor& x, const Tensor& otherwise) {
    return x.defined() ? cast(x, DType::kF64) : otherwise;
  };
  const Shape channels{norm.options().num_features};
  const Tensor none = zeros(channels, DType::kF64), one = full(channels, 1.0, DType::kF64);
  const Tensor scale = div(f64(norm.weight.latent(), one), sqrt(add(f64(norm.running_var(), one), norm.options().eps)));
  const Tensor weight = f64(layer.find_parameter("weight")->latent(), none);
  const Tensor bias =
      add(f64(norm.bias.latent(), none),
          mul(scale, sub(f64(layer.find_parameter("bias")->latent(), none), f64(norm.running_mean(), none))));
  Shape per_output(weight.dim(), 1);
  per_output[0] = channels[0];

  std::shared_ptr<Module> made;
  if (const auto* conv = dynamic_cast<const Conv2d*>(&layer)) {
    Conv2d::Options options = conv->options();
    options.bias = true;
    made = make<Conv2d>(options);
  } else {
    Linear::Options options = dynamic_cast<const Linear&>(layer).options();
    options.bias = true;
    made = make<Linear>(options);
  }
  made->find_parameter("weight")->set(cast(mul(weight, reshape(scale, per_output)), dtype));
  made->find_parameter("bias")->set(cast(bias, dtype));
  return made;
}

}  // namespace

FusionReport fuse_for_inference(Module& model, const Tensor& example) {
  model.eval();
  FusionReport report;
  std::vector<std::unique_ptr<Seen>> seen;
  std::map<const Module*, std::string> obstacles;  // found before hooks of our own are there
  for (const auto& [module, paths] : module_places(model)) {
    const std::string& path = paths[0];
    if (path.empty() || (!is_layer(*module) && dynamic_cast<BatchNorm*>(module.get()) == nullptr)) continue;
    obstacles[module.get()] = obstacle(*module);
    seen.push_back(std::make_unique<Seen>(Seen{.path = path, .module = module, .places = paths.size()}));
  }
  Tensor before;
  std::map<const Node*, int64_t> readers;
  {
    ScopedHooks hooks;
    for (const auto& s : seen)
      hooks.after(*s->module, [&s = *s](Module&, std::span<const Tensor> inputs, const Tensor& output) {
        ++s.calls;
        if (!inputs.empty()) {
          s.input = inputs[0].grad_fn();
          s.input_shape = inputs[0].shape();
        }
        s.output = output.grad_fn();
      });
    const EnableGradGuard record;
    Tensor input = example.detach();
    if (is_floating(input.dtype())) input.requires_grad_();
    before = model(input);
    if (before.grad_fn() != nullptr) readers = readers_of(before.grad_fn());
  }

  const double largest = before.numel() == 0 ? 0 : cast(max(abs(before.detach())), DType::kF64).item();
  TERN_CHECK(std::isfinite(largest), ValueError,
             "[fuse_for_inference] expected an example whose result is finite, got one with ", largest);

  std::vector<std::pair<const Seen*, const Seen*>> pairs;
  for (const auto& norm : seen) {
    if (is_layer(*norm->module)) continue;
    const Seen* layer = nullptr;
    for (const auto& s : seen)
      if (is_layer(*s->module) && s->output != nullptr && s->output == norm->input) layer = s.get();
    const auto reason = [&]() -> std::string {
      if (!obstacles[norm->module.get()].empty()) return obstacles[norm->module.get()];
      if (norm->places != 1) return "it stands in several places";
      if (norm->calls != 1) return concat("it was called ", norm->calls, " times");
      if (layer == nullptr) return "it does not read a convolution's or linear layer's output";
      if (!obstacles[layer->module.get()].empty()) return obstacles[layer->module.get()];
      if (layer->places != 1) return concat(layer->path, " stands in several places");
      if (layer->calls != 1) return concat(layer->path, " was called ", layer->calls, " times");
      if (readers[layer->output.get()] != 1) return concat("something else reads the output of ", layer->path, " too");
      if (!normalizes_outputs(*norm, *layer->module))
        return concat("it normalizes axis 1 of ", norm->input_shape, ", not the outputs of ", layer->path);
      return {};
    }();
    if (reason.empty()) {
      pairs.emplace_back(layer, norm.get());
      report.fused.push_back({layer->path, norm->path});
    } else {
      report.left.push_back({norm->path, reason});
    }
  }

  const NoGradGuard no_grad;
  std::vector<std::shared_ptr<Module>> fused;  // all made before any is put in its place
  for (const auto& [layer, norm] : pairs)
    fused.push_back(folded(*layer->module, dynamic_cast<const BatchNorm&>(*norm->module)));
  const auto put_back = [&] {
    for (const auto& [layer, norm] : pairs) {
      model.replace(layer->path, layer->module);
      model.replace(norm->path, norm->module);
    }
  };
  Tensor after;
  try {
    for (size_t i = 0; i < pairs.size(); ++i) {
      model.replace(pairs[i].first->path, fused[i]);
      model.replace(pairs[i].second->path, make<Identity>());
    }
    after = model(example);
  } catch (...) {
    put_back();
    throw;
  }
  const double allowed = kRounding * precision_of(before.dtype()) * static_cast<double>(1 + pairs.size()) * largest;
  const double change = before.numel() == 0 ? 0
                        : after.shape() != before.shape()
                            ? std::numeric_limits<double>::infinity()
                            : cast(max(abs(sub(after, before.detach()))), DType::kF64).item();
  if (!(change <= allowed)) {
    put_back();
    throw StateError(concat("[fuse_for_inference] expected the same result for the example, got one that differs by ",
                            change, " where the largest value is ", largest,
                            "; the model reads a layer's output in a way that a forward does not record"));
  }
  for (const auto& [path, module] : model.named_modules())
    if (is_layer(*module)) {
      const Parameter* weight = module->find_parameter("weight");
      if (weight != nullptr && weight->defined()) keep_forms(weight->latent());
    }
  return report;
}

}  // namespace tern::nn
