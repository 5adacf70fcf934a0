#include <algorithm>

#include <tern/core/error.h>
#include <tern/train/run/run_arguments.h>
#include <tern/train/weights/checkpoint.h>

namespace tern::train {

void RunArguments::declare(Cli& cli, const Schema& schema) {
  cli.option("--config", config, "FILE", "JSON file with the settings below; those it lacks keep their defaults");
  cli.option("--out", out, "DIR", "where the run's files go");
  cli.option("--set", set, "KEY=VALUE", "changes one setting; may be given several times");
  cli.option("--weights", weights, "FILE", "weights to start from (model.weights)");
  cli.option("--seed", seed, {.min = 0, .max = 0x1p53}, "N", "seed");
  cli.option("--threads", threads, {.min = 1, .max = 4096}, "N", "threads; as many as processors if not given");
  cli.option("--log-every", log_every, {.min = 0, .max = 1e9}, "N", "also write metrics every N steps");
  cli.flag(
      "--profile", profile,
      "measure some steps layer by layer: a table at the end, DIR/profile.json, and DIR/trace.json for Perfetto or "
      "chrome://tracing");
  cli.option("--profile-steps", profile_steps, {.min = 1, .max = 10000}, "N", "steps that --profile measures");
  cli.flag("--tensorboard", tensorboard, "also write an event file for TensorBoard");
  cli.flag("--fast-dev-run", fast_dev_run, "three steps and a short evaluation, to see that everything works");
  cli.flag(
      "--resume", resume,
      "go on from DIR/last.safetensors, or from the beginning if the run had not come so far; without --config, with "
      "the settings of that run");
  cli.flag("--overwrite", overwrite, "allow a directory that holds another run");
  cli.epilogue([&schema] { return "Settings, with their defaults:\n\n" + schema.describe(); });
}

std::unique_ptr<const RunDirectory> RunArguments::settle(const char* program, const Cli& cli, Schema& schema) const {
  const auto need = [&](bool condition, const char* text) {
    if (!condition) throw UsageError(concat("[", program, "] expected ", text));
  };
  need(!out.empty() || fast_dev_run, "--out DIR (see --help)");
  need(!resume || (!out.empty() && !overwrite), "--resume with --out and without --overwrite");
  need(profile || !cli.given("--profile-steps"), "--profile with --profile-steps");
  need(!tensorboard || !out.empty(), "--out DIR with --tensorboard");
  std::unique_ptr<const RunDirectory> resumed;
  if (resume) resumed = std::make_unique<const RunDirectory>(out, OpenRun::kResume);
  if (!config.empty())
    schema.read_file(config);
  else if (resume)
    schema.read_file(resumed->file("config.json"));
  for (const std::string& assignment : set) schema.set(assignment);
  if (cli.given("--weights")) schema.set_text("model.weights", weights);
  if (cli.given("--seed")) schema.set("seed", std::to_string(seed), "--seed");
  return resumed;
}

std::unique_ptr<const RunDirectory> RunArguments::open(std::unique_ptr<const RunDirectory> resumed) const {
  if (resumed != nullptr || out.empty()) return resumed;
  return std::make_unique<const RunDirectory>(out, overwrite ? OpenRun::kOverwrite : OpenRun::kNew);
}

void need_same_run(const char* program, const Schema& schema, const io::Json& description, const RunDirectory& out,
                   const std::vector<std::string>& free) {
  const Checkpoint last = load_checkpoint(out.file("last.safetensors"));
  const std::string& file = last.path;
  const auto saved = last.metadata.find(meta::kConfig);
  if (saved == last.metadata.end()) return;  // Trainer::load says what is wrong with it
  std::string list;
  for (const std::string& key : free) list += concat(list.empty() ? "" : key == free.back() ? " and " : ", ", key);
  for (const std::string& key : schema.differing(saved->second, file))
    if (std::find(free.begin(), free.end(), key) == free.end())
      throw UsageError(concat("[", program, "] expected the settings of the run in ", out.path(),
                              " with --resume, got another ", key, "; only ", list, " may change"));
  const io::Json then = io::Json::parse(program, file, saved->second);
  const io::Json* surroundings = then.find("environment");
  for (const auto& [key, what] : {std::pair{"data", "data set"}, {"teacher", "teacher"}}) {
    const io::Json* before = surroundings != nullptr ? surroundings->find(key) : nullptr;
    if (before == nullptr) continue;
    const io::Json& now = description.at("environment").at(key);
    TERN_CHECK(before->dump() == now.dump(), ValueError, "[", program, "] expected the ", what, " that the run in ",
               out.path(), " began with, ", before->dump(), ", got ", now.dump());
  }
}

io::Json with_history(io::Json description, const io::Json& before, int64_t step) {
  const io::Json* then = before.find("environment");
  if (then == nullptr || !then->is_object()) return description;
  io::Json& now = description["environment"];
  io::Json earlier = io::Json::array();
  if (const io::Json* list = then->find("earlier"); list != nullptr && list->is_array()) earlier = *list;
  const auto differs = [](const io::Json& a, const io::Json& b, const char* key) {
    return a.find(key) != nullptr && b.find(key) != nullptr && a.at(key).dump() != b.at(key).dump();
  };
  bool changed = false;
  io::Json part = io::Json::object({{"until_step", step}});
  for (const char* key : {"tern", "commit", "compiler", "cpu", "isa", "blas", "threads"}) {
    changed = changed || differs(*then, now, key);
    if (then->find(key) != nullptr) part[key] = then->at(key);
  }
  for (const char* key : {"epochs", "steps"})
    if (differs(before, description, key)) {
      changed = true;
      part[key] = before.at(key);
    }
  if (changed) earlier.push_back(std::move(part));
  if (!earlier.items().empty()) now["earlier"] = std::move(earlier);
  return description;
}

}  // namespace tern::train
