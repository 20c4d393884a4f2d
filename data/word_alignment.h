#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bough {

/// A source and a target token that belong together: positions in their sentences, from 0; end_id has the last one.
struct AlignmentPoint {
  int32_t source = 0, target = 0;
  bool operator==(const AlignmentPoint&) const = default;
};

/// A line in Pharaoh's format, "0-0 1-2": SOURCE-TARGET, separated by spaces. `where` begins the Error for anything
/// else.
std::vector<AlignmentPoint> parse_alignment(std::string_view line, const std::string& where);

/// Throws Error, beginning with `where`, for a point beyond a pair of so many tokens, end_id not counted (which may be
/// aligned, too).
void check_alignment(const std::vector<AlignmentPoint>& points, size_t source_tokens, size_t target_tokens,
                     const std::string& where);

/// What training learns of `points` where sentences were cut from `before` to `after` tokens {source, target}: those
/// that are left, and both end_ids (as Marian adds them), as {source, target, source, target, ...}.
std::vector<int32_t> training_points(const std::vector<AlignmentPoint>& points, const size_t (&before)[2],
                                     const size_t (&after)[2]);

}  // namespace bough
