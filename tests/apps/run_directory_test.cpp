// Run directories that are moved while a run goes on, that somebody else has prepared, and runs whose output nobody
// reads.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <tern/core/io/file.h>
#include <tern/core/io/json.h>

#include "apps/process.h"

namespace tern::testing {
namespace {

namespace fs = std::filesystem;
using Arguments = std::vector<std::string>;

Arguments small_run(const std::string& out, const std::string& epochs) {
  return {"--data",
          mini_data(),
          "--out",
          out,
          "--threads",
          "1",
          "--seed",
          "5",
          "--set",
          "epochs=" + epochs,
          "model.name=mlp",
          "model.hidden=16",
          "data.workers=0",
          "data.train_limit=100",
          "data.test_limit=50",
          "data.batch_size=32",
          "optim.lr=0.01"};
}

std::string command_line(const std::string& program, const Arguments& arguments) {
  std::string text = std::string(TERN_APPS_DIR) + "/" + program;
  for (const std::string& argument : arguments) text += " '" + argument + "'";
  return text;
}

ProcessResult in_shell(const std::string& command) {
  return run_command("/bin/bash", {"-c", command});
}

std::string content(const std::string& path) {
  return io::read_file("test", path);
}

TEST(RunDirectories, ARunThatIsMovedAwayWritesNothingIntoWhatTakesItsPlace) {
  TemporaryDirectory directory;
  const std::string undisturbed = directory / "undisturbed", out = directory / "run", moved = directory / "moved";
  ASSERT_EQ(run_program("train_classifier", small_run(undisturbed, "30")).exit_code, 0);
  bool done = false;
  const ProcessResult run = run_program("train_classifier", small_run(out, "30"), [&](pid_t, const std::string& text) {
    if (done || text.find("epoch 1/") == std::string::npos) return;
    done = true;
    fs::rename(out, moved);
    fs::create_directory(out);
    std::ofstream(out + "/last.safetensors") << "another's";
  });
  ASSERT_EQ(run.exit_code, 0) << run.err;
  ASSERT_TRUE(done);
  EXPECT_EQ(run.err, "");
  for (const char* name : {"last.safetensors", "best.safetensors", "summary.json"}) {
    EXPECT_TRUE(content(moved + "/" + name) == content(undisturbed + "/" + name)) << name;
  }
  EXPECT_TRUE(fs::exists(moved + "/report.html"));
  EXPECT_FALSE(fs::exists(moved + "/.lock"));
  EXPECT_EQ(content(out + "/last.safetensors"), "another's");
  EXPECT_EQ(std::distance(fs::directory_iterator(out), {}), 1);
}

TEST(RunDirectories, LinksPipesAndOtherNamesInARunLeadNowhere) {
  TemporaryDirectory directory;
  const std::string run = directory / "run", mine = directory / "mine";
  ASSERT_EQ(run_program("train_classifier", small_run(run, "2")).exit_code, 0);
  std::ofstream(mine) << "precious\n";
  const auto prepared = [&](const std::string& name) {
    const std::string copy = directory / "copy";
    fs::remove_all(copy);
    fs::copy(run, copy, fs::copy_options::recursive);
    fs::remove(copy + "/" + name);
    return copy;
  };
  const auto resume = [&](const std::string& out, const std::string& epochs) {
    return run_program("train_classifier", {"--out", out, "--resume", "--threads", "1", "--set", "epochs=" + epochs});
  };

  const std::string page = prepared("report.html");
  fs::create_symlink(mine, page + "/report.html");
  EXPECT_EQ(run_program("report", {page}).exit_code, 0);
  EXPECT_FALSE(fs::is_symlink(page + "/report.html"));
  EXPECT_TRUE(content(page + "/report.html").starts_with("<!"));

  for (const std::string name : {"config.json", "metrics.jsonl", "layers.jsonl", "evaluation.json", "summary.json"}) {
    const std::string copy = prepared(name);
    fs::create_symlink(mine, copy + "/" + name);
    const ProcessResult report = run_program("report", {copy});
    EXPECT_EQ(report.exit_code, 1) << name;
    EXPECT_EQ(report.err,
              "report: [report] expected a regular file, got the symbolic link '" + copy + "/" + name + "'\n");
  }
  for (const std::string name : {"config.json", "metrics.jsonl", "last.safetensors"}) {
    const std::string copy = prepared(name);
    fs::create_symlink(mine, copy + "/" + name);
    const ProcessResult refused = resume(copy, "3");
    EXPECT_EQ(refused.exit_code, 1) << name;
    EXPECT_NE(refused.err.find("expected a regular file, got the symbolic link '" + copy + "/" + name + "'"),
              std::string::npos)
        << refused.err;
    fs::remove(copy + "/" + name);
    ASSERT_EQ(::mkfifo((copy + "/" + name).c_str(), 0600), 0);
    const ProcessResult pipe = resume(copy, "3");
    EXPECT_EQ(pipe.exit_code, 1) << name;
    EXPECT_NE(pipe.err.find("expected a regular file, got the device or pipe"), std::string::npos) << pipe.err;
  }
  // What is written as a whole takes the place of a link.
  for (const std::string name : {"summary.json", "evaluation.json", "report.html", "best.safetensors"}) {
    const std::string copy = prepared(name);
    fs::create_symlink(mine, copy + "/" + name);
    const ProcessResult longer = resume(copy, "3");
    EXPECT_EQ(longer.exit_code, 0) << name << "\n" << longer.err;
    EXPECT_EQ(longer.err, "");
    if (name != "best.safetensors") {  // written where an epoch is the best
      EXPECT_FALSE(fs::is_symlink(copy + "/" + name)) << name;
    }
  }
  // A backup made of hard links keeps what it holds.
  const std::string backup = directory / "backup";
  fs::copy(run, backup, fs::copy_options::recursive | fs::copy_options::create_hard_links);
  const std::string before = content(backup + "/metrics.jsonl") + content(backup + "/last.safetensors");
  ASSERT_EQ(resume(run, "3").exit_code, 0);
  EXPECT_TRUE(content(backup + "/metrics.jsonl") + content(backup + "/last.safetensors") == before);
  EXPECT_EQ(content(mine), "precious\n");
}

TEST(Output, ARunGoesOnWithoutAReader) {
  TemporaryDirectory directory;
  const std::string undisturbed = directory / "undisturbed";
  ASSERT_EQ(run_program("train_classifier", small_run(undisturbed, "3")).exit_code, 0);
  int number = 0;
  const auto check = [&](const std::string& tail, const std::string& status, const std::string& said) {
    const std::string out = directory / std::to_string(++number);
    const ProcessResult run = in_shell(command_line("train_classifier", small_run(out, "3")) + " " + tail +
                                       "; echo \"status ${PIPESTATUS[0]}\"");
    EXPECT_NE(run.out.find("status " + status + "\n"), std::string::npos) << tail << "\n" << run.out;
    EXPECT_EQ(run.err, said) << tail;
    for (const char* name : {"last.safetensors", "summary.json"})
      EXPECT_TRUE(content(out + "/" + name) == content(undisturbed + "/" + name)) << tail;
    EXPECT_TRUE(fs::exists(out + "/report.html")) << tail;
  };
  check("| head -1", "0", "");
  check("| true", "0", "");
  check("2>&1 | head -1", "0", "");
  check(">&-", "0", "");
  check(">&- 2>&- <&-", "0", "");
  check("> /dev/full", "1",
        "train_classifier: [train_classifier] expected to write to standard output, got an error; nothing else is "
        "missing\n");
}

TEST(Output, WhatAProgramWasCalledForMustBeWritten) {
  TemporaryDirectory directory;
  const std::string run = directory / "run";
  ASSERT_EQ(run_program("train_classifier", small_run(run, "1")).exit_code, 0);
  const std::string weights = run + "/last.safetensors";
  for (const auto& [program, arguments] : std::vector<std::pair<std::string, Arguments>>{
           {"inspect", {weights}},
           {"inspect", {weights, "--json"}},
           {"inspect", {weights, "--summary"}},
           {"inspect", {"--help"}},
           {"eval", {"--weights", weights, "--data", mini_data(), "--limit", "20"}},
           {"report", {run}}})
    for (const std::string tail : {"> /dev/full", ">&-"}) {
      const ProcessResult result = in_shell(command_line(program, arguments) + " " + tail);
      EXPECT_EQ(result.exit_code, 1) << program << tail;
      EXPECT_EQ(result.err, program + ": [" + program + "] expected to write to standard output, got an error\n")
          << tail;
    }
  EXPECT_TRUE(fs::exists(run + "/report.html"));
  const ProcessResult head = in_shell(command_line("inspect", {weights, "--all"}) + " | true; echo ${PIPESTATUS[0]}");
  EXPECT_TRUE(head.out == "141\n" || head.out == "0\n") << "as other commands end: " << head.out;
  EXPECT_EQ(head.err, "");
}

}  // namespace
}  // namespace tern::testing
