// Operations of your own, with forward and backward given as functions, under the same checks as the built-in ones.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <tern/core/autograd/node.h>

namespace tern {

/// What a custom op's forward leaves for its backward.
class CustomContext {
 public:
  /// Keeps a tensor; the backward gets it as saved(i), in the order of the calls. A later in-place change of it is an
  /// error.
  void save(const Tensor& x) { saved_.emplace_back(x); }
  /// Throws ValueError unless i is below the number of save() calls, StateError if the tensor was changed in place
  /// meanwhile.
  const Tensor& saved(size_t i) const;
  /// Whether input i needs a gradient; false for all of them during forward.
  bool needs_input_grad(size_t i) const { return i < needs_.size() && needs_[i]; }

 private:
  friend struct CustomBackward;
  std::vector<SavedTensor> saved_;
  std::vector<bool> needs_;
};

/// A differentiable operation made of two functions.
///
///   CustomOp square("square",
///       [](CustomContext& ctx, std::span<const Tensor> in) { ctx.save(in[0]); return mul(in[0], in[0]); },
///       [](const CustomContext& ctx, const Tensor& grad_output) -> Gradients {
///         return {mul(grad_output, mul(ctx.saved(0), 2.0))}; });
///   Tensor y = square({x});
///
/// Both functions run without grad mode. The backward returns one gradient an input, of the input's shape and dtype; an
/// undefined tensor stands for none. A wrong number throws ValueError when the backward runs, a wrong shape ShapeError,
/// a wrong dtype DTypeError.
class CustomOp {
 public:
  using Forward = std::function<Tensor(CustomContext&, std::span<const Tensor>)>;
  using Backward = std::function<Gradients(const CustomContext&, const Tensor& grad_output)>;

  /// Throws ValueError for an empty function. The name is kept for as long as the program runs.
  CustomOp(std::string name, Forward forward, Backward backward);
  /// Inputs may be undefined. Throws ValueError if the forward gives an undefined tensor, and what the forward throws.
  Tensor operator()(const std::vector<Tensor>& inputs) const;
  const std::string& name() const { return *name_; }

 private:
  const std::string* name_;
  Forward forward_;
  std::shared_ptr<const Backward> backward_;
};

}  // namespace tern
