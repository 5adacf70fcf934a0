#include <algorithm>
#include <cmath>
#include <filesystem>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/quant/method.h>
#include <tern/train/insight/run_record.h>
#include <tern/train/vision/classifier.h>

namespace tern::train {
namespace {

namespace fs = std::filesystem;
using io::Json;

constexpr uint64_t kMaxTextBytes = uint64_t{256} << 20;

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.as_string() : value.dump();
}

void append_settings(std::vector<Setting>& out, const std::string& prefix, const Json& object) {
  for (const auto& [key, value] : object.members()) {
    if (value.is_object() && value.size() > 0)
      append_settings(out, concat(prefix, key, "."), value);
    else
      out.emplace_back(prefix + key, text_of(value));
  }
}

// The number under a key; missing and other kinds give `missing`.
double number_at(const Json& row, const char* key, double missing) {
  const Json* value = row.find(key);
  return value != nullptr && value->is_number() ? value->as_number() : missing;
}

Json read_object(const io::FilePath& path) {
  Json json = Json::parse("report", path.text(), io::read_file("report", path, kMaxTextBytes));
  TERN_CHECK(json.is_object(), FormatError, "[report] expected a JSON object in ", path.text(), ", got ",
             io::name_of(json.kind()));
  return json;
}

// Calls a function whose FormatErrors do not know the file they are about.
template <class F>
auto naming(const std::string& path, const F& read) {
  try {
    return read();
  } catch (const FormatError& error) {
    throw FormatError(concat("[report] cannot use ", path, ": ", error.message()));
  }
}

// A whole number of at most six digits, as a setting's text.
std::optional<int64_t> small_number(const std::string& text) {
  if (text.empty() || text.size() > 6 || text.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return std::stoll(text);
}

// Rows of layers.jsonl, all of the same layers.
void check_layers(const std::string& path, const std::vector<Json>& rows) {
  const auto is_layer = [](const Json& layer) {
    const Json* name = layer.is_object() ? layer.find("name") : nullptr;
    return name != nullptr && name->is_string();
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    const Json* layers = rows[i].find("layers");
    TERN_CHECK(number_at(rows[i], "epoch", -1) >= 0 && layers != nullptr && layers->is_array() &&
                   std::all_of(layers->items().begin(), layers->items().end(), is_layer),
               FormatError, "[report] expected an epoch and a list of named layers in line ", i + 1, " of ", path,
               ", got another object");
    const Json& first = rows[0].at("layers");
    bool same = layers->size() == first.size();
    for (size_t j = 0; same && j < first.size(); ++j) same = (*layers)[j].at("name") == first[j].at("name");
    TERN_CHECK(same, FormatError, "[report] expected the layers of line 1 in line ", i + 1, " of ", path,
               ", got others");
  }
}

// A row's seconds go on counting where a run is resumed, so the last row has them all. In files of before they began
// anew with every program, and fell there: then the parts add up.
double seconds_of(const std::vector<Json>& epochs) {
  double total = 0, last = 0;
  for (const Json& row : epochs) {
    const double seconds = number_at(row, "seconds", last);
    total += seconds < last ? seconds : seconds - last;
    last = seconds;
  }
  return total;
}

WeightsRecord read_weights(const io::FilePath& file, const RunRecord& run, const WeightsOptions& options) {
  const Checkpoint checkpoint = load_checkpoint(file);
  const std::string& path = checkpoint.path;
  const auto model_name = checkpoint.metadata.find(nn::models::kModelKey);
  TERN_CHECK(checkpoint.is_ours() && model_name != checkpoint.metadata.end(), FormatError,
             "[report] expected a checkpoint of a run, got ", path, ", which does not name its model");
  const std::string expected = run.setting("model.name");
  TERN_CHECK(expected.empty() || expected == model_name->second, FormatError, "[report] expected a checkpoint of ",
             expected, ", as the run's config.json says, got one of ", model_name->second, " in ", path);
  const auto model = naming(path, [&] { return model_of(checkpoint); });

  const int64_t side = small_number(run.setting("model.image_size")).value_or(0);
  WeightsRecord record;
  record.layers = examine_weights(*model, side <= 1024 ? side : 0, options);
  if (const auto state = checkpoint.metadata.find(meta::kTrainState); state != checkpoint.metadata.end()) {
    const Json json = naming(path, [&] { return Json::parse("checkpoint", meta::kTrainState, state->second); });
    naming(path, [&] {
      record.epoch = json.at("epoch").as_int();
      record.step = json.at("step").as_int();
    });
  }
  if (!run.layers.empty()) {
    const Json& recorded = run.layers.back().at("layers");
    // A method may tell of some layers alone.
    const auto is_there = [&](const Json& layer) {
      return std::any_of(record.layers.begin(), record.layers.end(),
                         [&](const LayerWeights& own) { return own.state.name == layer.at("name").as_string(); });
    };
    TERN_CHECK(std::all_of(recorded.items().begin(), recorded.items().end(), is_there), FormatError,
               "[report] expected the layers that layers.jsonl names, got others in ", path);
  }
  return record;
}

// "b/run" for parts = 2 of "/a/b/run".
std::string last_parts(const fs::path& path, size_t parts) {
  const std::vector<fs::path> all(path.begin(), path.end());
  fs::path out;
  for (size_t i = all.size() - std::min(parts, all.size()); i < all.size(); ++i) out /= all[i];
  return out.string();
}

fs::path full_path(const std::string& directory) {
  std::error_code error;
  fs::path path = fs::weakly_canonical(fs::absolute(directory), error);
  if (error) path = fs::path(directory).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

}  // namespace

std::vector<Json> read_rows(const io::FilePath& file) {
  if (!file.exists()) return {};
  const std::string text = io::read_file("report", file, kMaxTextBytes);
  const std::string& path = file.text();
  std::vector<Json> rows;
  int64_t line = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    ++line;
    Json row;
    try {
      row = Json::parse("report", path, std::string_view(text).substr(begin, end - begin));
    } catch (const FormatError&) {
    }
    if (row.is_object())
      rows.push_back(std::move(row));
    else
      TERN_CHECK(end == text.size(), FormatError, "[report] expected one JSON object a line in ", path,
                 ", got something else in line ", line);
    begin = end + 1;
  }
  return rows;
}

WeightHistogram weight_histogram(const std::vector<double>& values, double low, double high, int64_t bins) {
  TERN_CHECK(low < high && std::isfinite(high - low) && bins >= 1, ValueError,
             "[report] expected low < high and at least 1 bin, got ", low, ", ", high, " and ", bins);
  WeightHistogram h{
      .low = low, .high = high, .counts = std::vector<int64_t>(static_cast<size_t>(bins)), .below = 0, .above = 0};
  const double scale = static_cast<double>(bins) / (high - low);
  for (const double v : values) {
    if (v < low)
      ++h.below;
    else if (v > high)
      ++h.above;
    else if (v >= low)  // false for what is not a number
      ++h.counts[static_cast<size_t>(std::min(static_cast<int64_t>((v - low) * scale), bins - 1))];
  }
  return h;
}

KernelMap kernel_map(const Tensor& weight, int64_t max_weights) {
  TERN_CHECK(weight.dim() == 2 || weight.dim() == 4, ShapeError,
             "[report] expected a weight [O, I] or [O, I, H, W], got ", describe(weight));
  KernelMap map{.outputs = weight.size(0),
                .inputs = weight.size(1),
                .height = weight.dim() == 4 ? weight.size(2) : 1,
                .width = weight.dim() == 4 ? weight.size(3) : 1};
  const int64_t kernel = map.height * map.width;
  TERN_CHECK(max_weights >= std::max<int64_t>(kernel, 1), ValueError, "[report] expected room for a kernel of ", kernel,
             " weights, got ", max_weights);
  if (weight.numel() == 0) return map;
  const int64_t kernels = max_weights / kernel;
  map.columns = std::min(
      map.inputs, std::max(static_cast<int64_t>(std::sqrt(static_cast<double>(kernels))), kernels / map.outputs));
  map.rows = std::min(map.outputs, kernels / map.columns);
  map.mask.assign(static_cast<size_t>((map.rows * map.columns * kernel + 7) / 8), '\0');

  const std::vector<double> values = weight.to_vector<double>();
  std::vector<bool> output_used(static_cast<size_t>(map.outputs)), input_used(static_cast<size_t>(map.inputs));
  size_t bit = 0;
  for (int64_t o = 0; o < map.outputs; ++o)
    for (int64_t i = 0; i < map.inputs; ++i) {
      const double* at = values.data() + (o * map.inputs + i) * kernel;
      const bool used = std::any_of(at, at + kernel, [](double v) { return v != 0; });
      if (used)
        output_used[static_cast<size_t>(o)] = input_used[static_cast<size_t>(i)] = true;
      else
        ++map.zero_kernels;
      if (o >= map.rows || i >= map.columns) continue;
      for (int64_t k = 0; k < kernel; ++k, ++bit)
        if (at[k] != 0) map.mask[bit / 8] = static_cast<char>(map.mask[bit / 8] | 128 >> bit % 8);
    }
  map.zero_outputs = std::count(output_used.begin(), output_used.end(), false);
  map.zero_inputs = std::count(input_used.begin(), input_used.end(), false);
  return map;
}

quant::LayerTable WeightsRecord::table() const {
  quant::LayerTable out;
  for (const LayerWeights& layer : layers) out.layers.push_back(layer.state);
  return out;
}

namespace {

// The magnitude that 99 % of the values keep to.
double usual_range(const std::vector<double>& values) {
  std::vector<double> magnitudes;
  for (const double v : values) magnitudes.push_back(std::abs(v));
  if (magnitudes.empty()) return 0;
  const auto place = magnitudes.begin() + static_cast<std::ptrdiff_t>(99 * (magnitudes.size() - 1) / 100);
  std::nth_element(magnitudes.begin(), place, magnitudes.end());
  return *place > 0 ? *place : *std::max_element(place, magnitudes.end());
}

LayerWeights examined(quant::LayerState state, const Tensor& latent_weight, const Tensor& effective,
                      const WeightsOptions& options) {
  const std::vector<double> latent = latent_weight.to_vector<double>();
  double range = std::max(state.range, usual_range(latent));
  if (!(range > 0 && std::isfinite(range))) range = 1;
  return {.state = std::move(state),
          .shape = latent_weight.shape(),
          .histogram = weight_histogram(latent, -1.5 * range, 1.5 * range, options.bins),
          .map = kernel_map(effective, options.map_weights)};
}

}  // namespace

std::vector<LayerWeights> examine_weights(nn::Module& model, int64_t image_side, const WeightsOptions& options) {
  const NoGradGuard no_grad;
  const quant::LayerTable table =
      image_side > 0 ? quant::layer_table(model, {1, 3, image_side, image_side}) : quant::layer_table(model);
  std::vector<LayerWeights> layers;
  for (const quant::LayerState& state : table.layers) {
    const Tensor effective = quant::effective_weight(model, state);
    const Tensor latent = state.parameter.empty() ? effective : model.get_parameter(state.parameter).latent();
    if (const int64_t axes = latent.dim(); axes == 2 || axes == 4)
      layers.push_back(examined(state, latent, effective, options));
  }
  return layers;
}

std::string RunRecord::setting(std::string_view key) const {
  const auto it = std::find_if(config.begin(), config.end(), [&](const Setting& s) { return s.first == key; });
  return it == config.end() ? std::string() : it->second;
}

io::DirectoryHandle open_run(const std::string& directory) {
  std::error_code ignored;
  TERN_CHECK(fs::is_directory(directory, ignored), IoError, "[report] expected the directory of a run, got ", directory,
             exists(directory) ? " (a file)" : " (not there)");
  return io::Directory::open("report", directory);
}

RunRecord read_run(const std::string& directory, bool with_weights, const WeightsOptions& options) {
  return read_run(open_run(directory), with_weights, options);
}

RunRecord read_run(const io::DirectoryHandle& directory, bool with_weights, const WeightsOptions& options) {
  const io::FilePath config = directory->file("config.json"), metrics = directory->file("metrics.jsonl"),
                     layers = directory->file("layers.jsonl"), samples = directory->file("samples.jsonl"),
                     summary = directory->file("summary.json"), evaluation = directory->file("evaluation.json"),
                     last = directory->file("last.safetensors");
  TERN_CHECK(config.exists() || metrics.exists(), IoError,
             "[report] expected a run with config.json or metrics.jsonl in ", directory->path(), ", got neither");
  RunRecord run;
  run.name = last_parts(full_path(directory->path()), 1);
  if (config.exists()) {
    Json json = read_object(config);
    if (const Json* environment = json.find("environment"); environment != nullptr && environment->is_object())
      run.environment = settings_of(*environment);
    json.erase("environment");
    run.config = settings_of(json);
  }
  int64_t line = 0;
  for (Json& row : read_rows(metrics)) {
    ++line;
    TERN_CHECK(number_at(row, "epoch", -1) >= 0 && number_at(row, "step", -1) >= 0, FormatError,
               "[report] expected an epoch and a step in line ", line, " of ", metrics.text(), ", got another object");
    (row.contains("train_loss") ? run.epochs : run.steps).push_back(std::move(row));
  }
  run.seconds = seconds_of(run.epochs);
  run.layers = read_rows(layers);
  check_layers(layers.text(), run.layers);
  run.samples = read_rows(samples);
  for (size_t i = 0; i < run.samples.size(); ++i) {
    const Json* text = run.samples[i].find("text");
    TERN_CHECK(number_at(run.samples[i], "step", -1) >= 0 && text != nullptr && text->is_string(), FormatError,
               "[report] expected a step and a text in line ", i + 1, " of ", samples.text(), ", got another object");
  }

  // A run that was resumed beyond its first end has these files of that end until it comes to the next.
  const double steps = run.epochs.empty() ? -1 : run.epochs.back().at("step").as_number();
  const double done = run.epochs.empty() ? 0 : run.epochs.back().at("epoch").as_number();
  const bool complete = run.is_language()
                            ? steps >= static_cast<double>(small_number(run.setting("steps")).value_or(0))
                            : done >= static_cast<double>(small_number(run.setting("epochs")).value_or(0));
  const auto is_current = [&](const Json& json, const char* key) {
    return complete && number_at(json, key, -2) == steps;
  };
  if (summary.exists()) {
    Json json = read_object(summary);
    if (is_current(json, "steps")) run.summary = std::move(json);
  }
  if (evaluation.exists()) {
    const Json json = read_object(evaluation);
    ClassificationReport read = naming(evaluation.text(), [&] { return classification_report_from(json); });
    if (is_current(json, "step")) run.evaluation = std::move(read);
  }
  if (with_weights && last.exists()) {
    try {
      run.weights = read_weights(last, run, options);
    } catch (const Error& error) {  // all the rest can be told without it
      run.weights_problem = error.what();
    }
  }
  return run;
}

std::vector<RunRecord> read_runs(const std::vector<std::string>& directories, bool with_weights,
                                 const WeightsOptions& options) {
  std::vector<RunRecord> runs;
  std::vector<fs::path> paths;
  for (const std::string& directory : directories) {
    runs.push_back(read_run(directory, with_weights, options));
    paths.push_back(full_path(directory));
    for (size_t i = 0; i + 1 < paths.size(); ++i)
      TERN_CHECK(paths[i] != paths.back(), ValueError, "[report] expected every run once, got ", directory, " twice");
  }
  // More of the path where the end is not enough.
  for (size_t i = 0; i < runs.size(); ++i)
    for (size_t parts = 1; parts < 64; ++parts) {
      runs[i].name = last_parts(paths[i], parts);
      const auto clash = [&](const fs::path& other) {
        return other != paths[i] && last_parts(other, parts) == runs[i].name;
      };
      if (std::none_of(paths.begin(), paths.end(), clash)) break;
    }
  return runs;
}

std::vector<Setting> settings_of(const Json& object) {
  std::vector<Setting> out;
  append_settings(out, "", object);
  return out;
}

std::vector<Difference> config_differences(const std::vector<RunRecord>& runs) {
  std::vector<Difference> all;
  const auto take = [&](size_t run, const std::string& prefix, const std::vector<Setting>& settings) {
    for (const auto& [key, value] : settings) {
      const std::string name = prefix + key;
      auto it = std::find_if(all.begin(), all.end(), [&](const Difference& d) { return d.key == name; });
      if (it == all.end()) it = all.insert(all.end(), {name, std::vector<std::string>(runs.size())});
      it->values[run] = value;
    }
  };
  for (size_t i = 0; i < runs.size(); ++i) take(i, "", runs[i].config);
  for (size_t i = 0; i < runs.size(); ++i) take(i, "environment.", runs[i].environment);
  std::erase_if(all, [](const Difference& d) {
    return std::all_of(d.values.begin(), d.values.end(), [&](const std::string& v) { return v == d.values[0]; });
  });
  return all;
}

}  // namespace tern::train
