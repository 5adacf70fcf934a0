#include <cmath>
#include <unordered_set>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/optim/detail/segments.h>
#include <tern/optim/ema.h>
#include <tern/optim/kernels/update.h>

namespace tern::optim {
namespace {

// Calls body(list, T) with the pairs (average, tensor) of each dtype.
template <class Body>
void over_pairs(std::vector<Tensor>& averages, std::vector<ParamList::Entry>& tensors, Body&& body) {
  const auto over = [&]<class T>(T) {
    detail::SegmentList<kernels::AverageSegment<T>> list;
    for (size_t i = 0; i < averages.size(); ++i) {
      if (averages[i].dtype() != dtype_of<T>()) continue;
      T* average = averages[i].data<T>();
      const T* p = tensors[i].second.data<T>();
      list.add(averages[i].numel(), [&](int64_t begin, int64_t n) {
        return kernels::AverageSegment<T>{.average = average + begin, .p = p + begin, .n = n};
      });
    }
    list.finish();
    body(list, T{});
  };
  over(float{});
  over(double{});
}

}  // namespace

WeightEma::WeightEma(const ParamList& tensors, const EmaOptions& options) : options_(options) {
  TERN_CHECK(options.decay >= 0 && options.decay <= 1, ValueError, "[weight_ema] expected decay in [0, 1], got ",
             options.decay);
  const NoGradGuard no_grad;
  std::unordered_set<const TensorImpl*> known;
  std::unordered_set<std::string> names;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto& [given, tensor] = tensors.entries()[i];
    const std::string name = given.empty() ? concat("0.", i) : given;
    TERN_CHECK(tensor.defined(), ValueError, "[weight_ema] expected ", name, " to be a tensor, got an undefined one");
    TERN_CHECK(tensor.dtype() == DType::kF32 || tensor.dtype() == DType::kF64, DTypeError, "[weight_ema] expected ",
               name, " of f32 or f64, got ", describe(tensor));
    TERN_CHECK(tensor.is_leaf() && tensor.is_dense(), ValueError, "[weight_ema] expected ", name,
               " to be a dense leaf tensor, got shape ", tensor.shape(), " with strides ", tensor.strides());
    TERN_CHECK(known.insert(&tensor.impl()).second && names.insert(name).second, ValueError,
               "[weight_ema] expected every tensor and name once, got ", name, " again");
    tensors_.emplace_back(name, tensor);
    averages_.push_back(tensor.detach().clone());
  }
}

void WeightEma::update() {
  TERN_CHECK(!swapped_, StateError,
             "[weight_ema] expected update() with the trained values in place, got the averages");
  double decay = options_.decay;
  if (options_.warmup) decay = std::min(decay, static_cast<double>(1 + updates_) / static_cast<double>(10 + updates_));
  if (options_.start == EmaStart::kFirstUpdate && updates_ == 0) decay = 0;
  over_pairs(averages_, tensors_, [&]<class T, class List>(const List& list, T) {
    TERN_KERNEL(average_update<T>)(list.segments(), list.tasks(), list.task_count(), decay);
  });
  ++updates_;
}

void WeightEma::swap() {
  over_pairs(averages_, tensors_, [&]<class T, class List>(const List& list, T) {
    TERN_KERNEL(swap_values<T>)(list.segments(), list.tasks(), list.task_count());
  });
  for (auto& [name, tensor] : tensors_) tensor.storage()->bump_version();
  swapped_ = !swapped_;
}

io::TensorMap WeightEma::state_dict() const {
  const NoGradGuard no_grad;
  TERN_CHECK(!swapped_, StateError,
             "[weight_ema] expected state_dict() with the trained values in place, got the averages");
  io::TensorMap out;
  Tensor updates = empty({}, DType::kI64);
  *updates.data<int64_t>() = updates_;
  out.insert("updates", updates);
  for (size_t i = 0; i < tensors_.size(); ++i) out.insert("average." + tensors_[i].first, averages_[i].clone());
  return out;
}

void WeightEma::load_state_dict(const io::TensorMap& state) {
  const NoGradGuard no_grad;
  TERN_CHECK(!swapped_, StateError,
             "[weight_ema] expected load_state_dict() with the trained values in place, got the averages");
  const auto find = [&](const std::string& name, const Shape& shape, DType dtype) -> const Tensor& {
    const Tensor* found = state.find(name);
    TERN_CHECK(found != nullptr, ValueError, "[weight_ema] expected '", name, "' in the saved state, got none");
    TERN_CHECK(found->shape() == shape, ShapeError, "[weight_ema] expected ", name, " of shape ", shape, ", got ",
               found->shape());
    TERN_CHECK(found->dtype() == dtype, DTypeError, "[weight_ema] expected ", name, " of ", dtype, ", got ",
               found->dtype());
    return *found;
  };
  const int64_t updates = find("updates", {}, DType::kI64).item_i64();
  TERN_CHECK(updates >= 0, ValueError, "[weight_ema] expected updates of at least 0, got ", updates);
  std::vector<Tensor> averages;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const Tensor& like = averages_[i];
    averages.push_back(empty_like(like).copy_(find("average." + tensors_[i].first, like.shape(), like.dtype())));
  }
  TERN_CHECK(state.size() == tensors_.size() + 1, ValueError, "[weight_ema] expected ", tensors_.size() + 1,
             " entries in the saved state, got ", state.size());
  averages_ = std::move(averages);
  updates_ = updates;
}

}  // namespace tern::optim
