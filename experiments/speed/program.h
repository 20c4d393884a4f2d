#pragma once
#include <cstdio>
#include <exception>

namespace bough::speed {

/// The main of a program of this folder: run(argc, argv), or the error's message and 1.
inline int run_program(const char* name, int (*run)(int, char**), int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return 1;
  }
}

}  // namespace bough::speed
