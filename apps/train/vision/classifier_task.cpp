#include <tern/core/error.h>
#include <tern/core/ops/loss.h>
#include <tern/core/text.h>
#include <tern/train/vision/classifier_task.h>
#include <tern/train/weights/classes.h>

namespace tern::train {
namespace {

// Throws unless every label of the images stands for the same class as in the list.
void need_classes(const data::DataLoader* images, const char* owner, const ClassList& wanted) {
  if (images == nullptr || images->dataset().class_names() == wanted.names) return;
  const std::vector<std::string>& names = images->dataset().class_names();
  const std::vector<int64_t> places = class_places({names, owner}, wanted);
  for (size_t i = 0; i < places.size(); ++i)
    TERN_CHECK(places[i] == static_cast<int64_t>(i), ValueError, "[classifier] expected the classes of ", wanted.owner,
               " in their order, got \"", names[i], "\" as class ", i, " of ", owner,
               "; data::Relabeled gives the images other labels");
}

}  // namespace

data::DataLoader& ClassifierTask::loader() const {
  TERN_CHECK(options_.train != nullptr, ValueError, "[classifier] expected a loader to train from, got none");
  return *options_.train;
}

int64_t ClassifierTask::size() const {
  return loader().size();
}

void ClassifierTask::start(int64_t epoch, const io::TensorMap& position) {
  batch_.reset();
  if (position.empty())
    loader().set_epoch(epoch);
  else
    loader().load_state_dict(position);
}

std::optional<TaskBatch> ClassifierTask::next() {
  if (batch_.has_value())
    ++*batch_;
  else
    batch_ = loader().begin();
  if (*batch_ == loader().end()) {
    batch_.reset();
    return std::nullopt;
  }
  return TaskBatch{(*batch_)->images, (*batch_)->labels};
}

io::TensorMap ClassifierTask::position() const {
  return loader().state_dict();
}

data::LoaderStats ClassifierTask::loading() const {
  return loader().stats();
}

Tensor ClassifierTask::loss(const Tensor& output, const TaskBatch& batch) const {
  return options_.loss ? options_.loss(output, batch.targets) : cross_entropy(output, batch.targets);
}

void ClassifierTask::count(const Tensor& output, const TaskBatch& batch, Accuracy::Sums& sums) const {
  Accuracy accuracy;
  accuracy.set_sums(sums);
  accuracy.add(output, batch.targets);
  sums = accuracy.sums();
}

std::vector<std::string> ClassifierTask::class_names() const {
  if (options_.train == nullptr) return {};
  const ClassList own{options_.train->dataset().class_names(), "the training images"};
  need_classes(options_.validation, "the validation images", own);
  need_classes(options_.test, "the test images", own);
  return own.names;
}

EvalResult ClassifierTask::validate(nn::Module& model, const std::function<bool()>& stop) {
  return options_.validation != nullptr ? evaluate(model, *options_.validation, stop) : EvalResult{};
}

EvalResult ClassifierTask::test(nn::Module& model, const std::function<bool()>& stop) {
  return options_.test != nullptr ? evaluate(model, *options_.test, stop) : EvalResult{};
}

MetricRow ClassifierTask::figures(const EvalResult& result) const {
  return {{"loss", result.loss}, {"top1", result.top1}};
}

std::string ClassifierTask::text(const EvalResult& result) const {
  return format_text("loss %.4f acc %.2f%%", result.loss, 100 * result.top1);
}

}  // namespace tern::train
