#include <algorithm>
#include <cmath>

#include <tern/core/error.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/loss.h>
#include <tern/core/random.h>
#include <tern/core/text.h>
#include <tern/train/language/language_task.h>
#include <tern/train/language/perplexity.h>

namespace tern::train {
namespace {

void check(const LanguageTaskOptions& o, int64_t tokens) {
  const auto need = [](bool ok, const char* name, int64_t got) {
    TERN_CHECK(ok, ValueError, "[language] expected ", name, ", got ", got);
  };
  need(o.context >= 1, "a context of at least 1 token", o.context);
  need(o.batch_size >= 1, "a batch of at least 1 window", o.batch_size);
  need(o.batches >= 1, "at least 1 batch between two measurements", o.batches);
  need(o.batch_tokens >= 1, "batch_tokens of at least 1", o.batch_tokens);
  need(o.held_out == 0 || o.held_out >= 2, "no held-out tokens or at least 2", o.held_out);
  TERN_CHECK(tokens - o.held_out > o.context, ValueError, "[language] expected a text of more than ", o.context,
             " tokens, the context, besides the ", o.held_out, " held out, got ",
             std::max<int64_t>(tokens - o.held_out, 0));
}

std::vector<int64_t> part(const std::vector<int64_t>& tokens, int64_t begin, int64_t end) {
  return {tokens.begin() + begin, tokens.begin() + end};
}

// Checked before anything is cut.
text::TokenWindows windows_of(const std::vector<int64_t>& tokens, const LanguageTaskOptions& options) {
  const auto n = static_cast<int64_t>(tokens.size());
  check(options, n);
  return {part(tokens, 0, n - options.held_out), {.context = options.context, .stride = 1}};
}

Tensor number(int64_t v) {
  return tensor(std::vector<int64_t>{v}, {});
}

}  // namespace

LanguageTask::LanguageTask(std::vector<int64_t> tokens, const LanguageTaskOptions& options)
    : options_(options), windows_(windows_of(tokens, options)) {
  const auto n = static_cast<int64_t>(tokens.size());
  held_out_ = part(tokens, n - options.held_out, n);
}

void LanguageTask::start(int64_t epoch, const io::TensorMap& position) {
  epoch_ = epoch;
  done_ = 0;
  if (position.empty()) return;
  const auto saved = [&](const char* name) {
    const Tensor* found = position.find(name);
    TERN_CHECK(found != nullptr && found->dtype() == DType::kI64 && found->numel() == 1, ValueError,
               "[language] expected '", name, "' in the saved position to be i64 [], got ",
               found == nullptr ? std::string("none") : describe(*found));
    return found->item_i64();
  };
  for (const auto& [name, tensor] : this->position())
    if (name != "batch")
      TERN_CHECK(saved(name.c_str()) == tensor.item_i64(), ValueError, "[language] expected a position saved with ",
                 name, " ", tensor.item_i64(), ", got ", saved(name.c_str()));
  const int64_t batch = saved("batch");
  TERN_CHECK(batch >= 0 && batch <= size(), ValueError, "[language] expected a saved batch in [0, ", size(), "], got ",
             batch);
  done_ = batch;
}

std::optional<TaskBatch> LanguageTask::next() {
  if (done_ == size()) return std::nullopt;
  return batch(epoch_ * size() + done_++);
}

TaskBatch LanguageTask::batch(int64_t number) const {
  Generator random = Generator(options_.seed).fork("windows", static_cast<uint64_t>(number));
  std::vector<int64_t> places(static_cast<size_t>(options_.batch_size));
  for (int64_t& place : places) place = static_cast<int64_t>(random.below(static_cast<uint64_t>(windows_.size())));
  const text::TokenBatch tokens = windows_.batch(places);
  return {tokens.inputs, tokens.targets};
}

io::TensorMap LanguageTask::position() const {
  return {{"batch", number(done_)},
          {"batches", number(size())},
          {"seed", number(static_cast<int64_t>(options_.seed))},
          {"batch_size", number(options_.batch_size)},
          {"windows", number(windows_.size())}};
}

data::LoaderStats LanguageTask::loading() const {
  return {.total_seconds = 0, .wait_seconds = 0, .batches = done_, .images = done_ * options_.batch_size};
}

Tensor LanguageTask::loss(const Tensor& output, const TaskBatch& batch) const {
  return cross_entropy(output.flatten(0, 1), batch.targets.flatten());
}

void LanguageTask::count(const Tensor&, const TaskBatch& batch, Accuracy::Sums& sums) const {
  sums.n += batch.targets.numel();
}

EvalResult LanguageTask::validate(nn::Module& model, const std::function<bool()>& stop) {
  EvalResult result;
  const std::span<const int64_t> all(held_out_);
  const auto predictions = static_cast<int64_t>(all.size()) - 1;
  // Windows begin at multiples of the context, however many go through the model at once.
  const int64_t stretch = std::max<int64_t>(options_.batch_tokens / options_.context, 1) * options_.context;
  TokenNll nll;
  for (int64_t begin = 0; begin < predictions && result.complete; begin += stretch) {
    const int64_t end = std::min(begin + stretch, predictions);
    nll += text_nll(model, all.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin + 1)),
                    {.context = options_.context, .batch_tokens = options_.batch_tokens});
    result.complete = !stop || !stop();
  }
  result.n = nll.tokens;
  if (nll.tokens > 0) result.loss = nll.mean();
  return result;
}

double LanguageTask::score(const EvalResult& result) const {
  return std::exp(-result.loss);
}

MetricRow LanguageTask::figures(const EvalResult& result) const {
  return {{"loss", result.loss}, {"perplexity", std::exp(result.loss)}};
}

std::string LanguageTask::text(const EvalResult& result) const {
  return format_text("loss %.4f perplexity %.4g", result.loss, std::exp(result.loss));
}

}  // namespace tern::train
