// Runs that are killed, whose disk fails, or that meet something else than what they began with.
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/io/json.h>
#include <tern/core/io/safetensors.h>
#include <tern/train/weights/checkpoint.h>

#include "apps/process.h"

namespace tern::testing {
namespace {

namespace fs = std::filesystem;
using Arguments = std::vector<std::string>;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Four steps an epoch over real images, a checkpoint after every other one.
Arguments small_run(const std::string& out, const Arguments& more = {}, const std::string& threads = "1") {
  Arguments arguments{"--data",
                      mini_data(),
                      "--out",
                      out,
                      "--threads",
                      threads,
                      "--seed",
                      "5",
                      "--log-every",
                      "1",
                      "--set",
                      "epochs=2",
                      "save_every=2",
                      "save_every_steps=2",
                      "model.name=mlp",
                      "model.hidden=16",
                      "data.workers=1",
                      "data.train_limit=100",
                      "optim.lr=0.01",
                      "data.test_limit=50",
                      "data.batch_size=32"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

Arguments resumed(const std::string& out) {
  return {"--out", out, "--resume", "--threads", "1", "--log-every", "1"};
}

// The run goes on as its user would let it: from its configuration if it got so far, else from the start.
ProcessResult go_on(const std::string& out, const Arguments& from_the_start) {
  return run_program("train_classifier", fs::exists(out + "/config.json") ? resumed(out) : from_the_start);
}

void expect_same_run(const std::string& out, const std::string& undisturbed) {
  EXPECT_TRUE(io::read_file("test", out + "/last.safetensors") ==
              io::read_file("test", undisturbed + "/last.safetensors"))
      << out;
  EXPECT_EQ(io::read_file("test", out + "/summary.json"), io::read_file("test", undisturbed + "/summary.json")) << out;
  const auto best = [](const std::string& run) {
    const std::string file = run + "/best.safetensors";
    return fs::exists(file) ? io::read_file("test", file) : "";
  };
  EXPECT_TRUE(best(out) == best(undisturbed)) << out;
  EXPECT_FALSE(fs::exists(out + "/best.previous.safetensors")) << out;
  // Every step and epoch once, in order; seconds and rates differ.
  const auto places = [](const std::string& path) {
    std::vector<std::string> found;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      const io::Json row = io::Json::parse("test", path, line);
      const char* loss = row.contains("loss") ? "loss" : "train_loss";
      found.push_back(concat(loss, " ", row.at("step").as_int(), " ", row.at(loss).as_number()));
    }
    return found;
  };
  EXPECT_EQ(places(out + "/metrics.jsonl"), places(undisturbed + "/metrics.jsonl")) << out;
  for (const auto& entry : fs::directory_iterator(out))
    EXPECT_FALSE(entry.path().extension() == ".tmp") << entry.path() << " was left behind";
}

TEST(Survival, EveryWriteSyncAndRenameOfACheckpointMayFail) {
  TemporaryDirectory directory;
  const std::string undisturbed = directory / "undisturbed";
  const Arguments settings{"epochs=1"};
  ASSERT_EQ(run_program("train_classifier", small_run(undisturbed, settings)).exit_code, 0);
  int faults = 0;
  for (const std::string how : {"error", "kill", "kill_after"}) {
    for (int at = 1;; ++at) {
      const std::string out = directory / (how + std::to_string(at));
      Arguments command{std::string("LD_PRELOAD=") + TERN_FAULTS, "TERN_FAULT_NAME=last.safetensors",
                        "TERN_FAULT_HOW=" + how, "TERN_FAULT_AT=" + std::to_string(at),
                        std::string(TERN_APPS_DIR) + "/train_classifier"};
      for (const std::string& argument : small_run(out, settings)) command.push_back(argument);
      const ProcessResult run = run_command("/usr/bin/env", command);
      if (run.err.find("fault injected") == std::string::npos) {
        EXPECT_EQ(run.exit_code, 0) << run.err;
        EXPECT_GT(at, 12) << "at least three checkpoints of at least four operations";
        break;
      }
      ++faults;
      EXPECT_EQ(run.exit_code, how == "error" ? 1 : 128 + SIGKILL) << how << " " << at << "\n" << run.err;
      if (how == "error") {
        EXPECT_NE(run.err.find("cannot write '" + out + "/last.safetensors': "), std::string::npos) << run.err;
      }
      if (fs::exists(out + "/last.safetensors")) {
        EXPECT_NO_THROW((void)train::load_checkpoint(out + "/last.safetensors")) << how << " " << at;
      }
      const ProcessResult rest = go_on(out, small_run(out, settings));
      ASSERT_EQ(rest.exit_code, 0) << how << " " << at << "\n" << rest.err;
      expect_same_run(out, undisturbed);
      fs::remove_all(out);
    }
  }
  EXPECT_GE(faults, 36);
}

// Runs train_classifier without waiting for it.
pid_t started(const Arguments& arguments) {
  const pid_t child = fork();
  if (child != 0) return child;
  std::string program = std::string(TERN_APPS_DIR) + "/train_classifier";
  std::vector<char*> argv{program.data()};
  std::vector<std::string> texts = arguments;
  for (std::string& text : texts) argv.push_back(text.data());
  argv.push_back(nullptr);
  const int nowhere = open("/dev/null", O_RDWR);
  dup2(nowhere, STDOUT_FILENO);
  execv(program.c_str(), argv.data());
  _exit(127);
}

// TERN_KILLS says how often; a few times without it.
TEST(Survival, KilledAtAnyMoment) {
  TemporaryDirectory directory;
  const Arguments settings{"codeq.mode=mixed", "codeq.dz_decay=1", "model.name=resnet20", "data.flip=true"};
  const auto start = Clock::now();
  const std::string undisturbed = directory / "undisturbed";
  ASSERT_EQ(run_program("train_classifier", small_run(undisturbed, settings)).exit_code, 0);
  const double whole = seconds_since(start);

  const char* wanted = std::getenv("TERN_KILLS");
  const int kills = wanted != nullptr ? std::atoi(wanted) : 3;
  std::mt19937 random(std::random_device{}());
  std::uniform_real_distribution<double> moment(0, whole);
  const std::string out = directory / "killed";
  for (int killed = 0; killed < kills;) {
    const double when = moment(random);
    const Arguments arguments = fs::exists(out + "/config.json") ? resumed(out) : small_run(out, settings);
    const pid_t child = started(arguments);
    ASSERT_GE(child, 0);
    std::this_thread::sleep_for(std::chrono::duration<double>(when));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) {
      ++killed;
      if (killed < kills && random() % 3 != 0) continue;  // kill what goes on from here as well
      const ProcessResult rest = go_on(out, small_run(out, settings));
      ASSERT_EQ(rest.exit_code, 0) << "after " << when << " s of " << whole << "\n" << rest.err;
    } else {
      ASSERT_EQ(WEXITSTATUS(status), 0);
    }
    expect_same_run(out, undisturbed);
    fs::remove_all(out);
  }
}

// In the measurement at an epoch's end, with quantization that is setting in and with averages; by either signal. With
// TERN_KILLS twenty times; a few times without it.
TEST(Survival, KilledWhileItIsMeasured) {
  TemporaryDirectory directory;
  // 80 images to learn from, 20 held out: three steps an epoch. Measuring takes far longer.
  const Arguments settings{"model.hidden=[16, 16]", "bitnet.enabled=true",   "bitnet.warmup_steps=5",
                           "optim.ema_decay=0.9",   "data.val_fraction=0.2", "data.test_limit=0",
                           "data.eval_batch_size=1"};
  const std::string undisturbed = directory / "undisturbed", out = directory / "killed";
  const auto start = Clock::now();
  ASSERT_EQ(run_program("train_classifier", small_run(undisturbed, settings)).exit_code, 0);
  const double whole = seconds_since(start);
  const int kills = std::getenv("TERN_KILLS") != nullptr ? 20 : 3;
  std::mt19937 random(std::random_device{}());
  std::uniform_real_distribution<double> moment(0, whole / 4);
  const auto rows = [&] {
    std::ifstream file(out + "/metrics.jsonl");
    int64_t count = 0;
    for (std::string line; std::getline(file, line);) ++count;
    return count;
  };
  for (int killed = 0, tries = 0; killed < kills && tries < 10 * kills; ++tries) {
    const int64_t measuring = random() % 2 == 0 ? 3 : 7;  // rows when the first or the second epoch is measured
    const double when = moment(random);
    const int signal = random() % 2 == 0 ? SIGKILL : SIGTERM;
    const pid_t child = started(small_run(out, settings));
    ASSERT_GE(child, 0);
    int status = 0;
    bool ended = false;
    while (!ended && rows() < measuring) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ended = waitpid(child, &status, WNOHANG) == child;
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(when));
    if (!ended) {
      kill(child, signal);
      waitpid(child, &status, 0);
    }
    const bool stopped = WIFSIGNALED(status) || WEXITSTATUS(status) == 128 + SIGTERM;
    if (stopped)
      ++killed;
    else
      ASSERT_EQ(WEXITSTATUS(status), 0);
    const ProcessResult rest = go_on(out, small_run(out, settings));
    ASSERT_EQ(rest.exit_code, 0) << "after " << when << " s of " << whole << "\n" << rest.err;
    expect_same_run(out, undisturbed);
    EXPECT_TRUE(io::read_file("test", out + "/evaluation.json") ==
                io::read_file("test", undisturbed + "/evaluation.json"));
    fs::remove_all(out);
  }
}

TEST(Survival, StoppedWhileItIsMeasured) {
  TemporaryDirectory directory;
  // Measuring takes far longer than training here.
  const Arguments settings{"model.name=resnet20", "data.test_limit=0", "data.eval_batch_size=10", "epochs=1"};
  const std::string undisturbed = directory / "undisturbed", out = directory / "stopped";
  ASSERT_EQ(run_program("train_classifier", small_run(undisturbed, settings)).exit_code, 0);
  const Arguments arguments = small_run(out, settings);
  Clock::time_point asked;
  bool sent = false;
  std::thread watcher;
  const ProcessResult run = run_program("train_classifier", arguments, [&](pid_t pid, const std::string& printed) {
    if (sent || printed.find("training and") == std::string::npos) return;
    sent = true;
    watcher = std::thread([&, pid] {  // the row of the last step says that measuring has begun
      for (int i = 0; i < 3000; ++i) {
        std::ifstream file(out + "/metrics.jsonl");
        int rows = 0;
        for (std::string line; std::getline(file, line);) ++rows;
        if (rows >= 4) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
      asked = Clock::now();
      kill(pid, SIGTERM);
    });
  });
  const double took = seconds_since(asked);
  if (watcher.joinable()) watcher.join();
  ASSERT_EQ(run.exit_code, 143) << run.out << run.err;
  EXPECT_LT(took, 2.5);
  const ProcessResult rest = run_program("train_classifier", resumed(out));
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  expect_same_run(out, undisturbed);
}

// Before the first step and after the last one there is nothing to finish.
TEST(Survival, StoppedOutsideOfTraining) {
  TemporaryDirectory directory;
  const std::string early = directory / "early", late = directory / "late";
  const auto stop_at = [](const char* text) {
    return [text, sent = false](pid_t child, const std::string& said) mutable {
      if (sent || said.find(text) == std::string::npos) return;
      sent = true;
      kill(child, SIGTERM);
    };
  };
  const ProcessResult before = run_program("train_classifier", small_run(early), stop_at(" parameters, "));
  EXPECT_EQ(before.exit_code, 128 + SIGTERM) << before.out << before.err;
  const Arguments slow{"data.test_limit=1000", "data.eval_batch_size=1"};
  const ProcessResult after = run_program("train_classifier", small_run(late, slow), stop_at("top1="));
  EXPECT_EQ(after.exit_code, 128 + SIGTERM) << after.out << after.err;
  EXPECT_TRUE(fs::exists(late + "/summary.json"));
  EXPECT_FALSE(fs::exists(late + "/evaluation.json")) << after.err;
  EXPECT_EQ(run_program("train_classifier", resumed(late)).exit_code, 0);
  EXPECT_TRUE(fs::exists(late + "/evaluation.json"));
}

// A program works or says that there is no memory; it never waits for some. Limits below what OpenBLAS wants, around
// it, and above.
TEST(Survival, ProgramsEndWhereTheAddressSpaceIsLimited) {
  TemporaryDirectory directory;
  const std::string out = directory / "run";
  ASSERT_EQ(run_program("train_classifier", small_run(out)).exit_code, 0);
  const auto limited = [&](int kilobytes, const std::string& program, const Arguments& arguments) {
    std::string line = concat("ulimit -v ", kilobytes, "; exec timeout -s KILL 60 '", TERN_APPS_DIR, "/", program, "'");
    for (const std::string& argument : arguments) line += concat(" '", argument, "'");
    return run_command("/bin/sh", {"-c", line});
  };
  int worked = 0, refused = 0;
  for (int kilobytes = 60000; kilobytes <= 600000; kilobytes += 20000 + kilobytes / 8) {
    for (const char* threads : {"1", "3"}) {
      const ProcessResult run =
          limited(kilobytes, "train_classifier",
                  small_run(concat(directory / "limited", kilobytes, "_", threads), {"epochs=1"}, threads));
      if (run.exit_code == 0) {
        ++worked;
        continue;
      }
      ++refused;
      EXPECT_EQ(run.exit_code, 1) << kilobytes << " kB: " << run.err;
      EXPECT_NE(run.err.find("memory"), std::string::npos) << kilobytes << " kB: " << run.err;
      EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << kilobytes << " kB: " << run.err;
    }
    const ProcessResult looked = limited(kilobytes, "inspect", {out + "/last.safetensors"});
    EXPECT_EQ(looked.exit_code, 0) << kilobytes << " kB: " << looked.err;  // it multiplies nothing
  }
  EXPECT_GT(refused, 0);
  EXPECT_GT(worked, 0);
}

TEST(Survival, DivergenceNamesStepLayerAndCheckpoint) {
  TemporaryDirectory directory;
  const std::string out = directory / "run";
  const ProcessResult run = run_program(
      "train_classifier", small_run(out, {"optim.lr=1e30", "schedule.name=constant", "model.name=resnet20"}));
  EXPECT_EQ(run.exit_code, 1);
  for (const std::string& part :
       {std::string("[trainer] expected "), std::string(" at step "), std::string("; first: ["),
        "; the last good checkpoint is " + out + "/last.safetensors of step 0"})
    EXPECT_NE(run.err.find(part), std::string::npos) << part << "\n" << run.err;
  EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
  const train::Checkpoint kept = train::load_checkpoint(out + "/last.safetensors");
  for (const auto& [name, tensor] : kept.weights)
    for (const double v : tensor.to_vector<double>()) ASSERT_TRUE(std::isfinite(v)) << name;
}

TEST(Survival, OneProcessADirectory) {
  TemporaryDirectory directory;
  const std::string out = directory / "run";
  ProcessResult second;
  const ProcessResult first = run_program("train_classifier", small_run(out), [&](pid_t, const std::string& printed) {
    if (printed.find("training and") == std::string::npos || !second.err.empty()) return;
    second = run_program("train_classifier", small_run(out, {"--overwrite"}));
  });
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(second.exit_code, 2);
  EXPECT_EQ(second.err,
            "train_classifier: [run] expected to be alone in " + out + ", got another process at work there\n");
  EXPECT_FALSE(fs::exists(out + "/.lock"));
}

// What a run may meet when it is to go on, and what it then says.
TEST(Survival, ResumingMeetsSomethingElse) {
  TemporaryDirectory directory;
  const std::string out = directory / "run", file = out + "/last.safetensors";
  ASSERT_EQ(run_program("train_classifier", small_run(out)).exit_code, 0);
  const train::Checkpoint good = train::load_checkpoint(file);
  const std::string bytes = io::read_file("test", file);
  const auto write = [&](const std::string& content) { io::write_file_atomic("test", file, content); };
  const auto save_changed = [&](const std::function<void(train::Checkpoint&)>& change) {
    train::Checkpoint changed = good;
    change(changed);
    train::save_checkpoint(file, changed);
  };
  const auto replace_in = [](std::string text, const std::string& from, const std::string& to) {
    const size_t at = text.find(from);
    if (at == std::string::npos) throw std::runtime_error("no " + from + " in " + text);
    return text.replace(at, from.size(), to);
  };
  const std::string less = directory / "less";
  fs::create_directories(less);
  for (const char* name : {"data_batch_1.bin", "test_batch.bin"}) {
    std::string content = io::read_file("test", mini_data() + "/" + name);
    content[100] = static_cast<char>(content[100] + 1);
    std::ofstream(less + "/" + name) << content;
  }
  struct Case {
    std::function<void()> prepare;
    Arguments more;
    int exit_code;
    std::string text;
  };
  const std::vector<Case> cases{
      {[&] { write(bytes.substr(0, bytes.size() / 2)); }, {}, 1, "[load_safetensors] expected"},
      {[&] {
         std::string changed = bytes;
         changed[changed.size() - 1000] = static_cast<char>(changed[changed.size() - 1000] ^ 4);
         write(changed);
       },
       {},
       1,
       "; the file is damaged"},
      {[&] {
         const size_t at = bytes.find("\"tern.format\":\"1\"");
         ASSERT_NE(at, std::string::npos);
         write(replace_in(bytes, "\"tern.format\":\"1\"", "\"tern.format\":\"7\""));
       },
       {},
       1,
       "expected a file of format 1 or before in " + file + ", got format 7, written by Tern 0.1.0"},
      {[&] {
         save_changed([&](train::Checkpoint& c) {
           std::string& config = c.metadata[train::meta::kConfig];
           config = replace_in(config, "\"name\":\"mlp\"", "\"name\":\"resnet20\"");
         });
       },
       {},
       2,
       "expected the settings of the run in " + out + " with --resume, got another model.name;"},
      {[&] {
         save_changed([&](train::Checkpoint& c) {
           io::TensorMap weights;
           for (const auto& [name, tensor] : c.weights) weights.insert("other." + name, tensor);
           c.weights = weights;
         });
       },
       {},
       1,
       "missing"},
      {[&] {
         save_changed([&](train::Checkpoint& c) {
           io::TensorMap state;
           for (const auto& [name, tensor] : c.state)
             state.insert(name.starts_with("optimizer.state.") ? name + ".exp_avg" : name, tensor);
           c.state = state;
         });
       },
       {},
       1,
       "expected"},
      {[&] { write(bytes); }, {"--data", less}, 1, "expected the data set that the run in " + out + " began with"},
      {[&] { write(bytes); }, {"--set", "optim.name=adamw"}, 2, "with --resume, got another optim.name;"},
  };
  for (const Case& c : cases) {
    c.prepare();
    const std::string before = io::read_file("test", file);
    Arguments arguments = resumed(out);
    arguments.insert(arguments.end(), c.more.begin(), c.more.end());
    const ProcessResult run = run_program("train_classifier", arguments);
    EXPECT_EQ(run.exit_code, c.exit_code) << c.text << "\n" << run.err;
    EXPECT_NE(run.err.find(c.text), std::string::npos) << c.text << "\n" << run.err;
    EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
    EXPECT_TRUE(io::read_file("test", file) == before) << "the checkpoint was touched: " << c.text;
  }

  const ProcessResult nothing = run_program("train_classifier", {"--out", less, "--resume"});
  EXPECT_EQ(nothing.exit_code, 2);
  EXPECT_NE(nothing.err.find("expected a run in " + less + " to go on with, got a directory without config.json"),
            std::string::npos)
      << nothing.err;
  const ProcessResult read_only = run_program("train_classifier", small_run("/proc/self"));
  EXPECT_EQ(read_only.exit_code, 1);
  EXPECT_NE(read_only.err.find("[run] expected a directory to write in, got /proc/self: "), std::string::npos)
      << read_only.err;
}

}  // namespace
}  // namespace tern::testing
