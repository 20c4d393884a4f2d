#pragma once
#include <string_view>
#include <vector>

namespace bough {

/// The words of two texts (split at blanks; Chinese and Japanese characters are words), and which of
/// them belong to a longest common subsequence. Texts with more than 4 million pairs of words count as sharing only
/// their common beginning and end.
struct WordDiff {
  std::vector<std::string_view> left, right;  ///< point into the texts
  std::vector<bool> left_shared, right_shared;
};

WordDiff diff_words(std::string_view left, std::string_view right);

}  // namespace bough
