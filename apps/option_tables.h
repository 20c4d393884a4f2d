#pragma once
#include <vector>

#include "core/base/settings_reader.h"

namespace bough {

/// `task` presets (Marian's values), `fp16`, `no-shuffle`.
std::vector<AliasExpansion> option_aliases();

/// Options Marian has and bough has not, with their resting value and the reason.
std::vector<RefusedOption> refused_options();

/// Options of which the one from the later place wins: where to compute, how large batches are, the residual kind.
std::vector<Rivals> rival_options();

/// Keys of old models and configurations that Marian itself ignores.
std::vector<std::string_view> ignored_options();

/// Options that Marian's decoder and scorer have, too, and take from the model whatever is given.
std::vector<std::string_view> options_of_the_model();

}  // namespace bough
