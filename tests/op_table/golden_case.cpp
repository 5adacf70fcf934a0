#include "op_table/golden_case.h"

#include <tern/core/autograd/autograd.h>

namespace tern::test {
namespace {

std::string numbered(const char* name, size_t k) {
  return k == 0 ? name : name + std::to_string(k);
}

}  // namespace

bool is_given(const std::string& key) {
  return (key.starts_with("in") && key != "indices") || key.starts_with("grad_out");
}

std::map<std::string, Tensor> run_golden(const GoldenCase& one, DType dtype) {
  Inputs inputs, leaves;
  std::vector<std::string> keys;
  for (const Tensor& x : one.inputs()) {
    inputs.push_back(x.is_floating() ? relaid(x, dtype) : x.clone());
    const std::string key = "grad" + std::to_string(inputs.size() - 1);
    if (!one.has(key)) continue;
    leaves.push_back(inputs.back().requires_grad_());
    keys.push_back(key);
  }
  const GoldenRun run = op_table().golden().at(one.op()).run(one.attributes, inputs);
  std::map<std::string, Tensor> results = run.extra;
  std::vector<Tensor> outputs, upstreams;
  for (size_t k = 0; k < run.outputs.size(); ++k) {
    results[numbered("out", k)] = run.outputs[k];
    if (!one.has(numbered("grad_out", k))) continue;
    outputs.push_back(run.outputs[k]);
    upstreams.push_back(relaid(one[numbered("grad_out", k)], dtype));
  }
  if (leaves.empty()) return results;
  const std::vector<Tensor> gradients = autograd::grad(outputs, leaves, upstreams);
  for (size_t k = 0; k < leaves.size(); ++k)
    results[keys[k]] = gradients[k].defined() ? gradients[k] : empty_like(leaves[k]).fill_(0);
  return results;
}

}  // namespace tern::test
