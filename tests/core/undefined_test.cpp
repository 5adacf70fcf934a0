// Every op that is given an undefined tensor says so in its own name.
#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/ops/activation.h>
#include <tern/core/ops/attention.h>
#include <tern/core/ops/batch_norm.h>
#include <tern/core/ops/compare.h>
#include <tern/core/ops/conv.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/dropout.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/embedding.h>
#include <tern/core/ops/extreme.h>
#include <tern/core/ops/feed_forward.h>
#include <tern/core/ops/index.h>
#include <tern/core/ops/join.h>
#include <tern/core/ops/linear.h>
#include <tern/core/ops/loss.h>
#include <tern/core/ops/matmul.h>
#include <tern/core/ops/norm.h>
#include <tern/core/ops/operators.h>
#include <tern/core/ops/pair_loss.h>
#include <tern/core/ops/pool.h>
#include <tern/core/ops/quantile.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/rope.h>
#include <tern/core/ops/scan.h>
#include <tern/core/ops/shape.h>
#include <tern/core/ops/softmax.h>
#include <tern/core/ops/sort.h>
#include <tern/core/ops/ste.h>

#include "message_of.h"

namespace tern {
namespace {

template <class F>
void check(const char* op, F&& f) {
  EXPECT_EQ(test::message_of<StateError>(f), concat("[", op, "] expected a defined tensor, got an undefined one"));
}

const Tensor none;

TEST(UndefinedTensors, Activations) {
  const Tensor x = zeros({2, 2});
  check("relu", [&] { (void)relu(none); });
  check("gelu", [&] { (void)gelu(none); });
  check("softplus", [&] { (void)softplus(none); });
  check("swiglu", [&] { (void)swiglu(x, none); });
  check("swiglu", [&] { (void)swiglu(none, x); });
  check("add_relu", [&] { (void)add_relu(none, x); });
}

TEST(UndefinedTensors, Layers) {
  const Tensor x = zeros({2, 2}), im = zeros({1, 2, 4, 4});
  check("conv2d", [&] { (void)conv2d(im, none); });
  check("conv2d", [&] { (void)conv2d(none, im); });
  check("scaled_dot_product_attention", [&] { (void)scaled_dot_product_attention(x, none, x); });
  check("packed_attention", [&] { (void)packed_attention(none, 2); });
  check("batch_norm", [&] { (void)batch_norm(none, none, none); });
  check("bn_act", [&] { (void)bn_act(none, none, none, none, none); });
}

TEST(UndefinedTensors, Comparisons) {
  const Tensor x = zeros({2, 2});
  check("eq", [&] { (void)eq(x, none); });
  check("eq", [&] { (void)eq(none, 1.0); });
  check("logical_not", [&] { (void)logical_not(none); });
  check("isnan", [&] { (void)isnan(none); });
  check("equal", [&] { (void)equal(x, none); });
  check("allclose", [&] { (void)allclose(none, x); });
  check("allclose", [&] { (void)allclose(x, none); });
  check("logical_and", [&] { (void)logical_and(none, x); });
}

TEST(UndefinedTensors, Copies) {
  const Tensor x = zeros({2, 2});
  Tensor m = zeros({2, 2}), u;
  check("clone", [&] { (void)clone(none); });
  check("contiguous", [&] { (void)contiguous(none); });
  check("dense", [&] { (void)dense(none); });
  check("cast", [&] { (void)cast(none, DType::kF64); });
  check("cast", [&] { (void)none.to(DType::kF64); });
  check("copy_", [&] { (void)m.copy_(none); });
  check("copy_", [&] { (void)u.copy_(x); });
  check("fill_", [&] { (void)u.fill_(1); });
  check("add_", [&] { (void)m.add_(none); });
  check("add_", [&] { (void)u.add_(1.0); });
  check("mul_", [&] { (void)u.mul_(2.0); });
  check("mul_", [&] { (void)m.mul_(none); });
  check("zeros_like", [&] { (void)zeros_like(none); });
  check("ones_like", [&] { (void)ones_like(none); });
  check("full_like", [&] { (void)full_like(none, 1); });
  check("rand_like", [&] { (void)rand_like(none); });
  check("randn_like", [&] { (void)randn_like(none); });
  check("fill_normal", [&] { fill_normal(u, 0, 1); });
  check("fill_uniform", [&] { fill_uniform(u, 0, 1); });
  check("dropout", [&] { (void)dropout(none); });
  check("drop_path", [&] { (void)drop_path(none); });
}

TEST(UndefinedTensors, Arithmetic) {
  const Tensor x = zeros({2, 2}), c = zeros({2, 2}, DType::kU8);
  check("add", [&] { (void)add(x, none); });
  check("add", [&] { (void)add(none, 1.0); });
  check("sub", [&] { (void)sub(1.0, none); });
  check("div", [&] { (void)div(x, none); });
  check("div", [&] { (void)div(none, x); });
  check("div", [&] { (void)div(none, 1.0); });
  check("div", [&] { (void)div(1.0, none); });
  check("mul", [&] { (void)mul(none, x); });
  check("pow", [&] { (void)pow(none, 2.0); });
  check("pow", [&] { (void)pow(2.0, none); });
  check("pow", [&] { (void)pow(x, none); });
  check("maximum", [&] { (void)maximum(none, x); });
  check("exp", [&] { (void)exp(none); });
  check("round", [&] { (void)round(none); });
  check("clamp", [&] { (void)clamp(none, 0, 1); });
  check("where", [&] { (void)where(none, x, x); });
  check("where", [&] { (void)where(c, none, x); });
  check("where", [&] { (void)where(c, x, none); });
  check("where", [&] { (void)where(c, none, 1.0); });
  check("where", [&] { (void)where(c, 1.0, none); });
  check("masked_fill", [&] { (void)masked_fill(none, c, 1); });
  check("masked_fill", [&] { (void)masked_fill(x, none, 1); });
}

TEST(UndefinedTensors, Indexing) {
  const Tensor x = zeros({2, 2}), ix = zeros({2, 2}, DType::kI64), c = zeros({2, 2}, DType::kU8);
  check("embedding", [&] { (void)embedding(none, x); });
  check("embedding", [&] { (void)embedding(ix, none); });
  check("gather", [&] { (void)gather(none, 0, ix); });
  check("gather", [&] { (void)gather(x, 0, none); });
  check("take_along_axis", [&] { (void)take_along_axis(x, none, 0); });
  check("scatter", [&] { (void)scatter(x, 0, ix, none); });
  check("scatter", [&] { (void)scatter(none, 0, ix, 1.0); });
  check("scatter_add", [&] { (void)scatter_add(x, 0, none, x); });
  check("index_select", [&] { (void)index_select(x, 0, none); });
  check("one_hot", [&] { (void)one_hot(none); });
  check("masked_select", [&] { (void)masked_select(none, c); });
  check("masked_select", [&] { (void)masked_select(x, none); });
  check("nonzero", [&] { (void)nonzero(none); });
}

TEST(UndefinedTensors, Joining) {
  const Tensor x = zeros({2, 2});
  check("cat", [&] { (void)cat(std::vector<Tensor>{x, none}); });
  check("stack", [&] { (void)stack(std::vector<Tensor>{none, x}); });
  check("split", [&] { (void)split(none, 1); });
  check("split", [&] { (void)split_sizes(none, {1}); });
  check("chunk", [&] { (void)chunk(none, 2); });
  check("pad", [&] { (void)pad(none, {1, 1}); });
  check("pad2d", [&] { (void)pad2d(none, 1); });
  check("flip", [&] { (void)flip(none, {0}); });
  check("flip", [&] { (void)flip(none, {}); });
  check("roll", [&] { (void)roll(none, {1}); });
  check("repeat", [&] { (void)repeat(none, {1}); });
  check("tril", [&] { (void)tril(none); });
  check("triu", [&] { (void)triu(none); });
}

TEST(UndefinedTensors, Products) {
  const Tensor x = zeros({2, 2}), ix = zeros({2, 2}, DType::kI64);
  check("linear", [&] { (void)linear(none, x); });
  check("linear", [&] { (void)linear(x, none); });
  check("linear_act", [&] { (void)linear_act(x, none, {}, Activation::kRelu); });
  check("feed_forward", [&] { (void)feed_forward(x, x, {}, Activation::kRelu, none, {}); });
  check("cross_entropy", [&] { (void)cross_entropy(none, ix); });
  check("cross_entropy", [&] { (void)cross_entropy(x, none); });
  check("nll_loss", [&] { (void)nll_loss(x, none); });
  check("mse_loss", [&] { (void)mse_loss(x, none); });
  check("l1_loss", [&] { (void)l1_loss(none, x); });
  check("smooth_l1_loss", [&] { (void)smooth_l1_loss(none, x); });
  check("huber_loss", [&] { (void)huber_loss(none, x); });
  check("bce_with_logits", [&] { (void)bce_with_logits(none, x); });
  check("kl_div", [&] { (void)kl_div(x, none); });
  check("matmul", [&] { (void)matmul(none, x); });
  check("mm", [&] { (void)mm(x, none); });
  check("bmm", [&] { (void)bmm(none, x); });
  check("mv", [&] { (void)mv(x, none); });
  check("dot", [&] { (void)dot(none, x); });
}

TEST(UndefinedTensors, NormsAndPools) {
  const Tensor x = zeros({2, 2});
  check("layer_norm", [&] { (void)layer_norm(none, {2}); });
  check("rms_norm", [&] { (void)rms_norm(none); });
  check("group_norm", [&] { (void)group_norm(none, 1); });
  check("residual_layer_norm", [&] { (void)residual_layer_norm(none, x); });
  check("max_pool2d", [&] { (void)max_pool2d(none, {}); });
  check("avg_pool2d", [&] { (void)avg_pool2d(none, {}); });
  check("adaptive_avg_pool2d", [&] { (void)adaptive_avg_pool2d(none, 1); });
  check("global_avg_pool", [&] { (void)global_avg_pool(none); });
  check("shortcut_a", [&] { (void)shortcut_a(none, 2, 1); });
}

TEST(UndefinedTensors, Reductions) {
  check("sum", [&] { (void)sum(none); });
  check("sum", [&] { (void)none.sum(); });
  check("mean", [&] { (void)mean(none); });
  check("var", [&] { (void)var(none); });
  check("stddev", [&] { (void)stddev(none); });
  check("amax", [&] { (void)amax(none); });
  check("max", [&] { (void)max(none, 0); });
  check("min", [&] { (void)min(none, 0); });
  check("amax", [&] { (void)max(none); });
  check("argmax", [&] { (void)argmax(none); });
  check("argmin", [&] { (void)argmin(none, 0); });
  check("prod", [&] { (void)prod(none); });
  check("logsumexp", [&] { (void)logsumexp(none); });
  check("norm", [&] { (void)norm(none); });
  check("any", [&] { (void)any(none); });
  check("all", [&] { (void)all(none); });
  check("count_nonzero", [&] { (void)count_nonzero(none); });
  check("quantile", [&] { (void)quantile(none, 0.5); });
  check("median", [&] { (void)median(none); });
}

TEST(UndefinedTensors, Rearranging) {
  const Tensor x = zeros({2, 2});
  check("rotary_embedding", [&] { (void)rotary_embedding(none); });
  check("cumsum", [&] { (void)cumsum(none, 0); });
  check("reshape", [&] { (void)reshape(none, {1}); });
  check("view", [&] { (void)view(none, {1}); });
  check("permute", [&] { (void)permute(none, {0}); });
  check("transpose", [&] { (void)transpose(none, 0, 1); });
  check("slice", [&] { (void)slice(none, 0, 0, 1); });
  check("select", [&] { (void)select(none, 0, 0); });
  check("expand", [&] { (void)expand(none, {1}); });
  check("squeeze", [&] { (void)squeeze(none, 0); });
  check("unsqueeze", [&] { (void)unsqueeze(none, 0); });
  check("flatten", [&] { (void)flatten(none); });
  check("sum_to", [&] { (void)sum_to(none, {1}); });
  check("softmax", [&] { (void)softmax(none, 0); });
  check("log_softmax", [&] { (void)log_softmax(none, 0); });
  check("sort", [&] { (void)sort(none); });
  check("argsort", [&] { (void)argsort(none); });
  check("topk", [&] { (void)topk(none, 1); });
  check("ste_round", [&] { (void)ste_round(none); });
  check("ste_sign", [&] { (void)ste_sign(none); });
  check("mul", [&] { (void)(none * x); });
  check("add", [&] { (void)(x + none); });
  check("neg", [&] { (void)(-none); });
}

}  // namespace
}  // namespace tern
