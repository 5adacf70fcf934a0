// Stochastic gradient descent.
#pragma once

#include <optional>
#include <vector>

#include <tern/optim/optimizer.h>

namespace tern::optim {

/// Defaults for all groups. Needed: a rate here or in each group.
struct SgdOptions {
  std::optional<double> lr = std::nullopt;  ///< learning rate, at least 0
  double momentum = 0;                      ///< at least 0
  double dampening =
      0;  ///< the gradient enters the momentum buffer multiplied by 1 - dampening (not at the first step)
  double weight_decay = 0;  ///< at least 0; added to the gradient, times the parameter
  bool nesterov = false;    ///< needs a momentum and no dampening
};

/// A group of parameters; what is left out is taken from SgdOptions.
struct SgdGroup {
  ParamList params = {};
  std::optional<double> lr = std::nullopt;
  std::optional<double> momentum = std::nullopt;
  std::optional<double> dampening = std::nullopt;
  std::optional<double> weight_decay = std::nullopt;
  std::optional<bool> nesterov = std::nullopt;
};

/// SGD as in PyTorch: with g = gradient + weight_decay p,
///   buffer = momentum buffer + (1 - dampening) g      (= g at a parameter's first step)
///   p -= lr buffer, or lr (g + momentum buffer) with nesterov, or lr g without momentum.
/// Throws ValueError for settings out of range or a group without a rate; see
/// Optimizer::add_group for what parameters must be.
class Sgd : public Optimizer {
 public:
  /// One group, or the given ones.
  explicit Sgd(const ParamList& params, const SgdOptions& options = {});
  Sgd(const SgdOptions& options, const std::vector<SgdGroup>& groups);
  /// A further group; nothing has changed when it throws.
  void add_group(const SgdGroup& group);

 private:
  struct Settings {
    double momentum, dampening;
    bool nesterov;
  };
  bool uses_slot(size_t group, size_t slot) const override;
  void update(size_t group) override;
  template <class T>
  void update_of_type(size_t group);

  SgdOptions defaults_;
  std::vector<Settings> settings_;  // one a group
};

}  // namespace tern::optim
