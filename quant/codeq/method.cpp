#include <cmath>
#include <unordered_set>
#include <utility>

#include <tern/core/error.h>
#include <tern/core/text.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/quant/codeq/describe.h>
#include <tern/quant/codeq/method.h>

namespace tern::quant::codeq {
namespace {

double logit_of(const ReadTensor& read, const std::string& weight, const char* name) {
  const std::string full = concat(weight, ".codeq.", name);
  const std::optional<Tensor> logit = read(full);
  TERN_CHECK(logit.has_value(), FormatError, "[codeq] expected '", printable(full),
             "', as the metadata describe a quantizer of '", printable(weight), "', got none");
  TERN_CHECK(logit->numel() == 1, FormatError, "[codeq] expected '", printable(full), "' of one element, got ",
             tern::describe(*logit));
  return logit->item();
}

// Different values that the quantized weight has.
int64_t count_levels(const Tensor& latent, double logit_dz, double logit_bit, const DeadZoneOptions& options) {
  const Tensor codes = dead_zone_codes(latent, dead_zone_of(latent, logit_dz, logit_bit, options)).contiguous();
  const int32_t* q = codes.data<int32_t>();
  const std::unordered_set<int32_t> distinct(q, q + codes.numel());
  return static_cast<int64_t>(distinct.size());
}

std::vector<DescribedLayer> described_layers(const std::string& description, const ReadTensor& read) {
  std::vector<DescribedLayer> layers;
  for (const auto& [parameter, options] : described_quantizers(description)) {
    const double dz = logit_of(read, parameter, "logit_dz"), bit = logit_of(read, parameter, "logit_bit");
    layers.push_back(
        {parameter, [parameter = parameter, options = options, dz, bit](const Tensor& latent) {
           std::optional<LayerState> state;
           if (std::isfinite(dz) && std::isfinite(bit)) {
             state = state_of(latent, dz, bit, options);
             state->parameter = parameter;
             state->name = parameter.ends_with(".weight") ? parameter.substr(0, parameter.size() - 7) : parameter;
             state->figures.push_back({.name = "levels",
                                       .value = static_cast<double>(count_levels(latent, dz, bit, options)),
                                       .kind = LayerFigure::Kind::kCount});
           }
           return state;
         }});
  }
  return layers;
}

}  // namespace

Method method() {
  return {.key = kMethodKey,
          .metadata_key = "tern.quantizers",
          .title = "CoDeQ",
          .is_in = [](const nn::Module& model) { return !attached_layers(model).empty(); },
          .describe = describe_attachment,
          .restore = restore_attachment,
          .layer_states = layer_states,
          .described = described_layers};
}

}  // namespace tern::quant::codeq
