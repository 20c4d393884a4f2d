#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>

namespace bough {

/// A part of the text, encoded.
struct DealtWindow {
  int64_t number = 0;
  std::string bytes;  ///< of a TokenCache; empty: the text has ended
};

/// Text that can be read only once (standard input, pipes), in a run of several processes: one of them reads, and puts
/// here every window that it has encoded, for its caller to send on; the others get what their callers put here.
/// From any thread.
class WindowDeal {
 public:
  explicit WindowDeal(bool receives) : receives_(receives) {}
  /// Whether this process reads nothing itself.
  bool receives() const { return receives_; }

  void put(DealtWindow window);
  /// All that are there, oldest first.
  std::deque<DealtWindow> take_all();
  /// The oldest one: waits until it is there. Throws Interrupted after stop().
  DealtWindow take();
  /// Ends the wait, now or later.
  void stop();

 private:
  const bool receives_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<DealtWindow> windows_;
  bool stopped_ = false;
};

}  // namespace bough
