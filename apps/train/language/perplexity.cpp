#include <algorithm>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/ops/loss.h>
#include <tern/nn/eval_mode.h>
#include <tern/train/language/perplexity.h>

namespace tern::train {
namespace {

// A stretch of tokens to run through the model: it sees tokens[0 .. n - 1), and the last `counted` of the predictions
// of tokens[1 .. n) count.
struct Window {
  std::span<const int64_t> tokens;
  int64_t counted = 0;
  int64_t inputs() const { return static_cast<int64_t>(tokens.size()) - 1; }
};

constexpr int64_t kIgnored = -100;

void check_options(const char* op, const PerplexityOptions& options, int64_t least_context) {
  TERN_CHECK(options.context >= least_context, ValueError, "[", op, "] expected a context of at least ", least_context,
             " tokens, got ", options.context);
  TERN_CHECK(options.stride >= 0 && options.stride <= options.context, ValueError, "[", op,
             "] expected a stride from 1 to the context of ", options.context, ", or 0, got ", options.stride);
  TERN_CHECK(options.batch_tokens >= 1, ValueError, "[", op, "] expected batch_tokens of at least 1, got ",
             options.batch_tokens);
}

// Windows of different lengths go side by side, the short ones filled up at their end: in a causal model that changes
// nothing before it.
TokenNll batch_nll(nn::Module& model, std::span<const Window> windows) {
  int64_t length = 0;
  for (const Window& window : windows) length = std::max(length, window.inputs());
  const auto count = static_cast<int64_t>(windows.size());
  Tensor inputs = empty({count, length}, DType::kI64);
  Tensor targets = empty({count, length}, DType::kI64);
  TokenNll result;
  for (int64_t w = 0; w < count; ++w) {
    const Window& window = windows[static_cast<size_t>(w)];
    int64_t* in = inputs.data<int64_t>() + w * length;
    int64_t* target = targets.data<int64_t>() + w * length;
    const int64_t n = window.inputs();
    for (int64_t i = 0; i < length; ++i) {
      in[i] = window.tokens[static_cast<size_t>(std::min(i, n - 1))];
      const bool counts = i < n && i >= n - window.counted;
      target[i] = counts ? window.tokens[static_cast<size_t>(i + 1)] : kIgnored;
    }
    result.tokens += window.counted;
  }
  const Tensor logits = model(inputs);
  TERN_CHECK(logits.dim() == 3 && logits.size(0) == count && logits.size(1) == length, ShapeError,
             "[perplexity] expected logits [", count, ", ", length, ", vocabulary] from the model, got ",
             logits.shape());
  const Tensor each =
      cross_entropy(logits.flatten(0, 1), targets.flatten(), {.ignore_index = kIgnored, .reduction = Reduction::kNone});
  for (const double nll : each.to_vector<double>()) result.sum += nll;
  return result;
}

TokenNll all_nll(nn::Module& model, std::span<const Window> windows, int64_t batch_tokens) {
  const NoGradGuard no_grad;
  const nn::EvalModeGuard eval_mode(model);
  TokenNll result;
  for (size_t begin = 0; begin < windows.size();) {
    size_t end = begin;
    for (int64_t longest = 0; end < windows.size(); ++end) {
      longest = std::max(longest, windows[end].inputs());
      if (end > begin && longest * static_cast<int64_t>(end - begin + 1) > batch_tokens) break;
    }
    result += batch_nll(model, windows.subspan(begin, end - begin));
    begin = end;
  }
  return result;
}

}  // namespace

TokenNll document_nll(nn::Module& model, std::span<const std::vector<int64_t>> documents,
                      const PerplexityOptions& options) {
  check_options("document_nll", options, 2);
  std::vector<Window> windows;
  for (const std::vector<int64_t>& document : documents) {
    const int64_t n = std::min(static_cast<int64_t>(document.size()), options.context);
    if (n >= 2) windows.push_back({std::span(document).first(static_cast<size_t>(n)), n - 1});
  }
  return all_nll(model, windows, options.batch_tokens);
}

TokenNll text_nll(nn::Module& model, std::span<const int64_t> tokens, const PerplexityOptions& options) {
  check_options("text_nll", options, 1);
  const int64_t stride = options.stride == 0 ? options.context : options.stride;
  const int64_t predictions = static_cast<int64_t>(tokens.size()) - 1;
  std::vector<Window> windows;
  for (int64_t begin = 0, done = 0; done < predictions; begin += stride) {
    const int64_t end = std::min(begin + options.context, predictions);
    windows.push_back({tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin + 1)), end - done});
    done = end;
  }
  return all_nll(model, windows, options.batch_tokens);
}

double perplexity(nn::Module& model, std::span<const int64_t> tokens, const PerplexityOptions& options) {
  TERN_CHECK(tokens.size() >= 2, ValueError, "[perplexity] expected at least 2 tokens, got ", tokens.size());
  return text_nll(model, tokens, options).perplexity();
}

double perplexity(nn::Module& model, const Tensor& tokens, const PerplexityOptions& options) {
  TERN_CHECK(tokens.dtype() == DType::kI64, DTypeError, "[perplexity] expected tokens i64 [n], got ", describe(tokens));
  TERN_CHECK(tokens.dim() == 1, ShapeError, "[perplexity] expected tokens i64 [n], got ", describe(tokens));
  return perplexity(model, tokens.to_vector<int64_t>(), options);
}

std::vector<std::string> split_documents(std::string_view text, std::string_view separator, int64_t limit) {
  TERN_CHECK(!separator.empty(), ValueError,
             "[split_documents] expected a separator of at least one character, got none");
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  std::vector<std::string> documents;
  for (size_t begin = 0; begin <= text.size();) {
    if (limit > 0 && static_cast<int64_t>(documents.size()) == limit) break;
    const size_t end = std::min(text.find(separator, begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    if (const size_t first = part.find_first_not_of(kSpace); first != std::string_view::npos)
      documents.emplace_back(part.substr(first, part.find_last_not_of(kSpace) - first + 1));
    begin = end + separator.size();
  }
  return documents;
}

}  // namespace tern::train
