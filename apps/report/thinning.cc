#include "apps/report/thinning.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/rounding.h"

namespace bough {
namespace {

/// Adds where the curve is lowest and highest within [begin, end), and where it first has no value.
void add_extremes(const std::vector<double>& curve, size_t begin, size_t end, std::vector<size_t>& chosen) {
  size_t low = end, high = end, gap = end;
  for (size_t i = begin; i < end; ++i) {
    if (std::isnan(curve[i])) {
      gap = std::min(gap, i);
      continue;
    }
    if (low == end || curve[i] < curve[low]) low = i;
    if (high == end || curve[i] > curve[high]) high = i;
  }
  if (low < end) chosen.insert(chosen.end(), {low, high});
  if (gap < end) chosen.push_back(gap);
}

}  // namespace

std::vector<size_t> thinned(std::span<const std::vector<double>> curves, size_t size, size_t most) {
  std::vector<size_t> chosen(size);
  std::iota(chosen.begin(), chosen.end(), size_t(0));
  if (size <= most) return chosen;
  chosen = {0, size - 1};
  const size_t stretches = std::max<size_t>(1, most / std::max<size_t>(1, 2 * curves.size()));
  for (size_t s = 0; s < stretches; ++s)
    for (const auto& curve : curves) add_extremes(curve, s * size / stretches, (s + 1) * size / stretches, chosen);
  std::ranges::sort(chosen);
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  return chosen;
}

std::vector<size_t> every_kth(size_t size, size_t most) {
  const size_t k = size <= most ? 1 : size_t(divide_up(int64_t(size) - 1, int64_t(most) - 1));
  std::vector<size_t> chosen;
  for (size_t i = 0; i < size; i += k) chosen.push_back(i);
  if (size > 0 && chosen.back() != size - 1) chosen.push_back(size - 1);
  return chosen;
}

}  // namespace bough
