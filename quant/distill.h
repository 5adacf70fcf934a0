// Distillation (BitDistill, arXiv 2510.13998): a compressed model learns to give its float teacher's logits, and to
// relate the tokens of a text to one another as the teacher does.
//
//   L = task loss + logits_weight KL(teacher || student) + relation_weight relation loss
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tern/core/tensor.h>
#include <tern/nn/module.h>
#include <tern/nn/scoped_hooks.h>

namespace tern::quant {

/// KL(softmax(teacher / T) || softmax(student / T)), the mean over rows, without a factor T^2. Both [..., classes], f32
/// or f64, of one shape and dtype (ShapeError, DTypeError); the student alone gets a gradient. Throws ValueError for a
/// temperature that is not above 0.
[[nodiscard]] Tensor logits_distillation(const Tensor& student, const Tensor& teacher, double temperature = 5);

/// The relation loss of one kind of feature (queries, keys or values). Features [B, T, width], of which the student's
/// and the teacher's widths may differ, are cut into `splits` vectors a token and brought to length 1; with A [T, width
/// / splits] of one cut of one text, R = softmax(A A^T / temperature) over the last axis, its entries at least 1e-8;
/// the loss is KL(R teacher || R student), the mean over texts, cuts and tokens. Throws ShapeError where B or T differ
/// or `splits` does not divide a width, ValueError as above.
[[nodiscard]] Tensor relation_distillation(const Tensor& student, const Tensor& teacher, int64_t splits,
                                           double temperature = 1);

/// Settings of Distillation.
struct DistillationOptions {
  double temperature = 5;      ///< of the logits
  double logits_weight = 1;    ///< at least 0
  double relation_weight = 0;  ///< at least 0; 0: the tapped layers are not looked at
  double relation_temperature = 1;
  int64_t splits = 0;  ///< vectors a token is cut into; required where relation_weight is not 0
  /// Paths of the layers whose outputs [B, T, width] are compared, the same in both models: the queries', keys' and
  /// values' projections of one layer, best a late one.
  std::vector<std::string> relation_layers = {};
  /// For each of the student's outputs the teacher's one of the same class; empty: the same places.
  std::vector<int64_t> teacher_outputs = {};
  /// Turns the student's input into the teacher's, where they are prepared in different ways; empty: they are the same.
  std::function<Tensor(const Tensor& input)> teacher_input = {};
};

/// A teacher at work: looks at what the student's tapped layers give as it runs, runs the teacher on the same input
/// without gradients in eval mode, and adds both losses up. Taps the student's layers as long as it lives; loss() must
/// not be called once the student is gone.
///
///   Distillation distillation(student, teacher, {.relation_weight = 10, .splits = 8, .relation_layers = {...}});
///   const Tensor logits = student(tokens);
///   const Tensor loss = add(nn::cross_entropy(...), distillation.loss(logits, tokens));
class Distillation {
 public:
  /// Throws ValueError for options out of range, paths that a model lacks, or no teacher.
  Distillation(nn::Module& student, std::shared_ptr<nn::Module> teacher, const DistillationOptions& options = {});
  Distillation(const Distillation&) = delete;
  Distillation& operator=(const Distillation&) = delete;

  /// The weighted losses [] for the student's latest forward, which gave `logits` for `input`. Throws StateError if a
  /// tapped layer has not run since the last call, and as the two functions above.
  Tensor loss(const Tensor& logits, const Tensor& input);
  nn::Module& teacher() { return *teacher_; }

 private:
  struct Tap {
    std::string path;
    Tensor student, teacher;
  };
  std::shared_ptr<nn::Module> teacher_;
  DistillationOptions options_;
  std::vector<std::shared_ptr<Tap>> taps_;
  nn::ScopedHooks hooks_;
};

}  // namespace tern::quant
