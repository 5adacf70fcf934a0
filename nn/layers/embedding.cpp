#include <tern/core/autograd/autograd.h>
#include <tern/core/ops/embedding.h>
#include <tern/nn/init.h>
#include <tern/nn/layers/embedding.h>

namespace tern::nn {
namespace {

const Embedding::Options& checked(const Embedding::Options& o) {
  TERN_CHECK(o.num_embeddings >= 1 && o.embedding_dim >= 1, ValueError,
             "[Embedding] expected num_embeddings and embedding_dim of at least 1, got ", o.num_embeddings, " and ",
             o.embedding_dim);
  const int64_t row = o.padding_idx.value_or(0);
  TERN_CHECK(row >= -o.num_embeddings && row < o.num_embeddings, ValueError,
             "[Embedding] expected a padding_idx among ", o.num_embeddings, " rows, got ", row);
  return o;
}

}  // namespace

Embedding::Embedding(const Options& options)
    : options_(checked(options)), weight(this, "weight", empty({options.num_embeddings, options.embedding_dim})) {
  Tensor w = weight.latent();
  init::normal_(w);
  if (!options.padding_idx) return;
  const NoGradGuard no_grad;
  w.select(0, *options.padding_idx).zero_();
}

Tensor Embedding::forward(const Tensor& indices) {
  return embedding(indices, weight(), options_.padding_idx);
}

std::string Embedding::extra_text() const {
  std::string text = concat(options_.num_embeddings, ", ", options_.embedding_dim);
  if (options_.padding_idx) text += concat(", padding_idx=", *options_.padding_idx);
  return text;
}

}  // namespace tern::nn
