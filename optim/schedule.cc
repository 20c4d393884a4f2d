#include "optim/schedule.h"

#include <algorithm>
#include <cmath>

namespace bough {

double learning_rate(const OptimizerOptions& o, const TrainingClock& done, double factor, int64_t warmup_start) {
  double rate = o.learning_rate;
  if (o.warmup) {
    const double k = double(done.in(o.warmup.unit) - warmup_start);
    rate = o.warmup_start_rate + (o.learning_rate - o.warmup_start_rate) * std::min(1.0, k / double(o.warmup.count));
  }
  if (const SchedulePeriod& period = o.inverse_sqrt.front(); period) {
    const double n = double(period.count);
    const double start = o.inverse_sqrt.size() > 1 ? double(o.inverse_sqrt[1].count) : n;
    const double k = double(done.in(period.unit));
    if (k > start) rate *= std::sqrt(n / (k - start + n));
  }
  return rate * factor;
}

namespace {

bool follows_epochs(DecayStrategy s) {
  return s == DecayStrategy::epoch || s == DecayStrategy::epoch_batches || s == DecayStrategy::epoch_stalled;
}

// Strategies of two parts have two thresholds; the second belongs to the second part.
int64_t second_start(const OptimizerOptions& o, DecayStrategy alone) {
  return o.decay_strategy == alone || o.decay_start.size() < 2 ? o.decay_start[0] : o.decay_start[1];
}

}  // namespace

bool decays_at_epoch_end(const OptimizerOptions& o, const DecayProgress& p) {
  return o.decay > 0 && follows_epochs(o.decay_strategy) && p.finished_epochs >= o.decay_start[0];
}

bool decays_at_update(const OptimizerOptions& o, const DecayProgress& p) {
  const DecayStrategy s = o.decay_strategy;
  if (o.decay <= 0 || (s != DecayStrategy::batches && s != DecayStrategy::epoch_batches)) return false;
  const int64_t start = second_start(o, DecayStrategy::batches);
  return p.updates >= start && (p.updates - start) % o.decay_freq == 0;
}

bool decays_at_stall(const OptimizerOptions& o, const DecayProgress& p) {
  const DecayStrategy s = o.decay_strategy;
  if (o.decay <= 0 || p.stalls == 0) return false;
  if (s == DecayStrategy::stalled) return p.stalls % std::max<int64_t>(o.decay_start[0], 1) == 0;
  return s == DecayStrategy::epoch_stalled && p.stalls >= second_start(o, DecayStrategy::stalled);
}

double average_rate(double alpha, int64_t updates) {
  if (alpha <= 0) return 0;
  const double t = double(updates);
  return std::max(alpha, 1.0 - (t + 1) / (t + 10));
}

}  // namespace bough
