#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <unordered_set>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/core/io/element_type.h>
#include <tern/core/io/file.h>
#include <tern/core/io/npy.h>
#include <tern/core/io/safetensors.h>
#include <tern/core/text.h>
#include <tern/nn/init.h>
#include <tern/nn/models/llama.h>
#include <tern/quant/method.h>
#include <tern/train/insight/histogram.h>
#include <tern/train/insight/inspect.h>
#include <tern/train/vision/classifier.h>
#include <tern/train/weights/checkpoint.h>

namespace tern::train {
namespace {

using nn::models::Llama;

constexpr int64_t kChunk = 1 << 16;  // elements looked at together

enum class FileKind { kSafetensors, kNpy, kLlama2c };

// Also says, first of all, whether there is a file that can be read.
FileKind kind_of(const std::string& path, int64_t* bytes = nullptr) {
  constexpr char kMagic[] = "\x93NUMPY";
  const io::InputFile file("inspect", path);
  if (bytes != nullptr) *bytes = static_cast<int64_t>(file.size());
  char start[sizeof kMagic - 1] = {};
  if (file.size() >= sizeof start) file.read_at(0, std::as_writable_bytes(std::span(start)));
  if (std::memcmp(start, kMagic, sizeof start) == 0) return FileKind::kNpy;
  return Llama::is_llama2c(path) ? FileKind::kLlama2c : FileKind::kSafetensors;
}

template <class Visit>
void for_each_value(const Tensor& flat, const Visit& visit) {
  for (int64_t begin = 0; begin < flat.numel(); begin += kChunk)
    for (const double v : flat.slice(0, begin, std::min(begin + kChunk, flat.numel())).to_vector<double>()) visit(v);
}

using Described = std::map<std::string, quant::DescribedLayer>;  // by the parameter's name

// The compressed weights that the file's metadata describe.
Described described_in(const io::SafetensorsReader& reader) {
  Described out;
  const auto read = [&](const std::string& name) {
    return reader.contains(name) ? std::optional<Tensor>(reader.read(name)) : std::nullopt;
  };
  for (const quant::Method& method : quant::methods()) {
    const auto text = reader.metadata().find(method.metadata_key);
    if (text == reader.metadata().end() || !method.described) continue;
    for (quant::DescribedLayer& layer : method.described(text->second, read)) {
      TERN_CHECK(reader.contains(layer.parameter), FormatError, "[inspect] expected '", printable(layer.parameter),
                 "', as the metadata describe how ", method.title, " compresses it, got none");
      out.insert_or_assign(layer.parameter, std::move(layer));
    }
  }
  return out;
}

TensorInspection inspect_tensor(const std::string& name, const Tensor& x, const InspectOptions& options,
                                const quant::DescribedLayer* described = nullptr) {
  TensorInspection out{.name = name,
                       .type = std::string(name_of(x.dtype())),
                       .element_bits = 8 * size_of(x.dtype()),
                       .shape = x.shape(),
                       .bytes = x.bytes(),
                       .values = value_stats(x, options.bins),
                       .compressed = {}};
  if (described != nullptr && x.is_floating() && out.values.non_finite == 0)
    out.compressed = described->state(x.dtype() == DType::kF64 ? x : x.to(DType::kF32));
  return out;
}

// A tensor of a safetensors file, whether it can be read or not; its type is named as in the file.
TensorInspection inspect_entry(const io::SafetensorsReader& reader, const io::SafetensorsReader::Info& info,
                               const InspectOptions& options, const quant::DescribedLayer* described) {
  const auto bytes = static_cast<int64_t>(info.end - info.begin);
  const io::ElementType* type = io::find_element_type(info.type);
  TensorInspection out;
  if (info.dtype.has_value()) {
    out = inspect_tensor(info.name, reader.read(info.name), options, described);
  } else {
    out.name = info.name;
    out.readable = false;
    out.shape = info.shape;
    out.values.count = 1;
    for (const int64_t size : info.shape) out.values.count *= size;
    out.values.histogram.assign(static_cast<size_t>(options.bins), 0);
  }
  if (type == nullptr || !type->is_stored_as_dtype) {
    out.type = info.type;
    std::transform(out.type.begin(), out.type.end(), out.type.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    out.element_bits = type != nullptr ? type->bits : out.values.count > 0 ? 8 * bytes / out.values.count : 0;
  }
  out.bytes = bytes;
  return out;
}

void sort_tensors(std::vector<TensorInspection>& tensors, InspectSort sort) {
  const auto falling = [&](const auto& key) {
    std::stable_sort(tensors.begin(), tensors.end(),
                     [&](const TensorInspection& a, const TensorInspection& b) { return key(a) > key(b); });
  };
  switch (sort) {
    case InspectSort::kFile:
      break;
    case InspectSort::kName:
      std::stable_sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
      break;
    case InspectSort::kElements:
      falling([](const TensorInspection& t) { return t.values.count; });
      break;
    case InspectSort::kZeros:
      falling([](const TensorInspection& t) { return t.zero_share(); });
      break;
    case InspectSort::kBits:
      falling([](const TensorInspection& t) { return t.bits(); });
      break;
    case InspectSort::kDeviation:
      falling([](const TensorInspection& t) { return t.values.deviation; });
      break;
  }
}

// -- text

std::string figure(double v) {
  return format_text("%.4g", v);
}
std::string percent(double share) {
  return format_text("%.2f%%", 100 * share);
}
std::string distinct_text(int64_t distinct) {
  return distinct > kMostDistinct ? concat(">", kMostDistinct) : std::to_string(distinct);
}

// A name from a file in a line of its own: a megabyte of it would make a table of such lines.
std::string shown(const std::string& name) {
  return without_middle(printable(name), 160);
}

// What a method adds to the lines of tensors.
using Columns = std::vector<std::pair<std::string, std::string>>;  // heading, name of the figure

Columns method_columns(const std::vector<TensorInspection>& tensors) {
  Columns columns;
  for (const TensorInspection& t : tensors)
    for (const quant::LayerFigure& figure : t.compressed ? t.compressed->figures : std::vector<quant::LayerFigure>{}) {
      const std::pair<std::string, std::string> column{figure.heading, figure.name};
      if (!figure.heading.empty() && std::find(columns.begin(), columns.end(), column) == columns.end())
        columns.push_back(column);
    }
  return columns;
}

int64_t distinct_of(const TensorInspection& t) {
  const auto levels = t.compressed ? t.compressed->figure("levels") : std::nullopt;
  return levels ? std::llround(*levels) : t.values.distinct;
}

std::vector<std::string> cells_of(const TensorInspection& t, bool unicode, const Columns& columns, bool non_finite) {
  const bool values = t.readable && t.values.finite() > 0;
  const auto if_values = [&](double v) { return values ? figure(v) : std::string("-"); };
  std::vector<std::string> cells{t.name.empty() ? "(array)" : shown(t.name), t.type, to_string(t.shape)};
  cells.insert(cells.end(), {if_values(t.values.min), if_values(t.values.max), if_values(t.values.mean),
                             if_values(t.values.deviation), values ? percent(t.zero_share()) : std::string("-"),
                             t.readable ? distinct_text(distinct_of(t)) : "-", std::to_string(t.bits())});
  for (const auto& [heading, name] : columns) {
    const auto value = t.compressed ? t.compressed->figure(name) : std::nullopt;
    cells.push_back(value ? percent(*value) : "-");
  }
  if (non_finite) cells.push_back(t.readable ? std::to_string(t.values.non_finite) : "-");
  cells.push_back(values ? concat("|", histogram_sketch(t.values.histogram, unicode), "|") : "");
  return cells;
}

std::string megabytes(double bytes) {
  return format_text("%.2f MB", 1e-6 * bytes);
}

// -- the model of a file

int64_t positive(const io::Json& config, const char* key, int64_t missing) {
  const io::Json* value = config.find(key);
  return value != nullptr && value->is_integer() && value->as_int() > 0 ? value->as_int() : missing;
}

int64_t side_of(const nn::models::Model& model, const Checkpoint& checkpoint) {
  const io::Json config = model.config();
  if (const int64_t side = positive(config, "image_size", 0); side > 0) return side;
  if (const int64_t features = positive(config, "in_features", 0); features > 0)
    return std::max<int64_t>(1, std::lround(std::sqrt(static_cast<double>(features) / 3)));
  const auto text = checkpoint.metadata.find(meta::kPreprocessing);
  const Preprocessing p = text != checkpoint.metadata.end()
                              ? preprocessing_from(io::Json::parse("inspect", meta::kPreprocessing, text->second))
                              : (checkpoint.is_ours() ? Preprocessing{} : published_preprocessing(model.model_name()));
  return p.crop > 0 ? p.crop : p.resize > 0 ? p.resize : 32;  // without either: CIFAR's images
}

// Outputs of the layer that the model ends with, as the file has them.
int64_t classes_in(const Checkpoint& checkpoint, ModelSpec spec) {
  spec.classes = 10;
  const auto model = make_image_model(spec);
  std::string last;
  for (const auto& [name, module] : model->named_modules())
    if (dynamic_cast<const nn::Linear*>(module.get()) != nullptr) last = name + ".weight";
  const Tensor* weight = checkpoint.weights.find(last);
  return weight != nullptr && weight->dim() == 2 && weight->size(0) > 0 ? weight->size(0) : spec.classes;
}

ModelSummary summary_of(nn::Module& model, const std::function<void()>& run) {
  ModelSummary out{.modules = nn::summary(model, run), .compression = {}};
  for (const quant::Method& method : quant::methods())
    if (method.is_in(model) && !out.compression) out.compression = quant::layer_table(model, run);
  return out;
}

ModelSummary summary_of(nn::Module& model, int64_t tokens, int64_t positions) {
  TERN_CHECK(tokens <= positions, train::UsageError, "[inspect] expected at most ", positions,
             " tokens, which is what the model can take, got ", tokens);
  const int64_t length = tokens > 0 ? tokens : std::min<int64_t>(128, positions);
  return summary_of(model, [&] { (void)model(empty({1, length}, DType::kI64).fill_(0)); });
}

}  // namespace

ValueStats value_stats(const Tensor& x, int64_t bins) {
  TERN_CHECK(bins >= 1, ValueError, "[inspect] expected at least 1 bin, got ", bins);
  const NoGradGuard no_grad;
  const Tensor flat = x.detach().reshape({x.numel()});
  ValueStats out;
  out.count = x.numel();
  std::unordered_set<double> seen;
  for_each_value(flat, [&](double v) {
    if (!std::isfinite(v)) {
      ++out.non_finite;
      return;
    }
    const bool first = seen.empty();
    out.min = first ? v : std::min(out.min, v);
    out.max = first ? v : std::max(out.max, v);
    out.zeros += v == 0;
    if (static_cast<int64_t>(seen.size()) <= kMostDistinct) seen.insert(v);
  });
  out.distinct = static_cast<int64_t>(seen.size());
  out.histogram.assign(static_cast<size_t>(bins), 0);
  if (out.finite() == 0) return out;
  const auto n = static_cast<double>(out.finite());
  for_each_value(flat, [&](double v) {
    if (!std::isfinite(v)) return;
    out.mean += v / n;
    ++out.histogram[bin_of(v, out.min, out.max, out.histogram.size())];
  });
  double squares = 0;
  for_each_value(flat, [&](double v) {
    if (std::isfinite(v)) squares += (v - out.mean) * (v - out.mean) / n;
  });
  out.deviation = std::sqrt(squares);
  return out;
}

double TensorInspection::zero_share() const {
  return compressed ? 1 - compressed->density() : values.zero_share();
}

int64_t Inspection::elements() const {
  int64_t sum = 0;
  for (const TensorInspection& t : tensors) sum += t.values.count;
  return sum;
}
int64_t Inspection::bytes() const {
  int64_t sum = 0;
  for (const TensorInspection& t : tensors) sum += t.bytes;
  return sum;
}

Inspection inspect_file(const std::string& path, const InspectOptions& options) {
  TERN_CHECK(options.bins >= 1, ValueError, "[inspect] expected at least 1 bin, got ", options.bins);
  Inspection out;
  out.path = path;
  const auto wanted = [&](const std::string& name) {
    return options.filter.empty() || glob_matches(options.filter, name);
  };
  size_t in_file = 1;
  switch (kind_of(path, &out.file_bytes)) {
    case FileKind::kNpy:
      out.format = "npy";
      if (wanted("")) out.tensors.push_back(inspect_tensor("", io::load_npy(path), options));
      break;
    case FileKind::kLlama2c: {
      out.format = "llama2.c";
      const auto model = Llama::load_llama2c(path);
      const io::TensorMap state = model->state_dict();
      in_file = state.size();
      for (const auto& [name, tensor] : state)
        if (wanted(name)) out.tensors.push_back(inspect_tensor(name, tensor, options));
      break;
    }
    case FileKind::kSafetensors: {
      out.format = "safetensors";
      const io::SafetensorsReader reader(path);
      out.metadata = reader.metadata();
      in_file = reader.infos().size();
      const bool ours = out.metadata.contains(meta::kVersion);
      const Described described = described_in(reader);
      for (const auto& info : reader.infos()) {
        if (!wanted(info.name)) continue;
        if (ours && !options.all && options.filter.empty() && info.name.starts_with(kStatePrefix)) {
          ++out.left_out;
          out.left_out_bytes += static_cast<int64_t>(info.end - info.begin);
          continue;
        }
        const auto layer = described.find(info.name);
        out.tensors.push_back(
            inspect_entry(reader, info, options, layer != described.end() ? &layer->second : nullptr));
      }
      break;
    }
  }
  TERN_CHECK(options.filter.empty() || !out.tensors.empty(), ValueError, "[inspect] expected a filter that one of the ",
             in_file, " names fits, got '", options.filter, "'");
  sort_tensors(out.tensors, options.sort);
  return out;
}

std::string histogram_sketch(const std::vector<int64_t>& bins, bool unicode) {
  static constexpr const char* kBlocks[] = {" ",
                                            "\xe2\x96\x81",
                                            "\xe2\x96\x82",
                                            "\xe2\x96\x83",
                                            "\xe2\x96\x84",
                                            "\xe2\x96\x85",
                                            "\xe2\x96\x86",
                                            "\xe2\x96\x87",
                                            "\xe2\x96\x88"};
  static constexpr char kRamp[] = " .:-=+*#%@";
  const int64_t top = bins.empty() ? 0 : *std::max_element(bins.begin(), bins.end());
  const double levels = unicode ? 8 : 9;
  std::string out;
  for (const int64_t count : bins) {
    const auto level =
        count == 0 ? size_t{0}
                   : static_cast<size_t>(std::ceil(levels * static_cast<double>(count) / static_cast<double>(top)));
    if (unicode)
      out += kBlocks[level];
    else
      out += kRamp[level];
  }
  return out;
}

std::string to_text(const Inspection& inspection, bool unicode) {
  const Columns columns = method_columns(inspection.tensors);
  bool non_finite = false;
  std::map<std::string, quant::LayerTable> compressed;  // by method
  for (const TensorInspection& t : inspection.tensors) {
    non_finite |= t.values.non_finite > 0;
    if (t.compressed) compressed[t.compressed->method].layers.push_back(*t.compressed);
  }
  std::vector<std::vector<std::string>> lines{
      {"name", "dtype", "shape", "min", "max", "mean", "std", "zeros", "values", "bits"}};
  for (const auto& [heading, name] : columns) lines[0].push_back(heading);
  if (non_finite) lines[0].push_back("not finite");
  lines[0].push_back("min .. max");
  for (const TensorInspection& t : inspection.tensors) lines.push_back(cells_of(t, unicode, columns, non_finite));
  std::string out = aligned(lines, 3, true);
  if (!inspection.metadata.empty()) {
    constexpr size_t kLongest = 100;
    out += "\nmetadata\n";
    for (const auto& [key, value] : inspection.metadata) {
      const std::string_view start = std::string_view(value).substr(0, kLongest);
      const std::string text = printable(start.substr(0, io::valid_utf8_prefix(start)));
      out += concat("  ", shown(key), ": ", text,
                    value.size() > kLongest ? concat(" ... (", value.size(), " bytes)") : std::string(), "\n");
    }
  }
  out += concat("\n", inspection.format, ": ", inspection.tensors.size(),
                inspection.tensors.size() == 1 ? " tensor, " : " tensors, ", inspection.elements(), " elements, ",
                megabytes(static_cast<double>(inspection.bytes())), "; the file has ",
                megabytes(static_cast<double>(inspection.file_bytes)), "\n");
  for (const auto& [key, table] : compressed) {
    const quant::Method* method = quant::find_method(key);
    out += concat(method != nullptr ? method->title : key, ": ", table.weights(), " weights at ",
                  format_text("%.2f", table.mean_bits()), " bits on average, ", percent(table.sparsity()),
                  " of them zero, ", megabytes(static_cast<double>(table.bytes())),
                  "; zeros, values and bits are those of the effective weights, the rest of the latent ones\n");
  }
  if (inspection.left_out > 0)
    out += concat("left out: ", inspection.left_out, " tensors with the state of the run (", kStatePrefix, "*), ",
                  megabytes(static_cast<double>(inspection.left_out_bytes)), "\n");
  return out;
}

io::Json to_json(const Inspection& inspection) {
  io::Json tensors = io::Json::array();
  for (const TensorInspection& t : inspection.tensors) {
    const ValueStats& v = t.values;
    const auto real = [&](double x) { return t.readable && v.finite() > 0 ? io::Json(x) : io::Json(); };
    io::Json json = io::Json::object({{"name", t.name},
                                      {"dtype", t.type},
                                      {"shape", std::vector<int64_t>(t.shape.begin(), t.shape.end())},
                                      {"elements", v.count},
                                      {"bytes", t.bytes},
                                      {"bits", t.bits()},
                                      {"min", real(v.min)},
                                      {"max", real(v.max)},
                                      {"mean", real(v.mean)},
                                      {"std", real(v.deviation)},
                                      {"zeros", v.zeros},
                                      {"non_finite", v.non_finite},
                                      {"distinct", std::min(v.distinct, kMostDistinct)},
                                      {"distinct_is_least", v.distinct > kMostDistinct},
                                      {"histogram", v.histogram}});
    if (!t.readable) json["readable"] = false;
    if (t.compressed) json[t.compressed->method] = quant::to_json(*t.compressed);
    tensors.push_back(std::move(json));
  }
  io::Json metadata = io::Json::object();
  for (const auto& [key, value] : inspection.metadata) metadata[key] = value;
  return io::Json::object(
      {{"path", inspection.path},
       {"format", inspection.format},
       {"file_bytes", inspection.file_bytes},
       {"metadata", metadata},
       {"tensors", tensors},
       {"totals", io::Json::object({{"tensors", inspection.tensors.size()},
                                    {"elements", inspection.elements()},
                                    {"bytes", inspection.bytes()}})},
       {"left_out", io::Json::object({{"tensors", inspection.left_out}, {"bytes", inspection.left_out_bytes}})}});
}

ModelSummary summary_of_file(const std::string& path, const ModelQuestion& question) {
  const nn::init::SkipRandomFills skip;  // the file's values take their place
  const FileKind kind = kind_of(path);
  TERN_CHECK(kind != FileKind::kNpy, train::UsageError,
             "[inspect] expected weights of a model for --summary, got the array ", path);
  if (kind == FileKind::kLlama2c) {
    TERN_CHECK(question.model.empty() || question.model == "llama", train::UsageError,
               "[inspect] expected --model llama or none, as ", path, " is a llama2.c checkpoint, got ",
               question.model);
    const auto model = Llama::load_llama2c(path);
    return summary_of(*model, question.tokens, model->options().max_position_embeddings);
  }
  const Checkpoint checkpoint = load_checkpoint(path);
  std::shared_ptr<nn::models::Model> model;
  if (const auto name = checkpoint.metadata.find(nn::models::kModelKey); name != checkpoint.metadata.end()) {
    TERN_CHECK(question.model.empty() || question.model == name->second, train::UsageError,
               "[inspect] expected --model ", printable(name->second), " or none, as ", path, " says, got ",
               question.model);
    TERN_CHECK(question.set.empty(), train::UsageError, "[inspect] expected no --set, as ", path,
               " says what its model is");
    model = model_of(checkpoint);
  } else if (question.model == "llama") {
    model = Llama::load(path, question.config);
  } else {
    TERN_CHECK(!question.model.empty(), train::UsageError, "[inspect] expected --model NAME, a model of the zoo, as ",
               path, " does not say which one it is of; the tensors of any other model are listed without --summary");
    ModelSpec spec;
    Schema sizes("inspect");
    declare_model(sizes, spec);
    for (const std::string& assignment : question.set) sizes.set(assignment);
    spec.name = question.model;
    if (spec.classes == 0) spec.classes = classes_in(checkpoint, spec);
    model = make_image_model(spec);
    load_weights(*model, checkpoint);
  }
  if (const auto* llama = dynamic_cast<const Llama*>(model.get()))
    return summary_of(*model, question.tokens, llama->options().max_position_embeddings);
  const int64_t side = question.side > 0 ? question.side : side_of(*model, checkpoint);
  const Shape input{1, positive(model->config(), "in_channels", 3), side, side};
  return summary_of(*model, [&] { (void)(*model)(empty(input).fill_(0)); });
}

std::string to_text(const ModelSummary& summary) {
  std::string out = summary.modules.text();
  if (summary.compression) out += concat("\n", *summary.compression, "\n");
  return out;
}

io::Json to_json(const ModelSummary& summary) {
  const nn::Summary& modules = summary.modules;
  io::Json layers = io::Json::array();
  for (const nn::SummaryRow& row : modules.rows)
    layers.push_back(io::Json::object({{"name", row.name},
                                       {"type", row.type},
                                       {"output", std::vector<int64_t>(row.output.begin(), row.output.end())},
                                       {"calls", row.calls},
                                       {"parameters", row.parameters},
                                       {"trainable", row.trainable},
                                       {"macs", row.macs},
                                       {"bits", row.bits},
                                       {"zeros", row.zeros}}));
  io::Json json = io::Json::object({{"layers", layers},
                                    {"parameters", modules.parameters},
                                    {"trainable", modules.trainable},
                                    {"macs", modules.macs},
                                    {"bits", modules.bits},
                                    {"zero_share", modules.zero_share},
                                    {"model_bytes", modules.model_bytes}});
  if (summary.compression) json["compression"] = quant::to_json(*summary.compression);
  return json;
}

}  // namespace tern::train
