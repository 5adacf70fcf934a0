#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <tern/core/error.h>
#include <tern/train/language/sampling.h>

namespace tern::train {
namespace {

struct Candidate {
  int64_t token;
  double weight;  // probability, up to a common factor
};

bool likelier(const Candidate& a, const Candidate& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.token < b.token;
}

double total_weight(const std::vector<Candidate>& candidates) {
  double total = 0;
  for (const Candidate& candidate : candidates) total += candidate.weight;
  return total;
}

// Draws in proportion to the weights. u: uniform in [0, 1).
int64_t draw(const std::vector<Candidate>& candidates, double u) {
  double left = u * total_weight(candidates);
  for (const Candidate& candidate : candidates) {
    left -= candidate.weight;
    if (left < 0) return candidate.token;
  }
  // Rounding used up the sum: the last one that has any weight.
  const auto last =
      std::find_if(candidates.rbegin(), candidates.rend(), [](const Candidate& c) { return c.weight > 0; });
  return last->token;
}

}  // namespace

int64_t sample_token(std::span<const float> logits, const SampleOptions& options, Generator& generator) {
  TERN_CHECK(options.temperature >= 0 && std::isfinite(options.temperature), ValueError,
             "[sample_token] expected a temperature of at least 0, got ", options.temperature);
  TERN_CHECK(options.top_k >= 0, ValueError, "[sample_token] expected top_k of at least 0, got ", options.top_k);
  TERN_CHECK(options.top_p > 0 && options.top_p <= 1, ValueError,
             "[sample_token] expected top_p above 0 and at most 1, got ", options.top_p);
  TERN_CHECK(!logits.empty(), ValueError, "[sample_token] expected at least one logit, got none");
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    TERN_CHECK(!std::isnan(logits[i]) && logits[i] != std::numeric_limits<float>::infinity(), ValueError,
               "[sample_token] expected finite logits, got ", logits[i], " for token ", i);
    if (logits[i] > logits[best]) best = i;
  }
  TERN_CHECK(std::isfinite(logits[best]), ValueError,
             "[sample_token] expected a token with a finite logit, got -inf for all ", logits.size());
  if (options.temperature == 0) return static_cast<int64_t>(best);

  std::vector<Candidate> candidates(logits.size());
  for (size_t i = 0; i < logits.size(); ++i)
    candidates[i] = {static_cast<int64_t>(i),
                     std::exp((static_cast<double>(logits[i]) - logits[best]) / options.temperature)};
  const auto k = static_cast<size_t>(options.top_k);
  if (k != 0 && k < candidates.size()) {
    std::nth_element(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(k - 1), candidates.end(),
                     likelier);
    candidates.resize(k);
  }
  if (options.top_p < 1) {
    std::sort(candidates.begin(), candidates.end(), likelier);
    const double wanted = options.top_p * total_weight(candidates);
    double reached = 0;
    size_t kept = 0;
    while (kept < candidates.size() && reached < wanted) reached += candidates[kept++].weight;
    candidates.resize(kept);
  }
  return draw(candidates, generator.uniform());
}

}  // namespace tern::train
