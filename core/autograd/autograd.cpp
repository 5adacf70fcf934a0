// The backward pass, and the bookkeeping that attaches nodes to tensors.
#include <atomic>
#include <cmath>
#include <map>
#include <unordered_map>

#include <tern/core/autograd/autograd.h>
#include <tern/core/autograd/node.h>
#include <tern/core/autograd/observer.h>
#include <tern/core/error.h>

namespace tern {
namespace {

thread_local bool grad_mode = true;
thread_local bool anomaly_mode = false;
thread_local const autograd::ModuleScope* innermost_scope = nullptr;
thread_local autograd::Observer* observer = nullptr;

std::atomic<uint64_t> next_sequence{1};
std::atomic<int64_t> node_count{0};

template <class T>
bool all_finite(const T* x, int64_t n) {
  T sum_of_differences = 0;  // x - x is 0 for a finite x and NaN otherwise
  for (int64_t i = 0; i < n; ++i) sum_of_differences += x[i] - x[i];
  return sum_of_differences == T(0);
}

bool is_finite(const Tensor& x) {
  if (!x.defined() || (x.dtype() != DType::kF32 && x.dtype() != DType::kF64)) return true;
  const NoGradGuard no_grad;
  const Tensor dense = x.is_dense() ? x : x.contiguous();
  return x.dtype() == DType::kF32 ? all_finite(dense.data<float>(), dense.numel())
                                  : all_finite(dense.data<double>(), dense.numel());
}

}  // namespace

bool grad_enabled() {
  return grad_mode;
}
GradModeGuard::GradModeGuard(bool enabled) : previous_(grad_mode) {
  grad_mode = enabled;
}
GradModeGuard::~GradModeGuard() {
  grad_mode = previous_;
}

namespace autograd {

AnomalyGuard::AnomalyGuard() : previous_(anomaly_mode) {
  anomaly_mode = true;
}
AnomalyGuard::~AnomalyGuard() {
  anomaly_mode = previous_;
}

void Observer::module_begins(std::string_view) {}
void Observer::module_ends() noexcept {}
void Observer::node_recorded(const Node&) {}
void Observer::backward_begins(const Node&) {}
void Observer::backward_ends(const Node&) noexcept {}

ObserverGuard::ObserverGuard(Observer* watching) : previous_(observer) {
  observer = watching;
}
ObserverGuard::~ObserverGuard() {
  observer = previous_;
}

ModuleScope::ModuleScope(std::string_view name) : name_(name), parent_(innermost_scope) {
  if (observer != nullptr) [[unlikely]]
    (observed_by_ = observer)->module_begins(name);
  innermost_scope = this;
}
ModuleScope::~ModuleScope() {
  innermost_scope = parent_;
  if (observed_by_ != nullptr) [[unlikely]]
    observed_by_->module_ends();
}

std::string current_module_path() {
  std::string path;
  for (const ModuleScope* scope = innermost_scope; scope != nullptr; scope = scope->parent()) {
    if (scope->name().empty()) continue;
    path = path.empty() ? std::string(scope->name()) : std::string(scope->name()) + "." + path;
  }
  return path;
}

int64_t live_nodes() {
  return node_count.load();
}

Node::Node() : sequence(next_sequence.fetch_add(1, std::memory_order_relaxed)) {
  ++node_count;
}
Node::~Node() {
  --node_count;
}

void SavedTensor::throw_modified() const {
  throw StateError(concat("[backward] a tensor needed for the backward pass (", describe(tensor_),
                          ") was changed in place after the operation that saved it"));
}

namespace detail {

bool anomaly_enabled() {
  return anomaly_mode;
}

// Deleting a node lets go of its inputs' nodes; in a long chain that would recurse once a node. Deletions asked for
// while one is under way are queued instead.
std::shared_ptr<Node> adopt(Node* node) {
  return std::shared_ptr<Node>(node, [](Node* dead) {
    thread_local std::vector<Node*>* queue = nullptr;
    if (queue != nullptr) {
      queue->push_back(dead);
      return;
    }
    std::vector<Node*> pending{dead};
    queue = &pending;
    while (!pending.empty()) {
      Node* next = pending.back();
      pending.pop_back();
      delete next;
    }
    queue = nullptr;
  });
}

bool wants_grad(std::span<const Tensor> inputs) {
  if (!grad_mode) return false;
  for (const Tensor& x : inputs)
    if (x.defined() && x.requires_grad()) return true;
  return false;
}

void connect(Node& node, std::span<const Tensor> inputs) {
  node.edges.reserve(inputs.size());
  for (const Tensor& x : inputs) {
    Edge edge;
    if (x.defined()) {
      edge.shape = x.shape();
      edge.dtype = x.dtype();
      const AutogradData* data = x.impl().autograd.get();
      if (data != nullptr && data->grad_fn != nullptr) {
        edge.node = data->grad_fn;
        edge.output_index = data->output_index;
      } else if (data != nullptr && data->requires_grad) {
        edge.leaf = x.impl_ptr();
      }
    }
    node.edges.push_back(std::move(edge));
  }
  if (anomaly_mode || observer != nullptr) node.module_path = current_module_path();
  if (observer != nullptr) [[unlikely]]
    observer->node_recorded(node);
}

// The output gets a new header that carries the graph. The one the backward may have saved stays without, so that a
// node which saves its own output does not keep itself alive.
Tensor with_grad_fn(const Tensor& output, const std::shared_ptr<Node>& node, int64_t index) {
  Tensor out = alias_with(output, output.impl().layout);
  out.impl().is_view = output.impl().is_view;
  out.impl().autograd = std::make_unique<AutogradData>();
  AutogradData& data = *out.impl().autograd;
  data.requires_grad = true;
  data.grad_fn = node;
  data.output_index = index;
  return out;
}

void check_forward(const char* op, const Tensor& output) {
  if (is_finite(output)) return;
  NonFiniteError error(concat("[", op, "] produced a non-finite value in an output of ", describe(output)));
  error.set_module_path(current_module_path());
  throw error;
}

}  // namespace detail

void check_in_place(const char* op, const Tensor& x, const Tensor& source) {
  check_defined(op, x);
  for (int64_t i = 0; i < x.dim(); ++i)
    TERN_CHECK(x.strides()[i] != 0 || x.shape()[i] <= 1 || x.numel() == 0, StateError, "[", op,
               "] cannot write in place to an expanded tensor, whose elements share memory (shape ", x.shape(),
               ", strides ", x.strides(), "); clone it first");
  if (!grad_mode) return;
  TERN_CHECK(!x.requires_grad(), StateError, "[", op,
             "] cannot write in place to a tensor that requires a gradient; use NoGradGuard for weight updates");
  TERN_CHECK(
      !source.defined() || !source.requires_grad(), StateError, "[", op,
      "] cannot write a tensor that requires a gradient in place, as the operation would not be recorded; detach it or "
      "use the operation that returns a new tensor");
}

namespace {

// Sum of what arrived so far and one more contribution. The engine owns `total` alone only if nobody else holds its
// storage.
void accumulate(Tensor& total, bool& owned, const Tensor& more) {
  if (!total.defined()) {
    total = more;
    owned = false;
    return;
  }
  if (!owned) {
    const bool exclusive = total.impl_ptr().use_count() == 1 && total.storage().use_count() == 1 && total.is_dense();
    if (!exclusive) total = total.clone();
    owned = true;
  }
  total.add_(more);
}

struct Pending {
  std::vector<Tensor> grads;
  std::vector<char> owned;
};

void check_gradient(const Node& node, size_t i, const Tensor& gradient) {
  const Edge& edge = node.edges[i];
  TERN_CHECK(gradient.shape() == edge.shape, ShapeError, "[", node.name(), "] backward gave a gradient of shape ",
             gradient.shape(), " for input ", i, " of shape ", edge.shape);
  TERN_CHECK(gradient.dtype() == edge.dtype, DTypeError, "[", node.name(), "] backward gave a gradient of ",
             gradient.dtype(), " for input ", i, " of ", edge.dtype);
  if (anomaly_mode && !is_finite(gradient)) {
    NonFiniteError error(
        concat("[", node.name(), "] backward produced a non-finite gradient for input ", i, " of shape ", edge.shape));
    error.set_module_path(node.module_path);
    throw error;
  }
}

// With a capture map, gradients of these tensors are collected there and no leaf is touched.
using CaptureKey = std::pair<const void*, int64_t>;
using CaptureMap = std::map<CaptureKey, std::pair<Tensor, bool>>;

void add_to_leaf(const std::shared_ptr<TensorImpl>& leaf, const Tensor& gradient) {
  if (leaf->autograd == nullptr) leaf->autograd = std::make_unique<AutogradData>();
  Tensor& grad = leaf->autograd->grad;
  if (grad.defined()) {
    if (!grad.is_dense()) grad = grad.clone();  // one that the user set may repeat elements
    grad.add_(gradient);
    return;
  }
  // A gradient that somebody else can see (the caller's own tensor, a view of it, another leaf's) is copied.
  const bool exclusive =
      gradient.impl_ptr().use_count() == 1 && gradient.storage().use_count() == 1 && gradient.is_dense();
  grad = exclusive ? gradient.detach() : gradient.clone();
}

// Tells the thread's observer when a node's backward begins and ends.
class ObservedBackward {
 public:
  explicit ObservedBackward(const Node& node) : node_(node), observer_(observer) {
    if (observer_ != nullptr) [[unlikely]]
      observer_->backward_begins(node);
  }
  ~ObservedBackward() {
    if (observer_ != nullptr) [[unlikely]]
      observer_->backward_ends(node_);
  }
  ObservedBackward(const ObservedBackward&) = delete;
  ObservedBackward& operator=(const ObservedBackward&) = delete;

 private:
  const Node& node_;
  Observer* observer_;
};

// Names the node whose backward is at work, for a MemoryError.
class BackwardOperation {
 public:
  explicit BackwardOperation(const Node& node) : previous_(tern::detail::operation) {
    tern::detail::operation = {node.name(), true};
  }
  ~BackwardOperation() { tern::detail::operation = previous_; }
  BackwardOperation(const BackwardOperation&) = delete;
  BackwardOperation& operator=(const BackwardOperation&) = delete;

 private:
  tern::detail::Operation previous_;
};

void run(std::span<const Tensor> outputs, std::span<const Tensor> grad_outputs, CaptureMap* capture) {
  const GradModeGuard no_grad(false);
  // Falling sequence numbers: every consumer of a node comes before it.
  std::map<uint64_t, std::pair<std::shared_ptr<Node>, Pending>, std::greater<>> ready;
  const auto deliver = [&](const std::shared_ptr<Node>& node, int64_t index, const Tensor& gradient) {
    TERN_CHECK(!node->released, StateError, "[backward] the graph was already used by a backward, which freed it (at ",
               node->name(), "); run the forward again");
    auto& [held, pending] = ready[node->sequence];
    if (held == nullptr) {
      held = node;
      pending.grads.resize(static_cast<size_t>(node->output_count));
      pending.owned.resize(static_cast<size_t>(node->output_count));
    }
    bool owned = pending.owned[static_cast<size_t>(index)] != 0;
    accumulate(pending.grads[static_cast<size_t>(index)], owned, gradient);
    pending.owned[static_cast<size_t>(index)] = owned;
  };
  const auto deliver_leaf = [&](const std::shared_ptr<TensorImpl>& leaf, const Tensor& gradient) {
    if (capture == nullptr) {
      add_to_leaf(leaf, gradient);
    } else if (const auto it = capture->find({leaf.get(), -1}); it != capture->end()) {
      accumulate(it->second.first, it->second.second, gradient);
    }
  };

  for (size_t i = 0; i < outputs.size(); ++i) {
    const AutogradData* data = outputs[i].impl().autograd.get();
    if (data == nullptr) continue;
    if (data->grad_fn != nullptr)
      deliver(data->grad_fn, data->output_index, grad_outputs[i]);
    else if (data->requires_grad)
      deliver_leaf(outputs[i].impl_ptr(), grad_outputs[i]);
  }

  while (!ready.empty()) {
    const std::shared_ptr<Node> node = ready.begin()->second.first;
    std::vector<Tensor> grads = std::move(ready.begin()->second.second.grads);
    ready.erase(ready.begin());
    if (capture != nullptr) {
      for (size_t k = 0; k < grads.size(); ++k) {
        const auto it = capture->find({node.get(), static_cast<int64_t>(k)});
        if (it != capture->end() && grads[k].defined()) it->second = {grads[k], false};
      }
    }
    for (const auto& [weak, index] : node->retained) {
      const Tensor& gradient = grads[static_cast<size_t>(index)];
      if (const auto kept = weak.lock(); kept != nullptr && gradient.defined() && capture == nullptr)
        add_to_leaf(kept, gradient.clone());
    }
    Gradients results;
    try {
      const BackwardOperation operation(*node);
      const ObservedBackward observed(*node);
      results = node->apply(grads);
    } catch (Error& error) {
      error.set_module_path(node->module_path);
      throw;
    }
    node->release();
    node->released = true;
    grads.clear();
    TERN_CHECK(results.size() == node->edges.size(), ValueError, "[", node->name(), "] backward gave ", results.size(),
               " gradients for ", node->edges.size(), " inputs");
    std::vector<Edge> edges = std::move(node->edges);
    for (size_t i = 0; i < edges.size(); ++i) {
      if (!edges[i].needed() || !results[i].defined()) continue;
      node->edges = std::move(edges);
      check_gradient(*node, i, results[i]);
      edges = std::move(node->edges);
      const Tensor gradient = std::move(results[i]);
      if (edges[i].node != nullptr) {
        deliver(edges[i].node, edges[i].output_index, gradient);
      } else {
        deliver_leaf(edges[i].leaf, gradient);
      }
    }
  }
}

Tensor first_gradient(const Tensor& output, const Tensor& given) {
  if (!given.defined()) {
    TERN_CHECK(output.numel() == 1, ShapeError,
               "[backward] expected a gradient for an output of more than one element, got none for shape ",
               output.shape());
    return empty_like(output).fill_(1);
  }
  TERN_CHECK(given.shape() == output.shape(), ShapeError, "[backward] expected a gradient of the output's shape ",
             output.shape(), ", got ", given.shape());
  TERN_CHECK(given.dtype() == output.dtype(), DTypeError, "[backward] expected a gradient of the output's dtype ",
             output.dtype(), ", got ", given.dtype());
  return given;
}

}  // namespace

std::vector<Tensor> grad(std::span<const Tensor> outputs, std::span<const Tensor> inputs,
                         std::span<const Tensor> grad_outputs) {
  TERN_CHECK(grad_outputs.empty() || grad_outputs.size() == outputs.size(), ValueError,
             "[grad] expected one gradient an output (", outputs.size(), "), got ", grad_outputs.size());
  const NoGradGuard no_grad;
  std::vector<Tensor> firsts;
  bool any = false;
  for (size_t i = 0; i < outputs.size(); ++i) {
    any |= outputs[i].requires_grad();
    firsts.push_back(first_gradient(outputs[i], grad_outputs.empty() ? Tensor() : grad_outputs[i]));
  }
  TERN_CHECK(any, StateError, "[grad] expected an output that requires a gradient, got none");
  CaptureMap capture;
  std::vector<CaptureKey> keys;
  for (size_t i = 0; i < inputs.size(); ++i) {
    TERN_CHECK(inputs[i].requires_grad(), StateError, "[grad] expected inputs that require a gradient, got input ", i,
               " (", describe(inputs[i]), ") that does not");
    const AutogradData& data = *inputs[i].impl().autograd;
    keys.push_back(data.grad_fn != nullptr ? CaptureKey{data.grad_fn.get(), data.output_index}
                                           : CaptureKey{inputs[i].impl_ptr().get(), -1});
    capture[keys.back()] = {};
  }
  run(outputs, firsts, &capture);
  std::vector<Tensor> results;
  for (const CaptureKey& key : keys) results.push_back(capture[key].first);
  return results;
}

}  // namespace autograd

void Tensor::backward(const Tensor& gradient) const {
  TERN_CHECK(requires_grad(), StateError, "[backward] expected a tensor that requires a gradient, got ",
             describe(*this), " which does not (gradients of gradients are not recorded)");
  const NoGradGuard no_grad;
  const Tensor outputs[] = {*this};
  const Tensor firsts[] = {autograd::first_gradient(*this, gradient)};
  autograd::run(outputs, firsts, nullptr);
}

}  // namespace tern
