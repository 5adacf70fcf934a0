// The steps that model workloads share.
#pragma once

#include <memory>

#include <tern/core/autograd/autograd.h>
#include <tern/core/ops/loss.h>
#include <tern/nn/module.h>
#include <tern/optim/optimizer.h>

#include "workload.h"

namespace tern::bench {

/// A whole training step on one fixed batch: gradients to zero, forward, cross-entropy over all but the last axis of
/// the output, backward, update.
inline Prepared training(std::shared_ptr<nn::Module> model, std::shared_ptr<optim::Optimizer> optimizer, Tensor inputs,
                         Tensor labels) {
  labels = labels.flatten();
  const auto loss = [model, inputs, labels] { return cross_entropy((*model)(inputs).flatten(0, -2), labels); };
  return {.step =
              [loss, optimizer] {
                optimizer->zero_grad();
                loss().backward();
                optimizer->step();
              },
          .loss =
              [loss] {
                const NoGradGuard no_grad;
                return loss().item();
              }};
}

/// One forward in evaluation mode.
inline Prepared inference(std::shared_ptr<nn::Module> model, const Tensor& inputs) {
  model->eval();
  return {.step = [model, inputs] {
    const NoGradGuard no_grad;
    (*model)(inputs);
  }};
}

}  // namespace tern::bench
