#include "apps/inference/batch_cut.h"

#include <algorithm>
#include <numeric>

namespace bough {
namespace {

BatchSize together(const BatchSize& a, const BatchSize& b) {
  return {a.source_tokens + b.source_tokens, a.target_tokens + b.target_tokens,
          std::max(a.longest_result, b.longest_result), a.sentences + b.sentences};
}

std::vector<size_t> order_of(const std::vector<BatchSize>& sentences, SortKind sort) {
  std::vector<size_t> order(sentences.size());
  std::iota(order.begin(), order.end(), size_t(0));
  if (sort == SortKind::none) return order;
  const auto length = [&](size_t i) {
    const BatchSize& s = sentences[i];
    return sort == SortKind::target && s.target_tokens > 0 ? s.target_tokens : s.source_tokens;
  };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return length(a) > length(b); });
  return order;
}

}  // namespace

std::vector<std::vector<size_t>> cut_batches(const std::vector<BatchSize>& sentences, const BatchOptions& limits,
                                             const std::function<bool(const BatchSize&)>& fits) {
  const auto is_within = [&](const BatchSize& size) {
    if (limits.mini_batch_words > 0) return std::max(size.source_tokens, size.target_tokens) <= limits.mini_batch_words;
    return size.sentences <= limits.mini_batch;
  };
  std::vector<std::vector<size_t>> batches;
  BatchSize size;
  for (size_t i : order_of(sentences, limits.maxi_batch_sort)) {
    const BatchSize joined = batches.empty() ? sentences[i] : together(size, sentences[i]);
    const bool joins = !batches.empty() && is_within(joined) && fits(joined);
    if (!joins) batches.emplace_back();
    size = joins ? joined : sentences[i];
    batches.back().push_back(i);
  }
  return batches;
}

}  // namespace bough
