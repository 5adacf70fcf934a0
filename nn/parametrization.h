// Parametrization: what turns the tensor an optimizer trains into the tensor a layer computes with.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <tern/nn/module.h>

namespace tern::nn {

/// A map from a latent tensor to an effective one, with parameters and buffers of its own. It is attached to a
/// Parameter and then runs whenever a layer reads that parameter:
///
///   struct Squash : nn::Parametrization {
///     nn::Parameter gain{this, "gain", ones({})};
///     Squash() : Parametrization("squash") {}
///     Tensor effective(const Tensor& latent) override { return tanh(latent) * gain(); }
///   };
///   layer.weight.parametrize(std::make_shared<Squash>());      // adds "weight.squash.gain"
///
/// Write effective() from differentiable operations so that gradients reach the latent tensor and the parameters. What
/// it returns may be kept and returned again while no gradient is recorded and nothing it depends on has changed:
/// latent tensor, own parameters and buffers, train or eval mode. A change of any other setting must call changed().
class Parametrization : public Module {
 public:
  /// `name` is the part of the path between the parameter's name and its own parameters': not empty, no dot
  /// (ValueError).
  explicit Parametrization(std::string_view name);

  /// What layers read for a latent tensor; of any shape that they take.
  virtual Tensor effective(const Tensor& latent) = 0;
  /// False if two calls with everything equal may differ (random noise): then no value is ever kept.
  virtual bool is_cacheable() const { return true; }

  /// Bits that one element of the effective tensor needs in storage, where that is not its dtype's; for summaries.
  virtual std::optional<double> weight_bits() const { return std::nullopt; }

  const std::string& name() const { return name_; }
  void changed() { ++changes_; }                 ///< what was kept is computed anew
  uint64_t changes() const { return changes_; }  ///< calls of changed() so far

  bool has_forward() const override { return false; }

 private:
  std::string name_;
  uint64_t changes_ = 0;
};

}  // namespace tern::nn
