#pragma once
#include <exception>
#include <functional>
#include <string>

namespace bough {

/// How a program ends when an exception has reached its main.
struct ProgramEnd {
  int code;             ///< 1: a problem of the user or the machine, 2: a bug of ours
  std::string message;  ///< one sentence; "" = nothing to say
};

/// An Error speaks for itself, closed output (OutputClosed) needs no words, and memory, threads or files that the
/// system does not give are no bugs.
ProgramEnd end_of(const std::exception& exception);

/// main() of a program: runs `body`, whose result is the exit code; what it throws is said on stderr, "program:
/// message". The system's surprises at a start are met first, see survive_file_limits and reopen_closed_streams.
int run_program(const char* program, const std::function<int()>& body);

}  // namespace bough
