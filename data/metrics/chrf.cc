#include "data/metrics/chrf.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/unicode.h"

namespace bough {
namespace {

constexpr double epsilon = 1e-16;

/// Gives one mark at one end of a word a place of its own: the last character, else the first.
template <class Visit>
void visit_without_punctuation(std::u32string_view word, Visit visit) {
  if (word.size() > 1 && unicode::is_ascii_punctuation(word.back())) {
    visit(word.substr(0, word.size() - 1));
    visit(word.substr(word.size() - 1));
  } else if (word.size() > 1 && unicode::is_ascii_punctuation(word.front())) {
    visit(word.substr(0, 1));
    visit(word.substr(1));
  } else {
    visit(word);
  }
}

}  // namespace

ChrfCounter::ChrfCounter(const ChrfOptions& options)
    : options_(options),
      matches_(size_t(options.char_order + options.word_order)),
      candidate_(statistics_width(options)) {}

void ChrfCounter::read(std::string_view line, bool is_reference) {
  unicode::decode_utf8(line, text_);
  if (options_.lowercase) unicode::lower(text_);
  chars_.clear();
  for (const char32_t c : text_)
    if (options_.whitespace || !unicode::is_space(c)) chars_.push_back(c);
  words_.clear();
  if (options_.word_order == 0) return;
  unicode::split(text_, pieces_);
  for (const auto piece : pieces_)
    visit_without_punctuation(
        piece, [&](std::u32string_view word) { words_.push_back(is_reference ? ids_.add(word) : ids_.find(word)); });
}

void ChrfCounter::set_references(std::span<const std::string_view> references) {
  reference_count_ = references.size();
  if (references_.size() < reference_count_) references_.resize(reference_count_);
  ids_.clear();
  for (size_t i = 0; i < reference_count_; ++i) {
    Reference& reference = references_[i];
    read(references[i], true);
    reference.chars.clear();
    reference.chars.add(chars_, options_.char_order);
    reference.words.clear();
    reference.words.add(words_, options_.word_order);
    reference.char_count = chars_.size();
    reference.word_count = words_.size();
  }
}

void ChrfCounter::compare(Reference& reference, std::span<double> statistics) {
  const std::span matches(matches_);
  reference.chars.match(chars_, options_.char_order, matches);
  reference.words.match(words_, options_.word_order, matches.subspan(options_.char_order));
  for (size_t i = 0; i < matches.size(); ++i) {
    const auto orders = size_t(options_.char_order);
    const bool is_char = i < orders;
    const int n = int(is_char ? i : i - orders) + 1;
    const double of_reference = ngram_total(is_char ? reference.char_count : reference.word_count, n);
    const double of_hypothesis = ngram_total(is_char ? chars_.size() : words_.size(), n);
    statistics[3 * i] = of_reference > 0 ? of_hypothesis : 0;
    statistics[3 * i + 1] = of_reference;
    statistics[3 * i + 2] = matches[i];
  }
}

void ChrfCounter::count(std::string_view hypothesis, std::span<double> statistics) {
  std::ranges::fill(statistics, 0.0);
  read(hypothesis, false);
  double best = -1;
  for (size_t i = 0; i < reference_count_; ++i) {
    compare(references_[i], candidate_);
    const double score = reference_count_ == 1 ? 0 : score_from(candidate_, options_);
    if (score <= best) continue;
    best = score;
    std::ranges::copy(candidate_, statistics.begin());
  }
}

size_t statistics_width(const ChrfOptions& options) { return 3 * size_t(options.char_order + options.word_order); }

ChrfCounter make_counter(const ChrfOptions& options) { return ChrfCounter(options); }

double score_from(std::span<const double> statistics, const ChrfOptions& options) {
  check(statistics.size() == statistics_width(options), "chrF: {} statistics, must be {} for orders {} and {}",
        statistics.size(), statistics_width(options), options.char_order, options.word_order);
  const double factor = double(options.beta) * options.beta;
  double smoothed = 0, precision = 0, recall = 0;
  int reached = 0;
  for (size_t i = 0; i < statistics.size(); i += 3) {
    const double of_hypothesis = statistics[i], of_reference = statistics[i + 1];
    const double p = of_hypothesis > 0 ? statistics[i + 2] / of_hypothesis : epsilon;
    const double r = of_reference > 0 ? statistics[i + 2] / of_reference : epsilon;
    const double denominator = factor * p + r;
    smoothed += denominator > 0 ? (1 + factor) * p * r / denominator : epsilon;
    if (of_hypothesis > 0 && of_reference > 0) {
      precision += p;
      recall += r;
      ++reached;
    }
  }
  if (options.eps_smoothing) return 100 * smoothed / double(statistics.size() / 3);
  if (reached == 0 || precision + recall == 0) return 0;
  precision /= reached;
  recall /= reached;
  return 100 * ((1 + factor) * precision * recall / (factor * precision + recall));
}

std::string score_name(const ChrfOptions& options) {
  return fmt::format("chrF{}{}", options.beta, std::string(size_t(options.word_order), '+'));
}

}  // namespace bough
