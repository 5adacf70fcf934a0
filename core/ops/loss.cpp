// Losses over classes. The element-wise ones are in pair_loss.cpp.
#include <limits>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/kernels/softmax.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/loss.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>

namespace tern {
namespace {

// Predictions as rows of classes, and the shape that losses of single rows have.
struct ClassRows {
  Tensor rows;  // [R, C], row-major
  Shape shape;
};

// The class axis goes last: without a copy for [N, C] and for channels-last images.
Tensor classes_last(const Tensor& x) {
  if (x.dim() == 1) return contiguous(reshape(x, {1, x.size(0)}));
  const int64_t classes = x.size(1);
  if (x.dim() == 2) return contiguous(x);
  Dims order{0};
  for (int64_t a = 2; a < x.dim(); ++a) order.push_back(a);
  order.push_back(1);
  const Tensor moved = contiguous(permute(x, order));
  return reshape(moved, {classes == 0 ? 0 : x.numel() / classes, classes});
}

ClassRows class_rows(const char* op, const Tensor& x) {
  TERN_CHECK(x.is_floating(), DTypeError, "[", op, "] expected f32 or f64, got ", x.dtype());
  TERN_CHECK(x.dim() >= 1, ShapeError, "[", op, "] expected input [N, C], [N, C, ...] or [C], got ", x.shape());
  Shape shape = x.shape();
  shape.erase(x.dim() == 1 ? 0 : 1);
  TERN_CHECK(x.size(x.dim() == 1 ? 0 : 1) > 0, ShapeError, "[", op, "] expected at least one class, got input ",
             x.shape());
  return {classes_last(x), shape};
}

Tensor class_weight(const char* op, const Tensor& weight, const Tensor& rows) {
  if (!weight.defined()) return weight;
  TERN_CHECK(weight.dtype() == rows.dtype(), DTypeError, "[", op, "] expected a weight of ", rows.dtype(), ", got ",
             weight.dtype());
  TERN_CHECK(weight.shape() == Shape{rows.size(1)}, ShapeError, "[", op, "] expected a weight for each class, ",
             Shape{rows.size(1)}, ", got ", weight.shape());
  return weight.detach().contiguous();
}

// Labels as [R], checked.
Tensor class_labels(const char* op, const Tensor& labels, const ClassRows& input, int64_t ignore_index) {
  TERN_CHECK(labels.dtype() == DType::kI64, DTypeError, "[", op, "] expected labels of i64, got ", labels.dtype());
  TERN_CHECK(labels.shape() == input.shape, ShapeError, "[", op, "] expected labels of shape ", input.shape, ", got ",
             labels.shape());
  const Tensor flat = labels.contiguous().reshape({labels.numel()});
  const int64_t classes = input.rows.size(1);
  const int64_t* v = flat.data<int64_t>();
  for (int64_t i = 0; i < flat.numel(); ++i)
    TERN_CHECK((v[i] >= 0 && v[i] < classes) || v[i] == ignore_index, ValueError, "[", op, "] expected labels in [0, ",
               classes, ") or ", ignore_index, " (ignored), got ", v[i], " at position ", i);
  return flat;
}

// What a mean over rows divides by: the weights of the labels that count.
double total_weight(const Tensor& labels, const Tensor& weight, int64_t ignore_index) {
  const int64_t* v = labels.data<int64_t>();
  double total = 0;
  const auto add_up = [&](const auto& weight_of) {
    for (int64_t i = 0; i < labels.numel(); ++i)
      if (v[i] != ignore_index) total += weight_of(v[i]);
  };
  if (!weight.defined())
    add_up([](int64_t) { return 1.0; });
  else
    dispatch_float("cross_entropy", weight.dtype(), [&]<class T>() {
      const T* w = weight.data<T>();
      add_up([w](int64_t c) { return static_cast<double>(w[c]); });
    });
  return total;
}

template <class T>
const T* data_or_null(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}

// The losses of the rows as the op returns them. divisor: of kMean.
Tensor reduced(const Tensor& losses, const Shape& shape, Reduction reduction, double divisor) {
  if (reduction == Reduction::kNone) return reshape(losses, shape);
  Tensor total = sum(losses);
  if (reduction == Reduction::kMean) {
    dispatch_float("loss", total.dtype(), [&]<class T>() {
      *total.data<T>() = static_cast<T>(divisor == 0 ? std::numeric_limits<double>::quiet_NaN()
                                                     : static_cast<double>(*total.data<T>()) / divisor);
    });
  }
  return total;
}

void check_row_reduction(const char* op, Reduction reduction) {
  TERN_CHECK(reduction != Reduction::kBatchMean, ValueError, "[", op,
             "] expected the reduction kMean, kSum or kNone, got kBatchMean");
}

// The incoming gradient of a reduced loss: one number an element (pointer), or one for all (factor).
struct LossGradient {
  Tensor each;
  double factor = 1;
};

LossGradient loss_gradient(const Tensor& grad_output, Reduction reduction, double divisor, int64_t rows) {
  if (reduction == Reduction::kNone) return {grad_output.contiguous().reshape({rows}), 1};
  const double g = grad_output.item();
  return {Tensor(), reduction == Reduction::kMean ? g / divisor : g};
}

struct CrossEntropyBackward {
  static constexpr const char* kName = "cross_entropy";
  SavedTensor rows, labels, weight, lse;
  int64_t ignore_index = 0;
  double smoothing = 0, divisor = 1;
  Reduction reduction = Reduction::kMean;
  Gradients backward(const Tensor& grad_output) const {
    const LossGradient g = loss_gradient(grad_output, reduction, divisor, rows->size(0));
    Tensor grad_input = empty_like(*rows);
    dispatch_float(kName, rows->dtype(), [&]<class T>() {
      TERN_KERNEL(cross_entropy_backward<T>)
      (rows->data<T>(), labels->data<int64_t>(), data_or_null<T>(*weight), lse->data<T>(), data_or_null<T>(g.each),
       g.factor, rows->size(0), rows->size(1), ignore_index, smoothing, grad_input.data<T>());
    });
    return {grad_input};
  }
};

struct SoftCrossEntropyBackward {
  static constexpr const char* kName = "cross_entropy";
  SavedTensor rows, target, weight, lse;
  double smoothing = 0, divisor = 1;
  Reduction reduction = Reduction::kMean;
  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    const LossGradient g = loss_gradient(grad_output, reduction, divisor, rows->size(0));
    Tensor grad_input = needs[0] ? empty_like(*rows) : Tensor(), grad_target = needs[1] ? empty_like(*rows) : Tensor();
    dispatch_float(kName, rows->dtype(), [&]<class T>() {
      TERN_KERNEL(cross_entropy_soft_backward<T>)
      (rows->data<T>(), target->data<T>(), data_or_null<T>(*weight), lse->data<T>(), data_or_null<T>(g.each), g.factor,
       rows->size(0), rows->size(1), smoothing, needs[0] ? grad_input.data<T>() : nullptr,
       needs[1] ? grad_target.data<T>() : nullptr);
    });
    return {grad_input, grad_target};
  }
};

struct NllLossBackward {
  static constexpr const char* kName = "nll_loss";
  SavedTensor labels, weight;
  Shape shape;
  DType dtype = DType::kF32;
  int64_t ignore_index = 0;
  double divisor = 1;
  Reduction reduction = Reduction::kMean;
  Gradients backward(const Tensor& grad_output) const {
    const LossGradient g = loss_gradient(grad_output, reduction, divisor, shape[0]);
    Tensor grad_input = empty(shape, dtype).zero_();
    dispatch_float(kName, dtype, [&]<class T>() {
      const int64_t* label = labels->data<int64_t>();
      const T *w = data_or_null<T>(*weight), *each = data_or_null<T>(g.each);
      T* out = grad_input.data<T>();
      for (int64_t r = 0; r < shape[0]; ++r) {
        if (label[r] == ignore_index) continue;
        const double of_row = each == nullptr ? g.factor : static_cast<double>(each[r]);
        out[r * shape[1] + label[r]] =
            static_cast<T>(-of_row * (w == nullptr ? 1.0 : static_cast<double>(w[label[r]])));
      }
    });
    return {grad_input};
  }
};

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options) {
  constexpr const char* kOp = "cross_entropy";
  check_defined(kOp, logits, target);
  check_row_reduction(kOp, options.reduction);
  TERN_CHECK(options.label_smoothing >= 0 && options.label_smoothing <= 1, ValueError,
             "[cross_entropy] expected label_smoothing in [0, 1], got ", options.label_smoothing);
  const ClassRows input = class_rows(kOp, logits);
  const Tensor& rows = input.rows;
  const Tensor weight = class_weight(kOp, options.weight, rows);
  Tensor lse = empty({rows.size(0), 2}, rows.dtype()), losses = empty({rows.size(0)}, rows.dtype());

  if (target.is_floating()) {
    TERN_CHECK(target.shape() == logits.shape(), ShapeError, "[cross_entropy] expected class probabilities ",
               describe(logits), " or labels i64 ", input.shape, ", got ", describe(target));
    TERN_CHECK(target.dtype() == logits.dtype(), DTypeError, "[cross_entropy] expected class probabilities of ",
               logits.dtype(), ", got ", target.dtype());
    const Tensor probabilities = classes_last(target);
    dispatch_float(kOp, rows.dtype(), [&]<class T>() {
      TERN_KERNEL(cross_entropy_soft<T>)
      (rows.data<T>(), probabilities.data<T>(), data_or_null<T>(weight), rows.size(0), rows.size(1),
       options.label_smoothing, lse.data<T>(), losses.data<T>());
    });
    const double divisor = static_cast<double>(rows.size(0));
    return autograd::record<SoftCrossEntropyBackward>(reduced(losses, input.shape, options.reduction, divisor),
                                                      {rows, probabilities},
                                                      {.rows = rows,
                                                       .target = probabilities,
                                                       .weight = weight,
                                                       .lse = lse,
                                                       .smoothing = options.label_smoothing,
                                                       .divisor = divisor,
                                                       .reduction = options.reduction});
  }
  const Tensor labels = class_labels(kOp, target, input, options.ignore_index);
  dispatch_float(kOp, rows.dtype(), [&]<class T>() {
    TERN_KERNEL(cross_entropy<T>)
    (rows.data<T>(), labels.data<int64_t>(), data_or_null<T>(weight), rows.size(0), rows.size(1), options.ignore_index,
     options.label_smoothing, lse.data<T>(), losses.data<T>());
  });
  const double divisor = total_weight(labels, weight, options.ignore_index);
  return autograd::record<CrossEntropyBackward>(reduced(losses, input.shape, options.reduction, divisor), {rows},
                                                {.rows = rows,
                                                 .labels = labels,
                                                 .weight = weight,
                                                 .lse = lse,
                                                 .ignore_index = options.ignore_index,
                                                 .smoothing = options.label_smoothing,
                                                 .divisor = divisor,
                                                 .reduction = options.reduction});
}

Tensor nll_loss(const Tensor& log_probabilities, const Tensor& target, const NllLossOptions& options) {
  constexpr const char* kOp = "nll_loss";
  check_defined(kOp, log_probabilities, target);
  check_row_reduction(kOp, options.reduction);
  const ClassRows input = class_rows(kOp, log_probabilities);
  const Tensor& rows = input.rows;
  const Tensor weight = class_weight(kOp, options.weight, rows);
  const Tensor labels = class_labels(kOp, target, input, options.ignore_index);
  Tensor losses = empty({rows.size(0)}, rows.dtype());
  dispatch_float(kOp, rows.dtype(), [&]<class T>() {
    const int64_t* label = labels.data<int64_t>();
    const T *x = rows.data<T>(), *w = data_or_null<T>(weight);
    for (int64_t r = 0; r < rows.size(0); ++r)
      losses.data<T>()[r] = label[r] == options.ignore_index
                                ? T(0)
                                : -x[r * rows.size(1) + label[r]] * (w == nullptr ? T(1) : w[label[r]]);
  });
  const double divisor = total_weight(labels, weight, options.ignore_index);
  return autograd::record<NllLossBackward>(reduced(losses, input.shape, options.reduction, divisor), {rows},
                                           {.labels = labels,
                                            .weight = weight,
                                            .shape = rows.shape(),
                                            .dtype = rows.dtype(),
                                            .ignore_index = options.ignore_index,
                                            .divisor = divisor,
                                            .reduction = options.reduction});
}

}  // namespace tern
