#include "apps/scoring/corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <random>

#include "core/base/parallel.h"

namespace bough {
namespace {

/// What one thread made of one block.
struct BlockResult {
  SegmentBlock block;
  std::vector<StatisticsTable> tables;  // (systems, metrics)
  size_t tokenized_lines = 0;
};

BlockResult count_block(SegmentBlock block, std::span<MetricCounter> counters, const std::vector<Metric>& metrics) {
  BlockResult result{std::move(block), {}, 0};
  const SegmentBlock& text = result.block;
  for (size_t i = 0; i < text.system_count * metrics.size(); ++i) {
    const size_t width = statistics_width(metrics[i % metrics.size()]);
    result.tables.push_back({width, std::vector<double>(text.lines * width)});
  }
  std::vector<std::string_view> references;
  for (size_t line = 0; line < text.lines; ++line) {
    const auto all = text.references_of(line);
    references.assign(all.begin(), all.end());
    for (size_t m = 0; m < metrics.size(); ++m)
      std::visit(
          [&](auto& counter) {
            counter.set_references(references);
            for (size_t s = 0; s < text.system_count; ++s) {
              StatisticsTable& table = result.tables[s * metrics.size() + m];
              counter.count(text.system(line, s), std::span(table.values).subspan(line * table.width, table.width));
            }
          },
          counters[m]);
  }
  result.tokenized_lines =
      size_t(std::ranges::count_if(text.systems, [](const std::string& line) { return line.ends_with(" ."); }));
  return result;
}

/// Adds blocks to the corpus in the order of the text, whichever thread is done first, so that sums
/// do not depend on the threads.
class Collector {
 public:
  Collector(ScoredCorpus& corpus, const CorpusScoring& options) : corpus_(corpus), options_(options) {}

  void add(BlockResult result) {
    const std::lock_guard lock(mutex_);
    waiting_.emplace(result.block.index, std::move(result));
    for (auto first = waiting_.begin(); first != waiting_.end() && first->first == next_;
         first = waiting_.erase(first), ++next_)
      take(first->second);
  }

 private:
  void take(BlockResult& result) {
    const size_t metrics = corpus_.metrics.size();
    for (size_t i = 0; i < result.tables.size(); ++i) {
      const StatisticsTable& table = result.tables[i];
      auto& sum = corpus_.sums[i / metrics][i % metrics];
      const std::vector<double> more = table.sum();
      for (size_t k = 0; k < sum.size(); ++k) sum[k] += more[k];
      auto& kept = corpus_.segments[i / metrics][i % metrics].values;
      if (options_.keep_segments) kept.insert(kept.end(), table.values.begin(), table.values.end());
      if (options_.on_segment)
        for (size_t row = 0; row < table.rows(); ++row) options_.on_segment(table.row(row));
    }
    if (options_.keep_text) {
      std::ranges::move(result.block.systems, std::back_inserter(corpus_.systems));
      std::ranges::move(result.block.references, std::back_inserter(corpus_.references));
    }
    corpus_.lines += result.block.lines;
    corpus_.tokenized_lines += result.tokenized_lines;
  }

  ScoredCorpus& corpus_;
  const CorpusScoring& options_;
  std::mutex mutex_;
  std::map<size_t, BlockResult> waiting_;
  size_t next_ = 0;
};

uint64_t seed_of(const ScoreOptions& options) {
  if (options.seed) return *options.seed;
  std::random_device device;
  return uint64_t(device()) << 32 | device();
}

MetricResult result_of(const Metric& metric, const std::vector<double>& sum) {
  MetricResult result{metric, score_from(sum, metric), "", {}, {}, {}};
  if (const auto* bleu = std::get_if<BleuOptions>(&metric)) result.details = details(bleu_from(sum, *bleu));
  return result;
}

/// Fills p-values and confidence of metric `m` for all systems; returns the samples.
int compare_systems(const ScoredCorpus& corpus, const ScoreOptions& options, PairedTest test, size_t m,
                    ScoreReport& report) {
  std::vector<StatisticsTable> tables;
  for (const auto& system : corpus.segments) tables.push_back(system[m]);
  const bool is_bootstrap = test == PairedTest::bootstrap;
  ResamplingOptions resampling{is_bootstrap ? options.bootstrap_samples : options.randomisation_trials,
                               seed_of(options), options.threads};
  const auto results = is_bootstrap ? paired_bootstrap(tables, corpus.metrics[m], resampling)
                                    : paired_randomisation(tables, corpus.metrics[m], resampling);
  for (size_t s = 0; s < results.size(); ++s) {
    report.systems[s].metrics[m].p_value = results[s].p_value;
    report.systems[s].metrics[m].confidence = results[s].confidence;
  }
  return resampling.samples;
}

void estimate_confidence(const ScoredCorpus& corpus, const ScoreOptions& options, size_t s, size_t m,
                         MetricResult& result) {
  result.confidence = bootstrap_confidence(corpus.segments[s][m], corpus.metrics[m],
                                           {options.confidence_samples, seed_of(options), options.threads});
}

ScoreReport report_with(const ScoredCorpus& corpus, const ScoreOptions& options, PairedTest test,
                        bool with_confidence) {
  ScoreReport report;
  report.paired = test;
  for (size_t s = 0; s < corpus.names.size(); ++s) {
    report.systems.push_back({corpus.names[s], {}});
    for (size_t m = 0; m < corpus.metrics.size(); ++m)
      report.systems[s].metrics.push_back(result_of(corpus.metrics[m], corpus.sums[s][m]));
  }
  SignatureContext context{corpus.reference_count, 0, 0, options.seed ? std::to_string(*options.seed) : "none"};
  for (size_t m = 0; m < corpus.metrics.size(); ++m) {
    if (test != PairedTest::none) {
      report.samples = compare_systems(corpus, options, test, m, report);
      (test == PairedTest::bootstrap ? context.bootstrap_samples : context.randomisation_trials) = report.samples;
    }
    for (size_t s = 0; s < report.systems.size(); ++s) {
      MetricResult& result = report.systems[s].metrics[m];
      if (with_confidence && !result.confidence) {
        estimate_confidence(corpus, options, s, m, result);
        if (test == PairedTest::none) context.bootstrap_samples = options.confidence_samples;
      }
      result.signature = signature(corpus.metrics[m], context);
    }
  }
  return report;
}

}  // namespace

ScoredCorpus score_corpus(SegmentReader& reader, const std::vector<Metric>& metrics, const CorpusScoring& options) {
  ScoredCorpus corpus;
  corpus.names = reader.system_names();
  corpus.metrics = metrics;
  corpus.reference_count = reader.reference_count();
  std::vector<std::vector<double>> zeros;
  std::vector<StatisticsTable> empty;
  for (const Metric& metric : metrics) {
    zeros.emplace_back(statistics_width(metric), 0.0);
    empty.push_back({statistics_width(metric), {}});
  }
  corpus.sums.assign(corpus.names.size(), zeros);
  corpus.segments.assign(corpus.names.size(), empty);

  Collector collector(corpus, options);
  run_on_threads(thread_count(options.threads), [&] {
    std::vector<MetricCounter> counters;
    for (const Metric& metric : metrics) counters.push_back(make_counter(metric));
    for (SegmentBlock block; reader.next(block);) {
      reader.check_block(block);
      collector.add(count_block(std::move(block), counters, metrics));
      block = {};
    }
  });
  return corpus;
}

ScoreReport make_report(const ScoredCorpus& corpus, const ScoreOptions& options) {
  return report_with(corpus, options, options.paired(), options.with_confidence);
}

ScoreReport make_full_report(const ScoredCorpus& corpus, const ScoreOptions& options) {
  const bool is_one = corpus.names.size() == 1;
  const bool is_chosen = options.paired() != PairedTest::none;
  return report_with(corpus, options,
                     is_one      ? PairedTest::none
                     : is_chosen ? options.paired()
                                 : PairedTest::bootstrap,
                     true);
}

}  // namespace bough
