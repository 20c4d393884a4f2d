#pragma once
#include <memory>
#include <string>

#include "apps/inference/translator.h"
#include "data/vocabulary.h"

namespace bough {

/// Results as text, in Marian's formats (docs/file_formats.md):
///   best:   hyp[ ||| alignment][ ||| WordScores= s1 s2 ...]
///   n-best: id ||| hyp[ ||| alignment][ ||| WordScores= ...] ||| F0= log-probability ||| score
/// An ensemble's n-best lines have the log-probability by each model: F0= ... F1= ...
/// Word scores: 5 decimals, one a token and one for the end of sentence; the others 6 digits. A line has no other end:
/// newline, carriage return and NUL within a token are spaces.
class TranslationPrinter {
 public:
  /// keep_pieces: tokens as they stand in the vocabulary, separated by spaces (no-spm-decode).
  /// right_left: of the models.
  TranslationPrinter(std::shared_ptr<const Vocabulary> vocabulary, bool right_left, const DecodingOptions& decoding,
                     bool keep_pieces);

  /// The words of the best hypothesis; empty where there is none. `source`: the tokens of the sentence as text, to
  /// take the place of unknown words; none: they stay.
  std::string text(const Translator::Result& result, const std::vector<std::string>& source = {}) const;
  /// The line, or the lines of an n-best list, of sentence `number` (from 0), each ending in '\n'.
  std::string lines(int64_t number, const Translator::Result& result,
                    const std::vector<std::string>& source = {}) const;

 private:
  std::string words(const Hypothesis& hypothesis, const std::vector<std::string>& source) const;
  std::string with_details(const Hypothesis& hypothesis, const std::vector<std::string>& source) const;

  std::shared_ptr<const Vocabulary> vocabulary_;
  bool right_left_, n_best_, word_scores_, keep_pieces_;
  AlignmentFormat alignment_;
};

/// What would end a line, or a text of C, becomes a space: vocabularies may have tokens for single bytes.
std::string on_one_line(std::string text);

/// What belongs to the target tokens in reading order, see in_reading_order(); the end of sentence stays last.
SoftAlignment in_reading_order(SoftAlignment alignment, bool right_left);
std::vector<double> in_reading_order(std::vector<double> scores, bool right_left);

/// "WordScores= -0.12345 ..."
std::string format_word_scores(std::span<const double> scores);

}  // namespace bough
