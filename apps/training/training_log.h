#pragma once
#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "apps/training/display_options.h"
#include "apps/training/layer_norms.h"
#include "apps/training/training_state.h"
#include "core/base/files.h"

namespace bough {

/// The training log: Marian's line with alpha and fill appended, and the same fields as JSON lines.
///   Ep. 1 : Up. 1000 : Sen. 123,456 : Cost 5.12345678 : Time 35.20s : 5532.88 words/s : gNorm 1.2345 : …
class TrainingLog {
 public:
  /// Fields that a log line has in some runs only.
  struct Fields {
    bool learning_rate = false, alpha = false;
  };

  /// Appends to the JSON lines of `metrics_path` (none if empty); on resume those after `resumed_update` are dropped.
  TrainingLog(const DisplayOptions& options, Fields fields, const std::string& metrics_path, int64_t resumed_update);

  /// Whether after_update will show a line.
  bool is_due(const TrainingState& state, const TrainingClock& before) const;
  /// Call after every update, and once at the end with `is_final`. Logs and clears state.display when the
  /// update is due: true. branch_scale: the smallest alpha_t in force.
  bool after_update(TrainingState& state, const TrainingClock& before, const std::function<double()>& branch_scale,
                    bool is_final = false);
  /// What an update did to every layer, as a JSON line (log-layer-norms). `sites`, `branch_scales`: of the residuals.
  void layers(const TrainingState& state, const std::vector<std::string>& layers, const std::vector<std::string>& sites,
              const std::vector<double>& branch_scales, const LayerReport& report);
  /// The run has diverged: its last JSON line.
  void divergence(const TrainingState& state, const std::string& sentence);
  /// One validation metric: the [valid] line and its JSON line. `verdict`: "new best" or
  /// "stalled 2 times (last best: 7.9)".
  void validation(const TrainingState& state, const std::string& metric, double value, const std::string& verdict);
  /// Adds the time since the last call to the updates that state.display sums up: before it is saved.
  void count_time(DisplayState& display);
  /// Time spent outside training (validation, saving) does not count as training time.
  void exclude(std::chrono::steady_clock::duration time) { counted_ += time; }

 private:
  void write_json(const std::string& line);

  const DisplayOptions options_;
  const Fields fields_;
  const std::string metrics_path_;
  std::chrono::steady_clock::time_point counted_;  ///< until when time is in a line or in the display's sums
  int64_t last_labels_ = 0;                        ///< target tokens of the last update
  std::optional<LineFile> json_;
  bool has_failed_ = false;
};

/// Marian's "Cost" field for what was summed up since the last line.
std::string format_cost(const DisplayOptions& options, const DisplayState& display, const TrainingClock& clock,
                        int64_t last_labels);
/// 1234567 -> "1,234,567".
std::string with_commas(int64_t n);

}  // namespace bough
