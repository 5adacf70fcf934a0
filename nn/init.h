// Initialisations: fills of tensors in place, outside the graph, with the names and formulas of torch.nn.init. Random
// ones take one block an element from the default generator (manual_seed) and are computed in double, so that an f32
// and an f64 model start from the same values.
#pragma once

#include <string_view>

#include <tern/core/tensor.h>

namespace tern::nn::init {

/// What a layer's forward scales variances by: fan_in counts the inputs of one output (keeps the forward's variance),
/// fan_out the outputs one input reaches (keeps the backward's).
enum class FanMode { kFanIn, kFanOut };

/// fan_in and fan_out.
struct Fans {
  int64_t in = 0;
  int64_t out = 0;
};
/// Of a weight [out, in, ...]: in and out times the product of the remaining sizes. Throws ShapeError below two axes.
Fans fans(const Tensor& weight);

/// Nonlinearities that have a recommended gain.
enum class Nonlinearity { kLinear, kSigmoid, kTanh, kRelu, kLeakyRelu, kSelu };
/// 1, 1, 5/3, sqrt(2), sqrt(2 / (1 + slope^2)) and 3/4, in the order above (torch.nn.init.calculate_gain).
double gain(Nonlinearity nonlinearity, double negative_slope = 0.01);

/// While one of these lives on this thread, the random fills below leave their tensors as they are and draw no numbers:
/// for building a model whose every value is about to be overwritten (loading, cloning).
class SkipRandomFills {
 public:
  SkipRandomFills();
  ~SkipRandomFills();
  SkipRandomFills(const SkipRandomFills&) = delete;
  SkipRandomFills& operator=(const SkipRandomFills&) = delete;

 private:
  bool previous_;
};

// A parameter is filled through its tensor: init::normal_(fc->weight.latent(), 0, 0.02). Each returns the tensor it
// filled, a handle to the same elements: any shape, strides and floating dtype. All but the first three throw
// DTypeError for tensors of integers; all throw StateError for an expanded tensor.

/// Any dtype.
Tensor zeros_(Tensor x);
Tensor ones_(Tensor x);
Tensor constant_(Tensor x, double value);
/// Uniform in [low, high). Throws ValueError if low > high.
Tensor uniform_(Tensor x, double low = 0, double high = 1);
/// Normal. Throws ValueError for a negative standard deviation.
Tensor normal_(Tensor x, double mean = 0, double std = 1);
/// Normal, drawn from inside [low, high] only, by the inverse of the distribution function; low and high are values,
/// not deviations, and std is that before cutting. Throws ValueError for std not above 0, low not below high, or a
/// range that the distribution does not reach.
Tensor trunc_normal_(Tensor x, double mean = 0, double std = 1, double low = -2, double high = 2);
/// Uniform in +-gain sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010). Here and in the three below: ShapeError
/// below two axes (fans).
Tensor xavier_uniform_(Tensor x, double gain = 1);
/// Normal with standard deviation gain sqrt(2 / (fan_in + fan_out)).
Tensor xavier_normal_(Tensor x, double gain = 1);

/// What decides `fan` and `gain` below: gain(nonlinearity, a).
struct KaimingOptions {
  double a = 0;  ///< slope of a leaky ReLU below 0
  FanMode mode = FanMode::kFanIn;
  Nonlinearity nonlinearity = Nonlinearity::kLeakyRelu;
};
/// Uniform in +-gain sqrt(3 / fan) (He et al., "Delving deep into rectifiers", 2015).
Tensor kaiming_uniform_(Tensor x, const KaimingOptions& options = {});
/// Normal with standard deviation gain / sqrt(fan).
Tensor kaiming_normal_(Tensor x, const KaimingOptions& options = {});

/// gain times a matrix [rows, rest] with orthonormal rows or columns, whichever are fewer (Saxe et al., 2013). Throws
/// ShapeError below two axes.
Tensor orthogonal_(Tensor x, double gain = 1);
/// The identity matrix, cut to the shape. Throws ShapeError unless x has two axes.
Tensor eye_(Tensor x);
/// Convolution weight [out, in, ...] that hands channels through at the kernel's centre, in `groups` blocks. Throws
/// ShapeError below three axes, ValueError unless the groups divide `out`.
Tensor dirac_(Tensor x, int64_t groups = 1);

/// PyTorch's default for linear and convolution weights: kaiming_uniform_ with a = sqrt(5), that is uniform in
/// +-1 / sqrt(fan_in); and for their biases: uniform in +-1 / sqrt(fan_in of the weight). Throws ShapeError for a
/// weight below two axes.
Tensor default_weight_(Tensor weight);
Tensor default_bias_(Tensor bias, const Tensor& weight);

}  // namespace tern::nn::init
