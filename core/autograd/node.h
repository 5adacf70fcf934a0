// The nodes of the autograd graph, and record(), by which an op attaches one.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <tern/core/tensor.h>

namespace tern::autograd {

/// One gradient an input, in order; an undefined tensor means "no gradient flows there".
using Gradients = std::vector<Tensor>;

/// A tensor kept for the backward pass. Dereferencing throws StateError if its elements were changed in place since.
class SavedTensor {
 public:
  SavedTensor() = default;
  SavedTensor(const Tensor& x) : tensor_(x), version_(x.defined() ? x.version() : 0) {}
  const Tensor& operator*() const {
    if (tensor_.defined() && tensor_.version() != version_) [[unlikely]]
      throw_modified();
    return tensor_;
  }
  const Tensor* operator->() const { return &**this; }
  bool defined() const { return tensor_.defined(); }

 private:
  [[noreturn]] void throw_modified() const;
  Tensor tensor_;
  uint64_t version_ = 0;
};

/// Where a node sends a gradient: to the node that produced the input, or to a leaf. Both null: the input needs none.
struct Edge {
  std::shared_ptr<Node> node;
  std::shared_ptr<TensorImpl> leaf;
  int64_t output_index = 0;  ///< which output of `node` the input was
  Shape shape;               ///< of the input: what the gradient must have
  DType dtype = DType::kF32;
  bool needed() const { return node != nullptr || leaf != nullptr; }
};

/// Which inputs of a node need a gradient: needs[i].
class NeedsGrad {
 public:
  explicit NeedsGrad(const std::vector<Edge>& edges) : edges_(&edges) {}
  bool operator[](size_t i) const { return (*edges_)[i].needed(); }
  size_t size() const { return edges_->size(); }

 private:
  const std::vector<Edge>* edges_;
};

/// A recorded operation. Nodes are numbered as they are made; a node's inputs always have smaller numbers, so the
/// engine visits nodes by falling number, which is a topological and deterministic order.
class Node {
 public:
  Node();
  virtual ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// The op's name, for messages.
  virtual const char* name() const = 0;
  /// grad_outputs: one an output, undefined where none arrived (at least one is defined).
  virtual Gradients apply(std::span<const Tensor> grad_outputs) = 0;
  /// Drops what the backward needed; the node cannot be applied again.
  virtual void release() = 0;

  NeedsGrad needs_input_grad() const { return NeedsGrad(edges); }

  std::vector<Edge> edges;  ///< one an input
  uint64_t sequence = 0;    ///< the node's number
  int64_t output_count = 1;
  bool released = false;    ///< applied: a second backward throws StateError
  std::string module_path;  ///< filled in anomaly mode and for an Observer only
  std::vector<std::pair<std::weak_ptr<TensorImpl>, int64_t>>
      retained;  ///< outputs (with index) that keep their gradient
};

/// What a tensor that takes part in a graph has besides its elements.
struct AutogradData {
  bool requires_grad = false;     ///< of a leaf
  std::shared_ptr<Node> grad_fn;  ///< null for a leaf
  int64_t output_index = 0;       ///< which output of grad_fn it is
  Tensor grad;
};

/// Nodes alive in this process, for leak tests.
int64_t live_nodes();

namespace detail {
template <class B>
concept SingleOutput = requires(B& b, const Tensor& g) {
  b.backward(g);
};
template <class B>
concept SingleOutputNeeds = requires(B& b, const Tensor& g, NeedsGrad n) {
  b.backward(g, n);
};

/// The op's name: B::kName, or the member `name` of a backward that serves several ops (it outlives the node).
template <class B>
const char* op_name(const B& b) {
  if constexpr (requires { B::kName; })
    return B::kName;
  else
    return b.name;
}

template <class B>
class NodeOf final : public Node {
 public:
  explicit NodeOf(B&& b) : name_(op_name(b)), saved_(std::move(b)) {}
  const char* name() const override { return name_; }
  Gradients apply(std::span<const Tensor> grad_outputs) override {
    if constexpr (SingleOutput<B>)
      return saved_.backward(grad_outputs[0]);
    else if constexpr (SingleOutputNeeds<B>)
      return saved_.backward(grad_outputs[0], needs_input_grad());
    else
      return saved_.backward(grad_outputs, needs_input_grad());
  }
  void release() override { saved_ = B{}; }

 private:
  const char* name_;
  B saved_;
};

std::shared_ptr<Node> adopt(Node* node);  // a pointer whose deletion never recurses down the graph
void connect(Node& node, std::span<const Tensor> inputs);
Tensor with_grad_fn(const Tensor& output, const std::shared_ptr<Node>& node, int64_t index);
bool wants_grad(std::span<const Tensor> inputs);
void check_forward(const char* op, const Tensor& output);  // anomaly mode only
bool anomaly_enabled();
}  // namespace detail

/// Attaches a backward to an op's output if gradients are being recorded and some input needs one; returns the output.
///
///   struct ReluBackward {
///     static constexpr const char* kName = "relu";
///     SavedTensor y;
///     Gradients backward(const Tensor& grad_output) const;       // or (const Tensor& grad_output, NeedsGrad needs)
///   };
///   return record<ReluBackward>(y, {x}, {.y = y});
///
/// A backward that serves several ops has a member `const char* name` (a literal) in place of kName.
/// Inputs may be undefined (an absent bias). backward returns one gradient an input, of the input's shape and dtype; it
/// runs without grad mode.
template <class B>
Tensor record(const Tensor& output, std::span<const Tensor> inputs, B saved) {
  tern::detail::end_operation();
  if (detail::anomaly_enabled()) [[unlikely]]
    detail::check_forward(detail::op_name(saved), output);
  if (!detail::wants_grad(inputs)) return output;
  const std::shared_ptr<Node> node = detail::adopt(new detail::NodeOf<B>(std::move(saved)));
  detail::connect(*node, inputs);
  return detail::with_grad_fn(output, node, 0);
}
template <class B>
Tensor record(const Tensor& output, std::initializer_list<Tensor> inputs, B saved) {
  return record<B>(output, std::span<const Tensor>(inputs.begin(), inputs.size()), std::move(saved));
}

/// The same for an op with several differentiable outputs: backward(std::span<const Tensor> grad_outputs, NeedsGrad
/// needs), with undefined gradients for outputs that nothing used.
template <class B>
std::vector<Tensor> record_all(std::vector<Tensor> outputs, std::span<const Tensor> inputs, B saved) {
  tern::detail::end_operation();
  if (detail::anomaly_enabled()) [[unlikely]] {
    for (const Tensor& output : outputs) detail::check_forward(detail::op_name(saved), output);
  }
  if (!detail::wants_grad(inputs)) return outputs;
  const std::shared_ptr<Node> node = detail::adopt(new detail::NodeOf<B>(std::move(saved)));
  node->output_count = static_cast<int64_t>(outputs.size());
  detail::connect(*node, inputs);
  for (size_t i = 0; i < outputs.size(); ++i)
    if (outputs[i].is_floating()) outputs[i] = detail::with_grad_fn(outputs[i], node, static_cast<int64_t>(i));
  return outputs;
}

}  // namespace tern::autograd
