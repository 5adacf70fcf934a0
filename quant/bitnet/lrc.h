// Low-rank correction of a ternary layer (after arXiv 2412.07902): a frozen BitLinear and two thin matrices in full
// precision, which see the input before it is quantized and give back part of what quantizing has lost.
//
//   y = q8(x) Wq^T + (x V) U^T + bias          U [out, rank], V [in, rank]
//
// The gradient passes straight through the input's quantizer: dx = g Wq + (g U) V^T, dU = g^T (x V), dV = x^T (g U).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <tern/core/tensor.h>
#include <tern/nn/child.h>
#include <tern/nn/layers/norms.h>
#include <tern/nn/module.h>
#include <tern/quant/bitnet/bit_linear.h>
#include <tern/quant/selection.h>

namespace tern::quant::bitnet {

/// How the two factors start.
enum class LrcInit {
  kKaiming,        ///< U = 0, V uniform in +-1/sqrt(in): the output is at first that of the plain layer
  kSvdResidual,    ///< the best approximation of W - Wq: U = P sqrt(S), V = Z sqrt(S), the leading singular vectors
  kActivationSvd,  ///< the best correction of the layer's output on calibration tokens X: with the least-squares map M
                   ///< of the error X W^T - q8(X) Wq^T on X, U = the leading eigenvectors of M (X^T X) M^T, V = M^T U
  kZeros,          ///< U = V = 0, whose gradients are zero for ever: for comparisons with published code
};

/// Factors of rank `rank`.
struct LrcFactors {
  Tensor u;  ///< [out, rank]
  Tensor v;  ///< [in, rank]
};
/// The leading `rank` terms of the singular value decomposition of W - Wq, f32 or f64 as the weight. weight: [out, in].
/// Throws ValueError for a rank outside [1, min(in, out)], and as ternarize.
[[nodiscard]] LrcFactors svd_residual(const Tensor& weight, int64_t rank);
/// The factors that minimise |X W^T - q8(X) Wq^T - X V U^T|^2 over tokens X [tokens, in]; `ridge` times the mean of the
/// diagonal of X^T X is added to it. Throws as svd_residual, ShapeError for tokens of another width.
[[nodiscard]] LrcFactors activation_svd(const Tensor& weight, const Tensor& tokens, int64_t rank, double ridge = 1e-6);

/// The layer. Parameters: weight (unless dropped), bias, lrc_U, lrc_V, subln.weight; a dropped weight leaves its codes
/// and scale as the buffers weight_packed, u8 as packed::pack2_block128 has it, and weight_scale. lambda does not
/// concern it. x: [..., in_features]; the result has out_features in their place. Throws as bit_linear, FormatError for
/// packed codes that are none.
class BitLinearLrc : public nn::Module {
 public:
  struct Options {
    BitLinear::Options layer = {};  ///< of the layer that is corrected; its lambda is not used
    int64_t rank = 0;               ///< required: in [1, min(in_features, out_features)]
    bool trainable_weight = false;  ///< the latent weight learns too, straight through its quantizer; needs keep_weight
    bool keep_weight = true;        ///< false: only the codes stay
  };
  /// Factors start as kKaiming. Throws ValueError for options out of range.
  explicit BitLinearLrc(const Options& options);
  const Options& options() const { return options_; }

  Tensor forward(const Tensor& x) override;
  std::string extra_text() const override;
  /// Elements of the output times in_features, and those of the two factors.
  int64_t macs(const Shape& input, const Shape& output) const override;
  /// The weight's codes: the buffers', or those of the weight as it is now.
  const Ternary& ternary();
  int64_t rank() const { return options_.rank; }

 private:
  Options options_;

 public:
  nn::Parameter weight;
  nn::Parameter bias;
  nn::Parameter lrc_u;  ///< "lrc_U"
  nn::Parameter lrc_v;  ///< "lrc_V"
  nn::Buffer weight_packed;
  nn::Buffer weight_scale;
  std::optional<nn::Child<nn::RMSNorm>> subln;

 private:
  detail::CachedTernary codes_;
};

/// Settings of convert_to_lrc().
struct LrcOptions {
  int64_t rank = 0;              ///< 0: rank_percentage decides
  double rank_percentage = 0.1;  ///< in (0, 1]: rank max(1, floor(this * min(in, out)))
  LrcInit init = LrcInit::kKaiming;
  std::vector<std::string> exclude = {};  ///< paths, last parts of paths, or patterns of paths with * and ?
  bool trainable_weight = false;          ///< as BitLinearLrc::Options
  bool keep_weight = true;                ///< likewise
  /// For kActivationSvd: runs the model over calibration data; what every layer is given meanwhile is collected.
  std::function<void(nn::Module& model)> calibrate = {};
  int64_t calibration_tokens = 4096;  ///< a layer keeps at most so many, of more a random sample (quant/capture.h)
};

/// The rank that the options give a layer of these sizes.
int64_t rank_of(const BitLinear::Options& layer, const LrcOptions& options);

/// What convert_to_lrc() did: paths and ranks of the layers converted, those of layers corrected before, and paths of
/// BitLinear layers left, with the reason.
struct LrcReport {
  std::vector<std::pair<std::string, int64_t>> converted;
  std::vector<std::pair<std::string, int64_t>> before;
  std::vector<LeftOut> left;
};
/// Puts a BitLinearLrc in the place of every BitLinear below the model that is not excluded, with its weight, bias and
/// norm, in all places where the layer stands. Layers corrected before stay as they are, and so do, reported as left,
/// those whose weight or bias is tied to another. Throws ValueError for options out of range, for an exclusion that
/// matches no BitLinear, and for a model without BitLinear layers (a float model is to be converted first); then
/// nothing has changed.
LrcReport convert_to_lrc(nn::Module& model, const LrcOptions& options = {});

/// Elements that train and that do not, after freeze_except_lrc.
struct FreezeReport {
  int64_t trainable = 0;
  int64_t frozen = 0;
};
/// Makes the factors (lrc_U, lrc_V) the model's only parameters that require a gradient. Throws ValueError for a model
/// without.
FreezeReport freeze_except_lrc(nn::Module& model);

struct LrcStats {
  int64_t layers = 0;
  int64_t factor_elements = 0;  ///< of all U and V
  int64_t frozen_elements = 0;  ///< of all weights and biases of these layers that do not train
  std::vector<int64_t> ranks;
  double mean_rank = 0;  ///< 0 without layers
};
LrcStats lrc_stats(const nn::Module& model);

}  // namespace tern::quant::bitnet
