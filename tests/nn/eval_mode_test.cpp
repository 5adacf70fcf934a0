#include <gtest/gtest.h>

#include <tern/nn/eval_mode.h>

#include "nn/toys.h"

namespace tern::nn {
namespace {

TEST(EvalModeGuard, PutsEveryModuleBackIntoItsMode) {
  Block block;
  block.second.module()->eval();
  block.first->weight.parametrize(make<Halve>());
  {
    const EvalModeGuard guard(block);
    for (const auto& [path, module] : block.named_modules()) EXPECT_FALSE(module->is_training()) << path;
    EXPECT_FALSE(block.first->weight.parametrization()->is_training());
  }
  EXPECT_TRUE(block.is_training());
  EXPECT_TRUE(block.first->is_training());
  EXPECT_TRUE(block.first->weight.parametrization()->is_training());
  EXPECT_FALSE(block.second->is_training());

  block.eval();
  block.first->train();
  { const EvalModeGuard guard(block); }
  EXPECT_FALSE(block.is_training());
  EXPECT_TRUE(block.first->is_training());
  EXPECT_FALSE(block.second->is_training());
}

}  // namespace
}  // namespace tern::nn
