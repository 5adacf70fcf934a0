// The functions of tern under the names that a PyTorch user expects beside the layers: nn::relu, nn::cross_entropy, ...
#pragma once

#include <tern/core/ops/activation.h>
#include <tern/core/ops/attention.h>
#include <tern/core/ops/batch_norm.h>
#include <tern/core/ops/conv.h>
#include <tern/core/ops/conv1d.h>
#include <tern/core/ops/conv_transpose.h>
#include <tern/core/ops/distance.h>
#include <tern/core/ops/dropout.h>
#include <tern/core/ops/embedding.h>
#include <tern/core/ops/index.h>
#include <tern/core/ops/join.h>
#include <tern/core/ops/linear.h>
#include <tern/core/ops/loss.h>
#include <tern/core/ops/margin_loss.h>
#include <tern/core/ops/norm.h>
#include <tern/core/ops/pair_loss.h>
#include <tern/core/ops/pool.h>
#include <tern/core/ops/pool1d.h>
#include <tern/core/ops/resample.h>
#include <tern/core/ops/rope.h>
#include <tern/core/ops/shuffle.h>
#include <tern/core/ops/softmax.h>

namespace tern::nn {

using tern::celu;
using tern::elu;
using tern::gelu;
using tern::glu;
using tern::hardshrink;
using tern::hardsigmoid;
using tern::hardswish;
using tern::hardtanh;
using tern::leaky_relu;
using tern::logsigmoid;
using tern::mish;
using tern::prelu;
using tern::relu;
using tern::relu6;
using tern::selu;
using tern::sigmoid;
using tern::silu;
using tern::softplus;
using tern::softshrink;
using tern::softsign;
using tern::swiglu;
using tern::tanh;
using tern::tanhshrink;
using tern::threshold;

using tern::log_softmax;
using tern::softmax;
using tern::softmin;

using tern::batch_norm;
using tern::group_norm;
using tern::layer_norm;
using tern::rms_norm;

using tern::channel_shuffle;
using tern::conv1d;
using tern::conv2d;
using tern::conv_transpose2d;
using tern::drop_path;
using tern::dropout;
using tern::dropout2d;
using tern::embedding;
using tern::interpolate;
using tern::linear;
using tern::one_hot;
using tern::pad;
using tern::pixel_shuffle;
using tern::pixel_unshuffle;
using tern::reflection_pad2d;
using tern::replication_pad2d;
using tern::rotary_embedding;
using tern::scaled_dot_product_attention;

using tern::cosine_similarity;
using tern::normalize;
using tern::pairwise_distance;

using tern::adaptive_avg_pool1d;
using tern::adaptive_avg_pool2d;
using tern::adaptive_max_pool1d;
using tern::adaptive_max_pool2d;
using tern::avg_pool1d;
using tern::avg_pool2d;
using tern::global_avg_pool;
using tern::max_pool1d;
using tern::max_pool2d;

using tern::bce_with_logits;
using tern::binary_cross_entropy;
using tern::cosine_embedding_loss;
using tern::cross_entropy;
using tern::hinge_embedding_loss;
using tern::huber_loss;
using tern::kl_div;
using tern::l1_loss;
using tern::margin_ranking_loss;
using tern::mse_loss;
using tern::nll_loss;
using tern::Reduction;
using tern::smooth_l1_loss;
using tern::soft_margin_loss;
using tern::triplet_margin_loss;

}  // namespace tern::nn
