#pragma once
#include <string>

namespace bough {

/// What a shell command printed on standard output, and how it ended (as waitpid says).
struct CommandResult {
  std::string output;
  int status = 0;
};

/// Runs `command` by sh, with nothing to read and in a process group of its own; returns when its output is closed
/// and it has ended. An interruption (core/base/interrupt.h) ends it and what it started: SIGTERM, half a second later
/// SIGKILL; then throws Interrupted. Throws Error if there is no shell. One caller at a time.
CommandResult run_command(const std::string& command);

/// Kills what run_command is running, and what that started. For signal handlers that end the process.
void kill_command() noexcept;

}  // namespace bough
