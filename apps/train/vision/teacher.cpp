#include <tern/core/error.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/resample.h>
#include <tern/train/vision/classifier.h>
#include <tern/train/vision/teacher.h>
#include <tern/train/weights/checkpoint.h>
#include <tern/train/weights/classes.h>

namespace tern::train {
namespace {

Preprocessing preprocessing_of(const Checkpoint& checkpoint, const Preprocessing& missing) {
  const auto text = checkpoint.metadata.find(meta::kPreprocessing);
  return text == checkpoint.metadata.end()
             ? missing
             : preprocessing_from(io::Json::parse("checkpoint", meta::kPreprocessing, text->second));
}

int64_t side_of(const Preprocessing& p) {
  return p.crop > 0 ? p.crop : p.resize;
}

// From (x - mean) / std of one to that of the other, which is x scale + shift for each channel.
std::function<Tensor(const Tensor&)> between(const Preprocessing& from, const Preprocessing& to) {
  for (const Preprocessing* p : {&from, &to}) {
    const bool whole = p->mean.empty() ? p->std.empty() : p->mean.size() == 3 && p->std.size() == 3;
    TERN_CHECK(whole, FormatError, "[distill] expected a mean and a std of 3 channels or none, got ", p->mean.size(),
               " and ", p->std.size());
    for (const double std : p->std) TERN_CHECK(std > 0, FormatError, "[distill] expected a std above 0, got ", std);
  }
  const bool same = from.mean == to.mean && from.std == to.std;
  const int64_t side = side_of(to);
  if (same && (side == 0 || side == side_of(from))) return {};
  std::vector<double> scale(3, 1), shift(3, 0);
  const auto at = [](const std::vector<double>& values, size_t c, double missing) {
    return values.empty() ? missing : values[c];
  };
  for (size_t c = 0; !same && c < scale.size(); ++c) {
    scale[c] = at(from.std, c, 1) / at(to.std, c, 1);
    shift[c] = (at(from.mean, c, 0) - at(to.mean, c, 0)) / at(to.std, c, 1);
  }
  const Shape channels{1, static_cast<int64_t>(scale.size()), 1, 1};
  return [same, side, a = tensor(scale, channels), b = tensor(shift, channels)](const Tensor& input) {
    Tensor x = same ? input : add(mul(input, a.to(input.dtype())), b.to(input.dtype()));
    if (side > 0 && (x.size(2) != side || x.size(3) != side))
      x = interpolate(x, {.size = Size2{side, side}, .mode = InterpolationMode::kBilinear});
    return x;
  };
}

}  // namespace

Teacher open_teacher(const std::string& weights, const Student& student) {
  const Checkpoint checkpoint = load_checkpoint(weights);
  Teacher teacher{.model = model_of(checkpoint)};
  const std::vector<std::string> known = classes_of(checkpoint);
  const auto outputs = outputs_of(checkpoint);
  TERN_CHECK(!known.empty() || outputs == 0 || outputs == static_cast<int64_t>(student.classes.size()), ValueError,
             "[distill] expected a teacher of ", student.classes.size(), " classes, got ", outputs, " in ", weights);
  if (!known.empty() && known != student.classes)
    teacher.outputs = class_places({student.classes, "the model"}, {known, weights});
  teacher.input = between(student.preprocessing, preprocessing_of(checkpoint, student.preprocessing));
  return teacher;
}

}  // namespace tern::train
