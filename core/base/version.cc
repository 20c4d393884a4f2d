#include "core/base/version.h"

#include <fmt/format.h>

namespace bough {

std::string_view version() { return BOUGH_VERSION; }

std::string build_info() {
  return fmt::format("bough {}\ncompiler: {}\nbuild: {}", version(), __VERSION__, BOUGH_BUILD);
}

}  // namespace bough
