// Turning the linear layers of a model into BitNet's, in place, and back from a file.
//
//   const auto report = quant::bitnet::convert(*model, {.subln = quant::bitnet::SubLn::kOutputProjections});
#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tern/nn/module.h>
#include <tern/quant/bitnet/bit_linear.h>
#include <tern/quant/bitnet/lrc.h>
#include <tern/quant/selection.h>

namespace tern::quant::bitnet {

/// Which converted layers get a norm of their input.
enum class SubLn {
  kNone,               ///< no layer: a pretrained model's values are disturbed by quantization alone
  kOutputProjections,  ///< the last map of an attention and of a feed-forward (arXiv 2510.13998)
  kAll,                ///< every converted layer
};

/// Settings of convert(). What is matched against `exclude`: a layer's path ("model.layers.0.mlp.up_proj"), the last
/// part of it ("up_proj"), its type ("Linear"), or a pattern of the path with * and ?.
struct ConvertOptions {
  std::vector<std::string> exclude = {};  ///< layers to leave in full precision
  /// Leaves maps to classes or tokens in full precision as well: nn::models::Model::head_path() of the zoo's models,
  /// and layers called "lm_head", "head" or "classifier".
  bool exclude_heads = true;
  SubLn subln = SubLn::kNone;
  /// Last parts of the paths that SubLn::kOutputProjections means.
  std::vector<std::string> output_projections = {"o_proj", "down_proj", "out_proj", "proj", "fc2"};
  double subln_eps = 1e-6;
  bool subln_affine = true;
  bool quantize_weight = true;
  bool quantize_activation = true;
};

/// What convert() did.
struct ConvertReport {
  struct Layer {
    std::string path;
    bool subln = false;
  };
  std::vector<Layer> converted;
  std::vector<Layer> before;  ///< converted before; they stay as they are
  std::vector<LeftOut> left;  ///< linear layers left as they are
};
/// "converted 28 layers (8 with SubLN), left 1: lm_head (a head)", with "; converted before: 4" if there are such.
std::string to_string(const ConvertReport& report);
std::ostream& operator<<(std::ostream& out, const ConvertReport& report);

/// Whether convert() gives the layer of that path a SubLN, if it converts it.
bool wants_subln(std::string_view path, const ConvertOptions& options);
/// Puts a BitLinear in the place of every nn::Linear below the model that is not excluded, with the same weight and
/// bias tensors (an optimizer that holds them follows), which train if they did before. Left, and reported so: excluded
/// layers, heads, layers whose weight or bias is tied to another, layers of derived types. A layer that stands in
/// several places is one layer: it is converted in all of them, excluded or a head by any of its paths, and reported
/// under the first. Converting twice changes nothing, whatever the options. Throws ValueError for an exclusion that
/// matches no linear layer, and if there is neither a layer to convert nor a converted one; StateError for a weight or
/// bias with a parametrization. Nothing has changed when it throws.
ConvertReport convert(nn::Module& model, const ConvertOptions& options = {});
/// Whether at least one layer is a BitLinear or a BitLinearLrc. A model converted in part is one.
bool is_bitnet(const nn::Module& model);
/// convert(), unless is_bitnet(): then nothing happens and the report is empty.
ConvertReport auto_convert(nn::Module& model, const ConvertOptions& options = {});

/// The converted layers as JSON text, for a file's metadata, and the same layers put into a model of the same
/// structure; weights then come with the state dict. restore_conversion throws FormatError for a text that is not such
/// a description, ValueError for a layer that the model lacks or sizes that differ from its linear layer's; then
/// nothing has changed.
std::string describe_conversion(const nn::Module& model);
void restore_conversion(nn::Module& model, const std::string& description);
/// A layer in such a description.
struct DescribedConversion {
  std::string path;
  BitLinear::Options options;
  std::optional<BitLinearLrc::Options> correction = {};
};
/// The layers in such a text. Throws FormatError.
std::vector<DescribedConversion> described_conversion(const std::string& description);

}  // namespace tern::quant::bitnet
