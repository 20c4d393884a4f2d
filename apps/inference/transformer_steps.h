#pragma once
#include <vector>

#include "apps/inference/beam_search.h"
#include "apps/inference/ensemble.h"
#include "data/batch.h"

namespace bough {

/// Transformers as beam search sees them: encodes a batch, then gives the next tokens step by step.
/// Keys and values of a slot stay where they are; nothing is moved when hypotheses change places.
class TransformerSteps final : public StepModel {
 public:
  /// `source`: packed for decoding with the ensemble's ids. limits: of every sentence, as beam_search gets them.
  /// banned_id never becomes a candidate; -1: none is banned.
  TransformerSteps(const Ensemble& ensemble, Backend& backend, const Batch& source, std::span<const int64_t> limits,
                   int beam_size, int32_t banned_id);
  void step(const StepRows& rows, int64_t k, StepScores& scores) override;
  int32_t end_of_sentence() const override { return ensemble_.target.end; }

  /// Memory of keys and values per slot and token, in bytes.
  static int64_t cache_bytes(const Ensemble& ensemble, DType dtype);

 private:
  void best_of_one(In logits, StepScores& out);
  void score_closing(In logits, In closing, StepScores& out);
  void best_of_several(const std::vector<Tensor>& logits, const StepRows& rows, StepScores& out);

  const Ensemble& ensemble_;
  Backend& backend_;
  int32_t banned_id_;
  Tape tape_;
  std::vector<DecoderCache> caches_;  // of every member
};

}  // namespace bough
