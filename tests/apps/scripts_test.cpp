#include <gtest/gtest.h>

#include "apps/process.h"

namespace tern::testing {
namespace {

const std::string kRoot = TERN_SOURCE_DIR;

ProcessResult script(const std::string& path, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), kRoot + "/" + path);
  return run_command("/bin/bash", arguments);
}

TEST(Scripts, HelpAndUnknownArguments) {
  for (const char* path : {"tests/run.sh", "tests/tsan.sh", "apps/quickstart.sh"}) {
    const ProcessResult help = script(path, {"--help"});
    EXPECT_EQ(help.exit_code, 0) << help.err;
    EXPECT_NE(help.out.find(path), std::string::npos) << help.out;
    const ProcessResult unknown = script(path, {"--lnog"});
    EXPECT_EQ(unknown.exit_code, 2);
    EXPECT_NE(unknown.err.find("unknown argument \"--lnog\""), std::string::npos) << unknown.err;
    EXPECT_EQ(std::count(unknown.err.begin(), unknown.err.end(), '\n'), 1) << unknown.err;
  }
  EXPECT_EQ(script("tests/run.sh", {"-j", "0"}).exit_code, 2);
  EXPECT_EQ(script("tests/tsan.sh", {"-j", "0"}).exit_code, 2);
  EXPECT_EQ(script("tests/tsan.sh", {"-b"}).exit_code, 2);
  EXPECT_EQ(script("apps/quickstart.sh", {"--out"}).exit_code, 2);
}

// packages.sh with a machine that has nothing but what `more` says.
ProcessResult need(const std::string& more) {
  return run_command("/bin/bash", {"-c", ". " + kRoot + "/cmake/packages.sh; tern_has() { return 1; }; " + more +
                                             "; tern_need g++ cmake"});
}

TEST(Scripts, WithoutRightsTheySayWhatToInstall) {
  const ProcessResult result = need("id() { echo 1000; }; sudo() { return 1; }; apt-get() { echo called; }");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "This needs packages that are not installed. Run, as root:  apt-get install g++ cmake\n");
  EXPECT_EQ(result.out, "");
}

TEST(Scripts, WithoutAptGetTheySayWhatToInstall) {
  const ProcessResult result = need("command() { return 1; }");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err,
            "This needs what Debian 12 calls: g++ cmake. Install that with your system's package manager and run this "
            "again.\n");
}

TEST(Scripts, AsRootTheyInstall) {
  const ProcessResult result =
      need("id() { echo 0; }; apt-get() { echo \"apt-get $*\" >&2; }; env() { shift; \"$@\"; }");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "Installing g++ cmake\n");
  EXPECT_NE(result.err.find("apt-get install -y -qq --no-install-recommends g++ cmake"), std::string::npos)
      << result.err;
}

TEST(Scripts, WhatIsThereIsNotInstalled) {
  const ProcessResult result = run_command(
      "/bin/bash", {"-c", ". " + kRoot + "/cmake/packages.sh; apt-get() { exit 9; }; tern_need g++ cmake bash"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "");
}

}  // namespace
}  // namespace tern::testing
