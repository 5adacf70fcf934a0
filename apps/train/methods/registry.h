// The methods that a training program offers, by name, and those of one run together.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include <tern/quant/layer_state.h>
#include <tern/train/loop/method.h>

namespace tern::train {

/// An entry: `key` is what its settings begin with, make() gives one with its default settings.
struct MethodEntry {
  std::string key;
  std::function<std::unique_ptr<Method>()> make;
};

/// Those of Tern, then those registered: in this order they are applied to a model. BitNet, which replaces layers,
/// comes before CoDeQ, which takes the layers that are left, and distillation, which looks at what they have become,
/// last.
const std::deque<MethodEntry>& methods();
/// Adds one, for the life of the program. Throws ValueError for a key that is empty or taken, or without make().
void register_method(MethodEntry entry);

/// One of every method, as one method: a program's configuration has such a set, declares and checks it with its other
/// settings, applies it to the model and gives it to the Trainer.
///
///   train::MethodSet methods;
///   methods.declare(schema);
///   ...
///   std::cout << methods.apply(*model, {.program = "train_classifier"});
///   train::Trainer trainer(*model, {.optimizer = *optimizer, .method = &methods});
class MethodSet : public Method {
 public:
  MethodSet();

  /// The method of that type, settings included. Throws ValueError if the set has none.
  template <class M>
  M& get() const;

  void declare(Schema& schema) override;
  void check() const override;
  bool is_enabled() const override;  ///< at least one is
  /// The lines of all, one after the other.
  std::string apply(nn::Module& model, const MethodContext& context) override;
  std::vector<ParamGroup> parameter_groups(const nn::Module& model) const override;
  io::Json environment() const override;
  void before_step(int64_t step) override;
  bool has_set_in() const override;  ///< all have
  Tensor loss(const Tensor& output, const TaskBatch& batch, const Tensor& task_loss) override;
  /// Where two methods have a column of one name, the later one's begins with its key: "codeq_sparsity".
  MetricRow metrics() const override;
  io::Json layers() const override;
  MetricRow summary() const override;
  /// Names begin with the key of the method.
  io::TensorMap state_dict() const override;
  void load_state_dict(const io::TensorMap& state) override;

 private:
  struct Member {
    std::string key;
    std::unique_ptr<Method> method;
  };
  template <class F>
  void for_each_enabled(const F& fn) const;
  template <class F>
  MetricRow merged(const F& row_of) const;
  [[noreturn]] static void lacks(const char* type);

  std::vector<Member> members_;
};

/// The optimizer of a model: its weights in one or two groups (weight_groups), then the groups that the method wants.
/// Every parameter is named as in the model. Throws ValueError for settings out of range.
std::unique_ptr<optim::Optimizer> make_optimizer(const nn::Module& model, const OptimConfig& config,
                                                 const Method& method, const std::vector<std::string>& no_decay = {});

/// Adds what compression has made of a model to the figures of a run's end: "sparsity", "mean_bits" and "rel_bops" of
/// the layer table, then those of the method, in the place of those of the same name.
void add_compression(MetricRow& figures, const quant::LayerTable& layers, const Method& method);

// -- implementation

template <class M>
M& MethodSet::get() const {
  for (const Member& member : members_)
    if (auto* method = dynamic_cast<M*>(member.method.get())) return *method;
  lacks(typeid(M).name());
}

}  // namespace tern::train
