// The functions of tern under the names that a PyTorch user expects beside the layers: nn::relu, nn::cross_entropy, ...
#pragma once

#include <tern/core/activation.h>
#include <tern/core/attention.h>
#include <tern/core/batch_norm.h>
#include <tern/core/conv.h>
#include <tern/core/conv1d.h>
#include <tern/core/conv_transpose.h>
#include <tern/core/distance.h>
#include <tern/core/dropout.h>
#include <tern/core/embedding.h>
#include <tern/core/index.h>
#include <tern/core/join.h>
#include <tern/core/linear.h>
#include <tern/core/loss.h>
#include <tern/core/margin_loss.h>
#include <tern/core/norm.h>
#include <tern/core/pool.h>
#include <tern/core/pool1d.h>
#include <tern/core/resample.h>
#include <tern/core/rope.h>
#include <tern/core/shuffle.h>
#include <tern/core/softmax.h>

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
