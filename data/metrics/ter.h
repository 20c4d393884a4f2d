#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/metrics/ngrams.h"
#include "data/metrics/ter_search.h"
#include "data/metrics/tokenizers.h"

namespace bough {

using TerOptions = TercomTokenization;

/// TER's statistics of one segment: edits against the reference that needs fewest, and the average
/// length of the references. One object serves one thread.
class TerCounter {
 public:
  explicit TerCounter(const TerOptions& options) : options_(options) {}
  /// The references, one or more, of the segment that count() is given next.
  void set_references(std::span<const std::string_view> references);
  /// statistics: (2), overwritten.
  void count(std::string_view hypothesis, std::span<double> statistics);

 private:
  TerOptions options_;
  WordSplitter splitter_;
  WordIds ids_;
  TerSearch search_;
  std::vector<std::vector<uint32_t>> references_;
  size_t reference_count_ = 0;
  std::vector<uint32_t> hypothesis_;
};

/// Numbers in the statistics of a segment: 2.
size_t statistics_width(const TerOptions& options);
TerCounter make_counter(const TerOptions& options);

/// TER = edits / reference length in percent (Snover et al. 2006); 100 for edits against nothing.
double score_from(std::span<const double> statistics, const TerOptions& options);

std::string score_name(const TerOptions& options);  ///< "TER"

}  // namespace bough
