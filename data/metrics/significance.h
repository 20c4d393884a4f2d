#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "data/metrics/metric.h"

namespace bough {

/// Resampling of segments: how many samples, the seed of NumPy's generator, threads (0 = all cores;
/// results do not depend on it).
struct ResamplingOptions {
  int samples = 1000;
  uint64_t seed = 12345;
  int threads = 0;
};

/// The mean of resampled scores, and half the width of the interval that holds 95 % of them.
struct Confidence {
  double mean = 0, half_width = 0;
};

/// A system beside the baseline: its score, the probability that a difference as large arises by
/// chance (none for the baseline), and its confidence (bootstrap only).
struct PairedResult {
  double score = 0;
  std::optional<double> p_value;
  std::optional<Confidence> confidence;
};

/// Bootstrap confidence of one system's corpus score (Koehn 2004): each sample draws as many
/// segments as there are, with replacement. Throws Error on no segments or samples < 1.
Confidence bootstrap_confidence(const StatisticsTable& segments, const Metric& metric,
                                const ResamplingOptions& options = {});

/// Paired bootstrap: all systems are scored on the same samples. systems[0] is the baseline;
///   p = (#{x_b - mean(x) > d} + 1) / (samples + 1), x = |system - baseline|, d on the whole text.
std::vector<PairedResult> paired_bootstrap(std::span<const StatisticsTable> systems, const Metric& metric,
                                           const ResamplingOptions& options = {});

/// Paired approximate randomisation (Riezler & Maxwell 2005): each sample swaps the segments of
/// system and baseline by coin flips; p = (#{|difference| > d} + 1) / (samples + 1).
std::vector<PairedResult> paired_randomisation(std::span<const StatisticsTable> systems, const Metric& metric,
                                               const ResamplingOptions& options = {10000});

}  // namespace bough
