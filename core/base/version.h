#pragma once
#include <string>
#include <string_view>

namespace bough {

/// bough's version, "major.minor.patch".
std::string_view version();

/// Version, compiler and build settings, a line each, for bug reports.
std::string build_info();

}  // namespace bough
