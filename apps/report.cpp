// Writes the report of a training run, or a comparison of several, as one HTML page.
#include <filesystem>
#include <iostream>

#include <tern/tern.h>

using namespace tern;

namespace {

int run(int argc, char** argv) {
  // What is neither an option nor its value is a directory.
  std::vector<std::string> directories;
  std::vector<char*> options;
  for (int i = 0; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (i == 0 || argument.starts_with("-") || std::string_view(argv[i - 1]) == "--out")
      options.push_back(argv[i]);
    else
      directories.emplace_back(argument);
  }
  std::string out;
  train::Cli cli("report",
                 "report RUN [RUN ...] writes the report of a run directory of train_classifier, or a comparison of "
                 "several, as one page for a browser that needs no other file and no network.");
  cli.option("--out", out, "FILE", "the page; if not given RUN/report.html, or comparison.html here for several runs");
  if (!cli.parse(static_cast<int>(options.size()), options.data())) return 0;
  if (directories.empty()) throw train::UsageError("[report] expected the directory of a run (see --help), got none");
  if (out.empty())
    out =
        directories.size() == 1 ? (std::filesystem::path(directories[0]) / "report.html").string() : "comparison.html";
  train::write_report(out, directories);
  std::cout << out << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return train::run_program("report", [&] { return run(argc, argv); });
}
