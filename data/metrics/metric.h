#pragma once
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/metrics/bleu.h"
#include "data/metrics/chrf.h"
#include "data/metrics/ter.h"

namespace bough {

/// One configured metric. Each kind has statistics_width, make_counter, score_from and score_name.
using Metric = std::variant<BleuOptions, ChrfOptions, TerOptions>;
using MetricCounter = std::variant<BleuCounter, ChrfCounter, TerCounter>;

/// Of whichever kind the metric is, see bleu.h, chrf.h, ter.h. Scores are in percent.
size_t statistics_width(const Metric& metric);
MetricCounter make_counter(const Metric& metric);
double score_from(std::span<const double> statistics, const Metric& metric);
std::string score_name(const Metric& metric);

/// A kind of metric: what is chosen by name in bough-score and for validation.
struct MetricKind {
  std::string_view name;  ///< "bleu", as sacreBLEU's --metrics has it
  Metric defaults;        ///< sacreBLEU's
  bool is_lower_better;
};
/// All kinds, in the order of Metric's alternatives, which is the order that sacreBLEU shows them in.
std::span<const MetricKind> metric_kinds();
/// The row of a configured metric.
const MetricKind& kind_of(const Metric& metric);

/// Statistics of segments, one row each.
struct StatisticsTable {
  size_t width = 0;
  std::vector<double> values;  ///< (rows, width)

  size_t rows() const { return width == 0 ? 0 : values.size() / width; }
  std::span<const double> row(size_t i) const { return {values.data() + i * width, width}; }
  /// Of every column: the statistics of the whole text.
  std::vector<double> sum() const;
};

/// One segment per string; references[r] is the r-th reference of all segments.
using Texts = std::span<const std::string>;
using References = std::span<const std::vector<std::string>>;

/// The statistics of each segment. threads: 0 = all cores; the result does not depend on it.
/// Throws Error if the numbers of segments differ.
StatisticsTable count_segments(Texts hypotheses, References references, const Metric& metric, int threads = 0);

/// Corpus scores, 0..100 (TER may be above). Invalid UTF-8 counts as U+FFFD.
/// Throws Error if the numbers of segments differ.
double corpus_score(Texts hypotheses, References references, const Metric& metric);
double corpus_score(Texts hypotheses, Texts reference, const Metric& metric);

/// A part of a signature: "case:mixed", short "c:mixed".
struct SignatureItem {
  std::string name, short_name, value;
};

/// What a signature says besides the metric's own options.
struct SignatureContext {
  size_t references = 1;
  int bootstrap_samples = 0;     ///< 0 = none
  int randomisation_trials = 0;  ///< 0 = none
  std::string seed;              ///< shown if one of the two is set
};

/// sacreBLEU's signature: everything that a score depends on, in its order.
std::vector<SignatureItem> signature(const Metric& metric, const SignatureContext& context);
/// "nrefs:1|case:mixed|...", or with short names.
std::string to_string(std::span<const SignatureItem> signature, bool is_short = false);

/// The version of sacreBLEU whose scores these are; the last part of a signature.
inline constexpr std::string_view sacrebleu_version = "2.6.0";

}  // namespace bough
