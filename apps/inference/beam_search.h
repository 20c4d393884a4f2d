#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "apps/inference/alignment_format.h"
#include "apps/inference/decoding_options.h"
#include "core/base/special_ids.h"

namespace bough {

/// R hypotheses that each want their next token; all (R) but ancestry.
struct StepRows {
  int64_t length = 0;              ///< L: tokens of every hypothesis with its next one
  std::vector<int32_t> ids;        ///< newest token; start_id in step 0
  std::vector<int32_t> steps;      ///< its position, from 0
  std::vector<int32_t> slots;      ///< where the model keeps what it knows of (row, step)
  std::vector<int32_t> sentences;  ///< number of the sentence in the batch
  std::vector<int32_t> ancestry;   ///< (R, L): the slot that holds the row's history at every step
  std::vector<int32_t> forced;     ///< the token that must come: of a prefix, the end at the length limit; else -1
  bool has_forced = false;         ///< whether any must

  /// R, the rows of this step.
  int64_t count() const { return int64_t(ids.size()); }
};

/// What a model says about the next token of R rows.
struct StepScores {
  int64_t k = 0;                      ///< candidates a row, best first
  std::vector<double> scores;         ///< (R, k) log-probabilities, or what they are compared by
  std::vector<int32_t> ids;           ///< (R, k)
  std::vector<double> forced_scores;  ///< (R) log-probability of `forced`; anything where that is -1
};

/// What beam search needs of a model. Hypotheses are reordered through the ancestry table alone: what
/// a model stored for (slot, step) stays where it is.
class StepModel {
 public:
  virtual ~StepModel() = default;
  /// The best `k` next tokens of every row, or all allowed ones where the vocabulary has fewer.
  virtual void step(const StepRows& rows, int64_t k, StepScores& scores) = 0;
  /// What ends a sentence.
  virtual int32_t end_of_sentence() const { return end_id; }
};

/// One translation of a sentence.
struct Hypothesis {
  std::vector<int32_t> tokens;            ///< without end_id
  std::vector<double> word_scores;        ///< log-probability of every token and of end_id
  double log_probability = 0;             ///< their sum, in nats
  double score = 0;                       ///< what hypotheses are ranked by
  SoftAlignment alignment = {};           ///< where asked for, in the order in which the model writes
  std::vector<double> model_scores = {};  ///< log-probability by each model of an ensemble, where asked for
};

/// (log_probability - word_penalty length) / length^normalize; length counts end_id.
double hypothesis_score(double log_probability, int64_t length, const DecodingOptions& options);

/// Tokens a translation of `source_tokens` (end_id included) may have, end_id included: max-length-factor
/// times as many, at least 1.
int64_t length_limit(int64_t source_tokens, const DecodingOptions& options);

/// Beam search for sentences 0 .. S-1 at once, at most limits[s] tokens (end_id included) each.
/// Of the 2 beam best continuations of a sentence, those among the first `beam` that end it are
/// collected and the best `beam` others live on. A sentence is done when `beam` hypotheses are collected
/// and no living one, scored as it stands, is better than the best of them, or at its limit, where living
/// hypotheses are closed by end_id at its own log-probability. Slots: sentence * beam + [0, beam).
/// prefixes: what each translation must begin with, below its limit; none: nothing.
/// Returns up to `beam` hypotheses a sentence, best first; none where the model gave no finite score.
/// What a sentence gets depends on nothing but the model's answers for its own rows.
std::vector<std::vector<Hypothesis>> beam_search(StepModel& model, std::span<const int64_t> limits,
                                                 const DecodingOptions& options,
                                                 std::span<const std::vector<int32_t>> prefixes = {});

}  // namespace bough
