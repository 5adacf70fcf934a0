#include <algorithm>
#include <map>

#include <tern/core/error.h>
#include <tern/core/io/element_type.h>
#include <tern/core/io/npy.h>
#include <tern/core/io/safetensors.h>
#include <tern/core/text.h>
#include <tern/nn/models/llama.h>
#include <tern/quant/method.h>
#include <tern/train/insight/inspect.h>
#include <tern/train/insight/weight_file.h>
#include <tern/train/weights/checkpoint.h>

namespace tern::train {
namespace {

using nn::models::Llama;

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

}  // namespace

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
  switch (weight_file_kind(path, &out.file_bytes)) {
    case WeightFile::kNpy:
      out.format = "npy";
      if (wanted("")) out.tensors.push_back(inspect_tensor("", io::load_npy(path), options));
      break;
    case WeightFile::kLlama2c: {
      out.format = "llama2.c";
      const auto model = Llama::load_llama2c(path);
      const io::TensorMap state = model->state_dict();
      in_file = state.size();
      for (const auto& [name, tensor] : state)
        if (wanted(name)) out.tensors.push_back(inspect_tensor(name, tensor, options));
      break;
    }
    case WeightFile::kSafetensors: {
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

}  // namespace tern::train
