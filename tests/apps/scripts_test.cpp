#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include <tern/core/error.h>

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
  return run_command("/bin/bash",
                     {"-c", ". " + kRoot + "/cmake/packages.sh; tern_missing() { echo g++; echo cmake; }; " + more +
                                "; tern_need g++ cmake"});
}

TEST(Scripts, WithoutRightsTheySayWhatToInstall) {
  const ProcessResult result = need("id() { echo 1000; }; sudo() { return 1; }; apt-get() { echo called; }");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err,
            "This needs packages that are not installed. Run, as root:  apt-get update && apt-get install "
            "--no-install-recommends g++ cmake\n");
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
      need("id() { echo 0; }; apt-get() { echo \"apt-get $*\" >&2; tern_missing() { :; }; }; env() { shift; \"$@\"; }");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "Installing g++ cmake\n");
  EXPECT_NE(result.err.find("apt-get install -y -qq --no-install-recommends g++ cmake"), std::string::npos)
      << result.err;
}

TEST(Scripts, WhatDoesNotHelpIsSaid) {
  const ProcessResult result =
      need("id() { echo 0; }; apt-get() { :; }; env() { :; }; cmake() { echo cmake version 3.22.1; }");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("No compiler here knows C++20 as Tern needs it"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("Tern needs cmake 3.25 or later, here is 3.22.1."), std::string::npos) << result.err;
}

// What packages.sh finds missing of its own accord, in a shell that begins with `before`.
std::string missing(const std::string& before, const std::string& packages) {
  const ProcessResult result =
      run_command("/bin/bash", {"-c", concat("set -euo pipefail; . '", kRoot, "/cmake/packages.sh'; ", before,
                                             "; tern_missing /dev/null ", packages)});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return result.out;
}

TEST(Scripts, ToolsThatAreTooOldOrBrokenAreMissing) {
  EXPECT_EQ(missing("cmake() { echo cmake version 3.22.1; }", "cmake"), "cmake\n");
  EXPECT_EQ(missing("cmake() { echo cmake version 3.100.0; }", "cmake"), "");
  EXPECT_EQ(missing("cmake() { return 127; }", "cmake libpng-dev bash"), "cmake\nlibpng-dev\n");
  EXPECT_EQ(missing("export CXX=/bin/false", "g++"), "g++\n");
  EXPECT_EQ(missing("export CXX='c++ -std=c++17 -D__cplusplus=201703L'", "g++"), "g++\n");
  EXPECT_EQ(missing("ninja() { return 127; }; ninja-build() { return 127; }", "ninja-build"), "ninja-build\n");
  EXPECT_EQ(missing(":", "a-program-that-nobody-has bash"), "a-program-that-nobody-has\n");
  // Libraries that nothing can try are asked for.
  EXPECT_EQ(missing("export CXX=/bin/false", "libpng-dev"), "libpng-dev\n");
}

// Debian's reference BLAS has a cblas.h as well.
TEST(Scripts, AnotherBlasIsNotOpenBlas) {
  TemporaryDirectory directory;
  std::ofstream(directory / "cblas.h") << "enum CBLAS_ORDER { CblasRowMajor = 101 };\n"
                                          "extern \"C\" void cblas_sgemm();\n";
  const ProcessResult probe =
      run_command("/usr/bin/env", {"cmake", "-S", kRoot + "/cmake/probes", "-B", directory / "build", "-G", "Ninja",
                                   "-DTERN_PACKAGES=libopenblas-dev;libpng-dev",
                                   concat("-Dtern_libopenblas-dev_INCLUDE=", directory / "")});
  EXPECT_EQ(probe.exit_code, 0) << probe.out << probe.err;
  std::ifstream file(directory / "build/missing.txt");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(text, "libopenblas-dev\n") << probe.out << probe.err;
}

// The second time nothing is compiled, and what the cache says stays as it is.
TEST(Scripts, PackagesThatWereThereAreNotTriedAgain) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "CMakeLists.txt") << "cmake_minimum_required(VERSION 3.25)\n"
                                                 "project(again LANGUAGES CXX)\n"
                                              << "include(" << kRoot << "/cmake/TernPackages.cmake)\n"
                                              << "find_package(Threads REQUIRED)\n"
                                                 "tern_need_packages(nlohmann-json3-dev libpng-dev)\n";
  const auto configure = [&] {
    const ProcessResult result =
        run_command("/usr/bin/env", {"cmake", "-S", directory.path(), "-B", directory / "build", "-G", "Ninja"});
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
    std::ifstream file(directory / "build/CMakeCache.txt");
    std::string line;
    while (std::getline(file, line))
      if (line.starts_with("tern_packages_there:")) return line;
    return std::string("no such line");
  };
  const std::string first = configure();
  EXPECT_NE(first.find("nlohmann-json3-dev libpng-dev"), std::string::npos) << first;
  EXPECT_EQ(configure(), first);
}

TEST(Scripts, WhatIsThereIsNotInstalled) {
  const ProcessResult result = run_command(
      "/bin/bash", {"-c", ". " + kRoot + "/cmake/packages.sh; apt-get() { exit 9; }; tern_need g++ cmake bash"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "");
}

}  // namespace
}  // namespace tern::testing
