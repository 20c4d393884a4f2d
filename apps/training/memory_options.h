#pragma once
#include "apps/inference/machine_options.h"
#include "apps/training/run_options.h"
#include "layers/model_options.h"
#include "optim/optimizer_options.h"

namespace bough {

/// What the memory of a training run depends on, besides the size of its batches.
struct MemoryOptions {
  MachineOptions machine;
  ModelOptions model;  ///< with vocab_sizes
  DropoutOptions dropout;
  OptimizerOptions optimizer;
  Recomputation recomputation = Recomputation::automatic;
  bool mini_batch_fit = false;         ///< the batch is chosen to fill the workspace
  int max_length = 0;                  ///< tokens of the longest sentence: the least that mini-batch-fit must hold
  bool measures_layers = false;        ///< log-layer-norms
  bool measures_model_update = false;  ///< log-model-update
  int ranks = 1;                       ///< that share the optimizer's state
  bool learns_alignments = false;      ///< guided-alignment
  bool has_weights = false;            ///< data-weighting
  int longest_validated = 0;           ///< valid-max-length where there are valid-sets, else 0
};

}  // namespace bough
