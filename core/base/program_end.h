#pragma once
#include <exception>
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

/// Says it on stderr, "program: message", and returns the exit code.
int end_program(const char* program, const std::exception& exception);

}  // namespace bough
