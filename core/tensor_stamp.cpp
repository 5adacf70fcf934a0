#include <tern/core/tensor_stamp.h>

namespace tern {

TensorStamp::TensorStamp(const Tensor& x) {
  if (!x.defined()) return;
  tensor_ = Tensor(x.storage(), {x.shape(), x.strides(), x.offset()}, x.dtype());
  version_ = x.version();
}

bool TensorStamp::is_of(const Tensor& x) const {
  return tensor_.defined() && x.defined() && tensor_.shares_storage_with(x) && version_ == x.version() &&
         tensor_.dtype() == x.dtype() && tensor_.offset() == x.offset() && tensor_.shape() == x.shape() &&
         tensor_.strides() == x.strides();
}

}  // namespace tern
