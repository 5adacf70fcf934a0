// A table of a model's layers: output shapes, parameters, multiply-accumulates, bits and zeros.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include <tern/nn/module.h>

namespace tern::nn {

/// A module of the model. Tied parameters count at their first place, absent ones not at all.
struct SummaryRow {
  std::string name;        ///< path; "" is the model itself
  std::string type;        ///< class and settings
  Shape output;            ///< of the first call
  int64_t calls = 0;       ///< in one forward
  int64_t parameters = 0;  ///< elements of its own parameters, without its children's
  int64_t trainable = 0;   ///< of these, elements that require a gradient
  int64_t macs = 0;        ///< multiply-accumulates of all its calls, without its children's
  double bits = 0;    ///< bits per parameter as the layer reads them, on average (32 for f32); 0 without parameters
  int64_t zeros = 0;  ///< among the values it reads
};

/// The table and its totals.
struct Summary {
  std::vector<SummaryRow> rows;  ///< parents before children
  int64_t parameters = 0;
  int64_t trainable = 0;
  int64_t macs = 0;
  double bits = 0;         ///< bits per parameter on average
  double zero_share = 0;   ///< zeros over parameters, in [0, 1]
  double model_bytes = 0;  ///< of all parameters at their bits, an eighth of the sum
  /// The table, as aligned lines of text with the totals below.
  std::string text() const;
};
std::ostream& operator<<(std::ostream& out, const Summary& summary);

/// Runs the model once on zeros of that shape (in the dtype of its first parameter), in evaluation mode and without
/// gradients, and describes every module. The modules' modes are put back. Throws what the forward throws.
[[nodiscard]] Summary summary(Module& model, const Shape& input);
/// The same with a forward of your own, for models that are not called with one floating-point tensor.
[[nodiscard]] Summary summary(Module& model, const std::function<void()>& run);

}  // namespace tern::nn
