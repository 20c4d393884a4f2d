#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "apps/report/run_metrics.h"

namespace bough {

/// One page for a browser that shows all runs, with styles and script in it: it asks for nothing from elsewhere.
/// now: seconds of the system's clock. Of long runs it has the points that `thinned` keeps, and says so.
std::string format_page(const std::vector<RunMetrics>& runs, int64_t now);

}  // namespace bough
