#include "core/base/signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>

#include "core/base/command.h"
#include "core/base/interrupt.h"

namespace bough {
namespace {

std::atomic<int> caught = 0;         // which
std::atomic<bool> has_come = false;  // to this process itself

extern "C" void leave(int signal) {
  kill_command();
  _exit(128 + signal);
}

extern "C" void remember(int signal) {
  // A terminal that closes sends SIGHUP twice, from the shell and from the kernel.
  if (signal != SIGHUP && has_come.exchange(true)) leave(signal);
  int none = 0;
  caught.compare_exchange_strong(none, signal);
  interruption().raise();
}

}  // namespace

void catch_signals(bool exit_at_once) {
  interruption();  // made here: a handler must not
  // Not on the stack of what is interrupted: see block_signals in core/base/thread_pool.h.
  static std::array<std::byte, 1 << 16> stack;
  const stack_t own{.ss_sp = stack.data(), .ss_flags = 0, .ss_size = stack.size()};
  sigaltstack(&own, nullptr);
  struct sigaction action {};
  action.sa_flags = SA_ONSTACK;
  action.sa_handler = exit_at_once ? leave : remember;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  struct sigaction hangup {};
  sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
}

void pass_on_signal(int signal) {
  struct sigaction now {};
  sigaction(signal, nullptr, &now);
  if (now.sa_handler == leave) leave(signal);
  if (now.sa_handler != remember) {
    kill(getpid(), signal);
    return;
  }
  int none = 0;
  caught.compare_exchange_strong(none, signal);
  interruption().raise();
}

void survive_closed_pipes() { std::signal(SIGPIPE, SIG_IGN); }

void survive_file_limits() { std::signal(SIGXFSZ, SIG_IGN); }

void reopen_closed_streams() {
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
    // open() returns the lowest free number: the closed stream's. Read-only, stdout refuses writes.
    if (fcntl(stream, F_GETFD) < 0 && open("/dev/null", stream == STDOUT_FILENO ? O_RDONLY : O_WRONLY) < 0) _exit(1);
  }
}

int caught_signal() { return caught; }

}  // namespace bough
