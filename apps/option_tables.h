#pragma once
#include <vector>

#include "core/base/settings_reader.h"

namespace bough {

/// `task` presets (Marian's values), `fp16`, `no-shuffle`.
std::vector<AliasExpansion> option_aliases();

/// Options Marian has and bough has not, with their resting value and the reason.
std::vector<RefusedOption> refused_options();

/// Keys of old models and configurations that Marian itself ignores.
std::vector<std::string_view> ignored_options();

}  // namespace bough
