#include <csignal>

#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/io/safetensors.h>

#include "core/io_support.h"

namespace tern {
namespace {

constexpr const char* kOp = "test";

// Runs f in a child process; returns its exit status.
template <class F>
int in_child(F&& f) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(f());
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(AtomicFile, ReplacesTheWholeFileAndKeepsItsMode) {
  const ScratchDir dir;
  write_raw(dir / "f", "old");
  ::chmod((dir / "f").c_str(), 0640);
  io::write_file_atomic(kOp, dir / "f", "new content");
  EXPECT_EQ(read_raw(dir / "f"), "new content");
  struct stat info;
  ::stat((dir / "f").c_str(), &info);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
  EXPECT_EQ(dir.list(), std::vector<std::string>{"f"});
}

TEST(AtomicFile, LargeFilesInManyPieces) {
  const ScratchDir dir;
  std::string content(3'500'001, '\0');
  std::mt19937 random(1);
  for (char& c : content) c = static_cast<char>(random());
  io::AtomicFile file(kOp, dir / "f");
  for (size_t at = 0; at < content.size();) {
    const size_t part = std::min<size_t>(content.size() - at, random() % 400'000);
    file.write(content.data() + at, part);
    at += part;
  }
  file.commit();
  EXPECT_EQ(read_raw(dir / "f"), content);
  EXPECT_EQ(sentence_of<StateError>([&] { file.commit(); }),
            "[test] expected an open file, got '" + dir / "f" + "' after it was committed");
}

TEST(AtomicFile, WithoutCommitNothingChanges) {
  const ScratchDir dir;
  write_raw(dir / "f", "old");
  {
    io::AtomicFile file(kOp, dir / "f");
    file.write("half of the new");
  }
  EXPECT_EQ(read_raw(dir / "f"), "old");
  EXPECT_EQ(dir.list(), std::vector<std::string>{"f"});
}

TEST(AtomicFile, AFullDiskLeavesTheOldFileWhole) {
  const ScratchDir dir;
  const std::string path = dir / "x.safetensors";
  io::save_safetensors(path, {{"a", empty({4}, DType::kF32).fill_(1)}});
  const std::string before = read_raw(path);
  const Tensor large = empty({1 << 20}, DType::kF32).fill_(2);  // made here: a forked child must not start threads
  const int status = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 20, 1 << 20};  // as if the disk had one MiB left
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      io::save_safetensors(path, {{"a", large}});
    } catch (const IoError& error) {
      return std::string(error.what()) == "[save_safetensors] cannot write '" + path + "': File too large" ? 7 : 8;
    }
    return 9;
  });
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_EQ(read_raw(path), before);
  EXPECT_EQ(dir.list(), std::vector<std::string>{"x.safetensors"});
}

TEST(AtomicFile, AKilledWriterLeavesTheOldFileAndTheNextOneCleansUp) {
  const ScratchDir dir;
  write_raw(dir / "f", "old");
  const int status = in_child([&] {
    io::AtomicFile file(kOp, dir / "f");
    file.write(std::string(2 << 20, 'x'));
    return ::raise(SIGKILL);
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(read_raw(dir / "f"), "old");
  EXPECT_EQ(dir.list().size(), 2u);
  io::write_file_atomic(kOp, dir / "f", "new");
  EXPECT_EQ(read_raw(dir / "f"), "new");
  EXPECT_EQ(dir.list(), std::vector<std::string>{"f"});
}

TEST(AtomicFile, WritersOfOneTargetAtOnceDoNotHarmEachOther) {
  const ScratchDir dir;
  write_raw(dir / ".f.notes.tmp", "somebody's own file");
  io::AtomicFile first(kOp, dir / "f");
  io::AtomicFile second(kOp, dir / "f");
  first.write("first");
  second.write("second");
  first.commit();
  EXPECT_EQ(read_raw(dir / "f"), "first");
  second.commit();
  EXPECT_EQ(read_raw(dir / "f"), "second");
  EXPECT_EQ(dir.list(), (std::vector<std::string>{".f.notes.tmp", "f"}));
}

TEST(AtomicFile, FollowsLinks) {
  const ScratchDir dir;
  std::filesystem::create_directory(dir / "sub");
  write_raw(dir / "sub/real", "old");
  std::filesystem::create_symlink("sub/real", dir / "link");
  io::write_file_atomic(kOp, dir / "link", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(dir / "link"));
  EXPECT_EQ(read_raw(dir / "sub/real"), "new");
}

TEST(AtomicFile, RefusesWhatIsNoRegularFile) {
  const ScratchDir dir;
  const auto refusal = [](const std::string& path) {
    return sentence_of<IoError>([&] { io::write_file_atomic(kOp, path, "x"); });
  };
  EXPECT_EQ(refusal("/dev/null"), "[test] expected the path of a regular file to write, got '/dev/null'");
  EXPECT_EQ(refusal(dir / "."), "[test] expected the path of a regular file to write, got '" + dir / "." + "'");
  EXPECT_EQ(refusal(""), "[test] expected the path of a regular file to write, got ''");
  EXPECT_EQ(refusal(dir / "no/f"), "[test] cannot write '" + dir / "no/f" + "': No such file or directory");
}

TEST(ReadFile, ReadsAndRefuses) {
  const ScratchDir dir;
  write_raw(dir / "f", std::string("a\0b", 3));
  EXPECT_EQ(io::read_file(kOp, dir / "f"), std::string("a\0b", 3));
  EXPECT_EQ(sentence_of<IoError>([&] { static_cast<void>(io::read_file(kOp, dir / "f", 2)); }),
            "[test] expected at most 2 bytes in '" + dir / "f" + "', got 3");
  EXPECT_EQ(sentence_of<IoError>([&] { static_cast<void>(io::read_file(kOp, dir / "g")); }),
            "[test] cannot open '" + dir / "g" + "': No such file or directory");
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(sentence_of<IoError>([&] { static_cast<void>(io::read_file(kOp, dir / "pipe")); }),
            "[test] expected a regular file, got the device or pipe '" + dir / "pipe" + "'");
}

TEST(InputFile, NoticesAFileThatBecameShorter) {
  const ScratchDir dir;
  write_raw(dir / "f", "0123456789");
  const io::InputFile file(kOp, dir / "f");
  std::filesystem::resize_file(dir / "f", 4);
  std::string out(10, '\0');
  EXPECT_EQ(sentence_of<IoError>([&] { file.read_at(0, std::as_writable_bytes(std::span(out))); }),
            "[test] expected 10 bytes in '" + dir / "f" +
                "', got the end at byte 4; the file became shorter while it "
                "was read");
}

}  // namespace
}  // namespace tern
