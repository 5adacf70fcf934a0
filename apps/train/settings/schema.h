// Typed settings behind a JSON file: every key has a type, a default, a range and a sentence of documentation; every
// key can be overridden from the command line; an unknown key is refused with the nearest known name.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <tern/core/error.h>
#include <tern/core/io/directory.h>

namespace tern::train {

/// A mistake in a command line or a configuration: what programs leave with exit code 2.
struct UsageError : Error {
  using Error::Error;
};

/// Numbers that a setting may take, both ends included unless `above` says that min itself is not.
struct Limits {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool above = false;
};

inline constexpr Limits kNotNegative{.min = 0};
inline constexpr Limits kPositive{.min = 0, .above = true};
inline constexpr Limits kFraction{.min = 0, .max = 1};
inline constexpr Limits kBelowOne{.min = 0, .max = 0.999999};
inline constexpr Limits kCount{.min = 1, .max = 1e9};  ///< of steps, epochs, images
inline constexpr Limits kCountOrNone{.min = 0, .max = 1e9};

/// A list of settings, each bound to a variable that already holds its default. The variables must outlive the schema.
///
///   double rate = 0.1;
///   Schema schema;
///   schema.add("optim.lr", rate, {.min = 0}, "learning rate");
///   schema.read_json(text, "run.json");
///   schema.set("optim.lr=0.05");
///
/// Everything thrown is one sentence, a UsageError unless more is said: text that is not JSON, a repeated or unknown
/// key, a value of another type or out of range. Nothing is changed by a call that throws.
class Schema {
 public:
  /// name: what messages start with, "[config] ...".
  explicit Schema(std::string name = "config") : name_(std::move(name)) {}

  /// Declares a key ("optim.lr"), once, bound to `target`. doc: a phrase for describe().
  void add(std::string key, bool& target, std::string doc);
  void add(std::string key, int64_t& target, Limits limits, std::string doc);
  void add(std::string key, double& target, Limits limits, std::string doc);
  /// choices: the allowed values; empty for any text.
  void add(std::string key, std::string& target, std::vector<std::string> choices, std::string doc);
  /// Lists: the limits hold for each element; a list of any length unless `length` is given (then that, or empty).
  void add(std::string key, std::vector<double>& target, Limits limits, std::string doc, size_t length = 0);
  void add(std::string key, std::vector<int64_t>& target, Limits limits, std::string doc);
  void add(std::string key, std::vector<std::string>& target, std::string doc);
  /// Another spelling of a declared key, taken wherever that is; to_json() and describe() have the key itself.
  void alias(std::string spelling, std::string key);
  /// A top-level key whose content is neither read nor checked (what a saved configuration records of its
  /// surroundings).
  void ignore(std::string key) { ignored_.push_back(std::move(key)); }

  /// Takes the settings of a JSON object, nested ("optim": {"lr": 0.1}) or dotted ("optim.lr": 0.1). `source` names the
  /// text in messages. Keys that are absent keep their value.
  void read_json(std::string_view text, std::string_view source);
  /// The same from a file. Throws IoError if it cannot be read.
  void read_file(const io::FilePath& path);
  /// One override, "key=value". Texts need no quotes; lists are written [1, 2] or 1,2.
  void set(std::string_view assignment);
  /// Sets one key from a value of its type given as text; `source` names the origin in messages, unless it is empty.
  void set(std::string_view key, std::string_view value, std::string_view source);
  /// Sets a key that holds a text (is_text) to exactly that text: quotes are part of it.
  void set_text(std::string_view key, std::string_view text);

  /// All settings as a nested JSON object, indented, in the order of declaration.
  std::string to_json() const;
  /// Keys whose values differ from those in a saved configuration (a nested JSON object, as to_json() writes it), in
  /// the order of declaration. Keys that it lacks do not count. Throws FormatError if it is not JSON.
  std::vector<std::string> differing(std::string_view saved, std::string_view source) const;
  /// One line a setting: key, default or present value, range, documentation.
  std::string describe() const;
  /// The known key that is closest to a wrong one; empty if none is known.
  std::string nearest(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }
  /// Whether a key holds true or false, a text, or a list: what a command line has to know.
  bool is_flag(std::string_view key) const;
  bool is_text(std::string_view key) const;
  bool is_list(std::string_view key) const;

 private:
  using Target = std::variant<bool*, int64_t*, double*, std::string*, std::vector<double>*, std::vector<int64_t>*,
                              std::vector<std::string>*>;
  using Value = std::variant<bool, int64_t, double, std::string, std::vector<double>, std::vector<int64_t>,
                             std::vector<std::string>>;
  struct Field {
    std::string key;
    Target target;
    Limits limits;
    std::vector<std::string> choices;
    std::string doc;
    size_t length = 0;
  };
  struct Parser;  // the JSON side, in schema.cpp

  const Field* find(std::string_view key) const;
  void add_field(Field field);

  std::string name_;
  std::vector<Field> fields_;
  std::vector<std::pair<std::string, std::string>> aliases_;  // spelling, key
  std::vector<std::string> ignored_;
};

}  // namespace tern::train
