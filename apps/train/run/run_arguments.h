// What the command lines of training programs have in common, and how a run begins or goes on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tern/core/io/json.h>
#include <tern/train/run/run_directory.h>
#include <tern/train/settings/cli.h>
#include <tern/train/settings/schema.h>

namespace tern::train {

/// Options of every training program.
struct RunArguments {
  std::string config, out, weights;
  std::vector<std::string> set;
  int64_t seed = 0, threads = 0, log_every = 0, profile_steps = 20;
  bool fast_dev_run = false, resume = false, overwrite = false, profile = false, tensorboard = false;

  /// Declares them; help ends with the settings of the schema, which must outlive the command line, as must this.
  void declare(Cli& cli, const Schema& schema);
  /// Refuses options that contradict each other (UsageError), locks the directory of a run that is to be resumed, and
  /// takes the settings: those of the file (of the run itself with --resume alone), then --set, then options of their
  /// own. Returns the directory; null without --resume. Throws as RunDirectory and Schema.
  std::unique_ptr<const RunDirectory> settle(const char* program, const Cli& cli, Schema& schema) const;
  /// Where the run writes: `resumed` if there is one, else a new directory; null without --out.
  std::unique_ptr<const RunDirectory> open(std::unique_ptr<const RunDirectory> resumed) const;
};

/// A resumed run is the run that was interrupted: what shaped it may not change. `free` names the settings that may;
/// description: of the present run, with "environment"."data". Throws UsageError naming a setting that has changed,
/// ValueError where the data or the teacher have.
void need_same_run(const char* program, const Schema& schema, const io::Json& description, const RunDirectory& out,
                   const std::vector<std::string>& free);

/// The description of a run that is gone on with at `step`, with what was otherwise before, by the description until
/// now: "environment"."earlier" is a list of {"until_step", "commit", "cpu", "threads", ...} and of lengths (epochs,
/// steps) that were others.
io::Json with_history(io::Json description, const io::Json& before, int64_t step);

}  // namespace tern::train
