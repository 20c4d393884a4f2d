#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/metrics/ngrams.h"

namespace bough {

/// Defaults are sacreBLEU's.
struct ChrfOptions {
  int char_order = 6;
  int word_order = 0;       ///< 2 gives chrF++
  int beta = 2;             ///< weight of recall over precision
  bool whitespace = false;  ///< white space counts as characters
  bool lowercase = false;
  bool eps_smoothing = false;  ///< average F over all orders, an absent one counts 1e-16
};

/// chrF's statistics of one segment: for each character order, then each word order, the number of
/// n-grams of the hypothesis (0 if the reference has none of that order), of the reference, and of
/// matches. Of several references the one with the best segment score counts.
class ChrfCounter {
 public:
  explicit ChrfCounter(const ChrfOptions& options);
  /// The references, one or more, of the segment that count() is given next.
  void set_references(std::span<const std::string_view> references);
  /// statistics: (statistics_width(options)), overwritten.
  void count(std::string_view hypothesis, std::span<double> statistics);

 private:
  struct Reference {
    NgramCounts chars, words;
    size_t char_count = 0, word_count = 0;
  };
  void read(std::string_view line, bool is_reference);
  void compare(Reference& reference, std::span<double> statistics);

  ChrfOptions options_;
  std::vector<Reference> references_;  // reused; the first reference_count_ are in force
  size_t reference_count_ = 0;
  WordIds ids_;
  // The text read last, and scratch space.
  std::vector<uint32_t> chars_, words_;
  std::u32string text_;
  std::vector<std::u32string_view> pieces_;
  std::vector<double> matches_, candidate_;
};

/// Numbers in the statistics of a segment.
size_t statistics_width(const ChrfOptions& options);
ChrfCounter make_counter(const ChrfOptions& options);

/// chrF = (1 + beta^2) P R / (beta^2 P + R) in percent (Popovic 2015, 2017), P and R averaged over
/// the orders that both sides reach.
double score_from(std::span<const double> statistics, const ChrfOptions& options);

/// "chrF2", with a plus for each word order: "chrF2++".
std::string score_name(const ChrfOptions& options);

}  // namespace bough
