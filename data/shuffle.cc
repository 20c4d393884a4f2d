#include "data/shuffle.h"

#include <algorithm>
#include <numeric>

#include "core/base/random.h"
#include "data/hash.h"

namespace bough {
namespace {

enum Purpose : uint64_t { blocks = 1, pairs, runs };

RandomStream stream_for(const OrderRules& rules, Purpose purpose, int64_t epoch, int64_t window) {
  return RandomStream(rules.seed, combine_hashes(combine_hashes(purpose, uint64_t(epoch)), uint64_t(window)));
}

/// Fisher and Yates; std::shuffle differs between libraries.
template <class T>
void permute(std::vector<T>& items, RandomStream random) {
  for (size_t n = items.size(); n > 1; --n) std::swap(items[n - 1], items[random.below(n)]);
}

/// Sorts each stretch of sort_pairs by length, longest first as Marian serves them.
void sort_by_length(std::vector<PairRef>& order, const TokenCache& cache, const OrderRules& rules) {
  std::vector<std::pair<int64_t, PairRef>> keyed(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const auto pair = cache.pair(order[i]);
    const auto source = int64_t(pair.source.size());
    const auto target = int64_t(pair.target.size());
    // The other side breaks ties, so that neighbours are alike on both.
    const auto [first, second] = rules.sort == SortKind::source ? std::pair(source, target) : std::pair(target, source);
    keyed[i] = {-((first << 32) + second), order[i]};
  }
  const auto stretch = size_t(std::max<int64_t>(rules.sort_pairs, 1));
  for (size_t begin = 0; begin < keyed.size(); begin += stretch)
    std::stable_sort(keyed.begin() + std::ptrdiff_t(begin),
                     keyed.begin() + std::ptrdiff_t(std::min(begin + stretch, keyed.size())),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
  for (size_t i = 0; i < order.size(); ++i) order[i] = keyed[i].second;
}

std::vector<PairRef> permute_runs(const std::vector<PairRef>& order, const OrderRules& rules, RandomStream random) {
  const auto length = size_t(std::max<int64_t>(rules.run_pairs, 1));
  std::vector<size_t> begins;
  for (size_t begin = 0; begin < order.size(); begin += length) begins.push_back(begin);
  permute(begins, random);
  std::vector<PairRef> permuted;
  permuted.reserve(order.size());
  for (const size_t begin : begins)
    for (size_t i = begin; i < std::min(begin + length, order.size()); ++i) permuted.push_back(order[i]);
  return permuted;
}

}  // namespace

int64_t window_count(const TokenCache& cache, const OrderRules& rules) {
  return (int64_t{cache.blocks()} + rules.window_blocks - 1) / rules.window_blocks;
}

std::span<const uint32_t> WindowOrders::blocks(const TokenCache& cache, const OrderRules& rules, int64_t epoch,
                                               int64_t window) {
  const std::tuple wanted{rules.shuffle, rules.seed, epoch};
  if (made_for_ != wanted || blocks_.size() != cache.blocks()) {
    blocks_.resize(cache.blocks());
    std::iota(blocks_.begin(), blocks_.end(), 0U);
    if (rules.shuffle == ShuffleKind::data) permute(blocks_, stream_for(rules, Purpose::blocks, epoch, 0));
    made_for_ = wanted;
  }
  const size_t begin = size_t(window) * rules.window_blocks;
  return std::span(blocks_).subspan(begin, std::min<size_t>(rules.window_blocks, blocks_.size() - begin));
}

std::vector<PairRef> WindowOrders::pairs(const TokenCache& cache, const OrderRules& rules, int64_t epoch,
                                         int64_t window) {
  std::vector<PairRef> order;
  for (const uint32_t block : blocks(cache, rules, epoch, window)) {
    cache.will_need(block);
    for (uint32_t i = 0; i < cache.pairs_in(block); ++i) order.push_back(PairRef{block} << 16 | i);
  }
  if (rules.shuffle == ShuffleKind::data) permute(order, stream_for(rules, Purpose::pairs, epoch, window));
  if (rules.sort != SortKind::none) sort_by_length(order, cache, rules);
  const bool keeps_runs =
      rules.shuffle == ShuffleKind::batches || (rules.shuffle == ShuffleKind::data && rules.sort != SortKind::none);
  return keeps_runs ? permute_runs(order, rules, stream_for(rules, runs, epoch, window)) : order;
}

}  // namespace bough
