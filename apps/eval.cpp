// Measures a classifier's accuracy: our own checkpoints, which know their model and preprocessing, and published
// weights.
#include <cmath>
#include <cstdio>

#include <tern/tern.h>

using namespace tern;

namespace {

struct Arguments {
  std::string model, weights, data, dataset = "auto", split = "test";
  std::vector<std::string> set;
  std::vector<double> mean, std;
  int64_t resize = 0, crop = 0, batch_size = 0, threads = 0, limit = 0, workers = 1;
  bool json = false;
};

int run(int argc, char** argv) {
  Arguments a;
  train::Cli cli("eval", "Measures the accuracy of an image classifier on a data set.");
  cli.option("--weights", a.weights, "FILE", "safetensors file: a checkpoint of train_classifier, or published weights")
      .required();
  cli.option("--data", a.data, "DIR", "directory of the data set").required();
  cli.option("--model", a.model, "NAME", "model of published weights; our own checkpoints name theirs",
             train::image_model_names());
  train::ModelSpec spec;
  train::Schema sizes("eval");
  train::declare_model(sizes, spec);
  cli.option("--set", a.set, "KEY=VALUE", "a size of that model, such as model.depth=6; may be given several times");
  cli.option("--dataset", a.dataset, "KIND", "auto, cifar10, cifar100 or image_folder",
             {"auto", "cifar10", "cifar100", "image_folder"});
  cli.option("--split", a.split, "NAME", "test or train", {"test", "train"});
  cli.option("--mean", a.mean, {}, 3, "R,G,B", "subtracted from pixel/255 instead of what belongs to the weights");
  cli.option("--std", a.std, {.min = 0, .above = true}, 3, "R,G,B",
             "divided by instead of what belongs to the weights");
  cli.option("--resize", a.resize, {.min = 0, .max = 4096}, "N", "shorter side before the crop; 0: as the images are");
  cli.option("--crop", a.crop, {.min = 0, .max = 4096}, "N", "side of the centre crop; 0: none");
  cli.option("--batch-size", a.batch_size, {.min = 1, .max = 65536}, "N", "images at once");
  cli.option("--limit", a.limit, {.min = 0, .max = 1e9}, "N",
             "only N images, the first of each class in proportion; 0: all");
  cli.option("--workers", a.workers, {.min = 0, .max = 64}, "N", "loader threads");
  cli.option("--threads", a.threads, {.min = 1, .max = 4096}, "N", "threads; as many as processors if not given");
  cli.flag("--json", a.json, "one line of JSON");
  if (!cli.parse(argc, argv)) return 0;
  if (a.threads > 0) set_num_threads(static_cast<int>(a.threads));

  for (const std::string& assignment : a.set) sizes.set(assignment);
  if (!a.model.empty()) spec.name = a.model;

  const train::Checkpoint checkpoint = train::load_checkpoint(a.weights);
  const bool ours = checkpoint.metadata.contains(nn::models::kModelKey);
  if (!ours && a.model.empty())
    throw train::UsageError(
        concat("[eval] expected --model NAME, as ", a.weights, " does not say which model it is of"));
  if (ours && !a.model.empty() && checkpoint.metadata_at(nn::models::kModelKey) != a.model)
    throw train::UsageError(concat("[eval] expected --model ", checkpoint.metadata_at(nn::models::kModelKey),
                                   " or none, as ", a.weights, " says, got ", a.model));

  if (ours && !a.set.empty())
    throw train::UsageError(concat("[eval] expected no --set, as ", a.weights, " says what its model is"));

  const bool train_split = a.split == "train";
  const train::ImageData images = train::open_image_data(a.dataset, a.data, train_split, a.limit, a.limit);
  std::shared_ptr<const data::Dataset> dataset = train_split ? images.train : images.test;
  if (const std::vector<std::string> classes = train::classes_of(checkpoint); !classes.empty())
    dataset = train::with_classes(dataset, a.data, {classes, a.weights});

  std::shared_ptr<nn::Module> model;
  train::Preprocessing preprocessing;
  int64_t batch_size = 250;
  if (ours) {
    model = train::model_of(checkpoint);
    preprocessing = train::preprocessing_from(
        io::Json::parse("eval", a.weights, checkpoint.metadata_at(train::meta::kPreprocessing)));
    batch_size = train::eval_batch_size_of(checkpoint, batch_size);
  } else {
    preprocessing = train::published_preprocessing(a.model);
    if (preprocessing.mean.empty()) preprocessing.mean = images.mean, preprocessing.std = images.std;
  }
  if (cli.given("--mean")) preprocessing.mean = a.mean;
  if (cli.given("--std")) preprocessing.std = a.std;
  if (cli.given("--resize")) preprocessing.resize = a.resize;
  if (cli.given("--crop")) preprocessing.crop = a.crop;
  if (cli.given("--batch-size")) batch_size = a.batch_size;
  if (!ours) {
    if (spec.classes == 0) spec.classes = dataset->num_classes();
    if (spec.image_size == 0) spec.image_size = train::input_side(preprocessing, images);
    model = train::make_image_model(spec);
    train::load_weights(*model, checkpoint);
  }

  data::DataLoader loader(
      dataset, {.batch_size = batch_size, .workers = a.workers, .transform = train::eval_transform(preprocessing)});
  const train::EvalResult result = train::evaluate(*model, loader);
  TERN_CHECK(std::isfinite(result.loss), NonFiniteError, "[eval] expected a finite loss, got ", result.loss, " with ",
             a.weights);
  if (a.json) {
    io::Json json = io::Json::object();
    json["top1"] = result.top1;
    json["top5"] = result.top5;
    json["n"] = result.n;
    json["loss"] = result.loss;
    std::printf("%s\n", json.dump().c_str());
  } else {
    std::printf("%s\n",
                concat("top1=", result.top1, " top5=", result.top5, " n=", result.n, " loss=", result.loss).c_str());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return train::run_program("eval", [&] { return run(argc, argv); });
}
