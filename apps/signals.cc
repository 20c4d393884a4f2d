#include "apps/signals.h"

#include <csignal>

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

int caught_signal() { return caught; }

}  // namespace bough
