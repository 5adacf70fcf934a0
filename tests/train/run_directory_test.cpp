// Which directories a run may use, and that nobody else's files are lost there.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/io/file.h>
#include <tern/core/io/json.h>
#include <tern/train/run/run_directory.h>
#include <tern/train/settings/environment.h>
#include <tern/train/settings/schema.h>

#include "message_of.h"
#include "temporary_directory.h"

namespace tern::train {
namespace {

namespace fs = std::filesystem;
using tern::test::message_of;
using tern::testing::TemporaryDirectory;

// A directory with files of these names and texts.
std::string directory_with(const std::string& path, const std::vector<std::pair<std::string, std::string>>& files) {
  fs::create_directories(path);
  for (const auto& [name, text] : files) std::ofstream(path + "/" + name) << text;
  return path;
}

std::string config_of_a_run() {
  return io::Json::object({{"epochs", 3}, {"environment", environment()}}).dump(2);
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(path)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// What opening says, with the path as DIR; nothing may change.
std::string refusal(const std::string& path, OpenRun how) {
  const std::vector<std::string> before = names_in(path);
  std::string message = message_of<UsageError>([&] { RunDirectory(path, how).clear(); });
  EXPECT_EQ(names_in(path), before);
  if (const size_t at = message.find(path); at != std::string::npos) message.replace(at, path.size(), "DIR");
  return message;
}

TEST(RunDirectory, ANewOneIsMadeAndLocked) {
  TemporaryDirectory directory;
  const std::string path = directory / "a/b";
  for (const OpenRun how : {OpenRun::kNew, OpenRun::kOverwrite}) {
    {
      const RunDirectory out(path, how);
      EXPECT_TRUE(out.has(".lock"));
      EXPECT_EQ(refusal(path, OpenRun::kOverwrite),
                "[run] expected to be alone in DIR, got another process at work there");
    }
    EXPECT_TRUE(names_in(path).empty());
  }
}

TEST(RunDirectory, ARunIsReplacedOrGoesOnWhenAskedFor) {
  TemporaryDirectory directory;
  const std::string path =
      directory_with(directory / "run", {{"config.json", config_of_a_run()}, {"metrics.jsonl", ""}, {"mine.txt", ""}});
  EXPECT_EQ(refusal(path, OpenRun::kNew),
            "[run] expected an unused directory, got DIR with a run in it (config.json); give --resume to go on, "
            "--overwrite to replace it");
  EXPECT_TRUE(RunDirectory(path, OpenRun::kResume).has("config.json"));
  {
    const RunDirectory out(path, OpenRun::kOverwrite);
    EXPECT_TRUE(out.has("config.json")) << "until it is cleared";
    out.clear();
  }
  EXPECT_EQ(names_in(path), std::vector<std::string>{"mine.txt"});
}

// What killed programs and a Trainer on its own leave.
TEST(RunDirectory, ARunWithoutItsConfigurationIsReplacedToo) {
  TemporaryDirectory directory;
  int count = 0;
  for (const std::vector<std::string>& left : std::vector<std::vector<std::string>>{
           {".lock"},
           {".lock", "tokenizer.bin", "tokenizer.json"},  // killed while it removed a run before
           {".lock", "report.html", "samples.jsonl", "tokenizer.json"},
           {"last.safetensors", "metrics.jsonl"},
           {"metrics.jsonl"},
           {"last.safetensors", "tokenizer.json"}}) {
    std::vector<std::pair<std::string, std::string>> files;
    for (const std::string& name : left) files.emplace_back(name, "");
    const std::string path = directory_with((directory / "run") + std::to_string(++count), files);
    EXPECT_EQ(refusal(path, OpenRun::kResume),
              "[run] expected a run in DIR to go on with, got a directory without config.json");
    if (left.size() > 1) {
      EXPECT_NE(refusal(path, OpenRun::kNew).find("with a run in it"), std::string::npos) << left[1];
    }
    RunDirectory(path, OpenRun::kOverwrite).clear();
    EXPECT_TRUE(names_in(path).empty()) << left[0];
  }
}

TEST(RunDirectory, FilesThatNoRunWroteStay) {
  TemporaryDirectory directory;
  int count = 0;
  for (const char* config :
       {R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 64})", R"({"environment": {"threads": 2}})",
        R"({"environment": "tern"})", R"(["environment", "tern"])", "{\"environment\": {\"tern\"", "\xff", ""}) {
    const std::string path = directory_with((directory / "model") + std::to_string(++count),
                                            {{"config.json", config}, {"tokenizer.json", "{}"}, {"metrics.jsonl", ""}});
    EXPECT_EQ(refusal(path, OpenRun::kNew),
              "[run] expected an unused directory, got DIR with a config.json that no run wrote");
    EXPECT_EQ(refusal(path, OpenRun::kResume),
              "[run] expected a run in DIR to go on with, got a config.json that no run wrote");
    EXPECT_EQ(refusal(path, OpenRun::kOverwrite),
              "[run] expected a run in DIR to replace, got a config.json that no run wrote");
    EXPECT_EQ(io::read_file("test", path + "/config.json"), config);
    EXPECT_EQ(io::read_file("test", path + "/tokenizer.json"), "{}");
  }
  const std::string path = directory_with(directory / "tokenizer", {{"tokenizer.json", "{}"}});
  EXPECT_EQ(refusal(path, OpenRun::kNew), "[run] expected an unused directory, got DIR with tokenizer.json but no run");
  EXPECT_EQ(refusal(path, OpenRun::kOverwrite),
            "[run] expected a run in DIR to replace, got tokenizer.json but no run");
}

TEST(RunDirectory, ARefusalLeavesTheLockOfAKilledProgram) {
  TemporaryDirectory directory;
  const std::string path = directory_with(directory / "run", {{".lock", ""}, {"tokenizer.json", ""}});
  EXPECT_NE(refusal(path, OpenRun::kNew), "");
  RunDirectory(path, OpenRun::kOverwrite).clear();
  EXPECT_TRUE(names_in(path).empty()) << "still known to be a run's";
}

// Another run may take the path of one that was moved away: neither knows of the other.
TEST(RunDirectory, ItsFilesAndItsLockFollowItWhereItIsMoved) {
  TemporaryDirectory directory;
  const std::string path = directory / "run", moved = directory / "moved";
  auto first = std::make_unique<const RunDirectory>(path, OpenRun::kNew);
  fs::rename(path, moved);
  const RunDirectory second(path, OpenRun::kNew);
  io::write_file_atomic("test", first->file("metrics.jsonl"), "first");
  io::write_file_atomic("test", second.file("metrics.jsonl"), "second");
  EXPECT_EQ(io::read_file("test", moved + "/metrics.jsonl"), "first");
  EXPECT_EQ(refusal(moved, OpenRun::kOverwrite),
            "[run] expected to be alone in DIR, got another process at work there");
  first.reset();
  EXPECT_FALSE(fs::exists(moved + "/.lock"));
  EXPECT_EQ(refusal(path, OpenRun::kOverwrite), "[run] expected to be alone in DIR, got another process at work there")
      << "the first run has taken the second one's lock away";
  second.clear();
  EXPECT_EQ(io::read_file("test", moved + "/metrics.jsonl"), "first");
}

TEST(RunDirectory, LinksInItAreNotFollowed) {
  TemporaryDirectory directory;
  const std::string mine = directory / "mine";
  std::ofstream(mine) << config_of_a_run();
  const std::string linked_config = directory_with(directory / "a", {{"metrics.jsonl", ""}});
  fs::create_symlink(mine, linked_config + "/config.json");
  for (const OpenRun how : {OpenRun::kNew, OpenRun::kResume, OpenRun::kOverwrite})
    EXPECT_EQ(message_of<IoError>([&] { RunDirectory(linked_config, how); }),
              "[run] expected a regular file, got the symbolic link '" + linked_config + "/config.json'");
  const std::string linked_lock = directory_with(directory / "b", {});
  fs::create_symlink(directory / "elsewhere", linked_lock + "/.lock");
  EXPECT_EQ(message_of<IoError>([&] { RunDirectory(linked_lock, OpenRun::kNew); }),
            "[run] expected a directory to write in, got " + linked_lock + ": its .lock is a symbolic link");
  EXPECT_FALSE(fs::exists(directory / "elsewhere"));
  const std::string run = directory_with(directory / "c", {{"config.json", config_of_a_run()}});
  for (const char* name : {"metrics.jsonl", "report.html", "last.safetensors"})
    fs::create_symlink(mine, run + "/" + name);
  fs::create_symlink(directory / "gone", run + "/summary.json");
  RunDirectory(run, OpenRun::kOverwrite).clear();
  EXPECT_TRUE(names_in(run).empty());
  EXPECT_EQ(io::read_file("test", mine), config_of_a_run());
  // The directory itself may be a link: that is what was asked for.
  fs::create_directory_symlink(run, directory / "link");
  {
    const RunDirectory out(directory / "link", OpenRun::kNew);
    EXPECT_TRUE(fs::exists(run + "/.lock"));
  }
}

TEST(RunDirectory, WhatIsNoDirectoryIsSaidToBeNone) {
  TemporaryDirectory directory;
  const auto message = [&](const std::string& path) {
    return message_of<UsageError>([&] { RunDirectory(path, OpenRun::kResume); });
  };
  const std::string missing = directory / "nothere", file = directory / "afile";
  std::ofstream(file) << "text";
  EXPECT_EQ(message(missing), "[run] expected a run in " + missing + " to go on with, got no directory of that name");
  EXPECT_EQ(message(file), "[run] expected a run in " + file + " to go on with, got a file of that name");
  EXPECT_FALSE(fs::exists(missing));
}

}  // namespace
}  // namespace tern::train
