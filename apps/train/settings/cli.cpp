#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <new>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <tern/core/error.h>
#include <tern/core/text.h>
#include <tern/train/settings/cli.h>

namespace tern::train {

Cli::Cli(std::string program, std::string description)
    : program_(std::move(program)), description_(std::move(description)), schema_(program_) {}

Cli::Entry Cli::add(const std::string& name, const std::string& value, const std::string& doc) {
  entries_.push_back({.name = name, .value = value, .doc = doc});
  return Entry(*this, entries_.size() - 1);
}
Cli::Entry Cli::positional(const std::string& name, std::string& target, const std::string& doc) {
  Entry entry = add(name, "", doc);
  entries_.back().positional = &target;
  return entry;
}
Cli::Entry Cli::positional(const std::string& name, std::vector<std::string>& target, const std::string& doc) {
  Entry entry = add(name, "", doc);
  entries_.back().positionals = &target;
  return entry;
}
Cli::Entry Cli::flag(const std::string& name, bool& target, const std::string& doc) {
  schema_.add(name, target, doc);
  return add(name, "", doc);
}
Cli::Entry Cli::option(const std::string& name, std::string& target, const std::string& value, const std::string& doc,
                       std::vector<std::string> choices) {
  schema_.add(name, target, std::move(choices), doc);
  return add(name, value, doc);
}
Cli::Entry Cli::option(const std::string& name, int64_t& target, Limits limits, const std::string& value,
                       const std::string& doc) {
  schema_.add(name, target, limits, doc);
  return add(name, value, doc);
}
Cli::Entry Cli::option(const std::string& name, double& target, Limits limits, const std::string& value,
                       const std::string& doc) {
  schema_.add(name, target, limits, doc);
  return add(name, value, doc);
}
Cli::Entry Cli::option(const std::string& name, std::vector<double>& target, Limits limits, size_t length,
                       const std::string& value, const std::string& doc) {
  schema_.add(name, target, limits, doc, length);
  return add(name, value, doc);
}
Cli::Entry Cli::option(const std::string& name, std::vector<std::string>& target, const std::string& value,
                       const std::string& doc) {
  schema_.add(name, target, doc);
  Entry entry = add(name, value, doc);
  entries_.back().list = &target;
  return entry;
}

Cli::EntryData* Cli::find(std::string_view name) {
  const auto it = std::find_if(entries_.begin(), entries_.end(), [&](const EntryData& e) { return e.name == name; });
  return it == entries_.end() ? nullptr : &*it;
}

bool Cli::given(std::string_view name) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const EntryData& e) { return e.name == name && e.given; });
}

bool Cli::parse(int argc, char** argv) {
  std::vector<std::string_view> arguments(argv + std::min(argc, 1), argv + argc);
  if (std::find(arguments.begin(), arguments.end(), "--help") != arguments.end() ||
      (arguments.size() == 1 && arguments[0] == "-h")) {
    const std::string text = help();
    std::fwrite(text.data(), 1, text.size(), stdout);
    return false;
  }
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].substr(0, 1) != "-") {
      const auto free = std::find_if(entries_.begin(), entries_.end(), [](const EntryData& e) {
        return e.positionals != nullptr || (e.positional != nullptr && !e.given);
      });
      if (free != entries_.end()) {
        if (free->positionals != nullptr)
          free->positionals->emplace_back(arguments[i]);
        else
          *free->positional = arguments[i];
        free->given = true;
        continue;
      }
    }
    const size_t equals = arguments[i].substr(0, 2) == "--" ? arguments[i].find('=') : std::string_view::npos;
    const std::string_view name = arguments[i].substr(0, equals);
    EntryData* entry = find(name);
    if (entry == nullptr || entry->is_positional()) {
      const std::string near =
          name.size() > 1 && name[0] == '-' ? concat("; did you mean ", schema_.nearest(name), "?") : "";
      throw UsageError(concat("[", program_, "] unknown argument ", name, near.empty() ? " (see --help)" : near));
    }
    const bool again = entry->given;
    entry->given = true;
    if (schema_.is_flag(name)) {
      TERN_CHECK(equals == std::string_view::npos, train::UsageError, "[", program_, "] expected no value after ", name,
                 ", got ", arguments[i].substr(equals + 1));
      schema_.set(name, "true", "");
      continue;
    }
    TERN_CHECK(!again || entry->list != nullptr, train::UsageError, "[", program_, "] expected ", name,
               " once, got it twice");
    std::vector<std::string_view> values;
    if (equals != std::string_view::npos) {
      values.push_back(arguments[i].substr(equals + 1));
    } else {
      if (i + 1 < arguments.size()) values.push_back(arguments[++i]);
      while (entry->list != nullptr && i + 1 < arguments.size() && arguments[i + 1].substr(0, 2) != "--")
        values.push_back(arguments[++i]);
    }
    TERN_CHECK(!values.empty(), train::UsageError, "[", program_, "] expected ", entry->value, " after ", name,
               ", got nothing");
    for (const std::string_view value : values) {
      if (entry->list != nullptr)
        entry->list->emplace_back(value);
      else if (schema_.is_text(name))
        schema_.set_text(name, value);
      else
        schema_.set(name, value, "");
    }
  }
  for (const EntryData& entry : entries_)
    TERN_CHECK(entry.given || !entry.required, train::UsageError, "[", program_, "] expected ", entry.name,
               entry.value.empty() ? "" : " ", entry.value, " (see --help)");
  return true;
}

std::string Cli::help() const {
  std::string out = concat(description_, "\n\nUsage: ", program_);
  for (const EntryData& entry : entries_)
    if (entry.required) out += concat(" ", entry.name, entry.value.empty() ? "" : " ", entry.value);
  out += " [options]\n\n";
  for (const EntryData& entry : entries_) {
    std::string line = concat("  ", entry.name, entry.value.empty() ? "" : " ", entry.value);
    line.resize(std::max<size_t>(line.size() + 2, 32), ' ');
    out += concat(line, entry.doc, "\n");
  }
  out += "  --help                        this text\n";
  if (epilogue_) out += concat("\n", epilogue_());
  return out;
}

namespace {

// Opens what is closed of standard input, output and error; returns whether standard output was.
bool open_standard_streams() {
  bool was_closed = false;
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) >= 0 || errno != EBADF) continue;
    was_closed |= stream == STDOUT_FILENO;
    // For reading alone, so that writing fails as it does on what is closed. The lowest free number is this one.
    static_cast<void>(::open("/dev/null", O_RDONLY));
  }
  return was_closed;
}

// Whether standard output is a pipe, a socket or a terminal with nobody at its other end.
bool reader_is_gone() {
  pollfd out{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
  return ::poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP)) != 0;
}

// What the body of a program comes to: its status, or an error told.
int status_of(const char* program, const std::function<int()>& body, Output output, bool was_closed) {
  try {
    const int code = body();
    std::cout.flush();
    const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good();
    if (written || code != 0 || (output == Output::kProgress && (was_closed || reader_is_gone()))) return code;
    throw IoError(concat("[", program, "] expected to write to standard output, got an error",
                         output == Output::kProgress ? "; nothing else is missing" : ""));
  } catch (const UsageError& error) {
    std::fprintf(stderr, "%s: %s\n", program, one_line(error.what()).c_str());
    return 2;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "%s: the system has no more memory to give\n", program);
    return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", program, one_line(error.what()).c_str());
    return 1;
  }
}

}  // namespace

int run_program(const char* program, const std::function<int()>& body, Output output) {
  // Writing beyond a file-size limit is an error to report, not a signal to die of.
  std::signal(SIGXFSZ, SIG_IGN);
  if (output == Output::kProgress) std::signal(SIGPIPE, SIG_IGN);
  const bool was_closed = open_standard_streams();
  return status_of(program, body, output, was_closed);
}

}  // namespace tern::train
