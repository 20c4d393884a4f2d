#include "apps/signals.h"

#include <csignal>

#include <fcntl.h>
#include <unistd.h>

namespace bough {
namespace {

volatile std::sig_atomic_t caught = 0;

extern "C" void remember(int signal) {
  if (caught != 0) _exit(128 + signal);
  caught = signal;
}

extern "C" void leave(int signal) { _exit(128 + signal); }

}  // namespace

void catch_signals(bool exit_at_once) {
  struct sigaction action {};
  action.sa_handler = exit_at_once ? leave : remember;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
}

void survive_file_limits() { std::signal(SIGXFSZ, SIG_IGN); }

void reopen_closed_streams() {
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
    // open() returns the lowest free number: the closed stream's. Read-only, stdout refuses writes.
    if (fcntl(stream, F_GETFD) < 0 && open("/dev/null", stream == STDOUT_FILENO ? O_RDONLY : O_WRONLY) < 0)
      _exit(1);
  }
}

int caught_signal() { return caught; }

}  // namespace bough
