#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/metrics/ngrams.h"
#include "data/metrics/tokenizers.h"

namespace bough {

/// What BLEU puts in place of a precision of zero (Chen & Cherry 2014).
enum class Smoothing {
  none,
  floor,  ///< smooth_value matches
  add_k,  ///< smooth_value more matches and more n-grams, for n > 1
  exp,    ///< halves for each further zero, as in mteval-v13a
};

/// Defaults are sacreBLEU's.
struct BleuOptions {
  Tokenizer tokenizer = Tokenizer::v13a;
  bool lowercase = false;
  Smoothing smoothing = Smoothing::exp;
  std::optional<double> smooth_value;  ///< default 0.1 for floor, 1 for add_k
  int max_order = 4;
  bool effective_order = false;  ///< average only over the orders that the hypothesis reaches
};

/// BLEU and what it is made of.
struct BleuScore {
  double score = 0;                                 ///< percent
  std::vector<double> matches, totals, precisions;  ///< per order; precisions in percent
  double brevity_penalty = 0;
  double hypothesis_length = 0, reference_length = 0;  ///< words
};

/// BLEU's statistics of one segment:
/// hypothesis length, closest reference length, max_order matches, max_order totals.
/// They add up over segments. One object serves one thread.
class BleuCounter {
 public:
  explicit BleuCounter(const BleuOptions& options) : options_(options) {}
  /// The references, one or more, of the segment that count() is given next.
  void set_references(std::span<const std::string_view> references);
  /// statistics: (statistics_width(options)), overwritten.
  void count(std::string_view hypothesis, std::span<double> statistics);

 private:
  BleuOptions options_;
  WordSplitter splitter_;
  WordIds ids_;
  NgramCounts ngrams_;
  std::vector<uint32_t> symbols_;
  std::vector<size_t> reference_lengths_;
};

/// Numbers in the statistics of a segment.
size_t statistics_width(const BleuOptions& options);
BleuCounter make_counter(const BleuOptions& options);

/// BLEU = BP exp(1/N sum_n log p_n), BP = min(1, exp(1 - r/c)) (Papineni et al. 2002), from summed
/// statistics, with sacreBLEU's smoothing and corner cases: 0 if nothing matches at all.
BleuScore bleu_from(std::span<const double> statistics, const BleuOptions& options);
/// The score alone, in percent.
double score_from(std::span<const double> statistics, const BleuOptions& options);

/// "BLEU", and "87.5/69.2/50.0/28.6 (BP = 1.000 ratio = 1.000 hyp_len = 16 ref_len = 16)".
std::string score_name(const BleuOptions& options);
std::string details(const BleuScore& score);

}  // namespace bough
