#pragma once
#include "apps/inference/decoding_options.h"
#include "apps/inference/machine_options.h"
#include "apps/training/display_options.h"
#include "apps/training/embedding_options.h"
#include "apps/training/memory_options.h"
#include "apps/training/run_options.h"
#include "apps/training/saving_options.h"
#include "apps/training/validation_options.h"
#include "core/base/general_options.h"
#include "data/data_options.h"
#include "layers/model_options.h"
#include "optim/optimizer_options.h"

namespace bough {

/// Everything bough-train can be told.
struct TrainOptions {
  GeneralOptions general;
  MachineOptions machine;
  ModelOptions model;
  DropoutOptions dropout;
  EmbeddingOptions embedding;
  RunOptions run;
  DisplayOptions display;
  SavingOptions saving;
  OptimizerOptions optimizer;
  CorpusOptions corpus;
  VocabularyOptions vocabulary;
  BatchOptions batch;
  ValidationOptions validation;
  DecodingOptions decoding;  ///< of validation; also written to <model>.decoder.yml

  void settings(Settings& v);
  /// Fills in what follows from other settings and from the checkpoint that the run goes on with; `given` has the names
  /// the user gave, in any way.
  void resolve(const GivenNames& given);
  void validate() const;

  /// What the memory plan reads of all this, in a run of so many ranks.
  MemoryOptions memory(int ranks = 1) const;
};

}  // namespace bough
