#pragma once
#include <functional>
#include <string>
#include <vector>

#include "apps/scoring/input.h"
#include "apps/scoring/report.h"
#include "data/metrics/metric.h"

namespace bough {

/// The statistics of everything that was read; [system][metric]. Segments and text only if kept.
struct ScoredCorpus {
  std::vector<std::string> names;
  std::vector<Metric> metrics;
  size_t reference_count = 0;
  std::vector<std::vector<std::vector<double>>> sums;
  std::vector<std::vector<StatisticsTable>> segments;
  std::vector<std::string> systems, references;  ///< (lines, systems), (lines, references)
  size_t lines = 0;
  size_t tokenized_lines = 0;  ///< lines of a system that end in " ."
};

/// What score_corpus keeps and tells of what it reads.
struct CorpusScoring {
  bool keep_segments = false;
  bool keep_text = false;
  int threads = 0;
  /// Called for each line in order with its statistics, of one system and one metric.
  std::function<void(std::span<const double>)> on_segment;
};

/// Reads everything on all cores and scores it as it comes; what is not kept takes constant memory.
ScoredCorpus score_corpus(SegmentReader& reader, const std::vector<Metric>& metrics, const CorpusScoring& options);

/// Scores of all systems, with the statistical tests that `options` ask for. The segments must
/// have been kept for those.
ScoreReport make_report(const ScoredCorpus& corpus, const ScoreOptions& options);

/// The same with a test in any case, for people: confidence for each system, p-values for several.
ScoreReport make_full_report(const ScoredCorpus& corpus, const ScoreOptions& options);

}  // namespace bough
