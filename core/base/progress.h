#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace bough {

/// A progress bar on the terminal's last line: `corpus  [=====>    ]  43 %  12.3k/s`. Shown only when
/// stderr is a terminal and log lines go there; redrawn at most ten times a second, gone when destroyed.
class Progress {
 public:
  /// total: units of work; 0 = unknown, then only the count is shown.
  explicit Progress(std::string label, int64_t total = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  /// `done` of the total units are done; `note` stands behind the bar.
  void advance_to(int64_t done, const std::string& note = "");

 private:
  std::string label_;
  int64_t total_;
  std::chrono::steady_clock::time_point start_, drawn_;
};

}  // namespace bough
