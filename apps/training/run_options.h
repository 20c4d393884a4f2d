#pragma once
#include <cstdint>

#include "core/base/settings.h"

namespace bough {

/// Which layers are run again in the backward pass: as many as the device's memory asks for, none, or all.
enum class Recomputation { automatic, none, all };

extern const EnumNames<Recomputation> recomputation_names;

/// The training run itself: how long, with how much memory, and what ends it.
struct RunOptions {
  StopCriteria after;
  int64_t after_epochs = 0;
  int64_t after_batches = 0;
  Recomputation recomputation = Recomputation::automatic;
  bool gemm_autotune = false;
  double divergence_threshold = 0;  ///< nats per target token; 0 = off
  int divergence_updates = 10;
  bool describe = false;

  /// after, after-epochs and after-batches together.
  StopCriteria stop_criteria() const;
  /// Those of `after` with a plus sign count from here: what has been finished.
  void start_at(int64_t updates, int64_t labels, int64_t epochs);
  void settings(Settings& v);

 private:
  void accepted_settings(Settings& v);
};

}  // namespace bough
