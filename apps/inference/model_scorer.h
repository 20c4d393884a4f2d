#pragma once
#include "apps/inference/model_scorer_options.h"

namespace bough {

/// marian-scorer: options.corpus.train_sets, source and target (or n-best list), scored by options.model. Lines
/// and the n-best form are Marian's (docs/file_formats.md). Throws Error, or OutputClosed when nobody reads
/// standard output any more.
void run_model_scorer(const ModelScorerOptions& options);

}  // namespace bough
