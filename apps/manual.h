#pragma once
#include <vector>

#include "core/base/manual.h"

namespace bough {

/// Every program, by its tables of options.
std::vector<ProgramEntry> program_entries();

}  // namespace bough
