#pragma once
#include <map>
#include <string>

#include "core/base/yaml.h"
#include "data/training_data.h"
#include "optim/clock.h"

namespace bough {

/// How a validation metric has fared.
struct MetricState {
  double best = 0;
  bool has_best = false;
  int64_t stalled = 0;  ///< validations since the last improvement
};

/// What the log line sums up since it was last shown.
struct DisplayState {
  double loss = 0;
  int64_t labels = 0, sentences = 0, updates = 0;
  int64_t lost_labels = 0;  ///< of updates whose loss was not finite: not in `loss`
  double source_fill = 0, target_fill = 0;
  double seconds = 0;  ///< up to the last TrainingLog::count_time
};

/// Everything besides tensors that a run needs to go on as if it had never stopped.
struct TrainingState {
  TrainingClock clock;
  LoaderState loader;
  uint64_t seed = 0;
  double learning_rate_factor = 1;  ///< product of lr-decay so far
  double learning_rate = 0;         ///< of the last update
  int64_t warmup_start = 0;         ///< where lr-warmup began last, in its unit
  int64_t warmup_unit = -1;         ///< ScheduleUnit; -1: not known
  int64_t most_stalls = 0;          ///< Marian's max-stalled: rises by one with each record of stalled validations
  int64_t sentences = 0;            ///< of the epoch in progress
  int64_t sentences_total = 0;
  int64_t skipped_updates = 0;  ///< gradient not finite
  int64_t skipped_in_a_row = 0;
  int64_t diverged_in_a_row = 0;  ///< loss above divergence-threshold
  double gradient_norm = 0;       ///< running average, shown as gNorm
  int64_t norm_count = 0;
  DisplayState display;
  std::map<std::string, MetricState> metrics;
  int64_t last_validation = 0;   ///< update of the last validation
  bool owes_validation = false;  ///< the one after this update did not come to its end
  uint64_t vocabulary = 0;       ///< hash of the vocabularies; 0: not known
  uint64_t order = 0;            ///< hash of what the order of the corpus depends on besides the seed; 0: not known
  int64_t fitted_delay = 0;      ///< optimizer-delay that mini-batch-fit has reckoned with; 0: not known

  /// Validations in a row without improvement, of the metric that has most.
  int64_t most_stalled() const;
  /// All of it; and back, Error naming `source` where a key is missing or of another type.
  Yaml to_yaml() const;
  static TrainingState from_yaml(const Yaml& saved, const std::string& source);
  /// Marian's model.npz.progress.yml: the keys that have a meaning here.
  Yaml progress_yaml() const;
};

}  // namespace bough
