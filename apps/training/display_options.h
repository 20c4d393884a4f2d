#pragma once
#include <cstdint>
#include <string>

#include "core/base/settings.h"

namespace bough {

/// What the log line calls "Cost", see format_cost.
enum class CostType { ce_sum, ce_mean, ce_mean_words, perplexity };

extern const EnumNames<CostType> cost_type_names;

/// What a run shows of itself: log lines, and their numbers as JSON.
struct DisplayOptions {
  CostType cost_type = CostType::ce_sum;
  SchedulePeriod disp_freq{1000};
  int64_t disp_first = 0;
  bool disp_label_counts = true;
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
