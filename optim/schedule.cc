#include "optim/schedule.h"

#include <algorithm>
#include <cmath>

namespace bough {

double learning_rate(const OptimizerOptions& o, const TrainingClock& done, double factor, int64_t warmup_start) {
  double rate = o.learning_rate;
  if (o.warmup) {
    const double k = double(std::max<int64_t>(done.in(o.warmup.unit) - warmup_start, 0));
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

bool has_begun(int64_t start, int64_t now) { return start > 0 && now >= start; }

}  // namespace

bool decays_at_epoch_end(const OptimizerOptions& o, const DecayProgress& p) {
  const DecayStrategy s = o.decay_strategy;
  if (o.decay <= 0 || s == DecayStrategy::batches || s == DecayStrategy::stalled) return false;
  if (has_begun(o.decay_start.front(), p.epoch)) return true;
  return (s == DecayStrategy::epoch_batches && has_begun(o.decay_start.back(), p.updates)) ||
         (s == DecayStrategy::epoch_stalled && has_begun(o.decay_start.back(), p.stalls));
}

bool decays_at_update(const OptimizerOptions& o, const DecayProgress& p) {
  const int64_t start = o.decay_start.front();
  return o.decay > 0 && o.decay_strategy == DecayStrategy::batches && has_begun(start, p.updates) &&
         (p.updates - start) % o.decay_freq == 0;
}

bool decays_at_stall(const OptimizerOptions& o, const DecayProgress& p) {
  const int64_t start = o.decay_start.front();
  return o.decay > 0 && o.decay_strategy == DecayStrategy::stalled && has_begun(start, p.stalls) &&
         p.stalls % start == 0;
}

double average_rate(double alpha, int64_t updates) {
  if (alpha <= 0) return 0;
  const double t = double(updates);
  return std::max(alpha, 1.0 - (t + 1) / (t + 10));
}

}  // namespace bough
