#pragma once
#include <exception>
#include <string>

/// What action() throws, as text; "no exception" without one.
template <class F>
std::string message_of(F&& action) {
  try {
    action();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "no exception";
}
