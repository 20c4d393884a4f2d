// One holder at a time, whatever becomes of it.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/files.h"
#include "test/catch.h"
#include "test/child_process.h"
#include "test/scratch_folder.h"
#include "test/skip.h"
#include "test/throws.h"

using namespace bough;
using State = FileLock::State;

namespace {

/// What a child tells us once.
struct Message {
  int ends[2];
  Message() { REQUIRE(pipe(ends) == 0); }
  ~Message() {
    close(ends[0]);
    close(ends[1]);
  }
  void give() const {
    if (::write(ends[1], "x", 1) != 1) _exit(1);
  }
  void wait() const {
    char c;
    REQUIRE(::read(ends[0], &c, 1) == 1);
  }
};

/// From now on flock() fails, as on a file system without locks.
void refuse_flock() {
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_flock, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOLCK),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{4, rules};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    _exit(77);
}

int exit_code(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("FileLock: one holder, who is named; nothing is left", "[files]") {
  ScratchFolder folder;
  const std::string path = folder / "lock";
  auto first = std::make_unique<FileLock>(path);
  CHECK(first->state() == State::held);
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  {
    const FileLock second(path);
    CHECK(second.state() == State::taken);
    CHECK(second.holder() == "process " + std::to_string(getpid()) + " on " + host);
  }
  CHECK(FileLock(path).state() == State::taken);  // one that was refused let go of nothing
  first.reset();
  CHECK(folder.files() == 0);
  CHECK(FileLock(path).state() == State::held);
  CHECK(folder.files() == 0);
}

TEST_CASE("FileLock: a killed holder's file means nothing", "[files]") {
  ScratchFolder folder;
  const std::string path = folder / "lock";
  const Message held;
  const pid_t child = start_child([&] {
    const FileLock lock(path);
    held.give();
    pause();
  });
  held.wait();
  {
    const FileLock refused(path);
    CHECK(refused.state() == State::taken);
    CHECK(refused.holder().starts_with("process " + std::to_string(child) + " on "));
  }
  kill_child(child);
  CHECK(folder.files() == 1);
  const FileLock lock(path);
  CHECK(lock.state() == State::held);
  CHECK(read_whole_file(path).starts_with("process " + std::to_string(getpid()) + " on "));
}

TEST_CASE("FileLock: waiting ends with the lock, of the file that has the name", "[files]") {
  ScratchFolder folder;
  const std::string path = folder / "lock", log = folder / "log";
  // Ten processes in turn: whoever had the lock of a removed file would meet another holder.
  std::vector<pid_t> children;
  for (int i = 0; i < 10; ++i)
    children.push_back(start_child([&] {
      for (int round = 0; round < 20; ++round) {
        FileLock lock(path);
        lock.wait([] {});
        const bool is_alone = mkdir((folder / "alone").c_str(), 0700) == 0;
        if (lock.state() != State::held || !is_alone) _exit(2);
        rmdir((folder / "alone").c_str());
      }
    }));
  for (const pid_t child : children) CHECK(exit_code(child) == 0);
  CHECK(folder.files() == 0);
}

TEST_CASE("FileLock: a wait can be ended", "[files]") {
  ScratchFolder folder;
  const FileLock held(folder / "lock");
  FileLock lock(folder / "lock");
  int asked = 0;
  const auto ask = [&] { check(++asked < 3, "enough"); };
  CHECK_THROWS_AS(lock.wait(ask), Error);
  CHECK(lock.state() == State::taken);
}

TEST_CASE("FileLock: a file system without locks is said to be one", "[files]") {
  ScratchFolder folder;
  const std::string path = folder / "lock";
  const int code = exit_code(start_child([&] {
    refuse_flock();
    FileLock lock(path);
    lock.wait([] {});
    if (lock.state() != State::unsupported) _exit(2);
  }));
  if (skips(code == 77, "no process may filter its system calls")) return;
  CHECK(code == 0);
  CHECK(folder.files() == 0);
}

TEST_CASE("FileLock: where no file can be made", "[files]") {
  CHECK(
      message_of([] { FileLock lock("/proc/none/lock"); }) ==
      "'/proc/none/lock' cannot be written: the folder '/proc/none' does not exist. Create it or choose another path.");
}
