#pragma once
#include <cstdint>

#include "core/base/schedule_unit.h"

namespace bough {

/// The one clock of a training run: learning rate, alpha_t, dropout keys, logging, saving and
/// validation all read it, and a checkpoint restores it.
struct TrainingClock {
  int64_t updates = 0;  ///< finished, skipped ones (non-finite gradient) included
  int64_t labels = 0;   ///< target tokens of those updates, end of sentence included
  int64_t epochs = 1;   ///< the epoch in progress, from 1

  int64_t in(ScheduleUnit unit) const {
    return unit == ScheduleUnit::updates ? updates : unit == ScheduleUnit::labels ? labels : epochs;
  }
  /// Counts one update of so many target tokens.
  void finish_update(int64_t target_tokens) {
    ++updates;
    labels += target_tokens;
  }
  bool operator==(const TrainingClock&) const = default;
};

/// Whether a multiple of `period` was crossed by the last update (before -> now); never for epochs.
inline bool is_due(const SchedulePeriod& period, const TrainingClock& before, const TrainingClock& now) {
  return period && period.crossed(before.in(period.unit), now.in(period.unit));
}

}  // namespace bough
