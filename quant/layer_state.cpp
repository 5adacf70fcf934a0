#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <ostream>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/text.h>
#include <tern/nn/layers/conv2d.h>
#include <tern/nn/layers/linear.h>
#include <tern/quant/layer_state.h>
#include <tern/quant/method.h>

namespace tern::quant {
namespace {

template <class T, class F>
T sum_of(const LayerTable& table, const F& of) {
  T sum = 0;
  for (const LayerState& layer : table.layers) sum += of(layer);
  return sum;
}

bool has_known_weight(const nn::Module& module) {
  return dynamic_cast<const nn::Conv2d*>(&module) != nullptr || dynamic_cast<const nn::Linear*>(&module) != nullptr;
}

// A row and the module whose forward its MACs belong to.
struct Row {
  LayerState state;
  const nn::Module* module;
};

// The rows of a model. Of tied parameters those that a method compresses and the weights of convolutions and linear
// layers are listed, each, or else the first.
std::vector<Row> rows_of(const nn::Module& model) {
  const NoGradGuard no_grad;
  std::unordered_map<std::string, LayerState> compressed;  // by parameter, or by name where there is none
  for (const Method& method : methods())
    if (method.is_in(model))
      for (LayerState& state : method.layer_states(model)) {
        std::string key = state.parameter.empty() ? state.name : state.parameter;
        TERN_CHECK(!compressed.contains(key), StateError, "[layer_table] expected ", key,
                   " to be compressed by one method, got ", method.title, " and ",
                   find_method(compressed.at(key).method)->title);
        compressed.emplace(std::move(key), std::move(state));
      }
  const nn::NamedModules modules = model.named_modules();
  std::unordered_set<const void*> seen;
  for (const auto& [path, module] : modules)
    for (const nn::Parameter* parameter : module->own_parameters())
      if ((parameter->name() == "weight" && has_known_weight(*module)) ||
          compressed.contains(nn::join_path(path, parameter->name())))
        seen.insert(parameter->state_id());

  std::vector<Row> rows;
  const auto take = [&](const std::string& key, const nn::Module* module) {
    const auto it = compressed.find(key);
    if (it == compressed.end()) return false;
    rows.push_back({std::move(it->second), module});
    compressed.erase(it);
    return true;
  };
  const bool any = !compressed.empty();
  for (const auto& [path, module] : modules) {
    take(path, module.get());
    for (const nn::Parameter* parameter : module->own_parameters()) {
      if (!parameter->defined()) continue;
      const std::string own = nn::join_path(path, parameter->name());
      if (take(own, module.get())) continue;
      const bool is_weight = parameter->name() == "weight", known = is_weight && has_known_weight(*module);
      if (!known && !(any && parameter->latent().dim() >= 2 && seen.insert(parameter->state_id()).second)) continue;
      rows.push_back({full_precision(is_weight ? path : own, own, (*parameter)()), module.get()});
    }
  }
  TERN_ASSERT(compressed.empty(), "a method describes ", compressed.begin()->first, ", which the model does not have");
  return rows;
}

LayerTable table_of(std::vector<Row> rows) {
  LayerTable table;
  for (Row& row : rows) table.layers.push_back(std::move(row.state));
  return table;
}

LayerTable counted(nn::Module& model, int64_t batch, const nn::Summary& summary) {
  std::vector<Row> rows = rows_of(model);
  std::unordered_map<std::string, int64_t> macs;
  for (const nn::SummaryRow& row : summary.rows) macs[row.name] = row.macs / batch;
  std::unordered_map<const nn::Module*, int64_t> of_module;
  for (const auto& [path, module] : model.named_modules()) of_module[module.get()] = macs[path];
  std::unordered_map<const nn::Module*, double> weights;  // of a module's rows together
  for (const Row& row : rows) weights[row.module] += static_cast<double>(row.state.weights);
  for (Row& row : rows) {
    const double share = static_cast<double>(row.state.weights) / std::max(weights[row.module], 1.0);
    row.state.macs = std::llround(static_cast<double>(of_module[row.module]) * share);
  }
  return table_of(std::move(rows));
}

}  // namespace

std::string LayerFigure::column() const {
  std::string key = heading;
  std::replace(key.begin(), key.end(), ' ', '_');
  return key;
}

std::string LayerFigure::text() const {
  switch (kind) {
    case Kind::kShare:
      return format_text("%.2f%%", 100 * value);
    case Kind::kCount:
      return format_text("%.0f", value);
    case Kind::kNumber:
      break;
  }
  return format_text("%.4g", value);
}

std::optional<double> LayerState::figure(std::string_view figure_name) const {
  const auto it =
      std::find_if(figures.begin(), figures.end(), [&](const LayerFigure& f) { return f.name == figure_name; });
  return it == figures.end() ? std::nullopt : std::optional<double>(it->value);
}

LayerState full_precision(std::string name, std::string parameter, const Tensor& values) {
  LayerState state{.name = std::move(name), .parameter = std::move(parameter)};
  const std::vector<double> all = values.detach().to_vector<double>();
  state.weights = values.numel();
  state.zeros = std::count(all.begin(), all.end(), 0.0);
  state.bytes = bytes_at(state.weights, state.bits);
  return state;
}

int64_t bytes_at(int64_t weights, double bits) {
  return static_cast<int64_t>(std::ceil(static_cast<double>(weights) * bits / 8));
}

int64_t LayerTable::weights() const {
  return sum_of<int64_t>(*this, [](const LayerState& l) { return l.weights; });
}

double LayerTable::sparsity() const {
  const auto zeros = sum_of<int64_t>(*this, [](const LayerState& l) { return l.zeros; });
  return weights() == 0 ? 0.0 : static_cast<double>(zeros) / static_cast<double>(weights());
}

double LayerTable::mean_bits() const {
  const auto bits = sum_of<double>(*this, [](const LayerState& l) { return static_cast<double>(l.weights) * l.bits; });
  return weights() == 0 ? 32.0 : bits / static_cast<double>(weights());
}

int64_t LayerTable::bytes() const {
  return sum_of<int64_t>(*this, [](const LayerState& l) { return l.bytes; });
}

int64_t LayerTable::macs() const {
  return sum_of<int64_t>(*this, [](const LayerState& l) { return l.macs; });
}

double LayerTable::bops() const {
  return sum_of<double>(*this, [](const LayerState& l) { return l.bops(); });
}

double LayerTable::rel_bops() const {
  return macs() == 0 ? 1.0 : bops() / (static_cast<double>(macs()) * 32.0 * 32.0);
}

const LayerState* LayerTable::find(std::string_view name) const {
  const auto it = std::find_if(layers.begin(), layers.end(), [&](const LayerState& l) { return l.name == name; });
  return it == layers.end() ? nullptr : &*it;
}

std::string to_string(const LayerTable& table) {
  std::vector<std::pair<std::string, std::string>> columns;  // heading and name of the figures that have one
  for (const LayerState& layer : table.layers)
    for (const LayerFigure& figure : layer.figures) {
      const std::pair<std::string, std::string> column{figure.heading, figure.name};
      if (!figure.heading.empty() && std::find(columns.begin(), columns.end(), column) == columns.end())
        columns.push_back(column);
    }
  const double all_bops = table.bops();
  const bool with_macs = table.macs() > 0;
  const bool with_range =
      std::any_of(table.layers.begin(), table.layers.end(), [](const auto& l) { return l.range > 0; });
  const auto share = [&](double bops) { return format_text("%.2f%%", all_bops > 0 ? 100 * bops / all_bops : 0.0); };

  std::vector<std::vector<std::string>> lines(1, {"layer", "weights", "zeros", "bits"});
  for (const auto& [heading, name] : columns) lines[0].push_back(heading);
  if (with_range) lines[0].push_back("range");
  if (with_macs) lines[0].insert(lines[0].end(), {"MACs", "BOPs share"});
  for (const LayerState& layer : table.layers) {
    std::vector<std::string> line{without_middle(printable(layer.name), 60), concat(layer.weights),
                                  format_text("%.2f%%", 100 * (1 - layer.density())), concat(layer.bits)};
    for (const auto& column : columns) {
      const auto figure = std::find_if(layer.figures.begin(), layer.figures.end(),
                                       [&](const LayerFigure& f) { return f.name == column.second; });
      line.push_back(figure == layer.figures.end() ? "-" : figure->text());
    }
    if (with_range) line.push_back(layer.range > 0 ? format_text("%.4f", layer.range) : "-");
    if (with_macs) line.insert(line.end(), {concat(layer.macs), share(layer.bops())});
    lines.push_back(std::move(line));
  }
  std::vector<std::string> total{"total", concat(table.weights()), format_text("%.2f%%", 100 * table.sparsity()),
                                 format_text("%.2f", table.mean_bits())};
  total.resize(total.size() + columns.size() + (with_range ? 1 : 0));
  if (with_macs) total.insert(total.end(), {concat(table.macs()), share(all_bops)});
  lines.push_back(std::move(total));

  std::string out = aligned(lines, 1);
  if (with_macs) return out + format_text("BOPs %.4g, %.3f %% of dense fp32", all_bops, 100 * table.rel_bops());
  out.pop_back();
  return out;
}

std::ostream& operator<<(std::ostream& out, const LayerTable& table) {
  return out << to_string(table);
}

io::Json to_json(const LayerState& layer) {
  io::Json json = io::Json::object({{"name", layer.name},
                                    {"method", layer.method},
                                    {"weights", layer.weights},
                                    {"zeros", layer.zeros},
                                    {"bits", layer.bits},
                                    {"activation_bits", layer.activation_bits},
                                    {"range", layer.range},
                                    {"bytes", layer.bytes}});
  if (layer.macs > 0) {
    json["macs"] = layer.macs;
    json["bops"] = layer.bops();
  }
  for (const LayerFigure& figure : layer.figures)
    json[figure.name] =
        figure.kind == LayerFigure::Kind::kCount ? io::Json(std::llround(figure.value)) : io::Json(figure.value);
  return json;
}

io::Json to_json(const LayerTable& table) {
  io::Json layers = io::Json::array();
  for (const LayerState& layer : table.layers) layers.push_back(to_json(layer));
  io::Json json = io::Json::object({{"layers", std::move(layers)},
                                    {"weights", table.weights()},
                                    {"sparsity", table.sparsity()},
                                    {"mean_bits", table.mean_bits()},
                                    {"bytes", table.bytes()}});
  if (table.macs() > 0) {
    json["macs"] = table.macs();
    json["bops"] = table.bops();
    json["rel_bops"] = table.rel_bops();
  }
  return json;
}

LayerTable layer_table(const nn::Module& model) {
  return table_of(rows_of(model));
}

LayerTable layer_table(nn::Module& model, const Shape& input) {
  TERN_CHECK(input.size() > 0 && input[0] > 0, ShapeError,
             "[layer_table] expected an input shape that starts with a batch size of at least 1, got ", input);
  return counted(model, input[0], nn::summary(model, input));
}

LayerTable layer_table(nn::Module& model, const std::function<void()>& run) {
  return counted(model, 1, nn::summary(model, run));
}

}  // namespace tern::quant
