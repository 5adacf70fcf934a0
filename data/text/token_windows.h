// Text for language models: documents and windows of tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tern/core/tensor.h>

namespace tern::text {

/// The parts of a text between separators, without white space (ASCII) at their ends; empty parts are left out. An
/// empty separator gives the whole text as one document.
std::vector<std::string> split_documents(std::string_view text, std::string_view separator);

/// Inputs and what they should predict: targets are the inputs one token later.
struct TokenBatch {
  Tensor inputs;   ///< i64 [N, T]
  Tensor targets;  ///< i64 [N, T]
};

/// Settings of TokenWindows.
struct WindowOptions {
  int64_t context = 256;  ///< T, at least 1
  int64_t stride = 0;     ///< tokens from one window to the next; 0 takes the context, so that windows do not overlap
};

/// All windows of T tokens, each with its successor, of a long sequence; a rest that fills no window is left out. Cheap
/// to copy. Throws ValueError for a context below 1, a stride below 0 or a negative token.
class TokenWindows {
 public:
  TokenWindows(std::vector<int64_t> tokens, const WindowOptions& options);
  int64_t size() const { return count_; }
  /// The windows of these numbers (from a Sampler, say) as a batch. Throws ValueError for a number outside [0, size()).
  TokenBatch batch(std::span<const int64_t> indices) const;
  /// One window: N is 1.
  TokenBatch get(int64_t index) const { return batch({&index, 1}); }

 private:
  std::shared_ptr<const std::vector<int64_t>> tokens_;
  int64_t context_, stride_, count_;
};

}  // namespace tern::text
