#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/backend.h"

namespace bough {

/// log p of every word of a vocabulary as the next one of R rows, on the host: what ensembles add up and samples are
/// drawn from. One model's beam search does without.
class WordScores {
 public:
  /// All zero: of no model.
  WordScores(int64_t rows, int64_t vocabulary);
  /// += weight log softmax(logits[r, :vocabulary]); logits: (R, V padded), on `backend`.
  void add(Backend& backend, In logits, double weight);
  int64_t rows() const { return rows_; }
  /// (V)
  std::span<const float> row(int64_t r) const {
    return std::span(values_).subspan(size_t(r * vocabulary_), size_t(vocabulary_));
  }

 private:
  int64_t rows_, vocabulary_;
  std::vector<float> values_;  // (R, V)
};

/// A word and its log-probability.
struct ScoredWord {
  double score = 0;
  int32_t id = 0;
};
/// The k best of `scores`, or all where there are fewer, best first, equal ones by smaller id; without `banned_id`.
std::vector<ScoredWord> best_words(std::span<const float> scores, int64_t k, int32_t banned_id);

}  // namespace bough
