#pragma once
#include "apps/inference/sampling.h"
#include "core/base/settings.h"

namespace bough {

/// Of the option alignment, which two programs have.
extern const char* const alignment_help;

/// Beam search, or sampling.
struct DecodingOptions {
  int beam_size = 12;
  double normalize = 0;  ///< exponent alpha of length in score / length^alpha
  double word_penalty = 0;
  double max_length_factor = 3;
  bool allow_unk = false;
  bool quiet_translation = false;  ///< do not log best translations
  bool n_best = false;             ///< translate only
  bool word_scores = false;        ///< translate only
  std::string alignment;           ///< translate only; see AlignmentFormat
  bool replace_unk = false;        ///< translate only
  bool skip_cost = false;          ///< translate only: probabilities are not wanted; see skips_softmax
  SamplingRule sampling;           ///< translate only; n_best: beam_size samples a sentence, else one
  uint64_t seed = 1;               ///< of sampling: the program's
  bool force_decode = false;       ///< translate only: sentences come with what their translations begin with

  /// Whether hypotheses need their alignments.
  bool wants_alignments() const { return !alignment.empty() || replace_unk; }
  /// Whether scores may be sums of logits: no word is chosen, no search ended by them, and none is printed.
  bool skips_softmax() const { return skip_cost && beam_size == 1 && !sampling && !n_best && !word_scores; }
  /// Hypotheses in work for a sentence.
  int hypotheses() const { return sampling && !n_best ? 1 : beam_size; }
  void settings(Settings& v);            ///< the search
  void translate_settings(Settings& v);  ///< sampling, prefixes
  void output_settings(Settings& v);     ///< n-best, word-scores, alignment
};

}  // namespace bough
