#pragma once
#include <string>

#include "apps/inference/device.h"
#include "apps/training/memory_options.h"

namespace bough {

/// What a run needs, learnt from a dry run on the null backend: no memory is touched.
struct MemoryPlan {
  int64_t source_rows = 0, target_rows = 0;  ///< tokens of a micro-batch
  int64_t parameters = 0;
  size_t state_bytes = 0;       ///< parameters, gradients, moments, average
  size_t activation_bytes = 0;  ///< peak of the arena over forward and backward
  size_t arena_bytes = 0;       ///< the same, or what the largest validation batch needs where that is more
  size_t other_bytes = 0;       ///< on a GPU: for products, copies, validation beyond activation_bytes, driver
  double flops = 0;             ///< of one micro-batch, recomputation included
  int layers = 0, recomputed_layers = 0;  ///< the first ones, see Transformer::set_recompute
};

/// One micro-batch of `source_rows` + `target_rows` tokens, in sentences of about 30; for a GPU rounded up to their
/// shape class. The first `recomputed_layers` layers run again in the backward pass.
MemoryPlan plan_memory(const MemoryOptions& options, int64_t source_rows, int64_t target_rows, int recomputed_layers);

/// mini-batch-fit: the largest target budget (source budget: times length_ratio) whose activations fit into
/// `workspace`, with all layers recomputed (gradient-checkpointing true) or none (false, auto); auto goes on to all
/// where not even a sentence of max-length fits without. Of this batch as few layers are recomputed as it then needs
/// to. Error when not even a sentence of max-length fits.
MemoryPlan fit_memory(const MemoryOptions& options, double length_ratio);

/// The plan to train by: `least_recomputed` layers recomputed (all with gradient-checkpointing true and no
/// mini-batch-fit), and unless gradient-checkpointing is false as many more as the GPU's free memory asks for.
MemoryPlan plan_training(const MemoryOptions& options, int64_t source_rows, int64_t target_rows, int least_recomputed,
                         const DeviceChoice& device);

/// Throws Error with numbers when the GPU has too little free memory for the plan.
void check_memory(const MemoryPlan& plan, const DeviceChoice& device);

/// The plan as lines for the log.
std::string format_plan(const MemoryPlan& plan);

}  // namespace bough
