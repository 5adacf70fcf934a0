// Attachments as JSON for checkpoints.
#include <algorithm>

#include <tern/core/error.h>
#include <tern/core/io/json.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/quant/codeq/describe.h>

namespace tern::quant::codeq {
namespace {

using io::Json;

constexpr const char* kFormatName = "codeq-1";

Json to_json(const DeadZoneOptions& o) {
  return Json::object({{"learnable_bits", o.learnable_bits},
                       {"learnable_dead_zone", o.learnable_dead_zone},
                       {"fixed_bits", o.fixed_bits},
                       {"min_bits", o.min_bits},
                       {"max_bits", o.max_bits},
                       {"quantile", o.quantile},
                       {"eps", o.eps},
                       {"range", o.range == Range::kMaximum ? "maximum" : "quantile"},
                       {"relative_eps", o.relative_eps},
                       {"mask_clamped", o.mask_clamped},
                       {"mask_weight_gradient", o.mask_weight_gradient},
                       {"max_logit_gradient", o.max_logit_gradient},
                       {"min_abs_logit", o.min_abs_logit},
                       {"check_finite", o.check_finite}});
}

DeadZoneOptions options_from(const Json& j) {
  DeadZoneOptions o;
  o.learnable_bits = j.at("learnable_bits").as_bool();
  o.learnable_dead_zone = j.at("learnable_dead_zone").as_bool();
  o.fixed_bits = static_cast<int>(std::clamp<int64_t>(j.at("fixed_bits").as_int(), 0, 100));
  o.min_bits = static_cast<int>(std::clamp<int64_t>(j.at("min_bits").as_int(), 0, 100));
  o.max_bits = static_cast<int>(std::clamp<int64_t>(j.at("max_bits").as_int(), 0, 100));
  o.quantile = j.at("quantile").as_number();
  o.eps = j.at("eps").as_number();
  o.range = j.at("range").as_string() == "maximum" ? Range::kMaximum : Range::kQuantile;
  o.relative_eps = j.at("relative_eps").as_bool();
  o.mask_clamped = j.at("mask_clamped").as_bool();
  o.mask_weight_gradient = j.at("mask_weight_gradient").as_bool();
  o.max_logit_gradient = j.at("max_logit_gradient").as_number();
  o.min_abs_logit = j.at("min_abs_logit").as_number();
  o.check_finite = j.at("check_finite").as_bool();
  return o;
}

}  // namespace

std::string describe_attachment(const nn::Module& model) {
  Json layers = Json::array();
  for (const auto& [path, parameter] : model.named_parameter_objects())
    if (const auto* quantizer = parameter->parametrization_as<Quantizer>())
      layers.push_back(Json::object({{"parameter", path}, {"options", to_json(quantizer->options().dead_zone)}}));
  return Json::object({{"format", kFormatName}, {"layers", layers}}).dump();
}

std::vector<std::pair<std::string, DeadZoneOptions>> described_quantizers(const std::string& description) {
  const Json parsed = Json::parse("codeq", "attached quantizers", description);
  const std::string& format = parsed.at("format").as_string();
  TERN_CHECK(format == kFormatName, FormatError, "[codeq] expected an attachment of format ", kFormatName, ", got ",
             format);
  std::vector<std::pair<std::string, DeadZoneOptions>> found;
  for (const Json& layer : parsed.at("layers").items()) {
    found.emplace_back(layer.at("parameter").as_string(), options_from(layer.at("options")));
    found.back().second.validate();
  }
  return found;
}

void restore_attachment(nn::Module& model, const std::string& description) {
  std::vector<std::pair<nn::Parameter*, Quantizer::Options>> found;
  for (const auto& [path, settings] : described_quantizers(description)) {
    nn::Parameter& weight = model.get_parameter(path);
    found.emplace_back(&weight, Quantizer::Options{.dead_zone = settings, .dtype = weight.latent().dtype()});
  }
  size_t attached = 0;
  try {
    for (const auto& [weight, options] : found) {
      weight->parametrize(std::make_shared<Quantizer>(options));
      ++attached;
    }
  } catch (...) {
    while (attached > 0) found[--attached].first->remove_parametrization();
    throw;
  }
}

}  // namespace tern::quant::codeq
