#include "data/word_alignment.h"

#include <charconv>

#include "core/base/error.h"
#include "data/dictionary.h"

namespace bough {
namespace {

/// A position at the beginning of `text`, which is taken away; false if there is none.
bool take_position(std::string_view& text, int32_t& position) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), position);
  if (error != std::errc() || position < 0 || text.front() == '-') return false;
  text.remove_prefix(size_t(end - text.data()));
  return true;
}

bool parse_point(std::string_view text, AlignmentPoint& point) {
  if (!take_position(text, point.source) || !text.starts_with('-')) return false;
  text.remove_prefix(1);
  return take_position(text, point.target) && text.empty();
}

}  // namespace

std::vector<AlignmentPoint> parse_alignment(std::string_view line, const std::string& where) {
  std::vector<AlignmentPoint> points;
  const auto take = [&](std::string_view word) {
    check(parse_point(word, points.emplace_back()),
          "{}: '{}' is no alignment point, must be SOURCE-TARGET, counted from 0, as in 0-0 1-2. Correct the line.",
          where, word);
  };
  for_each_token(line, take, " \t");
  return points;
}

void check_alignment(const std::vector<AlignmentPoint>& points, size_t source_tokens, size_t target_tokens,
                     const std::string& where) {
  for (const AlignmentPoint& point : points)
    check(size_t(point.source) <= source_tokens && size_t(point.target) <= target_tokens,
          "{}: point {}-{} is beyond its sentences, which have {} source and {} target tokens (counted from 0; "
          "SentencePiece: pieces). Align the text as the vocabularies split it.",
          where, point.source, point.target, source_tokens, target_tokens);
}

std::vector<int32_t> training_points(const std::vector<AlignmentPoint>& points, const size_t (&before)[2],
                                     const size_t (&after)[2]) {
  // Where end_id has taken the place of a token that was cut away, nothing may point to it.
  const auto is_left = [&](int32_t position, int side) {
    return size_t(position) < after[side] + (after[side] == before[side] ? 1 : 0);
  };
  std::vector<int32_t> left;
  for (const AlignmentPoint& point : points)
    if (is_left(point.source, 0) && is_left(point.target, 1)) left.insert(left.end(), {point.source, point.target});
  left.insert(left.end(), {int32_t(after[0]), int32_t(after[1])});
  return left;
}

}  // namespace bough
