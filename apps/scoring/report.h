#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apps/scoring/options.h"
#include "data/metrics/significance.h"

namespace bough {

/// One metric's result for one system.
struct MetricResult {
  Metric metric;
  double score = 0;
  std::string details;  ///< BLEU's precisions and lengths; "" for the others
  std::optional<Confidence> confidence;
  std::optional<double> p_value;  ///< against the first system
  std::vector<SignatureItem> signature;
};

/// The scores of one system.
struct SystemResult {
  std::string name;
  std::vector<MetricResult> metrics;  ///< the same metrics, in the same order, for each system
};

/// What bough-score found, and how systems were compared.
struct ScoreReport {
  std::vector<SystemResult> systems;
  PairedTest paired = PairedTest::none;
  int samples = 0;  ///< of the paired test
};

/// Differences with a p-value below this count as significant.
inline constexpr double significance_threshold = 0.05;

/// The results as sacreBLEU prints them (json, text, latex), or as bough's table for people; ends
/// in a newline. is_terminal: with colors, unless the options say otherwise.
std::string format_report(const ScoreReport& report, const ScoreOptions& options, bool is_terminal);

/// "NAME|signature = score (mu = M +- C) details", one line of the text format.
std::string format_line(const MetricResult& result, const ScoreOptions& options);

/// True for the systems with the best score of metric `m`.
std::vector<bool> find_best(const ScoreReport& report, size_t m);

/// A system that bough's reports for people call "better", "worse" or "no clear difference".
std::string verdict(const ScoreReport& report, size_t system, size_t m);

}  // namespace bough
