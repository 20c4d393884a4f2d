#include "apps/scoring/word_diff.h"

#include <algorithm>
#include <cstdint>

namespace bough {
namespace {

constexpr size_t most_pairs = 4'000'000;

/// Bytes of the character at `i` if its script writes no blanks between words (U+3000..U+9FFF, full
/// width forms; all have three bytes in UTF-8), else 0.
size_t unspaced_character(std::string_view text, size_t i) {
  constexpr size_t length = 3;
  const auto lead = uint8_t(text[i]);
  return ((lead >= 0xE3 && lead <= 0xE9) || lead == 0xEF) && i + length <= text.size() ? length : 0;
}

std::vector<std::string_view> split_words(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  std::vector<std::string_view> words;
  for (size_t i = 0; i < text.size();) {
    size_t end = i + unspaced_character(text, i);
    if (end == i)
      while (end < text.size() && !is_blank(text[end]) && unspaced_character(text, end) == 0) ++end;
    if (end > i) words.push_back(text.substr(i, end - i));
    i = end > i ? end : i + 1;
  }
  return words;
}

}  // namespace

WordDiff diff_words(std::string_view left, std::string_view right) {
  WordDiff diff{split_words(left), split_words(right), {}, {}};
  const auto& a = diff.left;
  const auto& b = diff.right;
  diff.left_shared.assign(a.size(), false);
  diff.right_shared.assign(b.size(), false);
  size_t begin = 0, a_end = a.size(), b_end = b.size();
  const auto share = [&](size_t i, size_t j) { diff.left_shared[i] = diff.right_shared[j] = true; };
  for (; begin < a_end && begin < b_end && a[begin] == b[begin]; ++begin) share(begin, begin);
  for (; a_end > begin && b_end > begin && a[a_end - 1] == b[b_end - 1]; --a_end, --b_end) share(a_end - 1, b_end - 1);
  const size_t rows = a_end - begin, columns = b_end - begin;
  if (rows == 0 || columns == 0 || rows > most_pairs / columns) return diff;

  // longest[i][j]: of what remains after the first i and j words.
  std::vector<uint32_t> longest((rows + 1) * (columns + 1), 0);
  const auto at = [&](size_t i, size_t j) -> uint32_t& { return longest[i * (columns + 1) + j]; };
  for (size_t i = rows; i-- > 0;)
    for (size_t j = columns; j-- > 0;)
      at(i, j) = a[begin + i] == b[begin + j] ? at(i + 1, j + 1) + 1 : std::max(at(i + 1, j), at(i, j + 1));
  for (size_t i = 0, j = 0; i < rows && j < columns;) {
    if (a[begin + i] == b[begin + j]) {
      share(begin + i++, begin + j++);
    } else if (at(i + 1, j) >= at(i, j + 1)) {
      ++i;
    } else {
      ++j;
    }
  }
  return diff;
}

}  // namespace bough
