// Command lines: flags and options bound to variables, checked as a Schema checks a configuration.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <tern/train/settings/schema.h>

namespace tern::train {

/// The command line of one program.
///
///   Cli cli("eval", "Measures a classifier's accuracy.");
///   cli.option("--weights", weights, "FILE", "safetensors file").required();
///   cli.flag("--json", json, "one JSON line on standard output");
///   if (!cli.parse(argc, argv)) return 0;             // --help was asked for and printed
///
/// An option takes the next argument, or what follows "=" ("--threads=2"); a list option takes every argument up to the
/// next one that starts with "--", and may be given again. A flag takes none.
class Cli {
 public:
  /// program: its name, for help and messages. description: a sentence, which help() begins with.
  Cli(std::string program, std::string description);

  class Entry {
   public:
    /// The program cannot run without it.
    Entry& required() {
      cli_.entries_[index_].required = true;
      return *this;
    }

   private:
    friend class Cli;
    Entry(Cli& cli, size_t index) : cli_(cli), index_(index) {}
    Cli& cli_;
    size_t index_;
  };

  /// An argument without a name, which may stand anywhere but behind a list option; `name` ("FILE") is for help and
  /// messages. The first one given goes to the first one declared.
  Entry positional(const std::string& name, std::string& target, const std::string& doc);
  /// The same for all arguments that are left; declared last.
  Entry positional(const std::string& name, std::vector<std::string>& target, const std::string& doc);
  /// name: with its "--". target: set to true if the flag is there.
  Entry flag(const std::string& name, bool& target, const std::string& doc);
  /// name: with its "--". target: holds the default, and must outlive the object. value: what follows, for help
  /// ("FILE"). choices: the allowed values; empty for any text. limits: of each number. length: of a list; 0 for any.
  Entry option(const std::string& name, std::string& target, const std::string& value, const std::string& doc,
               std::vector<std::string> choices = {});
  Entry option(const std::string& name, int64_t& target, Limits limits, const std::string& value,
               const std::string& doc);
  Entry option(const std::string& name, double& target, Limits limits, const std::string& value,
               const std::string& doc);
  Entry option(const std::string& name, std::vector<double>& target, Limits limits, size_t length,
               const std::string& value, const std::string& doc);
  Entry option(const std::string& name, std::vector<std::string>& target, const std::string& value,
               const std::string& doc);

  /// Reads the arguments (argv[0] is left out). Returns false if --help was among them, or -h alone: help() has been
  /// written to standard output, the program should end with 0. Throws UsageError, naming the argument, and the nearest
  /// known one for an unknown: also for a value that is missing, out of range or given twice, and a required entry that
  /// is not there.
  bool parse(int argc, char** argv);
  /// Whether the option was on the command line.
  bool given(std::string_view name) const;
  std::string help() const;  ///< what --help prints
  /// Text that help() ends with.
  void epilogue(std::function<std::string()> text) { epilogue_ = std::move(text); }

 private:
  struct EntryData {
    std::string name, value, doc;
    bool required = false;
    bool given = false;
    std::vector<std::string>* list = nullptr;
    std::string* positional = nullptr;
    std::vector<std::string>* positionals = nullptr;
    bool is_positional() const { return positional != nullptr || positionals != nullptr; }
  };
  Entry add(const std::string& name, const std::string& value, const std::string& doc);
  EntryData* find(std::string_view name);

  std::string program_, description_;
  Schema schema_;
  std::vector<EntryData> entries_;
  std::function<std::string()> epilogue_;
};

/// What a program writes to standard output.
enum class Output {
  kProduct,  ///< what it was called for: the program ends where it cannot be written (a pipe that nobody reads:
             ///< SIGPIPE)
  kProgress  ///< how it goes on, while what it was called for goes to files: the program goes on without
};

/// Runs a program's body. What it throws is printed as one line on standard error ("eval: [cifar] expected ...") and
/// turned into the exit code: 2 for a UsageError, 1 for everything else, output that could not be written included;
/// else the code is what the body returns. Progress that nobody reads any more (`| head -1`), or that the caller wanted
/// nowhere (`>&-`), is no error. Standard streams that are closed are opened on nothing first, so that no file of the
/// program gets their numbers, and what is written to them.
int run_program(const char* program, const std::function<int()>& body, Output output = Output::kProduct);

}  // namespace tern::train
