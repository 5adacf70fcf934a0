// For models that are done training: batch norm folded into the layer before it, and weights packed once.
#pragma once

#include <string>
#include <vector>

#include <tern/nn/module.h>

namespace tern::nn {

/// What fuse_for_inference did.
struct FusionReport {
  struct Fused {
    std::string layer;  ///< path of the convolution or linear layer that now does both
    std::string norm;   ///< path of the batch norm, where an Identity stands now
  };
  struct Left {
    std::string norm;    ///< its path
    std::string reason;  ///< a phrase, for people
  };
  std::vector<Fused> fused;
  std::vector<Left> left;  ///< batch norms that stay as they are
};

/// Puts the model into evaluation mode and folds each BatchNorm1d or BatchNorm2d into the Conv2d or Linear layer whose
/// output it alone reads, with the running statistics, in double precision:
///   s = norm.weight / sqrt(running_var + eps),  weight' = s weight,  bias' = norm.bias + s (bias - running_mean)
/// The layer is replaced by one with a bias and the norm by an Identity; nn::conv_bn_act then computes convolution,
/// residual and ReLU at once. Who reads what is observed in one forward of `example`, an input such as the model will
/// get. Left alone, with the reason in the report: norms after anything else, norms of another axis than the layer's
/// outputs (of [N, T, features] behind a linear layer), layers or norms that stand in several places, layers that are
/// called more than once, whose output something else reads too, that are of derived types, tied or parametrized (bake
/// a quantizer first), or have hooks, norms without running statistics. Parameters that an optimizer or the caller
/// holds do not follow. Throws what the forward throws, ValueError if the result for `example` is not finite, and
/// StateError if the result for `example` changes by more than rounding: 3.8e-6 of its largest value in f32 and as much
/// again for each norm. All norms that can be are folded or, when it throws, none: the model is then as it was, but for
/// its mode.
/// In the end the weights of all Conv2d and Linear layers keep the forms that their kernels read (core/kept_forms.h),
/// made at the first forward without gradients: a model of N bytes then holds up to 2N, and more where it has 3 x 3
/// convolutions.
FusionReport fuse_for_inference(Module& model, const Tensor& example);

}  // namespace tern::nn
