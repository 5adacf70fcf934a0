#include <cmath>

#include <tern/core/autograd/autograd.h>
#include <tern/core/autograd/gradcheck.h>
#include <tern/core/error.h>
#include <tern/core/random.h>

namespace tern::autograd {

GradcheckResult gradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& function,
                          const std::vector<Tensor>& inputs, const GradcheckOptions& options) {
  TERN_CHECK(options.skip.size() <= inputs.size(), ValueError, "[gradcheck] expected a skip for at most ",
             inputs.size(), " inputs, got ", options.skip.size());
  std::vector<Tensor> leaves;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& x = inputs[i];
    TERN_CHECK(
        i >= options.skip.size() || !options.skip[i].defined() || !x.defined() || options.skip[i].shape() == x.shape(),
        ShapeError, "[gradcheck] expected a skip of shape ", x.shape(), " for input ", i, ", got ",
        options.skip[i].shape());
    const bool wanted = x.defined() && x.requires_grad();
    TERN_CHECK(!wanted || x.dtype() == DType::kF64, DTypeError, "[gradcheck] expected f64 inputs, got input ", i,
               " of ", x.dtype());
    leaves.push_back(wanted ? x.detach().requires_grad_() : x);
  }
  const EnableGradGuard enable;
  const Tensor output = function(leaves).to(DType::kF64);
  Tensor direction = empty(output.shape(), DType::kF64);
  Generator generator(42);
  for (int64_t i = 0; i < direction.numel(); ++i) direction.data<double>()[i] = generator.uniform(-1, 1);

  const auto loss = [&] {
    const NoGradGuard no_grad;
    const Tensor y = function(leaves).to(DType::kF64).contiguous();
    double sum = 0;
    for (int64_t i = 0; i < y.numel(); ++i) sum += y.data<double>()[i] * direction.data<double>()[i];
    return sum;
  };

  std::vector<Tensor> wanted;
  std::vector<size_t> which;
  for (size_t i = 0; i < leaves.size(); ++i)
    if (leaves[i].defined() && leaves[i].requires_grad()) wanted.push_back(leaves[i]), which.push_back(i);
  const Tensor outputs[] = {output}, directions[] = {direction};
  const std::vector<Tensor> analytic = grad(outputs, wanted, directions);

  const NoGradGuard no_grad;
  for (size_t k = 0; k < wanted.size(); ++k) {
    Tensor leaf = wanted[k].detach();
    const std::vector<double> gradient = analytic[k].defined()
                                             ? analytic[k].to_vector<double>()
                                             : std::vector<double>(static_cast<size_t>(leaf.numel()), 0.0);
    std::vector<int64_t> skip;
    if (which[k] < options.skip.size() && options.skip[which[k]].defined())
      skip = options.skip[which[k]].to_vector<int64_t>();
    for (int64_t i = 0; i < leaf.numel(); ++i) {
      if (!skip.empty() && skip[static_cast<size_t>(i)] != 0) continue;
      int64_t rest = i, at = 0;
      for (int64_t a = leaf.dim() - 1; a >= 0; --a) {
        at += rest % leaf.shape()[a] * leaf.strides()[a];
        rest /= leaf.shape()[a];
      }
      double& element = leaf.data<double>()[at];
      const double before = element;
      element = before + options.eps;
      const double above = loss();
      element = before - options.eps;
      const double below = loss();
      element = before;
      const double numeric = (above - below) / (2 * options.eps);
      const double given = gradient[static_cast<size_t>(i)];
      if (!(std::abs(given - numeric) <= options.atol + options.rtol * std::abs(numeric)))
        return {false, concat("input ", which[k], " of shape ", leaf.shape(), ", element ", i, ": backward gives ",
                              given, ", central differences give ", numeric)};
    }
  }
  return {};
}

}  // namespace tern::autograd
