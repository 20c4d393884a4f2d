#pragma once
#include <cstdint>
#include <span>
#include <tuple>
#include <vector>

#include "data/data_options.h"
#include "data/token_cache.h"

namespace bough {

/// Which order an epoch visits the pairs of a corpus in: a pure function of these, the cache, the
/// epoch and the window, so that a loader can start anywhere. A window is a number of blocks: with
/// shuffling, blocks of the whole corpus in random order, whose pairs are then shuffled together.
struct OrderRules {
  ShuffleKind shuffle = ShuffleKind::data;
  SortKind sort = SortKind::none;
  int64_t run_pairs = 64;     ///< consecutive pairs that shuffle `batches` keeps together
  int64_t sort_pairs = 6400;  ///< pairs sorted by length together (maxi-batch)
  uint64_t seed = 0;
  uint32_t window_blocks = 4096;  ///< about a million pairs, 8 MB of references
};

/// Number of windows of an epoch.
int64_t window_count(const TokenCache& cache, const OrderRules& rules);

/// Gives windows in order. Keeps the order of the last epoch's blocks, so that a window costs what it holds and not
/// what the corpus has; results do not depend on what was asked before.
class WindowOrders {
 public:
  /// The pairs of one window (0 <= window < window_count) in the order of this epoch.
  std::vector<PairRef> pairs(const TokenCache& cache, const OrderRules& rules, int64_t epoch, int64_t window);

 private:
  std::span<const uint32_t> blocks(const TokenCache& cache, const OrderRules& rules, int64_t epoch, int64_t window);

  std::vector<uint32_t> blocks_;  // of the whole corpus
  std::tuple<ShuffleKind, uint64_t, int64_t> made_for_{ShuffleKind::none, 0, -1};
};

}  // namespace bough
