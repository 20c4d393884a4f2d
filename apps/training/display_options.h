#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/settings.h"
#include "optim/clock.h"

namespace bough {

/// What the log line calls "Cost", see format_cost.
enum class CostType { ce_sum, ce_mean, ce_mean_words, perplexity };

extern const EnumNames<CostType> cost_type_names;

/// `logical-epoch`: what counts as an epoch in the log and for `after`, instead of a pass through the corpus.
struct LogicalEpoch {
  SchedulePeriod period{1, ScheduleUnit::epochs};
  int digits = 0;  ///< shown behind the decimal point

  bool is_usual() const { return period == SchedulePeriod{1, ScheduleUnit::epochs}; }
  /// The number of the epoch in progress, from 1, over that of epochs in the period; of another unit, what has passed
  /// of it, from 0 (Marian's).
  double at(const TrainingClock& clock) const { return double(clock.in(period.unit)) / double(period.count); }
  /// How many are finished.
  int64_t finished(const TrainingClock& clock) const;
  std::string text(const TrainingClock& clock) const;
};
bool parse_items(const std::vector<std::string>& items, LogicalEpoch& value);
std::vector<std::string> format_items(const LogicalEpoch& value);

/// What a run shows of itself: log lines, and their numbers as JSON.
struct DisplayOptions {
  CostType cost_type = CostType::ce_sum;
  SchedulePeriod disp_freq{1000};
  int64_t disp_first = 0;
  bool disp_label_counts = true;
  LogicalEpoch logical_epoch;
  int gradient_norm_average_window = 100;
  SchedulePeriod log_layer_norms;
  bool log_model_update = false;
  std::string metrics;  ///< as given; read through metrics_path()

  /// Where the JSON lines go: as given, or beside the model.
  std::string metrics_path(const std::string& model) const {
    return metrics.empty() ? model + ".metrics.jsonl" : metrics;
  }

  void settings(Settings& v);
};

}  // namespace bough
