#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace bough {

/// Which of `size` points to draw so that there are at most about `most`: all, or the first and last, and of equal
/// stretches those where a curve is lowest or highest, and the first where it has no value: it breaks there. Ascending.
/// curves: of `size` values each, NaN where there is none.
std::vector<size_t> thinned(std::span<const std::vector<double>> curves, size_t size, size_t most);

/// Every k-th of `size`, the last one always, so that there are at most `most` (2 or more).
std::vector<size_t> every_kth(size_t size, size_t most);

}  // namespace bough
