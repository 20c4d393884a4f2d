#pragma once
#include "core/base/settings.h"

namespace bough {

/// Beam search.
struct DecodingOptions {
  int beam_size = 12;
  double normalize = 0;  ///< exponent alpha of length in score / length^alpha
  double word_penalty = 0;
  double max_length_factor = 3;
  bool allow_unk = false;
  bool quiet_translation = false;  ///< do not log best translations
  bool n_best = false;             ///< translate only
  bool word_scores = false;        ///< translate only

  void settings(Settings& v);         ///< the search
  void output_settings(Settings& v);  ///< n-best, word-scores
};

}  // namespace bough
