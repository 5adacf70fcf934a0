// Learning classes: images with labels from loaders.
#pragma once

#include <functional>

#include <tern/train/loop/task.h>

namespace tern::train {

/// What a ClassifierTask works with; all must outlive it.
struct ClassifierTaskOptions {
  data::DataLoader* train = nullptr;
  data::DataLoader* validation = nullptr;
  data::DataLoader* test = nullptr;
  /// The loss of a batch, one element; cross-entropy if empty.
  std::function<Tensor(const Tensor& output, const Tensor& labels)> loss = {};
};

/// Logits [N, C] for images, against labels; validations are compared by top-1 accuracy. An epoch is a pass over
/// `train`.
class ClassifierTask : public Task {
 public:
  explicit ClassifierTask(const ClassifierTaskOptions& options) : options_(options) {}

  /// This and the next four throw ValueError without `train`.
  int64_t size() const override;
  void start(int64_t epoch, const io::TensorMap& position) override;
  std::optional<TaskBatch> next() override;
  io::TensorMap position() const override;
  data::LoaderStats loading() const override;

  Tensor loss(const Tensor& output, const TaskBatch& batch) const override;
  void count(const Tensor& output, const TaskBatch& batch, Accuracy::Sums& sums) const override;

  EvalResult validate(nn::Module& model, const std::function<bool()>& stop) override;
  EvalResult test(nn::Module& model, const std::function<bool()>& stop) override;
  double score(const EvalResult& result) const override { return result.top1; }

  MetricRow figures(const EvalResult& result) const override;
  std::string text(const EvalResult& result) const override;
  std::string unit() const override { return "images"; }
  /// Of the training images; empty without `train`. Throws ValueError where the images of `validation` or `test` have
  /// other classes, or have them in another order: their labels would stand for other outputs.
  std::vector<std::string> class_names() const override;

 private:
  data::DataLoader& loader() const;

  ClassifierTaskOptions options_;
  std::optional<data::DataLoader::Iterator> batch_;  // the last one given; none before the first
};

}  // namespace tern::train
