// Reports as text, and attachments as JSON for checkpoints.
#include <algorithm>
#include <cstdio>
#include <ostream>

#include <tern/core/error.h>
#include <tern/core/io/json.h>
#include <tern/quant/codeq/codeq.h>

namespace tern::quant::codeq {
namespace {

using io::Json;

template <class... Args>
std::string format(const char* text, Args... args) {
  char line[256];
  std::snprintf(line, sizeof line, text, args...);
  return line;
}

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

std::string to_string(const Report& report) {
  size_t width = 5;
  for (const LayerReport& layer : report.layers) width = std::max(width, layer.name.size());
  const int w = static_cast<int>(std::min<size_t>(width, 60));
  const double all_bops = report.bops();
  const bool with_macs = report.macs() > 0;
  const auto line = [&](const std::string& start, const std::string& macs) {
    return start + (with_macs ? macs : std::string()) + "\n";
  };
  std::string out = line(format("%-*s %10s %7s %5s %8s %9s", w, "layer", "weights", "zeros", "bits", "d/2A", "range"),
                         format(" %12s %12s", "MACs", "BOPs share"));
  for (const LayerReport& layer : report.layers) {
    const double ratio = layer.dead_zone.range > 0 ? layer.dead_zone.dead_zone / (2 * layer.dead_zone.range) : 0.0;
    out += line(
        format("%-*.60s %10lld %6.2f%% %5d %8.4f %9.4f", w, layer.name.c_str(), static_cast<long long>(layer.weights),
               100 * (1 - layer.density()), layer.bits, ratio, layer.dead_zone.range),
        format(" %12lld %11.2f%%", static_cast<long long>(layer.macs),
               all_bops > 0 ? 100 * layer.bops() / all_bops : 0.0));
  }
  out += line(format("%-*s %10lld %6.2f%% %5.2f %8s %9s", w, "total", static_cast<long long>(report.weights()),
                     100 * report.sparsity(), report.mean_bits(), "", ""),
              format(" %12lld %11.2f%%", static_cast<long long>(report.macs()), all_bops > 0 ? 100.0 : 0.0));
  if (with_macs) return out + format("BOPs %.4g, %.3f %% of dense fp32", all_bops, 100 * report.rel_bops());
  out.pop_back();
  return out;
}

std::ostream& operator<<(std::ostream& out, const Report& report) {
  return out << to_string(report);
}

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
