#pragma once
#include <atomic>
#include <exception>

namespace bough {

/// A switch that is turned once, for good, and that poll() can wait for.
class Event {
 public:
  /// Throws Error when the process may open no more files.
  Event();
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void raise() noexcept;  ///< from any thread, or in a signal handler
  bool is_raised() const { return is_raised_; }
  int descriptor() const { return descriptor_; }  ///< readable once raised

 private:
  int descriptor_;
  std::atomic<bool> is_raised_ = false;
};

/// Ends work that nobody waits for any longer; no failure.
struct Interrupted : std::exception {
  const char* what() const noexcept override { return "interrupted"; }
};

/// Raised by the first signal that a program catches (core/base/signals.h). From then on whatever waits or
/// computes for long throws Interrupted. Used once before a handler may run.
Event& interruption();
inline void stop_if_interrupted() {
  if (interruption().is_raised()) throw Interrupted();
}

}  // namespace bough
