#include "apps/inference/translation_printer.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

namespace bough {
namespace {

/// " F0= -1.5 F1= -2": a space behind each name, which rescoring scripts count on.
std::string features(const Hypothesis& hypothesis) {
  const std::vector<double> one{hypothesis.log_probability};
  const std::vector<double>& scores = hypothesis.model_scores.empty() ? one : hypothesis.model_scores;
  std::string text;
  for (size_t i = 0; i < scores.size(); ++i) text += fmt::format(" F{}= {:.6g}", i, scores[i]);
  return text;
}

/// The source token with the largest share, the end of sentence aside.
const std::string& aligned_word(const std::vector<double>& shares, const std::vector<std::string>& source) {
  const auto end = shares.begin() + std::ptrdiff_t(std::min(source.size(), shares.size()));
  return source[size_t(std::max_element(shares.begin(), end) - shares.begin())];
}

const Hypothesis& best_of(const Translator::Result& result) {
  constexpr double none = -std::numeric_limits<double>::infinity();
  static const Hypothesis nothing{{}, {}, none, none};  // the model gave no finite score
  return result.empty() ? nothing : result.front();
}

}  // namespace

std::string on_one_line(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return c == '\n' || c == '\r' || c == '\0'; }, ' ');
  return text;
}

SoftAlignment in_reading_order(SoftAlignment alignment, bool right_left) {
  if (right_left && !alignment.empty()) std::reverse(alignment.begin(), alignment.end() - 1);
  return alignment;
}

std::vector<double> in_reading_order(std::vector<double> scores, bool right_left) {
  if (right_left && !scores.empty()) std::reverse(scores.begin(), scores.end() - 1);
  return scores;
}

std::string format_word_scores(std::span<const double> scores) {
  std::string text = "WordScores=";
  for (double score : scores) text += fmt::format(" {:.5f}", score);
  return text;
}

TranslationPrinter::TranslationPrinter(std::shared_ptr<const Vocabulary> vocabulary, bool right_left,
                                       const DecodingOptions& decoding, bool keep_pieces)
    : vocabulary_(std::move(vocabulary)),
      right_left_(right_left),
      n_best_(decoding.n_best),
      word_scores_(decoding.word_scores),
      keep_pieces_(keep_pieces),
      alignment_(AlignmentFormat::parse(decoding.alignment)) {}

std::string TranslationPrinter::words(const Hypothesis& hypothesis, const std::vector<std::string>& source) const {
  const std::vector<int32_t> tokens = in_reading_order(hypothesis.tokens, right_left_);
  const int32_t unknown = vocabulary_->special().unknown;
  const bool replaces = !source.empty() && std::ranges::count(tokens, unknown) > 0;
  if (!keep_pieces_ && !replaces) return on_one_line(vocabulary_->decode(tokens));
  const SoftAlignment alignment = in_reading_order(hypothesis.alignment, right_left_);
  std::vector<std::string> pieces;
  for (size_t t = 0; t < tokens.size(); ++t)
    pieces.push_back(replaces && tokens[t] == unknown ? aligned_word(alignment[t], source)
                                                      : vocabulary_->piece(tokens[t]));
  return on_one_line(keep_pieces_ ? fmt::format("{}", fmt::join(pieces, " ")) : vocabulary_->decode_pieces(pieces));
}

std::string TranslationPrinter::with_details(const Hypothesis& hypothesis,
                                             const std::vector<std::string>& source) const {
  std::string text = words(hypothesis, source);
  if (alignment_) text += " ||| " + format_alignment(in_reading_order(hypothesis.alignment, right_left_), alignment_);
  if (word_scores_) text += " ||| " + format_word_scores(in_reading_order(hypothesis.word_scores, right_left_));
  return text;
}

std::string TranslationPrinter::text(const Translator::Result& result, const std::vector<std::string>& source) const {
  return words(best_of(result), source);
}

std::string TranslationPrinter::lines(int64_t number, const Translator::Result& result,
                                      const std::vector<std::string>& source) const {
  if (!n_best_) return with_details(best_of(result), source) + "\n";
  std::string all;
  const auto add = [&](const Hypothesis& h) {
    all += fmt::format("{} ||| {} |||{} ||| {:.6g}\n", number, with_details(h, source), features(h), h.score);
  };
  if (result.empty()) add(best_of(result));
  for (const Hypothesis& h : result) add(h);
  return all;
}

}  // namespace bough
