// What loss.cpp and margin_loss.cpp share. Not for users.
#pragma once

#include <string>

#include <tern/core/error.h>
#include <tern/core/ops/loss.h>

namespace tern::nn::detail {

/// The settings of a loss that does not know batch means.
template <class O>
const O& checked_loss(const char* type, const O& o) {
  TERN_CHECK(o.reduction != Reduction::kBatchMean, ValueError, "[", type,
             "] expected the reduction kMean, kSum or kNone, got kBatchMean");
  return o;
}

/// Settings other than the defaults, for summaries.
class LossText {
 public:
  template <class T>
  LossText& add(const char* name, const T& value, const T& usual) {
    if (value != usual) text_ += concat(text_.empty() ? "" : ", ", name, "=", value);
    return *this;
  }
  std::string with(Reduction reduction) {
    static const std::string kNames[] = {"kMean", "kSum", "kNone", "kBatchMean"};
    return add("reduction", kNames[static_cast<size_t>(reduction)], kNames[0]).text_;
  }

 private:
  std::string text_;
};

}  // namespace tern::nn::detail
