#pragma once
#include <string>
#include <vector>

#include "core/base/schedule_unit.h"
#include "core/base/settings.h"
#include "core/kernel_types.h"

namespace bough {

/// Which events lower the learning rate, see optim/schedule.h.
enum class DecayStrategy { epoch, batches, stalled, epoch_batches, epoch_stalled };

/// How gradients become new parameters.
struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::adam;
  std::vector<double> params;  ///< as given; read the four below
  double delay = 1;            ///< micro-batches an update is the sum of

  double learning_rate = 1e-4;
  bool report_learning_rate = false;
  SchedulePeriod warmup;  ///< W; 0 = none
  double warmup_start_rate = 0;
  bool warmup_cycle = false;
  bool warmup_at_reload = false;
  std::vector<SchedulePeriod> inverse_sqrt = {SchedulePeriod{}};  ///< N [S]; N = 0: off; S defaults to N
  double decay = 0;  ///< factor of the learning rate at each decay; 0 = never decays
  DecayStrategy decay_strategy = DecayStrategy::epoch_stalled;
  std::vector<int64_t> decay_start = {10, 1};
  int64_t decay_freq = 50000;
  bool decay_resets_optimizer = false;
  bool decay_repeats_warmup = false;

  double clip_norm = 1;  ///< 0 = off
  double ema_decay = 0;  ///< Marian's exponential-smoothing alpha; 0 = off

  // Resolved from params: Adam's (epsilon also Adagrad's).
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;  ///< decoupled

  void settings(Settings& v);
  /// Fills beta1 … weight_decay. Without a given epsilon it is 1e-9 for the deep kinds
  /// (deepnorm, branchnorm), whose gradients per token are small, and Marian's 1e-8 otherwise.
  void resolve(bool is_deep_kind);
  void validate() const;

 private:
  void schedule_settings(Settings& v);
};

}  // namespace bough
