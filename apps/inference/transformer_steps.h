#pragma once
#include <vector>

#include "apps/inference/beam_search.h"
#include "apps/inference/ensemble.h"
#include "apps/inference/sampling.h"
#include "apps/inference/word_scores.h"
#include "data/batch.h"

namespace bough {

/// Words that are drawn instead of searched for. Beam search sees each sentence `per_sentence` times, one after
/// another, with a beam of one.
struct SampledBatch {
  SamplingRule rule;  ///< none: search
  uint64_t seed = 1;
  int per_sentence = 1;
  std::vector<int64_t> numbers = {};  ///< of the sentences in the input
};

/// The target words that each sentence of a batch may have, sorted; none: all words.
using ListedWords = std::vector<std::vector<int32_t>>;

/// Transformers as beam search sees them: encodes a batch, then gives the next tokens step by step.
/// Keys and values of a slot stay where they are; nothing is moved when hypotheses change places.
class TransformerSteps final : public StepModel {
 public:
  /// `source`: packed for decoding with the ensemble's ids. limits: of every sentence, as beam_search gets them.
  /// banned_id never becomes a candidate; -1: none is banned. lists: of each sentence of `source`, without banned_id;
  /// probabilities are then over its words. With a rule in `samples` the one candidate of a row is a
  /// draw, a function of seed, sentence, sample and position. skips_softmax: scores of one model are logits, those of
  /// words that must come 0.
  TransformerSteps(const Ensemble& ensemble, Backend& backend, const Batch& source, std::span<const int64_t> limits,
                   int beam_size, int32_t banned_id, SampledBatch samples = {}, ListedWords lists = {},
                   bool skips_softmax = false);
  void step(const StepRows& rows, int64_t k, StepScores& scores) override;
  int32_t end_of_sentence() const override { return ensemble_.target.end; }

  /// Memory of keys and values of self-attention per slot and token, in bytes; 0 for recurrent decoders.
  static int64_t cache_bytes(const Ensemble& ensemble, DType dtype);

 private:
  /// Words that logits have: all, or those of the longest list.
  int64_t columns() const { return device_lists_ ? device_lists_.longest : ensemble_.target_vocabulary(); }
  const std::vector<int32_t>& list_of(const StepRows& rows, size_t row) const {
    return lists_[size_t(rows.sentences[row] / samples_.per_sentence)];
  }
  void upload_lists();
  std::vector<int32_t> forced_columns(const StepRows& rows) const;
  void name_words(const StepRows& rows, StepScores& out) const;
  void best_of_one(In logits, StepScores& out);
  void score_forced(In logits, In forced, StepScores& out);
  WordScores total(const std::vector<Tensor>& logits) const;
  void best_of(const WordScores& all, StepScores& out) const;
  void draw_from(const WordScores& all, const StepRows& rows, StepScores& out) const;

  const Ensemble& ensemble_;
  Backend& backend_;
  int32_t banned_id_;
  SampledBatch samples_;
  ListedWords lists_;
  bool skips_softmax_;
  WordLists device_lists_;
  Tape tape_;
  std::vector<DecoderCache> caches_;  // of every member
};

}  // namespace bough
