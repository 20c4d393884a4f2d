// What ends waits: for standard input, for commands.
#include "core/base/interrupt.h"

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "core/base/command.h"
#include "core/base/files.h"
#include "core/base/io.h"
#include "core/base/signals.h"
#include "test/catch.h"
#include "test/child_process.h"
#include "test/scratch_folder.h"
#include "test/throws.h"

using namespace bough;
using namespace std::chrono_literals;

namespace {

/// Replaces standard input by a pipe while it lives.
class PipedInput {
 public:
  PipedInput() : saved_(dup(STDIN_FILENO)) {
    REQUIRE(pipe(ends_) == 0);
    dup2(ends_[0], STDIN_FILENO);
  }
  ~PipedInput() {
    dup2(saved_, STDIN_FILENO);
    for (int fd : {saved_, ends_[0], ends_[1]}) close(fd);
  }
  void give(std::string_view text) const {
    REQUIRE(::write(ends_[1], text.data(), text.size()) == ssize_t(text.size()));
  }

 private:
  int saved_, ends_[2];
};

bool is_readable(int fd) {
  pollfd end{fd, POLLIN, 0};
  return poll(&end, 1, 0) == 1;
}

/// In a child, as an interruption is for good: 0 if work() throws Interrupted within ten seconds of a SIGTERM that
/// comes when `begun()`.
template <class Begun, class Work>
int code_of_interrupted(Begun&& begun, Work&& work) {
  const pid_t child = start_child([&] {
    catch_signals(false);
    std::thread sender([&] {
      while (!begun()) std::this_thread::sleep_for(5ms);
      kill(getpid(), SIGTERM);
    });
    sender.detach();
    try {
      work();
      _exit(3);
    } catch (const Interrupted&) {
      _exit(caught_signal() == SIGTERM ? 0 : 4);
    }
  });
  int status = 0;
  for (int i = 0; i < 2000; ++i) {
    if (waitpid(child, &status, WNOHANG) == child) return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    std::this_thread::sleep_for(5ms);
  }
  kill_child(child);
  return -2;
}

}  // namespace

TEST_CASE("an event is raised once, for good, and can be waited for", "[interrupt]") {
  Event event;
  CHECK_FALSE(event.is_raised());
  CHECK_FALSE(is_readable(event.descriptor()));
  for (int i = 0; i < 3; ++i) {
    event.raise();
    CHECK(event.is_raised());
    CHECK(is_readable(event.descriptor()));
  }
}

TEST_CASE("stop() ends a wait for standard input, of this reader alone", "[interrupt]") {
  const PipedInput input;
  input.give("one\ntwo\n");
  std::string line;
  {
    LineReader reader("-");
    REQUIRE(reader.next(line));
    REQUIRE(reader.next(line));
    CHECK(line == "two");
    std::jthread stopper([&] {
      std::this_thread::sleep_for(20ms);
      reader.stop();
    });
    CHECK_THROWS_AS(reader.next(line), Interrupted);
    CHECK_THROWS_AS(reader.next(line), Interrupted);
  }
  input.give("three\n");
  LineReader reader("stdin");
  REQUIRE(reader.next(line));
  CHECK(line == "three");
}

TEST_CASE("a signal ends a wait for standard input, whichever thread waits", "[interrupt]") {
  const PipedInput input;
  interruption();  // made before the fork: children share its descriptor, which the first one leaves readable
  const auto read = [&] {
    LineReader reader("-");
    std::string line;
    while (reader.next(line)) continue;
  };
  const auto begun = [] { return true; };
  CHECK(code_of_interrupted(begun, read) == 0);
  CHECK(code_of_interrupted(begun, [&] {
          std::exception_ptr thrown;
          std::thread([&] {
            try {
              read();
            } catch (...) {
              thrown = std::current_exception();
            }
          }).join();
          if (thrown) std::rethrow_exception(thrown);
        }) == 0);
}

TEST_CASE("a command gives its output and its status", "[interrupt]") {
  CHECK(run_command("echo one; echo two >&2; echo three").output == "one\nthree\n");
  CHECK(run_command("seq 100000").output.size() == 588895);
  CHECK(WEXITSTATUS(run_command("exit 7").status) == 7);
  CHECK(WTERMSIG(run_command("kill -9 $$").status) == SIGKILL);
  const PipedInput input;
  input.give("for the training\n");
  CHECK(run_command("cat").output.empty());
  CHECK(is_readable(STDIN_FILENO));
  CHECK(run_command("exec >&-; sleep 0.1; exit 3").status == 3 << 8);
}

TEST_CASE("a signal ends a command and what it started; what ends by itself may clean up", "[interrupt]") {
  ScratchFolder folder;
  const std::string note = folder / "note", begun_file = folder / "begun";
  const auto begun = [&] { return std::filesystem::exists(begun_file); };
  const auto run = [&](const std::string& command) {
    std::filesystem::remove(begun_file);
    return code_of_interrupted(begun, [&] { run_command("cd " + folder / "" + "; " + command); });
  };
  // Half a second may be too short for it on a busy machine, but not five times.
  for (int i = 0; i < 5 && !std::filesystem::exists(note); ++i)
    CHECK(run("trap 'echo clean >note; exit' TERM; touch begun; while :; do sleep 0.01; done") == 0);
  CHECK(read_whole_file(note) == "clean\n");
  // What ignores SIGTERM, and a child of a shell that is gone: neither writes on.
  CHECK(run("(trap '' TERM; echo >log; touch begun; while :; do echo >>log; sleep 0.01; done) & exit") == 0);
  const auto size = file_size(folder / "log");
  std::this_thread::sleep_for(100ms);
  CHECK(file_size(folder / "log") == size);
  CHECK(run("exec >&-; touch begun; while :; do sleep 0.01; done") == 0);
}
