// A file is whole or not there, and every failure is a sentence that names it.
#include "core/base/files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <random>
#include <thread>

#include "core/base/error.h"
#include "test/catch.h"
#include "test/child_process.h"
#include "test/scratch_folder.h"
#include "test/skip.h"
#include "test/throws.h"

using namespace bough;
using Catch::Matchers::StartsWith;

TEST_CASE("a written file reads back, whatever its size", "[files]") {
  ScratchFolder folder;
  const std::string path = folder / "file";
  for (const std::size_t size : {0, 1, 4095, 65536, 65537, (1 << 20) - 1, 1 << 20, 3000001}) {
    std::string content(size, '\0');
    for (std::size_t i = 0; i < size; ++i) content[i] = char(i * 7919 >> 3);
    write_file(path, content);
    CHECK(read_whole_file(path) == content);
    CHECK(file_size(path) == size);
    CHECK(folder.files() == 1);
  }
}

TEST_CASE("AtomicFile: parts, seeking back, nothing visible before commit", "[files]") {
  ScratchFolder folder;
  const std::string path = folder / "file";
  write_file(path, "old");
  {
    AtomicFile file(path);
    file.write("0123456789");
    file.seek(3);
    file.write("abc");
    CHECK(file.position() == 6);
    file.seek(10);
    file.write(std::string(2 << 20, 'x'));
    CHECK(read_whole_file(path) == "old");
    file.commit();
  }
  CHECK(read_whole_file(path) == "012abc6789" + std::string(2 << 20, 'x'));
  CHECK(folder.files() == 1);
}

TEST_CASE("AtomicFile: without commit the old file stays and the temporary goes", "[files]") {
  ScratchFolder folder;
  const std::string path = folder / "file";
  write_file(path, "old");
  { AtomicFile(path).write("new"); }
  CHECK(read_whole_file(path) == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("AtomicFile: a killed run's temporary is reused, longer content does not shine through", "[files]") {
  ScratchFolder folder;
  const std::string path = folder / "file";
  std::ofstream(path + ".tmp") << "left behind by a killed run";
  write_file(path, "new");
  CHECK(read_whole_file(path) == "new");
  CHECK(folder.files() == 1);
}

TEST_CASE("AtomicFile: two writers at once are refused, the first one wins", "[files]") {
  ScratchFolder folder;
  const std::string path = folder / "file";
  AtomicFile first(path);
  first.write("first");
  CHECK(message_of([&] { AtomicFile second(path); }) ==
        "'" + path +
            "' cannot be written: another process is writing it now. Stop that one or "
            "choose another name.");
  first.commit();
  CHECK(read_whole_file(path) == "first");
}

TEST_CASE("AtomicFile: permissions and symbolic links outlive the replacement", "[files]") {
  ScratchFolder folder;
  const std::string path = folder / "file", link = folder / "link";
  write_file(path, "old");
  REQUIRE(chmod(path.c_str(), 0640) == 0);
  std::filesystem::create_symlink("file", link);
  write_file(link, "new");
  CHECK(read_whole_file(path) == "new");
  CHECK(std::filesystem::is_symlink(link));
  struct stat found {};
  REQUIRE(stat(path.c_str(), &found) == 0);
  CHECK((found.st_mode & 07777) == 0640);
}

TEST_CASE("files that cannot be written are sentences", "[files]") {
  ScratchFolder folder;
  CHECK(
      message_of([] { write_file("/proc/no/such/file", "x"); }) ==
      "'/proc/no/such/file' cannot be written: the folder '/proc/no/such' does not exist. Create it or choose another "
      "path.");
  std::filesystem::create_directory(folder / "folder");
  CHECK(message_of([&] { write_file(folder / "folder", "x"); }) ==
        "'" + folder / "folder" + "' cannot be written: it is a folder. Choose a file name.");
  write_file(folder / "file", "x");
  CHECK(message_of([&] { write_file(folder / "file/below", "x"); }) ==
        "'" + folder / "file/below" + "' cannot be written: a part of '" + folder / "file" +
            "' is a file, not a folder. Choose another path.");
  CHECK(message_of([&] { write_file("/dev/null", "x"); }) ==
        "'/dev/null' cannot be replaced: it is a device or a pipe. Choose the name of a regular "
        "file.");
  CHECK(std::filesystem::is_character_file("/dev/null"));
}

TEST_CASE("a missing folder is made", "[files]") {
  ScratchFolder folder;
  write_file(folder / "a/b/file", "x");
  CHECK(read_whole_file(folder / "a/b/file") == "x");
  const FileLock lock(folder / "c/d/lock");
  CHECK(lock.state() == FileLock::State::held);
}

TEST_CASE("links: names of one file, in a circle, and to files that do not exist yet", "[files]") {
  namespace fs = std::filesystem;
  ScratchFolder folder;
  fs::create_directory(folder / "there");
  fs::create_symlink("there/file", folder / "link");
  fs::create_symlink("link", folder / "second");
  CHECK(fs::path(without_links(folder / "second")).lexically_normal() == folder / "there/file");
  CHECK(without_links(folder / "other") == folder / "other");
  write_file(folder / "second", "x");
  CHECK(read_whole_file(folder / "there/file") == "x");
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(file_exists(folder / "second"));
  CHECK_FALSE(file_exists(folder / "no/file"));

  fs::create_symlink("circle", folder / "circle");
  for (const std::string& name : {folder / "circle", folder / std::string(300, 'a')}) {
    CHECK_THAT(message_of([&] { file_exists(name); }), StartsWith("'" + name + "' cannot be read: "));
    CHECK_THAT(message_of([&] { write_file(name, "x"); }), StartsWith("'" + name + "' cannot be "));
  }
}

TEST_CASE("links and pipes that others put under a file's name overwrite nothing", "[files]") {
  namespace fs = std::filesystem;
  ScratchFolder folder;
  const std::string precious = folder / "precious", path = folder / "file";
  const auto plant = [&](const std::string& name, int kind) {
    fs::remove(name);
    if (kind == 0) fs::create_symlink(precious, name);
    if (kind == 1) fs::create_hard_link(precious, name);
    if (kind == 2) REQUIRE(mkfifo(name.c_str(), 0666) == 0);
  };
  write_file(precious, "precious");
  for (const int kind : {0, 1, 2}) {
    plant(path + ".tmp", kind);
    write_file(path, "x");
    plant(path, kind);
    AtomicFile replaced(path, AtomicFile::Links::replaced);
    replaced.write("y");
    replaced.commit();
    CHECK(read_whole_file(path) == "y");
    plant(folder / "lock", kind);
    CHECK(FileLock(folder / "lock").state() == FileLock::State::held);
    CHECK(read_whole_file(precious) == "precious");
  }
}

TEST_CASE("no permission is a sentence", "[files]") {
  ScratchFolder folder;
  write_file(folder / "file", "old");
  REQUIRE(chmod((folder / "").c_str(), 0555) == 0);
  const bool is_root = geteuid() == 0;  // root may write everywhere
  if (is_root && skips(seteuid(65534) != 0, "root cannot become somebody else")) return;
  const std::string message = message_of([&] { write_file(folder / "file", "new"); });
  if (is_root) REQUIRE(seteuid(0) == 0);
  CHECK_THAT(message, StartsWith("'" + folder / "file" + "' cannot be written: no permission. "));
  CHECK(read_whole_file(folder / "file") == "old");
  chmod((folder / "").c_str(), 0700);
}

TEST_CASE("a full disk is a sentence and the old file stays", "[files]") {
  const int full = open("/dev/full", O_WRONLY);
  REQUIRE(::write(full, "x", 1) < 0);
  const int error = errno;
  close(full);
  CHECK(message_of([&] { fail_writing("model.npz", error); }) ==
        "'model.npz' cannot be written: the disk (or your quota on it) is full. Free some space or "
        "choose another folder.");

  ScratchFolder folder;
  const std::string path = folder / "file";
  write_file(path, "old");
  for (const std::size_t size : {20001, 5000000}) {
    const auto message = message_with_file_limit(20000, [&] { write_file(path, std::string(size, 'x')); });
    CHECK(message == "'" + path +
                         "' cannot be written: it would be larger than the limit for a "
                         "file here. Raise the limit (ulimit -f) or choose another file system.");
    CHECK(read_whole_file(path) == "old");
    CHECK(folder.files() == 1);
  }
}

TEST_CASE("a line that does not fit into a file is taken back", "[files]") {
  ScratchFolder folder;
  const std::string path = folder / "lines";
  CHECK(message_with_file_limit(20000, [&] {
          LineFile file(path);
          check(file.append("first") == 0, "the first failed");
          check(file.append(std::string(30000, 'x')) == EFBIG, "a long one did not");
          check(file.append("second") == 0, "the second failed");
        }).empty());
  CHECK(read_whole_file(path) == "first\nsecond\n");
}

TEST_CASE("too many open files are a sentence", "[files]") {
  const std::string remedy = "Too many open files. Raise the limit (ulimit -n) or give fewer files.";
  CHECK(message_of([&] { fail_reading("a", EMFILE); }) == "'a' cannot be read: " + remedy);
  CHECK(message_of([&] { fail_writing("a", EMFILE); }) == "'a' cannot be written: " + remedy);
}

TEST_CASE("files that cannot be read are sentences", "[files]") {
  ScratchFolder folder;
  const std::string missing = folder / "missing";
  CHECK(message_of([&] { read_whole_file(missing); }) == "'" + missing + "' does not exist. Check the path.");
  CHECK(message_of([&] { file_size(missing); }) == "'" + missing + "' does not exist. Check the path.");
  CHECK(message_of([&] { read_whole_file(folder / ""); }) ==
        "'" + folder / "" + "' is a folder, where a file is needed. Give a file.");
  CHECK(message_of([&] { file_size(folder / ""); }) ==
        "'" + folder / "" + "' is a folder, where a file is needed. Give a file.");
  CHECK(read_whole_file("/dev/null").empty());
}

TEST_CASE("SIGKILL at random moments leaves the old or the new file", "[files]") {
  ScratchFolder folder;
  const std::string path = folder / "file";
  const auto content_of = [](int generation) {
    return std::string(std::size_t(100000 + 40000 * (generation % 7)), char('a' + generation % 26));
  };
  write_file(path, content_of(0));
  std::mt19937 random(7);
  for (int round = 0; round < 40; ++round) {
    const pid_t child = start_child([&] {
      for (int generation = 0;; ++generation) write_file(path, content_of(generation));
    });
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 12000));
    kill_child(child);
    const std::string found = read_whole_file(path);
    REQUIRE(!found.empty());
    REQUIRE(std::count(found.begin(), found.end(), found[0]) == std::ptrdiff_t(found.size()));
    bool is_whole = false;
    for (int generation = 0; generation < 26 * 7; ++generation) is_whole = is_whole || found == content_of(generation);
    REQUIRE(is_whole);
    REQUIRE(folder.files() <= 2);
  }
}
