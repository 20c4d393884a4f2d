#include "apps/inference/decoding_options.h"

namespace bough {

const char* const alignment_help =
    "print which tokens belong together, by the attention that learned guided-alignment, from 0 and with both ends of "
    "sentence: hard (0-0 2-1: the strongest of each target token), soft (all shares), or a number: the source tokens "
    "with a larger share";

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

void DecodingOptions::translate_settings(Settings& v) {
  v.items(
      sampling, {"output-sampling", 0, "full"},
      "draw words instead of searching: full [T] from all words, topk K [T] from the K best, nucleus P [T] from the "
      "best that have probability P together, epsilon E [T] from those with probability E or more; T is the "
      "temperature, 1 unless given. One translation a sentence; with n-best beam-size of them, independent, in the "
      "order they were drawn. A function of seed, line and position, not of batches. false = search",
      "full [T], topk K [T], nucleus P [T] or epsilon E [T]; T > 0, K >= 1, P and E in (0, 1]");
  v(force_decode, "force-decode",
    "begin each translation with the words of a second input, or of the second field with tsv");
}

void DecodingOptions::output_settings(Settings& v) {
  v(n_best, "n-best", "print the whole beam, in Moses' n-best format");
  v(word_scores, "word-scores", "print the log-probability of each token, too");
  v(alignment, {"alignment", 0, "1"}, alignment_help);
  v(replace_unk, "replace-unk",
    "print the source word that it is aligned with in place of each unknown word; allows unknown words");
  constexpr auto whole = "the output layer always computes the whole vocabulary";
  v.accepted_list({"output-approx-knn", 0, "100 1024"}, whole);
  v.remark(std::string("has no effect: ") + whole + ", which is slower", "", Remark::warning);
  v(skip_cost, "skip-cost",
    "with a beam of one word, do not compute the probabilities of words, where no scores are printed");
  v.accepted<bool>("model-mmap", "models are read, not mapped");
}

}  // namespace bough
