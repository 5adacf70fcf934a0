#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ostream>
#include <unordered_map>
#include <unordered_set>

#include <tern/core/autograd/autograd.h>
#include <tern/core/text.h>
#include <tern/nn/eval_mode.h>
#include <tern/nn/parametrization.h>
#include <tern/nn/scoped_hooks.h>
#include <tern/nn/summary.h>

namespace tern::nn {
namespace {

int64_t count_zeros(const Tensor& x) {
  const std::vector<double> values = x.to_vector<double>();
  return std::count(values.begin(), values.end(), 0.0);
}

std::string thousands(int64_t n) {
  std::string digits = std::to_string(n), out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

std::string fixed(double v, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, v);
  return text;
}

}  // namespace

Summary summary(Module& model, const std::function<void()>& run) {
  const NoGradGuard no_grad;
  const EvalModeGuard evaluation(model);
  const NamedModules modules = model.named_modules();
  Summary out;
  std::unordered_map<const Module*, size_t> row_of;
  ScopedHooks hooks;
  for (const auto& [name, module] : modules) {
    row_of[module.get()] = out.rows.size();
    const std::string settings = module->extra_text();
    SummaryRow row;
    row.name = name;
    row.type = settings.empty() ? module->type_name() : concat(module->type_name(), "(", settings, ")");
    out.rows.push_back(std::move(row));
  }
  for (const auto& [name, module] : modules)
    hooks.after(*module, [&](Module& m, std::span<const Tensor> inputs, const Tensor& output) {
      SummaryRow& row = out.rows[row_of.at(&m)];
      if (row.calls++ == 0) row.output = output.shape();
      if (!inputs.empty()) row.macs += m.macs(inputs[0].shape(), output.shape());
    });
  run();
  hooks.remove();

  std::unordered_set<const void*> seen;
  double bits = 0;
  int64_t zeros = 0;
  for (const auto& [name, module] : modules) {
    SummaryRow& row = out.rows[row_of.at(module.get())];
    double row_bits = 0;
    for (const Parameter* parameter : module->own_parameters()) {
      if (!parameter->defined() || !seen.insert(parameter->state_id()).second) continue;
      const Tensor effective = (*parameter)();
      const int64_t n = effective.numel();
      row.parameters += n;
      if (parameter->latent().requires_grad()) row.trainable += n;
      row.zeros += count_zeros(effective);
      const double stored = static_cast<double>(8 * size_of(effective.dtype()));
      const auto weight_bits =
          parameter->is_parametrized() ? parameter->parametrization()->weight_bits() : std::optional<double>();
      row_bits += weight_bits.value_or(stored) * static_cast<double>(n);
    }
    if (row.parameters > 0) row.bits = row_bits / static_cast<double>(row.parameters);
    out.parameters += row.parameters;
    out.trainable += row.trainable;
    out.macs += row.macs;
    bits += row_bits;
    zeros += row.zeros;
  }
  if (out.parameters > 0) {
    out.bits = bits / static_cast<double>(out.parameters);
    out.zero_share = static_cast<double>(zeros) / static_cast<double>(out.parameters);
  }
  out.model_bytes = bits / 8;
  return out;
}

Summary summary(Module& model, const Shape& input) {
  DType dtype = DType::kF32;
  for (const Tensor& parameter : model.parameters()) {
    dtype = parameter.dtype();
    break;
  }
  return summary(model, [&] { model(empty(input, dtype).fill_(0)); });
}

std::string Summary::text() const {
  const auto share = [](int64_t part, int64_t whole) {
    return whole == 0 ? std::string("-")
                      : fixed(100.0 * static_cast<double>(part) / static_cast<double>(whole), 1) + "%";
  };
  std::vector<std::vector<std::string>> lines = {{"layer", "type", "output", "parameters", "MACs", "bits", "zeros"}};
  for (const SummaryRow& row : rows) {
    lines.push_back({row.name.empty() ? "(model)" : row.name, row.type, row.calls == 0 ? "-" : to_string(row.output),
                     row.parameters == 0 ? "-" : thousands(row.parameters), row.macs == 0 ? "-" : thousands(row.macs),
                     row.parameters == 0 ? "-" : fixed(row.bits, 1), share(row.zeros, row.parameters)});
  }
  std::string out = tern::aligned(lines, 3);  // texts to the left, numbers to the right
  out += concat("parameters ", thousands(parameters), " (trainable ", thousands(trainable), "), MACs ", thousands(macs),
                ", ", fixed(bits, 2), " bits each, ", fixed(model_bytes / 1e6, 2), " MB, zeros ",
                fixed(100 * zero_share, 1), "%\n");
  return out;
}

std::ostream& operator<<(std::ostream& out, const Summary& summary) {
  return out << summary.text();
}

}  // namespace tern::nn
