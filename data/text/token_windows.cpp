#include <algorithm>

#include <tern/core/error.h>
#include <tern/data/text/token_windows.h>

namespace tern::text {

std::vector<std::string> split_documents(std::string_view text, std::string_view separator) {
  constexpr std::string_view kBlanks = " \t\n\v\f\r";
  std::vector<std::string> documents;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t found = separator.empty() ? std::string_view::npos : text.find(separator, begin);
    const size_t end = std::min(found, text.size());
    std::string_view part = text.substr(begin, end - begin);
    const size_t first = part.find_first_not_of(kBlanks);
    if (first != std::string_view::npos)
      documents.emplace_back(part.substr(first, part.find_last_not_of(kBlanks) - first + 1));
    if (found == std::string_view::npos) break;
    begin = found + separator.size();
  }
  return documents;
}

TokenWindows::TokenWindows(std::vector<int64_t> tokens, const WindowOptions& options)
    : context_(options.context), stride_(options.stride == 0 ? options.context : options.stride) {
  TERN_CHECK(options.context >= 1, ValueError, "[token_windows] expected a context of at least 1, got ",
             options.context);
  TERN_CHECK(options.stride >= 0, ValueError, "[token_windows] expected a stride of at least 0, got ", options.stride);
  for (const int64_t token : tokens)
    TERN_CHECK(token >= 0, ValueError, "[token_windows] expected tokens of at least 0, got ", token);
  const int64_t starts = static_cast<int64_t>(tokens.size()) - context_;  // a window needs a successor, too
  count_ = starts <= 0 ? 0 : (starts - 1) / stride_ + 1;
  tokens_ = std::make_shared<const std::vector<int64_t>>(std::move(tokens));
}

TokenBatch TokenWindows::batch(std::span<const int64_t> indices) const {
  const auto n = static_cast<int64_t>(indices.size());
  TokenBatch out{empty({n, context_}, DType::kI64), empty({n, context_}, DType::kI64)};
  int64_t* inputs = out.inputs.data<int64_t>();
  int64_t* targets = out.targets.data<int64_t>();
  for (const int64_t index : indices) {
    TERN_CHECK(index >= 0 && index < count_, ValueError, "[token_windows] expected a window in [0, ", count_, "), got ",
               index);
    const int64_t* window = tokens_->data() + index * stride_;
    inputs = std::copy_n(window, context_, inputs);
    targets = std::copy_n(window + 1, context_, targets);
  }
  return out;
}

}  // namespace tern::text
