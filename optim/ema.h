// Exponential moving averages of weights, for evaluation.
#pragma once

#include <cstdint>
#include <vector>

#include <tern/core/io/tensor_map.h>
#include <tern/optim/optimizer.h>

namespace tern::optim {

/// What the averages start from.
enum class EmaStart {
  kInitial,      ///< the averages begin as the values at construction
  kFirstUpdate,  ///< the first update copies the values (PyTorch's AveragedModel)
};

/// Settings of WeightEma.
struct EmaOptions {
  double decay = 0.999;  ///< in [0, 1]
  bool warmup = false;   ///< use min(decay, (1 + n) / (10 + n)) at update n = 0, 1, ...: short runs are not held back
  EmaStart start = EmaStart::kInitial;
};

/// average = decay average + (1 - decay) value, after each optimizer step. Takes any leaf tensors of f32 or f64:
/// parameters, and the running statistics of batch norm if those are to be averaged as well.
class WeightEma {
 public:
  /// Keeps handles to the tensors. Throws ValueError for an undefined, non-leaf, non-dense or repeated tensor, a
  /// repeated name or a decay out of range; DTypeError unless f32 or f64.
  WeightEma(const ParamList& tensors, const EmaOptions& options = {});

  /// Takes the present values in. Throws StateError while the averages are swapped in.
  void update();
  int64_t updates() const { return updates_; }  ///< so far

  /// Values and averages change places: once to evaluate with the averages, again to train on. Versions of the tensors
  /// go up. See Swapped for the safe way.
  void swap();
  bool swapped() const { return swapped_; }

  /// The averages as "average.NAME" (copies), with "updates" beside them; and back. Names are as in Optimizer
  /// ("0.INDEX" for plain tensors). Both throw StateError while the averages are swapped in; loading throws ValueError
  /// for missing or unknown names, ShapeError and DTypeError for what does not fit, and then nothing has changed.
  io::TensorMap state_dict() const;
  void load_state_dict(const io::TensorMap& state);

  /// Which of the two are in the tensors.
  enum class Values { kAverages, kTrained };

  /// Puts the averages into the tensors for a scope, or the trained values for one inside such a scope. Where they are
  /// there already, it changes nothing, so that scopes may stand inside one another.
  class Swapped {
   public:
    explicit Swapped(WeightEma& ema, Values values = Values::kAverages)
        : ema_(ema.swapped() == (values == Values::kAverages) ? nullptr : &ema) {
      if (ema_ != nullptr) ema_->swap();
    }
    ~Swapped() {
      if (ema_ != nullptr) ema_->swap();
    }
    Swapped(const Swapped&) = delete;
    Swapped& operator=(const Swapped&) = delete;

   private:
    WeightEma* ema_;
  };

 private:
  EmaOptions options_;
  std::vector<ParamList::Entry> tensors_;
  std::vector<Tensor> averages_;  // laid out as the tensors
  int64_t updates_ = 0;
  bool swapped_ = false;
};

}  // namespace tern::optim
