// Which kernels a convolution runs on.
#pragma once

namespace tern {

/// Winograd's minimal filtering (Lavin and Gray, 2016) serves single-precision 3 x 3 convolutions (winograd_plan.h) and
/// rounds otherwise than the direct kernels.
enum class ConvMethod {
  kAuto,       ///< Winograd's minimal filtering where it is faster, else direct
  kDirect,     ///< never Winograd
  kWinograd2,  ///< F(2 x 2, 3 x 3) wherever it can be used: for tests and measurements
  kWinograd4,  ///< F(4 x 4, 3 x 3) likewise
};

/// What set_conv_method chose, or else the environment variable TERN_CONV as it was at the first convolution: `direct`,
/// or `auto` (also when unset or empty). Throws ValueError if it is anything else.
[[nodiscard]] ConvMethod conv_method();
/// Chooses from here on, for all threads; also for gradients of convolutions that have run already.
void set_conv_method(ConvMethod method);

}  // namespace tern
