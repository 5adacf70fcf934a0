// Runs the readers on changed files.
//
//   fuzz [--seconds S] [--seed N] [--corpus DIR] [TARGET...]
//   fuzz --write TO [--corpus DIR]      seeds and broken files to TO/TARGET, for libFuzzer to start from
//
// First every file of DIR/TARGET (broken files, kept) must be refused with a tern::Error and every seed must be read.
// Then, for S seconds a target, files made from them by random changes are read in child processes with little memory:
// a crash, an exception of another kind or running out of memory fails, and the file is kept as crash-TARGET-N.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <new>
#include <random>

#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tern/core/error.h>

#include "fuzz/targets.h"

namespace {

using tern::fuzz::Target;

constexpr int kAtOnce = 500;  // files a child process reads

enum class Outcome { kRead, kRefused, kBug };

Outcome outcome_of(const Target& target, const std::string& bytes, bool explain) {
  try {
    target.run(bytes);
    return Outcome::kRead;
  } catch (const tern::InternalError& error) {
    if (explain) std::cerr << error.what() << "\n";
    return Outcome::kBug;
  } catch (const tern::MemoryError& error) {  // something was allocated before it was checked
    if (explain) std::cerr << error.what() << "\n";
    return Outcome::kBug;
  } catch (const tern::Error&) {
    return Outcome::kRefused;
  } catch (const std::exception& error) {
    if (explain) std::cerr << error.what() << "\n";
    return Outcome::kBug;
  }
}

// A file made from others by a few random changes; the same number gives the same file.
std::string changed(const std::vector<std::string>& pool, uint64_t number) {
  std::mt19937_64 random(number);
  std::string file = pool[random() % pool.size()];
  static constexpr uint64_t kNumbers[] = {
      0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff, ~uint64_t{0} >> 1, ~uint64_t{0}};
  for (uint64_t changes = 1 + random() % 5; changes > 0; --changes) {
    const size_t at = file.empty() ? 0 : random() % file.size();
    switch (random() % 8) {
      case 0:
        if (!file.empty()) file[at] = static_cast<char>(random());
        break;
      case 1:
        if (!file.empty()) file[at] = static_cast<char>(file[at] ^ (1 << random() % 8));
        break;
      case 2:
        file.erase(at, 1 + random() % 8);
        break;
      case 3:
        file.insert(at, 1 + random() % 8, static_cast<char>(random()));
        break;
      case 4:
        file.insert(at, 1, "0123456789-+.eE[]{}(),:'\"\\\n <>"[random() % 31]);
        break;
      case 5: {  // a number that is often a limit
        const uint64_t v = kNumbers[random() % std::size(kNumbers)];
        const size_t bytes = size_t{1} << random() % 4;
        if (file.size() >= bytes) std::memcpy(file.data() + random() % (file.size() - bytes + 1), &v, bytes);
        break;
      }
      case 6: {  // a piece of another file
        const std::string& other = pool[random() % pool.size()];
        if (!other.empty()) file.insert(at, other, random() % other.size(), 1 + random() % 32);
        break;
      }
      default:
        file.resize(at);
    }
  }
  return file;
}

// Reads files first .. first + count in a child; true if that ended well.
bool survives(const Target& target, const std::vector<std::string>& pool, uint64_t first, uint64_t count,
              bool explain) {
  const pid_t child = ::fork();
  if (child == 0) {
#ifndef TERN_SANITIZED
    const rlimit memory{uint64_t{1} << 30, uint64_t{1} << 30};
    ::setrlimit(RLIMIT_AS, &memory);
#endif
    for (uint64_t i = first; i < first + count; ++i) {
      const itimerval patience{{0, 0}, {10, 0}};  // of processor time: a reader that does not come to an end
      ::setitimer(ITIMER_PROF, &patience, nullptr);
      if (outcome_of(target, changed(pool, i), explain) == Outcome::kBug) ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool fuzz(const Target& target, const std::filesystem::path& corpus, double seconds, uint64_t seed) {
  std::vector<std::string> pool = target.seeds();
  for (const std::string& file : pool)
    if (outcome_of(target, file, true) != Outcome::kRead) {
      std::cerr << target.name << ": a seed is not read\n";
      return false;
    }
  size_t broken = 0;
  if (!corpus.empty() && std::filesystem::exists(corpus / target.name))
    for (const auto& entry : std::filesystem::directory_iterator(corpus / target.name)) {
      pool.push_back(read_file(entry.path()));
      ++broken;
      if (outcome_of(target, pool.back(), true) != Outcome::kRefused) {
        std::cerr << target.name << ": " << entry.path().string() << " is not refused\n";
        return false;
      }
    }
  const auto start = std::chrono::steady_clock::now();
  uint64_t files = 0;
  uint64_t next = seed << 32;
  while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < seconds) {
    if (!survives(target, pool, next, kAtOnce, false)) {
      for (uint64_t i = next; i < next + kAtOnce; ++i)
        if (!survives(target, pool, i, 1, true)) {
          const std::string name = std::string("crash-") + target.name + "-" + std::to_string(i);
          std::ofstream(name, std::ios::binary) << changed(pool, i);
          std::cerr << target.name << ": failed on " << name << "\n";
          return false;
        }
      std::cerr << target.name << ": failed on files " << next << " to " << next + kAtOnce << " together\n";
      return false;
    }
    files += kAtOnce;
    next += kAtOnce;
  }
  std::cout << target.name << ": " << broken << " broken files refused, " << files << " changed files handled\n";
  return true;
}

void write_pool(const Target& target, const std::filesystem::path& corpus, const std::filesystem::path& to) {
  std::filesystem::create_directories(to / target.name);
  int number = 0;
  for (const std::string& file : target.seeds())
    std::ofstream(to / target.name / ("seed" + std::to_string(number++)), std::ios::binary) << file;
  if (!corpus.empty() && std::filesystem::exists(corpus / target.name))
    std::filesystem::copy(corpus / target.name, to / target.name, std::filesystem::copy_options::overwrite_existing);
}

}  // namespace

int main(int argc, char** argv) {
  double seconds = 0;
  uint64_t seed = 1;
  std::string corpus, write;
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if ((argument == "--seconds" || argument == "--seed" || argument == "--corpus" || argument == "--write") &&
        i + 1 < argc) {
      const char* value = argv[++i];
      if (argument == "--seconds") seconds = std::atof(value);
      if (argument == "--seed") seed = std::strtoull(value, nullptr, 10);
      if (argument == "--corpus") corpus = value;
      if (argument == "--write") write = value;
    } else {
      names.push_back(argument);
    }
  }
  bool good = true, known = names.empty();
  for (const Target& target : tern::fuzz::targets()) {
    if (!names.empty() && std::find(names.begin(), names.end(), target.name) == names.end()) continue;
    known = true;
    if (!write.empty())
      write_pool(target, corpus, write);
    else
      good = fuzz(target, corpus, seconds, seed) && good;
  }
  if (!known) std::cerr << "fuzz: no such target\n";
  return known ? (good ? 0 : 1) : 2;
}
