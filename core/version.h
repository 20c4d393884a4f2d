#pragma once
#include <string_view>

namespace bough {

/// bough's version, "major.minor.patch".
std::string_view version();

}  // namespace bough
