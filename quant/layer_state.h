// What compression makes of a layer, in the figures that people compare: bits, zeros, range, bytes, multiply-adds and
// bit operations; and the table of a model with its totals. The same for every method.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tern/core/io/json.h>
#include <tern/nn/module.h>
#include <tern/nn/summary.h>

namespace tern::quant {

/// A figure that a method adds to a layer's state.
struct LayerFigure {
  enum class Kind { kNumber, kCount, kShare };
  std::string name;  ///< as in files: "dead_zone_share"
  double value = 0;
  Kind kind = Kind::kNumber;
  std::string heading = {};  ///< of its column in tables for people, "dead zone"; empty for no column

  std::string column() const;  ///< the heading as a key: "dead_zone"
  std::string text() const;    ///< the value for people, by its kind: "1.25%", "12", "0.03125"
};

/// One weight of a model.
struct LayerState {
  std::string name;            ///< path of the layer, or of a parameter that is not a layer's "weight"
  std::string parameter = {};  ///< path of the parameter; empty for weights that are stored in codes alone
  std::string method = {};     ///< key of the method that compresses it (method.h); empty for full precision
  int64_t weights = 0;         ///< elements
  int64_t zeros = 0;           ///< of these, zero in what the layer computes with
  int bits = 32;               ///< of a weight
  int activation_bits = 32;    ///< of an element of the layer's input
  double range = 0;            ///< largest magnitude that the method keeps to, in units of the weights; 0 without one
  int64_t bytes = 0;           ///< the weights at their bits, and what the method stores besides (scales)
  int64_t macs = 0;            ///< dense multiply-adds for one example; 0 where they are not counted. Those of a module
                               ///< other than a convolution or linear layer are shared among its reported parameters
                               ///< by their sizes
  std::vector<LayerFigure> figures = {};  ///< what the method adds

  bool quantized() const { return !method.empty(); }
  /// The figure of that name; nothing if the method adds none.
  std::optional<double> figure(std::string_view figure_name) const;
  /// Share of weights that are not zero; 1 without weights.
  double density() const {
    return weights == 0 ? 1.0 : 1.0 - static_cast<double>(zeros) / static_cast<double>(weights);
  }
  /// Bit operations: density * MACs * bits of a weight * bits of an activation (arXiv 2512.12981, section 6).
  double bops() const { return density() * static_cast<double>(macs) * bits * activation_bits; }
};

/// The state of a weight in full precision: its elements, zeros and bytes at 32 bits. `values` is what the layer
/// computes with.
LayerState full_precision(std::string name, std::string parameter, const Tensor& values);
/// Bytes of so many weights at so many bits, rounded up.
int64_t bytes_at(int64_t weights, double bits);

/// The weights of a model in the order of its tree, with their totals: those of all convolutions and linear layers and
/// of whatever else a method compresses; in a model with compressed layers also every other parameter of two or more
/// axes, at 32 bits. Parameters that share a tensor count once.
struct LayerTable {
  std::vector<LayerState> layers;

  int64_t weights() const;   ///< this and what follows: of all layers together
  double sparsity() const;   ///< zeros over all weights, a fraction; 0 without weights
  double mean_bits() const;  ///< weighted by weights; 32 for a layer in full precision
  int64_t bytes() const;
  int64_t macs() const;
  double bops() const;
  double rel_bops() const;  ///< bops() over those of the same model in dense fp32, a fraction; 1 without MACs

  /// The layer of that name; null if there is none.
  const LayerState* find(std::string_view name) const;
};

/// A table for people, a line per layer and a line of totals, with a column for every figure that has a heading;
/// without MACs, no columns of them.
std::string to_string(const LayerTable& table);
std::ostream& operator<<(std::ostream& out, const LayerTable& table);
/// {"layers": [{"name", "method", "weights", "zeros", "bits", ...and the figures by name}], "weights", "sparsity",
/// "mean_bits", "bytes"} and, with MACs, "macs", "bops", "rel_bops".
io::Json to_json(const LayerTable& table);
io::Json to_json(const LayerState& layer);

/// The table of a model, without MACs: what every registered method says of its layers, and the rest as it is. Cheap
/// enough for every log line.
LayerTable layer_table(const nn::Module& model);
/// The same with MACs, counted in one forward of an all-zero input of that shape ([1, 3, 32, 32]; the batch is divided
/// out) as nn::summary counts them. Throws ShapeError for a shape without a batch, and what the forward throws.
LayerTable layer_table(nn::Module& model, const Shape& input);
/// The same with a forward of one's own, for a model that is called in another way; MACs are those of the whole run:
///
///   const auto table = quant::layer_table(model, [&] { static_cast<void>(model(tokens)); });
LayerTable layer_table(nn::Module& model, const std::function<void()>& run);

}  // namespace tern::quant
