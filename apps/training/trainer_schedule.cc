// What happens to the learning rate's schedule while a trainer runs.
#include "apps/training/trainer.h"
#include "core/base/log.h"

namespace bough {

void Trainer::decay_learning_rate() {
  const OptimizerOptions& o = options_.optimizer;
  state_.learning_rate_factor *= o.decay;
  log::info("[train] learning rate decayed: {:.4g} of what it would be without lr-decay", state_.learning_rate_factor);
  if (o.decay_resets_optimizer) {
    log::info("Resetting optimizer statistics");
    model_->optimizer().reset_moments();
  }
  if (o.decay_repeats_warmup) restart_warmup();
}

void Trainer::restart_warmup() {
  log::info("Restarting learning rate warmup");
  state_.warmup_start = state_.clock.in(options_.optimizer.warmup.unit);
}

/// lr-warmup-cycle, for the updates behind one whose rate is known: as in Marian, a cycle's last has the whole rate.
void Trainer::cycle_warmup() {
  const SchedulePeriod& warmup = options_.optimizer.warmup;
  if (!options_.optimizer.warmup_cycle || !warmup) return;
  const int64_t now = state_.clock.in(warmup.unit);
  if (now / warmup.count > state_.warmup_start / warmup.count) state_.warmup_start = now;
}

}  // namespace bough
