#include "data/metrics/ter.h"

#include <algorithm>

#include "core/base/error.h"

namespace bough {

void TerCounter::set_references(std::span<const std::string_view> references) {
  ids_.clear();
  reference_count_ = references.size();
  if (references_.size() < reference_count_) references_.resize(reference_count_);
  for (size_t i = 0; i < reference_count_; ++i) {
    references_[i].clear();
    splitter_.split(options_, references[i]);
    for (const auto word : splitter_.split_again(options_)) references_[i].push_back(ids_.add(word));
  }
}

void TerCounter::count(std::string_view hypothesis, std::span<double> statistics) {
  hypothesis_.clear();
  for (const auto word : splitter_.split(options_, hypothesis)) hypothesis_.push_back(ids_.find(word));
  int fewest = 0;
  size_t total_length = 0;
  for (size_t i = 0; i < reference_count_; ++i) {
    const int edits = search_.edits(hypothesis_, references_[i]);
    fewest = i == 0 ? edits : std::min(fewest, edits);
    total_length += references_[i].size();
  }
  statistics[0] = fewest;
  statistics[1] = reference_count_ == 0 ? 0.0 : double(total_length) / double(reference_count_);
}

size_t statistics_width(const TerOptions&) { return 2; }

TerCounter make_counter(const TerOptions& options) { return TerCounter(options); }

double score_from(std::span<const double> statistics, const TerOptions&) {
  check(statistics.size() == 2, "TER: {} statistics, must be edits and reference length", statistics.size());
  const double edits = statistics[0], length = statistics[1];
  if (length > 0) return 100 * (edits / length);
  return edits > 0 ? 100 : 0;
}

std::string score_name(const TerOptions&) { return "TER"; }

}  // namespace bough
