// What all optimizers share: parameter groups, their rates, gradients, and state that travels with checkpoints.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <tern/core/io/tensor_map.h>
#include <tern/core/tensor.h>

namespace tern::optim {

/// The parameters of a group: plain tensors (module.parameters()), or with names (module.named_parameters()), which
/// then name their state in checkpoints. Plain ones are named by place, "GROUP.INDEX".
class ParamList {
 public:
  using Entry = std::pair<std::string, Tensor>;
  ParamList() = default;
  /// Without names.
  ParamList(const std::vector<Tensor>& tensors) {
    for (const Tensor& tensor : tensors) entries_.emplace_back(std::string(), tensor);
  }
  ParamList(std::initializer_list<Tensor> tensors) : ParamList(std::vector<Tensor>(tensors)) {}
  ParamList(std::vector<Entry> named) : entries_(std::move(named)) {}

  const std::vector<Entry>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }

 private:
  std::vector<Entry> entries_;
};

/// Base of the optimizers. Parameters are leaf tensors of f32 or f64; the optimizer keeps handles to them and writes
/// into them in step(). Results are the same at any number of threads.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update of every parameter that has a gradient; the others, and their state, stay as they are (no decay
  /// either).
  void step();
  /// Drops all gradients.
  void zero_grad();

  int64_t group_count() const { return static_cast<int64_t>(groups_.size()); }
  /// Learning rate and weight decay of a group. Setting one below 0 or not finite throws ValueError; so does a group
  /// outside [0, group_count()), here and in params().
  double lr(int64_t group = 0) const { return group_at(group).lr; }
  void set_lr(int64_t group, double lr);
  double weight_decay(int64_t group = 0) const { return group_at(group).weight_decay; }
  void set_weight_decay(int64_t group, double weight_decay);
  /// The parameters of a group, under the names of their state.
  const std::vector<ParamList::Entry>& params(int64_t group = 0) const { return group_at(group).params; }
  /// All parameters of all groups.
  std::vector<Tensor> all_params() const;

  /// Everything that a resumed run needs besides the parameters themselves and the options given at construction: the
  /// buffers of each parameter that has any ("state.NAME.momentum_buffer", "state.NAME.step", ...) and each group's
  /// present rate and decay ("groups.0.lr"). The tensors are copies.
  io::TensorMap state_dict() const;
  /// Restores what state_dict() gave for the same parameters in the same groups. Throws one ValueError that lists
  /// unknown and missing names, ShapeError or DTypeError for a buffer that does not fit, ValueError for a rate or step
  /// out of range; then nothing has changed.
  void load_state_dict(const io::TensorMap& state);

 protected:
  struct State {
    int64_t step = 0;             ///< updates so far; 0: no buffers yet
    std::vector<Tensor> buffers;  ///< one a slot, laid out as the parameter
  };
  struct Group {
    std::vector<ParamList::Entry> params;
    std::vector<State> states;  ///< one a parameter
    double lr = 0;
    double weight_decay = 0;
  };

  /// op: "sgd", for messages. slots: names of the buffers.
  Optimizer(const char* op, std::vector<std::string> slots) : op_(op), slots_(std::move(slots)) {}
  /// Checks and adds a group. Throws ValueError for an undefined, non-leaf, repeated or non-dense parameter, a repeated
  /// name, a rate or decay below 0; DTypeError unless f32 or f64.
  void add_group(const ParamList& params, double lr, double weight_decay);
  /// Whether parameters of this group have that buffer.
  virtual bool uses_slot(size_t group, size_t slot) const = 0;
  /// Updates the parameters of one group that have gradients, all of one dtype at a time.
  virtual void update(size_t group) = 0;
  /// Zero-filled buffers for a parameter that is updated for the first time.
  void make_buffers(size_t group, size_t index);
  /// The gradient in the parameter's element order; undefined if it has none.
  Tensor gradient_of(const Tensor& param) const;

  const char* op() const { return op_; }
  const std::vector<Group>& groups() const { return groups_; }
  Group& group(size_t i) { return groups_[i]; }
  const Group& group_at(int64_t group) const;

 private:
  const char* op_;
  std::vector<std::string> slots_;
  std::vector<Group> groups_;
  std::unordered_set<const TensorImpl*> known_;
  std::unordered_set<std::string> names_;
};

}  // namespace tern::optim
