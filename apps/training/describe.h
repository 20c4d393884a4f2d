#pragma once
#include <string>

#include "apps/training/train_options.h"

namespace bough {

/// --describe: every parameter with its shape, the totals, and the plan for the batch size in force, with
/// sides of equal length. Where vocabularies do not exist yet their size is dim-vocabs, or 32000.
std::string describe_model(TrainOptions options, int ranks = 1);

}  // namespace bough
