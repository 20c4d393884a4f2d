#pragma once
#include <string>
#include <vector>

namespace bough {

/// Where the first head of the aligned layer looks: for each target token, the end of sentence last, the share of each
/// source token, the end of sentence last; they sum to 1.
using SoftAlignment = std::vector<std::vector<double>>;

/// What `alignment` asks for.
struct AlignmentFormat {
  enum class Kind { none, soft, hard, threshold };
  Kind kind = Kind::none;
  double threshold = 1;  ///< of Kind::threshold: shares above it

  /// "", "hard", "soft", or a number above 0; from 1 on it means hard, as in Marian. Error for anything else.
  static AlignmentFormat parse(const std::string& option);
  explicit operator bool() const { return kind != Kind::none; }
};

/// As Marian prints it: "0-0 2-1", sorted; soft: "0.9,0.1 0.2,0.8", 6 significant digits.
std::string format_alignment(const SoftAlignment& alignment, const AlignmentFormat& format);

}  // namespace bough
