// A batch, and what can be done to a whole one.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <tern/core/random.h>
#include <tern/core/tensor.h>

namespace tern::data {

/// What a loader gives: const auto& [images, labels] = batch;
struct Batch {
  Tensor images;  ///< f32 [N, C, H, W], in the loader's memory format
  Tensor labels;  ///< i64 [N]; f32 [N, classes] after mixup or cutmix
};

/// Makes one batch of another. Called from loader threads; `random` is the batch's own stream.
using BatchTransform = std::function<Batch(const Batch& batch, Generator& random)>;

/// Settings of mixup and cutmix.
struct MixOptions {
  double alpha = 1;     ///< above 0: shares are drawn from Beta(alpha, alpha)
  int64_t classes = 0;  ///< at least 2: width of the soft labels
  double p = 1;         ///< share, in [0, 1], of the batches that are mixed; the others only get soft labels
};

/// Each image becomes w * itself + (1 - w) * a partner from the same batch, and so does its label; one share w and one
/// random pairing a batch (Zhang et al., "mixup", 2018). Throws ValueError for options out of range, and when called
/// for labels out of range, DTypeError for images that are not f32 and labels that are not i64 [N], ShapeError for
/// images that are not [N, C, H, W] or not as many as the labels.
BatchTransform mixup(const MixOptions& options);

/// A random rectangle of each image is replaced by its partner's; w is the share of pixels kept (Yun et al., "CutMix",
/// 2019). The rectangle has 1 - Beta(alpha, alpha) of the area before it is cut at the borders. Errors as mixup.
BatchTransform cutmix(const MixOptions& options);

/// One of the transforms for each batch, chosen at random. Throws ValueError for an empty list or an empty
/// function in it.
BatchTransform one_of(std::vector<BatchTransform> choices);

}  // namespace tern::data
