#include "core/base/command.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <iterator>
#include <thread>

#include "core/base/error.h"
#include "core/base/interrupt.h"

namespace bough {
namespace {

std::atomic<pid_t> running = 0;  // the command, and its group

/// No signal is handled while it lives.
class SignalPause {
 public:
  SignalPause() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalPause() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

pid_t start(const std::string& command, int output) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  sigset_t usual;  // what we ignore, a command need not
  sigemptyset(&usual);
  sigaddset(&usual, SIGPIPE);
  sigaddset(&usual, SIGXFSZ);
  posix_spawnattr_setsigdefault(&attributes, &usual);
  std::string text = command;
  char shell[] = "sh", option[] = "-c";
  char* arguments[] = {shell, option, text.data(), nullptr};
  pid_t child = 0;
  const SignalPause pause;  // a handler finds the command started and noted, or neither
  const int error = posix_spawn(&child, "/bin/sh", &files, &attributes, arguments, environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  check(error == 0, "'{}' cannot be started: {}", command, std::strerror(error));
  running = child;
  return child;
}

/// All that comes until the other end is closed.
std::string read_output(int input) {
  std::string output;
  char buffer[4096];
  while (true) {
    pollfd ends[] = {{input, POLLIN, 0}, {interruption().descriptor(), POLLIN, 0}};
    const int found = poll(ends, std::size(ends), -1);
    stop_if_interrupted();
    if (found < 0 || ends[0].revents == 0) continue;
    const ssize_t n = read(input, buffer, sizeof buffer);
    if (n == 0 || (n < 0 && errno != EINTR)) return output;
    if (n > 0) output.append(buffer, size_t(n));
  }
}

/// The child stays to be waited for, so that its number and its group's are nobody else's.
bool has_ended(pid_t child) {
  siginfo_t found{};
  return waitid(P_PID, id_t(child), &found, WEXITED | WNOWAIT | WNOHANG) != 0 || found.si_pid == child;
}

int take_status(pid_t child) {
  int status = 0;
  running = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

bool is_closed(int output) {
  pollfd end{output, 0, 0};
  return poll(&end, 1, 0) > 0 && (end.revents & POLLHUP) != 0;
}

/// The shell goes at once, what it started may have files to remove: that usually holds the output, too.
void end(pid_t child, int output) {
  using namespace std::chrono_literals;
  kill(-child, SIGTERM);
  for (int i = 0; i < 50 && !(is_closed(output) && has_ended(child)); ++i) std::this_thread::sleep_for(10ms);
  kill(-child, SIGKILL);
  take_status(child);
}

class Pipe {
 public:
  Pipe() {
    check(pipe2(ends_, O_CLOEXEC) == 0, "no pipe can be made: {}; raise the limit (ulimit -n)", std::strerror(errno));
  }
  ~Pipe() {
    close(ends_[0]);
    close_writer();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  int reader() const { return ends_[0]; }
  int writer() const { return ends_[1]; }
  void close_writer() {
    if (ends_[1] >= 0) close(ends_[1]);
    ends_[1] = -1;
  }

 private:
  int ends_[2];
};

}  // namespace

CommandResult run_command(const std::string& command) {
  Pipe pipe;
  const pid_t child = start(command, pipe.writer());
  pipe.close_writer();
  CommandResult result;
  try {
    result.output = read_output(pipe.reader());
    while (!has_ended(child)) {  // it may go on without output
      pollfd interrupted{interruption().descriptor(), POLLIN, 0};
      poll(&interrupted, 1, 10);
      stop_if_interrupted();
    }
    stop_if_interrupted();  // what ended it may have been the same signal
  } catch (...) {
    end(child, pipe.reader());
    throw;
  }
  result.status = take_status(child);
  return result;
}

void kill_command() noexcept {
  if (const pid_t group = running) kill(-group, SIGKILL);
}

}  // namespace bough
