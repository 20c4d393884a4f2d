#include "apps/inference/decoding_options.h"

namespace bough {

void DecodingOptions::settings(Settings& v) {
  v.group("Search");
  v(beam_size, {"beam-size", 'b'}, "hypotheses kept per sentence", Range<int>{1});
  v(normalize, {"normalize", 'n', "1"},
    "rank hypotheses by score / length^N; 0 = by score alone, which favours short ones");
  v(word_penalty, "word-penalty", "subtract this from the score for each target token");
  v(max_length_factor, "max-length-factor", "stop at this many target tokens for each source token", Range<double>{0});
  v(allow_unk, "allow-unk", "let the search choose the unknown-word token");
  v(quiet_translation, "quiet-translation", "do not log translations");
}

void DecodingOptions::output_settings(Settings& v) {
  v(n_best, "n-best", "print the whole beam, in Moses' n-best format");
  v(word_scores, "word-scores", "print the log-probability of each token, too");
}

}  // namespace bough
