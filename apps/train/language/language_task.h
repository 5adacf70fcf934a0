// Learning a text: windows of tokens, each token predicted from those before it.
#pragma once

#include <cstdint>
#include <vector>

#include <tern/data/text/token_windows.h>
#include <tern/train/loop/task.h>

namespace tern::train {

/// Settings of a LanguageTask.
struct LanguageTaskOptions {
  int64_t context = 256;        ///< tokens of a window, at least 1
  int64_t batch_size = 16;      ///< windows of a batch, at least 1
  int64_t batches = 100;        ///< batches between two measurements: an epoch, at least 1
  int64_t held_out = 0;         ///< tokens at the end that are kept apart for validation; 0 or at least 2
  int64_t batch_tokens = 2048;  ///< tokens that go through the model at once in validation, as a hint
  uint64_t seed = 0;
};

/// Logits [N, T, vocabulary] for tokens [N, T], against the tokens that follow. The windows of a batch begin anywhere
/// in the text, by chance: where, depends on the seed and the number of the batch in the run alone. Validation is the
/// cross-entropy of every held-out token, in windows one behind the other; the better model has the lower perplexity.
class LanguageTask : public Task {
 public:
  /// tokens: the whole text. Throws ValueError for options out of range, and for a text that is too short: what is not
  /// held out must be longer than a window.
  LanguageTask(std::vector<int64_t> tokens, const LanguageTaskOptions& options);

  int64_t size() const override { return options_.batches; }
  void start(int64_t epoch, const io::TensorMap& position) override;
  std::optional<TaskBatch> next() override;
  io::TensorMap position() const override;
  data::LoaderStats loading() const override;

  Tensor loss(const Tensor& output, const TaskBatch& batch) const override;
  void count(const Tensor& output, const TaskBatch& batch, Accuracy::Sums& sums) const override;

  EvalResult validate(nn::Module& model, const std::function<bool()>& stop) override;
  EvalResult test(nn::Module&, const std::function<bool()>&) override { return {}; }
  /// 1 / perplexity: the geometric mean of the probabilities of the right tokens.
  double score(const EvalResult& result) const override;

  MetricRow figures(const EvalResult& result) const override;
  std::string text(const EvalResult& result) const override;
  std::string unit() const override { return "tokens"; }
  bool tells_epochs() const override { return false; }

  /// The batch of that number in the run, from 0.
  TaskBatch batch(int64_t number) const;

 private:
  LanguageTaskOptions options_;
  text::TokenWindows windows_;  // one at every place of the training text
  std::vector<int64_t> held_out_;
  int64_t epoch_ = 0, done_ = 0;  // batches of the epoch that next() gave
};

}  // namespace tern::train
