#include "data/metrics/metric.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/parallel.h"

namespace bough {

size_t statistics_width(const Metric& metric) {
  return std::visit([](const auto& m) { return statistics_width(m); }, metric);
}
MetricCounter make_counter(const Metric& metric) {
  return std::visit([](const auto& m) { return MetricCounter(make_counter(m)); }, metric);
}
double score_from(std::span<const double> statistics, const Metric& metric) {
  return std::visit([&](const auto& m) { return score_from(statistics, m); }, metric);
}
std::string score_name(const Metric& metric) {
  return std::visit([](const auto& m) { return score_name(m); }, metric);
}

std::span<const MetricKind> metric_kinds() {
  static const MetricKind kinds[] = {
      {"bleu", BleuOptions{}, false}, {"chrf", ChrfOptions{}, false}, {"ter", TerOptions{}, true}};
  return kinds;
}
const MetricKind& kind_of(const Metric& metric) { return metric_kinds()[metric.index()]; }

std::vector<double> StatisticsTable::sum() const {
  std::vector<double> total(width, 0.0);
  for (size_t i = 0; i < values.size(); ++i) total[i % width] += values[i];
  return total;
}

namespace {

/// `reference(r)` is the r-th of `count` references, each a Texts.
template <class Reference>
StatisticsTable count_all(Texts hypotheses, size_t count, Reference reference, const Metric& metric, int threads) {
  check(count > 0, "score: no reference, must be one or more; give one");
  for (size_t r = 0; r < count; ++r)
    check(reference(r).size() == hypotheses.size(),
          "score: {} hypotheses but {} lines in reference {}, must be as many; check the files", hypotheses.size(),
          reference(r).size(), r + 1);
  constexpr size_t block = 64;
  StatisticsTable table{statistics_width(metric), {}};
  table.values.resize(hypotheses.size() * table.width);
  parallel_blocks(
      hypotheses.size(), block, thread_count(threads), [&] { return make_counter(metric); },
      [&](MetricCounter& counter, size_t begin, size_t end) {
        std::vector<std::string_view> references(count);
        for (size_t i = begin; i < end; ++i) {
          for (size_t r = 0; r < count; ++r) references[r] = reference(r)[i];
          const std::span<double> row(table.values.data() + i * table.width, table.width);
          std::visit(
              [&](auto& c) {
                c.set_references(references);
                c.count(hypotheses[i], row);
              },
              counter);
        }
      });
  return table;
}

}  // namespace

StatisticsTable count_segments(Texts hypotheses, References references, const Metric& metric, int threads) {
  return count_all(
      hypotheses, references.size(), [&](size_t r) { return Texts(references[r]); }, metric, threads);
}

double corpus_score(Texts hypotheses, References references, const Metric& metric) {
  return score_from(count_segments(hypotheses, references, metric).sum(), metric);
}
double corpus_score(Texts hypotheses, Texts reference, const Metric& metric) {
  const auto only = [&](size_t) { return reference; };
  return score_from(count_all(hypotheses, 1, only, metric, 0).sum(), metric);
}

namespace {

std::string yes_or_no(bool value) { return value ? "yes" : "no"; }
std::string case_of(bool lowercase) { return lowercase ? "lc" : "mixed"; }

std::string smoothing_of(const BleuOptions& options) {
  switch (options.smoothing) {
    case Smoothing::none:
      return "none";
    case Smoothing::floor:
      return fmt::format("floor[{:.2f}]", options.smooth_value.value_or(0.1));
    case Smoothing::add_k:
      return fmt::format("add-k[{:.2f}]", options.smooth_value.value_or(1.0));
    case Smoothing::exp:
      return "exp";
  }
  return "";
}

std::vector<SignatureItem> own_items(const BleuOptions& options) {
  return {{"case", "c", case_of(options.lowercase)},
          {"eff", "e", yes_or_no(options.effective_order)},
          {"tok", "tok", std::string(to_string(options.tokenizer))},
          {"smooth", "s", smoothing_of(options)}};
}

std::vector<SignatureItem> own_items(const ChrfOptions& options) {
  return {{"case", "c", case_of(options.lowercase)},
          {"eff", "e", yes_or_no(!options.eps_smoothing)},
          {"nc", "nc", std::to_string(options.char_order)},
          {"nw", "nw", std::to_string(options.word_order)},
          {"space", "s", yes_or_no(options.whitespace)}};
}

std::vector<SignatureItem> own_items(const TerOptions& options) {
  return {{"case", "c", case_of(!options.case_sensitive)},
          {"tok", "t", "tercom"},
          {"norm", "nr", yes_or_no(options.normalized)},
          {"punct", "pn", yes_or_no(!options.no_punctuation)},
          {"asian", "as", yes_or_no(options.asian_support)}};
}

}  // namespace

std::vector<SignatureItem> signature(const Metric& metric, const SignatureContext& context) {
  std::vector<SignatureItem> items = {{"nrefs", "#", std::to_string(context.references)}};
  if (context.bootstrap_samples > 0) items.push_back({"bs", "bs", std::to_string(context.bootstrap_samples)});
  if (context.randomisation_trials > 0) items.push_back({"ar", "ar", std::to_string(context.randomisation_trials)});
  if (items.size() > 1) items.push_back({"seed", "rs", context.seed});
  const auto own = std::visit([](const auto& m) { return own_items(m); }, metric);
  items.insert(items.end(), own.begin(), own.end());
  items.push_back({"version", "v", std::string(sacrebleu_version)});
  return items;
}

std::string to_string(std::span<const SignatureItem> signature, bool is_short) {
  std::string text;
  for (const SignatureItem& item : signature)
    text += fmt::format("{}{}:{}", text.empty() ? "" : "|", is_short ? item.short_name : item.name, item.value);
  return text;
}

}  // namespace bough
