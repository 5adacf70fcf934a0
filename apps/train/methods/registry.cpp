#include <algorithm>
#include <unordered_set>

#include <tern/core/error.h>
#include <tern/train/methods/bitnet_method.h>
#include <tern/train/methods/codeq_method.h>
#include <tern/train/methods/distill_method.h>
#include <tern/train/methods/registry.h>

namespace tern::train {
namespace {

template <class M>
MethodEntry entry_of(const char* key) {
  return {key, [] { return std::make_unique<M>(); }};
}

std::deque<MethodEntry>& all_methods() {
  static std::deque<MethodEntry> entries{entry_of<BitnetMethod>("bitnet"), entry_of<CodeqMethod>("codeq"),
                                         entry_of<DistillMethod>("distill")};
  return entries;
}

bool has(const MetricRow& row, const std::string& name) {
  return std::any_of(row.begin(), row.end(), [&](const Metric& metric) { return metric.name == name; });
}

}  // namespace

const std::deque<MethodEntry>& methods() {
  return all_methods();
}

void register_method(MethodEntry entry) {
  TERN_CHECK(!entry.key.empty() && entry.make, ValueError, "[register_method] expected a key and make(), got \"",
             entry.key, "\"", entry.make ? "" : " without make()");
  for (const char c : entry.key)
    TERN_CHECK((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_', ValueError,
               "[register_method] expected a key of letters, digits and _, got \"", entry.key, "\"");
  for (const MethodEntry& other : methods())
    TERN_CHECK(other.key != entry.key, ValueError, "[register_method] expected a key that no other method has, got \"",
               entry.key, "\"");
  all_methods().push_back(std::move(entry));
}

MethodSet::MethodSet() {
  for (const MethodEntry& entry : methods()) members_.push_back({entry.key, entry.make()});
}

template <class F>
void MethodSet::for_each_enabled(const F& fn) const {
  for (const Member& member : members_)
    if (member.method->is_enabled()) fn(member.key, *member.method);
}

template <class F>
MetricRow MethodSet::merged(const F& row_of) const {
  MetricRow all;
  for_each_enabled([&](const std::string& key, const Method& method) {
    for (Metric& metric : row_of(method)) {
      if (has(all, metric.name)) metric.name = concat(key, "_", metric.name);
      all.push_back(std::move(metric));
    }
  });
  return all;
}

void MethodSet::lacks(const char* type) {
  throw ValueError(concat("[MethodSet] expected a method that is registered, got ", type));
}

void MethodSet::declare(Schema& schema) {
  for (const Member& member : members_) member.method->declare(schema);
}

void MethodSet::check() const {
  for (const Member& member : members_) member.method->check();
}

bool MethodSet::is_enabled() const {
  return std::any_of(members_.begin(), members_.end(), [](const Member& m) { return m.method->is_enabled(); });
}

std::string MethodSet::apply(nn::Module& model, const MethodContext& context) {
  std::string text;
  for (const Member& member : members_)
    if (const std::string lines = member.method->apply(model, context); !lines.empty())
      text += concat(text.empty() ? "" : "\n", lines);
  if (is_enabled()) {
    try {
      static_cast<void>(quant::layer_table(model));
    } catch (const StateError& error) {  // a weight that two methods want
      throw UsageError(concat("[", context.program, "] ", error.message()));
    }
  }
  return text;
}

std::vector<ParamGroup> MethodSet::parameter_groups(const nn::Module& model) const {
  std::vector<ParamGroup> groups;
  for_each_enabled([&](const std::string&, const Method& method) {
    for (ParamGroup& group : method.parameter_groups(model)) groups.push_back(std::move(group));
  });
  return groups;
}

io::Json MethodSet::environment() const {
  io::Json all = io::Json::object();
  for_each_enabled([&](const std::string&, const Method& method) {
    const io::Json own = method.environment();
    for (const auto& [name, value] : own.members()) all[name] = value;
  });
  return all;
}

void MethodSet::before_step(int64_t step) {
  for_each_enabled([&](const std::string&, Method& method) { method.before_step(step); });
}

bool MethodSet::has_set_in() const {
  bool all = true;
  for_each_enabled([&](const std::string&, const Method& method) { all = all && method.has_set_in(); });
  return all;
}

Tensor MethodSet::loss(const Tensor& output, const TaskBatch& batch, const Tensor& task_loss) {
  Tensor loss = task_loss;
  for_each_enabled([&](const std::string&, Method& method) { loss = method.loss(output, batch, loss); });
  return loss;
}

MetricRow MethodSet::metrics() const {
  return merged([](const Method& method) { return method.metrics(); });
}

io::Json MethodSet::layers() const {
  io::Json all;
  for_each_enabled([&](const std::string&, const Method& method) {
    const io::Json own = method.layers();
    if (own.is_null()) return;
    if (all.is_null()) all = io::Json::array();
    for (const io::Json& layer : own.items()) all.push_back(layer);
  });
  return all;
}

MetricRow MethodSet::summary() const {
  return merged([](const Method& method) { return method.summary(); });
}

io::TensorMap MethodSet::state_dict() const {
  io::TensorMap all;
  for_each_enabled([&](const std::string& key, const Method& method) {
    for (const auto& [name, tensor] : method.state_dict()) all.insert(concat(key, ".", name), tensor);
  });
  return all;
}

void MethodSet::load_state_dict(const io::TensorMap& state) {
  std::vector<std::pair<Method*, io::TensorMap>> parts;
  size_t known = 0;
  for_each_enabled([&](const std::string& key, Method& method) {
    io::TensorMap own;
    for (const auto& [name, tensor] : state)
      if (name.starts_with(key + ".")) own.insert(name.substr(key.size() + 1), tensor);
    known += own.size();
    parts.emplace_back(&method, std::move(own));
  });
  TERN_CHECK(known == state.size(), ValueError, "[MethodSet] expected the state of the methods that are on, got ",
             state.size() - known, " tensors of others");
  std::vector<io::TensorMap> before;
  for (const auto& [method, own] : parts) {
    io::TensorMap copy;
    for (const auto& [name, tensor] : method->state_dict()) copy.insert(name, tensor.detach().clone());
    before.push_back(std::move(copy));
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    try {
      parts[i].first->load_state_dict(parts[i].second);
    } catch (...) {
      while (i > 0) --i, parts[i].first->load_state_dict(before[i]);
      throw;
    }
  }
}

void add_compression(MetricRow& figures, const quant::LayerTable& layers, const Method& method) {
  figures.push_back({"sparsity", layers.sparsity()});
  figures.push_back({"mean_bits", layers.mean_bits()});
  figures.push_back({"rel_bops", layers.rel_bops()});
  for (Metric& metric : method.summary()) {
    const auto same =
        std::find_if(figures.begin(), figures.end(), [&](const Metric& m) { return m.name == metric.name; });
    if (same != figures.end())
      *same = std::move(metric);
    else
      figures.push_back(std::move(metric));
  }
}

std::unique_ptr<optim::Optimizer> make_optimizer(const nn::Module& model, const OptimConfig& config,
                                                 const Method& method, const std::vector<std::string>& no_decay) {
  const std::vector<ParamGroup> own = method.parameter_groups(model);
  std::unordered_set<std::string> apart;
  for (const ParamGroup& group : own)
    for (const auto& [name, tensor] : group.params) apart.insert(name);
  std::vector<Tensor> weights;
  for (const auto& [name, parameter] : model.named_parameters())
    if (parameter.requires_grad() && !apart.contains(name)) weights.push_back(parameter);
  std::vector<ParamGroup> groups = weight_groups(model, weights, config, no_decay);
  groups.insert(groups.end(), own.begin(), own.end());
  return make_optimizer(config, groups);
}

}  // namespace tern::train
