#pragma once
#include <chrono>
#include <cstdint>
#include <mutex>

namespace bough {

/// Marian's log lines of the speed of translating, every so many batches and at the end. Any thread.
class SpeedLog {
 public:
  /// every: batches; 0: never.
  explicit SpeedLog(int64_t every) : every_(every) {}
  void note(int64_t sentences, int64_t source_tokens);
  /// The speed of the whole.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  struct Counts {
    int64_t batches = 0, sentences = 0, tokens = 0;
    Clock::time_point since = Clock::now();
    void add(int64_t more_sentences, int64_t more_tokens);
  };
  void write(const char* of_what, const Counts& counts) const;

  int64_t every_;
  std::mutex mutex_;
  Counts all_, last_;
};

}  // namespace bough
