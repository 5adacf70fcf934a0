// Writes the report of a training run, or a comparison of several, as one HTML page.
#include <iostream>

#include <tern/tern.h>

using namespace tern;

namespace {

int run(int argc, char** argv) {
  std::vector<std::string> directories;
  std::string out;
  train::Cli cli(
      "report",
      "Writes the report of a run directory of train_classifier or train_lm, or a comparison of several, as one page "
      "for a browser that needs no other file and no network.");
  cli.positional("RUN", directories, "directory of a run; several are compared").required();
  cli.option("--out", out, "FILE", "the page; if not given RUN/report.html, or comparison.html here for several runs");
  if (!cli.parse(argc, argv)) return 0;
  if (out.empty() && directories.size() == 1) {
    // In the directory itself: a link of that name there is replaced, not written through.
    const io::DirectoryHandle run = train::open_run(directories[0]);
    train::write_run_report(run->file("report.html"), run);
    std::cout << run->file("report.html").text() << std::endl;
    return 0;
  }
  if (out.empty()) out = "comparison.html";
  train::write_report(out, directories);
  std::cout << out << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return train::run_program("report", [&] { return run(argc, argv); });
}
