// Directories that are held open: their files wherever they are moved to, and no way out of them over links.
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <iterator>

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/io/safetensors.h>

#include "core/io_support.h"

namespace tern {
namespace {

namespace fs = std::filesystem;
constexpr const char* kListing = "test";

TEST(Directory, FilesFollowADirectoryThatIsMoved) {
  const ScratchDir dir;
  fs::create_directory(dir / "a");
  const io::DirectoryHandle a = io::Directory::open(kListing, dir / "a");
  io::write_file_atomic(kListing, a->file("f"), "before");
  io::AtomicFile under_way(kListing, a->file("g"));
  io::AtomicFile by_path(kListing, dir / "a/h");
  io::AppendFile log(kListing, a->file("log"), io::AppendFile::Open::kNew);
  EXPECT_EQ(a->present_path(), dir / "a");
  fs::rename(dir / "a", dir / "b");
  fs::create_directory(dir / "a");
  write_raw(dir / "a/f", "another's");

  EXPECT_EQ(io::read_file(kListing, a->file("f")), "before");
  io::write_file_atomic(kListing, a->file("f"), "after");
  under_way.write("moved");
  under_way.commit();
  by_path.write("moved");
  by_path.commit();
  log.write("moved");
  io::save_safetensors(a->file("w"), {{"a", counted({2}, DType::kF32)}});
  EXPECT_EQ(io::load_safetensors(a->file("w")).tensors.size(), 1u);
  EXPECT_TRUE(a->has("log"));
  EXPECT_EQ(a->path(), dir / "a");
  EXPECT_EQ(a->present_path(), fs::canonical(dir / "b").string());
  EXPECT_EQ(a->names(), (std::vector<std::string>{"f", "g", "h", "log", "w"}));
  a->remove("w");
  a->remove("w");
  EXPECT_FALSE(a->has("w"));
  EXPECT_EQ(read_raw(dir / "b/f") + read_raw(dir / "b/g") + read_raw(dir / "b/h") + read_raw(dir / "b/log"),
            "aftermovedmovedmoved");
  EXPECT_EQ(read_raw(dir / "a/f"), "another's");
  EXPECT_EQ(a->file("f").beside("g").text(), dir / "a/g");
  EXPECT_TRUE(a->file("f").is_regular());
  EXPECT_FALSE(a->file("nothing").is_regular());
  EXPECT_TRUE(a->link("f", "second"));
  EXPECT_FALSE(a->link("f", "second"));
  a->rename("second", "third");
  EXPECT_EQ(read_raw(dir / "b/third"), "after");
  EXPECT_EQ(sentence_of<IoError>([&] { a->rename("second", "third"); }),
            "[test] cannot rename '" + dir / "a/second" + "' to third: No such file or directory");
}

TEST(Directory, ALinkToOneIsFollowedAndWhatIsNoneIsRefused) {
  const ScratchDir dir;
  fs::create_directory(dir / "real");
  fs::create_directory_symlink("real", dir / "link");
  io::write_file_atomic(kListing, io::Directory::open(kListing, dir / "link")->file("f"), "x");
  EXPECT_EQ(read_raw(dir / "real/f"), "x");
  const auto refusal = [&](const std::string& path) {
    return sentence_of<IoError>([&] { static_cast<void>(io::Directory::open(kListing, path)); });
  };
  EXPECT_EQ(refusal(dir / "none"),
            "[test] cannot open the directory '" + dir / "none" + "': No such file or directory");
  EXPECT_EQ(refusal(dir / "real/f"), "[test] cannot open the directory '" + dir / "real/f" + "': Not a directory");
  const io::DirectoryHandle real = io::Directory::open(kListing, dir / "real");
  for (const std::string name : {"", ".", "..", "../real/f", "a/b"})
    EXPECT_EQ(sentence_of<ValueError>([&] { static_cast<void>(real->file(name)); }),
              "[directory] expected the name of a file in " + dir / "real" + ", got '" + name + "'");
  fs::create_directory(dir / "real/sub");
  EXPECT_EQ(sentence_of<IoError>([&] { real->remove("sub"); }),
            "[test] cannot remove '" + dir / "real/sub" + "': Is a directory");
}

// A directory from somebody else may hold links to files of ours.
TEST(Directory, LinksInItAreReplacedOrRefusedButNotFollowed) {
  const ScratchDir dir;
  fs::create_directory(dir / "a");
  write_raw(dir / "mine", "precious");
  const io::DirectoryHandle a = io::Directory::open(kListing, dir / "a");
  const auto link = [&] {
    fs::remove(dir / "a/f");
    fs::create_symlink("../mine", dir / "a/f");
  };
  const std::string refused = "[test] expected a regular file, got the symbolic link '" + dir / "a/f" + "'";
  link();
  EXPECT_TRUE(a->has("f"));
  EXPECT_EQ(sentence_of<IoError>([&] { static_cast<void>(io::read_file(kListing, a->file("f"))); }), refused);
  EXPECT_EQ(sentence_of<IoError>([&] { io::AppendFile(kListing, a->file("f"), io::AppendFile::Open::kAppend); }),
            refused);
  EXPECT_NE(sentence_of<IoError>([&] { io::AppendFile(kListing, a->file("f"), io::AppendFile::Open::kExclusive); }),
            "");
  io::write_file_atomic(kListing, a->file("f"), "new");
  EXPECT_FALSE(fs::is_symlink(dir / "a/f"));
  EXPECT_EQ(read_raw(dir / "a/f"), "new");
  link();
  io::AppendFile(kListing, a->file("f"), io::AppendFile::Open::kNew).write("log");
  EXPECT_EQ(read_raw(dir / "a/f"), "log");
  link();
  a->remove("f");
  EXPECT_EQ(read_raw(dir / "mine"), "precious");
  // What a path leads to is the caller's affair.
  fs::create_symlink("mine", dir / "link");
  io::AppendFile(kListing, dir / "link", io::AppendFile::Open::kAppend).write("!");
  EXPECT_EQ(io::read_file(kListing, dir / "link"), "precious!");
}

TEST(Directory, PipesInItAreNotWaitedFor) {
  const ScratchDir dir;
  ASSERT_EQ(::mkfifo((dir / "f").c_str(), 0600), 0);
  const io::FilePath pipe = io::Directory::open(kListing, dir.path())->file("f");
  const std::string refused = "[test] expected a regular file, got the device or pipe '" + dir / "f" + "'";
  EXPECT_EQ(sentence_of<IoError>([&] { static_cast<void>(io::read_file(kListing, pipe)); }), refused);
  EXPECT_EQ(sentence_of<IoError>([&] { io::AppendFile(kListing, pipe, io::AppendFile::Open::kAppend); }), refused);
  EXPECT_NE(sentence_of<IoError>([&] { io::AppendFile(kListing, pipe, io::AppendFile::Open::kNew); }), "");
  EXPECT_NE(sentence_of<IoError>([&] { io::write_file_atomic(kListing, pipe, "x"); }), "");
}

// From here on the system reads no directory of this process: every try is answered by EIO.
bool refuse_listing() {
  sock_filter steps[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getdents64, 0, 1),
                         BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
                         BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog filter{static_cast<unsigned short>(std::size(steps)), steps};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

// In a process of its own, as no process gets back what it gave up.
TEST(DirectoryDeathTest, AnErrorWhileItIsListedIsNotItsEnd) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto list = [] {
    const io::DirectoryHandle directory = io::Directory::open(kListing, "/");
    if (!refuse_listing()) return 2;
    try {
      return directory->names().empty() ? 3 : 4;
    } catch (const IoError& error) {
      return error.message() == "[test] cannot list the directory '/': Input/output error" ? 0 : 5;
    }
  };
  EXPECT_EXIT(std::_Exit(list()), ::testing::ExitedWithCode(0), "");
}

TEST(AppendFile, KeepsWhatOtherNamesOfTheFileHold) {
  const ScratchDir dir;
  write_raw(dir / "backup", "one\n");
  fs::create_hard_link(dir / "backup", dir / "log");
  {
    io::AppendFile log(kListing, dir / "log", io::AppendFile::Open::kAppend);
    log.write("two\n");
    EXPECT_EQ(read_raw(dir / "log"), "one\ntwo\n") << "at once";
    log.write("three\n");
  }
  EXPECT_EQ(read_raw(dir / "backup"), "one\n");
  fs::remove(dir / "log");
  fs::create_hard_link(dir / "backup", dir / "log");
  io::AppendFile(kListing, dir / "log", io::AppendFile::Open::kNew).write("new\n");
  EXPECT_EQ(read_raw(dir / "backup") + read_raw(dir / "log"), "one\nnew\n");
  EXPECT_EQ(sentence_of<IoError>([&] { io::AppendFile(kListing, dir / "log", io::AppendFile::Open::kExclusive); }),
            "[test] cannot write '" + dir / "log" + "': File exists");
  EXPECT_EQ(sentence_of<IoError>([&] { io::AppendFile(kListing, dir / "no/log", io::AppendFile::Open::kAppend); }),
            "[test] cannot write '" + dir / "no/log" + "': No such file or directory");
}

}  // namespace
}  // namespace tern
