#include "apps/inference/translation_printer.h"

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

const Hypothesis& best_of(const Translator::Result& result) {
  constexpr double none = -std::numeric_limits<double>::infinity();
  static const Hypothesis nothing{{}, {}, none, none};  // the model gave no finite score
  return result.empty() ? nothing : result.front();
}

}  // namespace

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
      keep_pieces_(keep_pieces) {}

std::string TranslationPrinter::words(const Hypothesis& hypothesis) const {
  const std::vector<int32_t> tokens = in_reading_order(hypothesis.tokens, right_left_);
  if (!keep_pieces_) return vocabulary_->decode(tokens);
  std::string text;
  for (int32_t token : tokens) text += (text.empty() ? "" : " ") + vocabulary_->piece(token);
  return text;
}

std::string TranslationPrinter::with_word_scores(const Hypothesis& hypothesis) const {
  std::string text = words(hypothesis);
  if (word_scores_) text += " ||| " + format_word_scores(hypothesis.word_scores);
  return text;
}

std::string TranslationPrinter::text(const Translator::Result& result) const { return words(best_of(result)); }

std::string TranslationPrinter::lines(int64_t number, const Translator::Result& result) const {
  if (!n_best_) return with_word_scores(best_of(result)) + "\n";
  std::string all;
  const auto add = [&](const Hypothesis& h) {
    all += fmt::format("{} ||| {} |||{} ||| {:.6g}\n", number, with_word_scores(h), features(h), h.score);
  };
  if (result.empty()) add(best_of(result));
  for (const Hypothesis& h : result) add(h);
  return all;
}

}  // namespace bough
