// Embedding: rows of a table by index.
#pragma once

#include <optional>

#include <tern/nn/module.h>

namespace tern::nn {

/// What may stand where an Embedding stands: indices in, rows out.
struct EmbeddingInterface {
  virtual ~EmbeddingInterface() = default;
  /// indices: i64, any shape; result: that shape and then the width.
  virtual Tensor forward(const Tensor& indices) = 0;
};

/// tern::embedding with a weight [num_embeddings, embedding_dim] that starts standard normal, the row padding_idx at 0.
/// Making one throws ValueError for options out of range; calling it throws as tern::embedding.
class Embedding : public Module, public EmbeddingInterface {
 public:
  using Interface = EmbeddingInterface;
  struct Options {
    int64_t num_embeddings = 0;                         ///< required, at least 1
    int64_t embedding_dim = 0;                          ///< required, at least 1
    std::optional<int64_t> padding_idx = std::nullopt;  ///< a row without gradient; counts from the back when negative
  };
  explicit Embedding(const Options& options);
  const Options& options() const { return options_; }

  Tensor forward(const Tensor& indices) override;
  std::string extra_text() const override;

 private:
  Options options_;

 public:
  Parameter weight;
};

}  // namespace tern::nn
