#pragma once
#include "optim/clock.h"
#include "optim/optimizer_options.h"

namespace bough {

/// Learning rate of the update that follows `done`, Marian's formula with k = progress of finished
/// updates (the first update runs with k = 0):
///   base = start + (peak - start) min(1, (k - B) / W);   decay = k > S ? sqrt(N / (k - S + N)) : 1
///   rate = base * decay * factor          W: lr-warmup; N [S]: lr-decay-inv-sqrt; factor: of lr-decay
/// B: where the warmup began, in W's unit: 0, or where it was repeated.
double learning_rate(const OptimizerOptions& options, const TrainingClock& done, double factor,
                     int64_t warmup_start = 0);

/// Events that lr-decay may react to.
struct DecayProgress {
  int64_t epoch = 0;  ///< that begins
  int64_t updates = 0;
  int64_t stalls = 0;  ///< validations in a row without improvement; at the end of an epoch the most there have been
};
/// Whether lr-decay applies at this event: Marian's rules (training/scheduler.h: actAfterEpoch, actAfterBatches,
/// actAfterStalled), where a start of 0 means never, and pairs look at ends of epochs alone.
bool decays_at_epoch_end(const OptimizerOptions& options, const DecayProgress& progress);
bool decays_at_update(const OptimizerOptions& options, const DecayProgress& progress);
bool decays_at_stall(const OptimizerOptions& options, const DecayProgress& progress);

/// Weight of the new parameters in the exponential average after `updates` earlier ones:
/// max(alpha, 1 - (t+1)/(t+10)), so that the average is not biased to its start. 0 when alpha is 0.
double average_rate(double alpha, int64_t updates);

}  // namespace bough
