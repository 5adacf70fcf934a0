#include <mutex>
#include <vector>

#include <tern/core/error.h>
#include <tern/core/kept_forms.h>

namespace tern {

// Beside one storage. Forms are of views, so several tensors in one memory have their own.
class KeptForms {
 public:
  Tensor find_or_make(const Tensor& weight, detail::Form form, int64_t variant, const std::function<Tensor()>& make) {
    const std::lock_guard lock(mutex_);
    if (version_ != weight.version()) kept_.clear();
    version_ = weight.version();
    for (const Kept& kept : kept_)
      if (kept.form == form && kept.variant == variant && kept.dtype == weight.dtype() &&
          kept.offset == weight.offset() && kept.shape == weight.shape() && kept.strides == weight.strides())
        return kept.value;
    kept_.push_back({form, variant, weight.dtype(), weight.offset(), weight.shape(), weight.strides(), make()});
    return kept_.back().value;
  }

  int64_t bytes() {
    const std::lock_guard lock(mutex_);
    int64_t sum = 0;
    for (const Kept& kept : kept_) sum += kept.value.bytes();
    return sum;
  }

 private:
  struct Kept {
    detail::Form form;
    int64_t variant;
    DType dtype;
    int64_t offset;
    Shape shape;
    Strides strides;
    Tensor value;
  };
  std::mutex mutex_;
  uint64_t version_ = 0;
  std::vector<Kept> kept_;
};

void keep_forms(const Tensor& weight) {
  TERN_CHECK(weight.defined(), StateError, "[keep_forms] expected a tensor, got an undefined one");
  if (weight.storage()->kept_forms() == nullptr) weight.storage()->set_kept_forms(std::make_shared<KeptForms>());
}

bool keeps_forms(const Tensor& weight) {
  return weight.defined() && weight.storage()->kept_forms() != nullptr;
}

int64_t kept_form_bytes(const Tensor& weight) {
  return keeps_forms(weight) ? weight.storage()->kept_forms()->bytes() : 0;
}

Tensor detail::kept_form(const Tensor& weight, Form form, int64_t variant, const std::function<Tensor()>& make) {
  TERN_ASSERT(keeps_forms(weight), "a form to keep of a tensor that keeps none");
  return weight.storage()->kept_forms()->find_or_make(weight, form, variant, make);
}

}  // namespace tern
