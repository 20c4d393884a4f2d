#include "data/metrics/significance.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numeric>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "data/metrics/numpy_random.h"

namespace bough {
namespace {

constexpr size_t samples_at_once = 16;  // so that a segment's statistics are read once for all

/// The tables of several systems side by side, one row a segment.
StatisticsTable side_by_side(std::span<const StatisticsTable> systems) {
  const size_t rows = systems[0].rows(), width = systems[0].width;
  StatisticsTable all{width * systems.size(), std::vector<double>(systems.size() * rows * width)};
  for (size_t s = 0; s < systems.size(); ++s) {
    check(systems[s].rows() == rows && systems[s].width == width,
          "significance: system {} has {} segments but the baseline {}, must be as many", s + 1, systems[s].rows(),
          rows);
    for (size_t i = 0; i < rows; ++i) std::ranges::copy(systems[s].row(i), &all.values[i * all.width + s * width]);
  }
  return all;
}

/// sums[s] = sum over rows i of weights[s][i] * table[i]; s below `samples`.
void weighted_sums(const StatisticsTable& table, const std::vector<uint32_t>& weights, size_t samples,
                   std::vector<double>& sums) {
  const size_t rows = table.rows(), width = table.width;
  std::fill(sums.begin(), sums.end(), 0.0);
  for (size_t i = 0; i < rows; ++i) {
    const double* const row = &table.values[i * width];
    for (size_t s = 0; s < samples; ++s) {
      const uint32_t weight = weights[s * rows + i];
      if (weight == 0) continue;
      const double factor = weight;
      double* const sum = &sums[s * width];
      for (size_t k = 0; k < width; ++k) sum[k] += factor * row[k];
    }
  }
}

/// Draws the weights of sample after sample in order with `draw(weights of one sample)`, and calls
/// use(sample, weighted sum of the table) on all threads.
template <class Draw, class Use>
void for_each_sample(const StatisticsTable& table, const ResamplingOptions& options, Draw draw, Use use) {
  check(table.rows() > 0 && table.rows() < UINT32_MAX, "significance: {} segments, must be at least 1", table.rows());
  check(options.samples > 0, "significance: {} samples, must be at least 1", options.samples);
  const auto samples = size_t(options.samples);
  const size_t rows = table.rows();
  size_t drawn = 0;
  std::mutex draw_mutex;
  run_on_threads(thread_count(options.threads), [&] {
    std::vector<uint32_t> weights(samples_at_once * rows);
    std::vector<double> sums(samples_at_once * table.width);
    for (;;) {
      size_t first = 0, count = 0;
      {
        const std::lock_guard lock(draw_mutex);
        first = drawn;
        count = std::min(samples_at_once, samples - drawn);
        drawn += count;
        std::ranges::fill(weights, 0);
        for (size_t s = 0; s < count; ++s) draw(std::span(weights).subspan(s * rows, rows));
      }
      if (count == 0) return;
      weighted_sums(table, weights, count, sums);
      for (size_t s = 0; s < count; ++s)
        use(first + s, std::span<const double>(sums).subspan(s * table.width, table.width));
    }
  });
}

/// scores[system][sample] of bootstrap samples.
std::vector<std::vector<double>> bootstrap_scores(std::span<const StatisticsTable> systems, const Metric& metric,
                                                  const ResamplingOptions& options) {
  const StatisticsTable table = side_by_side(systems);
  const size_t width = systems[0].width;
  std::vector<std::vector<double>> scores(systems.size(), std::vector<double>(size_t(std::max(0, options.samples))));
  NumpyRandom random(options.seed);
  const auto draw = [&](std::span<uint32_t> weights) {
    const auto bound = uint32_t(weights.size());
    for (size_t i = 0; i < weights.size(); ++i) ++weights[random.below(bound)];
  };
  for_each_sample(table, options, draw, [&](size_t sample, std::span<const double> sum) {
    for (size_t s = 0; s < systems.size(); ++s) scores[s][sample] = score_from(sum.subspan(s * width, width), metric);
  });
  return scores;
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / double(values.size());
}

Confidence confidence_of(std::vector<double> scores) {
  Confidence confidence{mean_of(scores), 0};
  std::ranges::sort(scores);
  const size_t n = scores.size(), cut = n / 40;  // 2.5 % at each side
  confidence.half_width = 0.5 * (scores[n - 1 - cut] - scores[cut]);
  return confidence;
}

std::vector<PairedResult> score_all(std::span<const StatisticsTable> systems, const Metric& metric) {
  check(!systems.empty(), "significance: no systems, must be one or more");
  std::vector<PairedResult> results;
  for (const StatisticsTable& table : systems)
    results.push_back({score_from(table.sum(), metric), std::nullopt, std::nullopt});
  return results;
}

/// p of observing more than `threshold`: the share of samples that do, one added on both sides.
double p_value(const std::vector<double>& samples, double threshold) {
  const auto above = std::ranges::count_if(samples, [&](double x) { return x > threshold; });
  return (double(above) + 1) / (double(samples.size()) + 1);
}

}  // namespace

Confidence bootstrap_confidence(const StatisticsTable& segments, const Metric& metric,
                                const ResamplingOptions& options) {
  return confidence_of(bootstrap_scores({&segments, 1}, metric, options)[0]);
}

std::vector<PairedResult> paired_bootstrap(std::span<const StatisticsTable> systems, const Metric& metric,
                                           const ResamplingOptions& options) {
  std::vector<PairedResult> results = score_all(systems, metric);
  const auto scores = bootstrap_scores(systems, metric, options);
  for (size_t s = 0; s < systems.size(); ++s) {
    results[s].confidence = confidence_of(scores[s]);
    if (s == 0) continue;
    std::vector<double> differences(scores[s].size());
    for (size_t b = 0; b < differences.size(); ++b) differences[b] = std::abs(scores[s][b] - scores[0][b]);
    const double mean = mean_of(differences);
    for (double& difference : differences) difference -= mean;
    results[s].p_value = p_value(differences, std::abs(results[s].score - results[0].score));
  }
  return results;
}

std::vector<PairedResult> paired_randomisation(std::span<const StatisticsTable> systems, const Metric& metric,
                                               const ResamplingOptions& options) {
  std::vector<PairedResult> results = score_all(systems, metric);
  const size_t width = systems[0].width;
  // Swapping a set of segments moves the sum of system - baseline over them.
  StatisticsTable table = side_by_side(systems);
  for (size_t i = 0; i < table.values.size(); i += table.width)
    for (size_t k = table.width; k-- > 0;) table.values[i + k] -= table.values[i + k % width];
  std::vector<std::vector<double>> sums;
  for (const StatisticsTable& system : systems) sums.push_back(system.sum());

  std::vector<std::vector<double>> differences(systems.size(),
                                               std::vector<double>(size_t(std::max(0, options.samples))));
  NumpyBits bits(options.seed);
  const auto draw = [&](std::span<uint32_t> weights) {
    for (uint32_t& weight : weights) weight = bits.next() ? 1 : 0;
  };
  for_each_sample(table, options, draw, [&](size_t sample, std::span<const double> moved) {
    std::vector<double> baseline(width), system(width);
    for (size_t s = 1; s < systems.size(); ++s) {
      for (size_t k = 0; k < width; ++k) {
        baseline[k] = sums[0][k] + moved[s * width + k];
        system[k] = sums[s][k] - moved[s * width + k];
      }
      differences[s][sample] = std::abs(score_from(baseline, metric) - score_from(system, metric));
    }
  });
  for (size_t s = 1; s < systems.size(); ++s)
    results[s].p_value = p_value(differences[s], std::abs(results[s].score - results[0].score));
  return results;
}

}  // namespace bough
