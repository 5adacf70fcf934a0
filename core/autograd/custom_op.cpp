#include <mutex>
#include <set>

#include <tern/core/autograd/autograd.h>
#include <tern/core/autograd/custom_op.h>
#include <tern/core/error.h>

namespace tern {

struct CustomBackward {
  const char* name = "";
  std::shared_ptr<const CustomOp::Backward> function;
  CustomContext context;
  Gradients backward(const Tensor& grad_output, NeedsGrad needs) {
    for (size_t i = 0; i < needs.size(); ++i) context.needs_.push_back(needs[i]);
    Gradients gradients = (*function)(context, grad_output);
    TERN_CHECK(gradients.size() == needs.size(), ValueError, "[", name, "] backward gave ", gradients.size(),
               " gradients for ", needs.size(), " inputs");
    return gradients;
  }
};

const Tensor& CustomContext::saved(size_t i) const {
  TERN_CHECK(i < saved_.size(), ValueError, "[custom_op] expected the number of a saved tensor, below ", saved_.size(),
             ", got ", i);
  return *saved_[i];
}

namespace {

// Names live as long as the process: nodes and error texts point to them.
const std::string* kept_name(std::string name) {
  static std::mutex mutex;
  static std::set<std::string> names;
  const std::lock_guard lock(mutex);
  return &*names.insert(std::move(name)).first;
}

}  // namespace

CustomOp::CustomOp(std::string name, Forward forward, Backward backward)
    : name_(kept_name(std::move(name))), forward_(std::move(forward)) {
  TERN_CHECK(forward_ != nullptr && backward != nullptr, ValueError,
             "[custom_op] expected a forward and a backward for ", *name_);
  backward_ = std::make_shared<const Backward>(std::move(backward));
}

Tensor CustomOp::operator()(const std::vector<Tensor>& inputs) const {
  CustomContext context;
  Tensor output;
  {
    const NoGradGuard no_grad;
    output = forward_(context, inputs);
  }
  TERN_CHECK(output.defined(), ValueError, "[", *name_, "] forward gave an undefined tensor");
  for (const Tensor& x : inputs)
    if (x.defined() && output.is_same(x)) output = x.clone();  // an output that is an input would join their graphs
  return autograd::record<CustomBackward>(
      output, std::span<const Tensor>(inputs),
      {.name = name_->c_str(), .function = backward_, .context = std::move(context)});
}

}  // namespace tern
