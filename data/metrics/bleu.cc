#include "data/metrics/bleu.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/error.h"

namespace bough {
namespace {

double smooth_value(const BleuOptions& options) {
  const bool is_floor = options.smoothing == Smoothing::floor;
  return options.smooth_value.value_or(is_floor ? 0.1 : 1.0);
}

double brevity_penalty(double hypothesis_length, double reference_length) {
  if (hypothesis_length >= reference_length) return 1;
  return hypothesis_length > 0 ? std::exp(1 - reference_length / hypothesis_length) : 0;
}

/// Fills the precisions, in percent, up to the first order without n-grams; returns that many.
int fill_precisions(BleuScore& bleu, const BleuOptions& options) {
  double halving = 1;
  for (int i = 0; i < options.max_order; ++i) {
    if (options.smoothing == Smoothing::add_k && i > 0) {
      bleu.matches[i] += smooth_value(options);
      bleu.totals[i] += smooth_value(options);
    }
    const double matches = bleu.matches[i], total = bleu.totals[i];
    if (total == 0) return i;
    if (matches != 0) {
      bleu.precisions[i] = 100 * matches / total;
    } else if (options.smoothing == Smoothing::exp) {
      halving *= 2;
      bleu.precisions[i] = 100 / (halving * total);
    } else if (options.smoothing == Smoothing::floor) {
      bleu.precisions[i] = 100 * smooth_value(options) / total;
    }
  }
  return options.max_order;
}

}  // namespace

void BleuCounter::set_references(std::span<const std::string_view> references) {
  ids_.clear();
  ngrams_.clear();
  reference_lengths_.clear();
  for (const std::string_view reference : references) {
    symbols_.clear();
    for (const auto word : splitter_.split(options_.tokenizer, reference, options_.lowercase))
      symbols_.push_back(ids_.add(word));
    ngrams_.add(symbols_, options_.max_order);
    reference_lengths_.push_back(symbols_.size());
  }
}

void BleuCounter::count(std::string_view hypothesis, std::span<double> statistics) {
  symbols_.clear();
  for (const auto word : splitter_.split(options_.tokenizer, hypothesis, options_.lowercase))
    symbols_.push_back(ids_.find(word));
  const size_t length = symbols_.size();
  const auto distance = [length](size_t other) { return other > length ? other - length : length - other; };
  size_t closest = reference_lengths_.empty() ? 0 : reference_lengths_[0];
  for (const size_t other : reference_lengths_)
    if (std::pair(distance(other), other) < std::pair(distance(closest), closest)) closest = other;
  const int orders = options_.max_order;
  statistics[0] = double(length);
  statistics[1] = double(closest);
  ngrams_.match(symbols_, orders, statistics.subspan(2));
  for (int n = 1; n <= orders; ++n) statistics[1 + orders + n] = ngram_total(length, n);
}

size_t statistics_width(const BleuOptions& options) { return 2 + 2 * size_t(options.max_order); }

BleuCounter make_counter(const BleuOptions& options) { return BleuCounter(options); }

BleuScore bleu_from(std::span<const double> statistics, const BleuOptions& options) {
  check(statistics.size() == statistics_width(options), "bleu_from: {} statistics, must be {} for order {}",
        statistics.size(), statistics_width(options), options.max_order);
  const auto orders = size_t(options.max_order);
  BleuScore bleu;
  bleu.hypothesis_length = statistics[0];
  bleu.reference_length = statistics[1];
  const auto matches = statistics.subspan(2, orders), totals = statistics.subspan(2 + orders);
  bleu.matches.assign(matches.begin(), matches.end());
  bleu.totals.assign(totals.begin(), totals.end());
  bleu.precisions.assign(orders, 0.0);
  bleu.brevity_penalty = brevity_penalty(bleu.hypothesis_length, bleu.reference_length);
  if (std::ranges::all_of(matches, [](double m) { return m == 0; })) return bleu;

  const int reached = fill_precisions(bleu, options);
  const int averaged = options.effective_order ? reached : options.max_order;
  constexpr double log_zero = -9999999999;  // sacreBLEU's; exp of any share of it is 0
  double sum = 0;
  for (int i = 0; i < averaged; ++i) sum += bleu.precisions[i] == 0 ? log_zero : std::log(bleu.precisions[i]);
  bleu.score = averaged == 0 ? 0 : bleu.brevity_penalty * std::exp(sum / averaged);
  return bleu;
}

double score_from(std::span<const double> statistics, const BleuOptions& options) {
  return bleu_from(statistics, options).score;
}

std::string score_name(const BleuOptions&) { return "BLEU"; }

std::string details(const BleuScore& score) {
  std::string precisions;
  for (const double precision : score.precisions)
    precisions += fmt::format("{}{:.1f}", precisions.empty() ? "" : "/", precision);
  const double ratio = score.reference_length > 0 ? score.hypothesis_length / score.reference_length : 0;
  return fmt::format("{} (BP = {:.3f} ratio = {:.3f} hyp_len = {} ref_len = {})", precisions, score.brevity_penalty,
                     ratio, int64_t(score.hypothesis_length), int64_t(score.reference_length));
}

}  // namespace bough
