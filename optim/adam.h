// Adam and AdamW.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include <tern/optim/optimizer.h>

namespace tern::optim {

/// Defaults for all groups of Adam. Numbers without a range are at least 0 and finite.
struct AdamOptions {
  double lr = 1e-3;                            ///< learning rate
  std::array<double, 2> betas = {0.9, 0.999};  ///< of the means of gradients and of their squares, each in [0, 1)
  double eps = 1e-8;                           ///< added to the root of the mean of squares
  double weight_decay = 0;                     ///< coupled: added to the gradient, times the parameter
  bool amsgrad = false;                        ///< divide by the largest mean of squares so far
};

/// Defaults for all groups of AdamW, otherwise as AdamOptions.
struct AdamWOptions {
  double lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 1e-2;  ///< decoupled: the parameter shrinks by lr * weight_decay before the update
  bool amsgrad = false;
};

/// A group of parameters; what is left out is taken from the options.
struct AdamGroup {
  ParamList params = {};
  std::optional<double> lr = std::nullopt;
  std::optional<std::array<double, 2>> betas = std::nullopt;  ///< written {{0.9, 0.99}}
  std::optional<double> eps = std::nullopt;
  std::optional<double> weight_decay = std::nullopt;
  std::optional<bool> amsgrad = std::nullopt;
};

/// Adam (Kingma and Ba, 2015; amsgrad: Reddi et al., 2018) as in PyTorch: with g = gradient + weight_decay p and t
/// counting the parameter's own updates from 1,
///   m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
///   p -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps).
/// With amsgrad the largest v so far stands for v in the second line. Throws ValueError for settings out of range; see
/// Optimizer::add_group for what parameters must be.
class Adam : public Optimizer {
 public:
  /// One group, or the given ones.
  explicit Adam(const ParamList& params, const AdamOptions& options = {});
  Adam(const AdamOptions& options, const std::vector<AdamGroup>& groups);
  /// A further group; nothing has changed when it throws.
  void add_group(const AdamGroup& group);

 protected:
  Adam(const char* op, const AdamOptions& options, const std::vector<AdamGroup>& groups, bool decoupled);

 private:
  struct Settings {
    std::array<double, 2> betas;
    double eps;
    bool amsgrad;
  };
  bool uses_slot(size_t group, size_t slot) const override;
  void update(size_t group) override;
  template <class T>
  void update_of_type(size_t group);

  AdamOptions defaults_;
  bool decoupled_;
  std::vector<Settings> settings_;  // one a group
};

/// Adam with decoupled weight decay (Loshchilov and Hutter, 2019) as in PyTorch: p *= 1 - lr weight_decay first, then
/// Adam's update with the bare gradient.
class AdamW : public Adam {
 public:
  explicit AdamW(const ParamList& params, const AdamWOptions& options = {});
  AdamW(const AdamWOptions& options, const std::vector<AdamGroup>& groups);
};

}  // namespace tern::optim
