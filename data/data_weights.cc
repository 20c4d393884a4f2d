#include "data/data_weights.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/base/error.h"
#include "core/base/settings.h"
#include "data/dictionary.h"

namespace bough {

std::vector<float> parse_weights(std::string_view line, const std::string& where) {
  std::vector<float> weights;
  const auto take = [&](std::string_view word) {
    double weight = 0;
    check(parse_value(word, weight) && weight >= 0 && std::isfinite(float(weight)),
          "{}: '{}' is no weight, must be a number, at least 0. Correct the line.", where, word);
    weights.push_back(float(weight));
  };
  for_each_token(line, take, " \t");
  return weights;
}

void check_weights(const std::vector<float>& weights, WeightLevel level, size_t target_tokens,
                   const std::string& where) {
  const size_t n = weights.size();
  check(level == WeightLevel::word || n == 1,
        "{}: {} weights, must have 1 for the sentence. Correct the line, or set data-weighting-type word.", where, n);
  check(level == WeightLevel::sentence || n == target_tokens || n == target_tokens + 1,
        "{}: {} weights for {} target tokens (SentencePiece: pieces), must have as many, or one more for the end of "
        "the sentence. Correct the line, or set data-weighting-type sentence.",
        where, n, target_tokens);
}

std::vector<int32_t> training_weights(const std::vector<float>& weights, WeightLevel level, size_t before, size_t after,
                                      bool right_left) {
  const auto bits = [](float weight) { return std::bit_cast<int32_t>(weight); };
  if (level == WeightLevel::sentence) return {bits(weights.front())};
  std::vector<int32_t> rows;
  for (size_t i = 0; i < after; ++i) rows.push_back(bits(weights[i]));
  if (right_left) std::reverse(rows.begin(), rows.end());
  rows.push_back(bits(weights.size() > before ? weights.back() : 1));
  return rows;
}

}  // namespace bough
