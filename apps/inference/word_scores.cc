#include "apps/inference/word_scores.h"

#include <algorithm>
#include <cmath>

#include "core/math.h"

namespace bough {
namespace {

/// log of the sum of exp(x[i]).
float log_of_sum(const float* x, int64_t n) {
  const float maximum = *std::max_element(x, x + n);
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += math::exp(x[i] - maximum);
  return maximum + std::log(sum);
}

}  // namespace

WordScores::WordScores(int64_t rows, int64_t vocabulary)
    : rows_(rows), vocabulary_(vocabulary), values_(size_t(rows * vocabulary)) {}

void WordScores::add(Backend& backend, In logits, double weight) {
  std::vector<float> host;
  backend.download(host, logits);
  for (int64_t r = 0; r < rows_; ++r) {
    const float* const x = host.data() + r * logits.cols();
    float* const sum = values_.data() + r * vocabulary_;
    const float normalizer = log_of_sum(x, vocabulary_);
    for (int64_t v = 0; v < vocabulary_; ++v) sum[v] += float(weight) * (x[v] - normalizer);
  }
}

std::vector<ScoredWord> best_words(std::span<const float> scores, int64_t k, int32_t banned_id) {
  std::vector<ScoredWord> best;  // as in the kernel log_softmax_top_k: few words get beyond the first comparison
  for (size_t id = 0; id < scores.size(); ++id) {
    const bool is_full = int64_t(best.size()) == k;
    if ((is_full && !(double(scores[id]) > best.back().score)) || int32_t(id) == banned_id) continue;
    if (is_full) best.pop_back();
    const auto place = std::ranges::find_if(best, [&](const ScoredWord& word) { return word.score < scores[id]; });
    best.insert(place, {double(scores[id]), int32_t(id)});
  }
  return best;
}

}  // namespace bough
