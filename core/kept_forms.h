// Weights that do not change: the forms that products read fastest, kept beside the weight's memory.
#pragma once

#include <functional>

#include <tern/core/tensor.h>

namespace tern {

/// From now on an op that reads this weight and records no gradient (linear, linear_act, feed_forward, conv2d,
/// conv2d_act) brings it into the form that its kernel reads (panels, Winograd transforms) once and keeps that form,
/// where it otherwise makes it again at every call. A form is used only for the same view of the memory, unwritten
/// since; writes through data<T>() must therefore call storage()->bump_version(). Forms take as much memory as the
/// weight itself (Winograd's four times as much for a 3 x 3 convolution) and go with it, or at the first use after a
/// write. nn::fuse_for_inference does this for the layers of a model. `weight`: any tensor; throws StateError for an
/// undefined one. Not to be called while another thread uses the tensor.
void keep_forms(const Tensor& weight);

/// Whether keep_forms has been called for the memory of this tensor.
bool keeps_forms(const Tensor& weight);

/// Bytes of the forms that are kept beside this tensor's memory now.
int64_t kept_form_bytes(const Tensor& weight);

namespace detail {

enum class Form { kPanels, kConvDirect, kConvGrouped, kConvWinograd };

/// The form of a tensor that keeps_forms: what `make` returned for this view, form and variant (what else the form
/// depends on), unless the memory has been written to since. Any thread may call it.
Tensor kept_form(const Tensor& weight, Form form, int64_t variant, const std::function<Tensor()>& make);

}  // namespace detail
}  // namespace tern
