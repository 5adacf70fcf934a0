// The losses of loss.h that compare two tensors element by element.
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/kernels/loss.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/detail/same_layout.h>
#include <tern/core/ops/pair_loss.h>
#include <tern/core/ops/shape.h>

namespace tern {
namespace {

// What the kernels need, all in the memory order of x.
struct PairArguments {
  SavedTensor x, target, weight, pos_weight;
  PairLoss kind = PairLoss::kSquared;
  double parameter = 0;
  template <class T>
  PairLossInputs<T> inputs() const {
    return {.n = x->numel(),
            .x = x->data<T>(),
            .t = target->data<T>(),
            .w = weight.defined() ? weight->data<T>() : nullptr,
            .p = pos_weight.defined() ? pos_weight->data<T>() : nullptr,
            .parameter = static_cast<T>(parameter)};
  }
};

struct PairLossBackward {
  static constexpr const char* kName = "loss";
  PairArguments arguments;
  Reduction reduction = Reduction::kMean;
  double divisor = 1;
  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    const Tensor& x = *arguments.x;
    const bool each = reduction == Reduction::kNone;
    const Tensor g = each ? same_layout(grad_output, x) : grad_output;
    Tensor grad_x = needs[0] ? empty_like(x) : Tensor(), grad_target = needs[1] ? empty_like(x) : Tensor();
    dispatch_float(kName, x.dtype(), [&]<class T>() {
      TERN_KERNEL(pair_loss_backward<T>)
      (arguments.kind, arguments.inputs<T>(), each ? g.data<T>() : nullptr,
       each ? T(1) : static_cast<T>(g.item() / divisor), needs[0] ? grad_x.data<T>() : nullptr,
       needs[1] ? grad_target.data<T>() : nullptr);
    });
    return {grad_x, grad_target};
  }
};

template <PairLoss kKind>
constexpr const char* name_of_loss() {
  switch (kKind) {
    case PairLoss::kSquared:
      return "mse_loss";
    case PairLoss::kAbsolute:
      return "l1_loss";
    case PairLoss::kHuber:
      return "huber_loss";
    case PairLoss::kSmoothL1:
      return "smooth_l1_loss";
    case PairLoss::kBceLogits:
      return "bce_with_logits";
    case PairLoss::kBce:
      return "binary_cross_entropy";
    case PairLoss::kSoftMargin:
      return "soft_margin_loss";
    case PairLoss::kHinge:
      return "hinge_embedding_loss";
    default:
      return "kl_div";
  }
}

template <PairLoss kKind>
struct NamedBackward : PairLossBackward {
  static constexpr const char* kName = name_of_loss<kKind>();
};

// A weight of x's dtype, broadcast to x and laid out as x.
Tensor spread_weight(const char* op, const char* what, const Tensor& weight, const Tensor& x) {
  if (!weight.defined()) return weight;
  TERN_CHECK(weight.dtype() == x.dtype(), DTypeError, "[", op, "] expected ", what, " of ", x.dtype(), ", got ",
             weight.dtype());
  TERN_CHECK(broadcast_shapes(op, weight.shape(), x.shape()) == x.shape(), ShapeError, "[", op, "] expected a ", what,
             " that broadcasts to ", x.shape(), ", got ", weight.shape());
  return same_layout(weight.detach().expand(x.shape()), x);
}

struct PairSettings {
  Reduction reduction = Reduction::kMean;
  double parameter = 0;
  Tensor weight = {}, pos_weight = {};
};

template <PairLoss kKind>
Tensor pair_loss(const Tensor& input, const Tensor& wanted_target, const PairSettings& settings) {
  constexpr const char* kOp = name_of_loss<kKind>();
  check_defined(kOp, input, wanted_target);
  TERN_CHECK(input.dtype() == wanted_target.dtype(), DTypeError, "[", kOp,
             "] expected input and target of one dtype, got ", input.dtype(), " and ", wanted_target.dtype());
  TERN_CHECK(input.shape() == wanted_target.shape(), ShapeError, "[", kOp,
             "] expected input and target of one shape, got ", input.shape(), " and ", wanted_target.shape());
  const Reduction reduction = settings.reduction;
  TERN_CHECK(reduction != Reduction::kBatchMean || (kKind >= PairLoss::kKl && input.dim() > 0), ValueError, "[", kOp,
             "] expected the reduction kMean, kSum or kNone, got kBatchMean");
  const Tensor x = dense(input.detach());
  const PairArguments arguments{.x = x,
                                .target = same_layout(wanted_target.detach(), x),
                                .weight = spread_weight(kOp, "weight", settings.weight, x),
                                .pos_weight = spread_weight(kOp, "pos_weight", settings.pos_weight, x),
                                .kind = kKind,
                                .parameter = settings.parameter};
  double divisor = 1;
  if (reduction == Reduction::kMean) divisor = static_cast<double>(x.numel());
  if (reduction == Reduction::kBatchMean) divisor = static_cast<double>(x.size(0));
  Tensor out = reduction == Reduction::kNone ? empty_like(x) : empty({}, x.dtype());
  dispatch_float(kOp, x.dtype(), [&]<class T>() {
    const PairLossInputs<T> inputs = arguments.inputs<T>();
    if (reduction == Reduction::kNone) {
      TERN_KERNEL(pair_loss<T>)(kKind, inputs, out.data<T>());
      return;
    }
    std::vector<double> partial(static_cast<size_t>(chunk_count(inputs.n, kPairLossPart)));
    TERN_KERNEL(pair_loss_sum<T>)(kKind, inputs, partial.data());
    double total = 0;
    for (const double part : partial) total += part;
    *out.data<T>() = static_cast<T>(total / divisor);
  });
  return autograd::record<NamedBackward<kKind>>(out, {input, wanted_target},
                                                {{.arguments = arguments, .reduction = reduction, .divisor = divisor}});
}

}  // namespace

Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  return pair_loss<PairLoss::kSquared>(x, target, {.reduction = reduction});
}

Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  return pair_loss<PairLoss::kAbsolute>(x, target, {.reduction = reduction});
}

Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, double beta, Reduction reduction) {
  TERN_CHECK(beta > 0, ValueError, "[smooth_l1_loss] expected beta above 0, got ", beta);
  return pair_loss<PairLoss::kSmoothL1>(x, target, {.reduction = reduction, .parameter = beta});
}

Tensor huber_loss(const Tensor& x, const Tensor& target, double delta, Reduction reduction) {
  TERN_CHECK(delta > 0, ValueError, "[huber_loss] expected delta above 0, got ", delta);
  return pair_loss<PairLoss::kHuber>(x, target, {.reduction = reduction, .parameter = delta});
}

Tensor bce_with_logits(const Tensor& x, const Tensor& target, const BceOptions& options) {
  return pair_loss<PairLoss::kBceLogits>(
      x, target, {.reduction = options.reduction, .weight = options.weight, .pos_weight = options.pos_weight});
}

Tensor binary_cross_entropy(const Tensor& x, const Tensor& target, const BinaryCrossEntropyOptions& options) {
  check_defined("binary_cross_entropy", x, target);
  dispatch_float("binary_cross_entropy", x.dtype(), [&]<class T>() {
    const Tensor values = dense(x.detach());
    const T* v = values.data<T>();
    for (int64_t i = 0; i < values.numel(); ++i)
      TERN_CHECK(v[i] >= T(0) && v[i] <= T(1), ValueError,
                 "[binary_cross_entropy] expected probabilities in [0, 1], got ", v[i]);
  });
  return pair_loss<PairLoss::kBce>(x, target, {.reduction = options.reduction, .weight = options.weight});
}

Tensor soft_margin_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  return pair_loss<PairLoss::kSoftMargin>(x, target, {.reduction = reduction});
}

Tensor hinge_embedding_loss(const Tensor& x, const Tensor& target, double margin, Reduction reduction) {
  check_defined("hinge_embedding_loss", x, target);
  return pair_loss<PairLoss::kHinge>(x, target.detach(), {.reduction = reduction, .parameter = margin});
}

Tensor kl_div(const Tensor& x, const Tensor& target, const KlDivOptions& options) {
  const PairSettings settings{.reduction = options.reduction};
  return options.log_target ? pair_loss<PairLoss::kKlLog>(x, target, settings)
                            : pair_loss<PairLoss::kKl>(x, target, settings);
}

}  // namespace tern
