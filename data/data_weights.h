#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/data_options.h"

namespace bough {

/// A line of data-weighting: numbers separated by spaces. Error, beginning with `where`, unless all are finite and none
/// is negative.
std::vector<float> parse_weights(std::string_view line, const std::string& where);

/// Throws Error, beginning with `where`, unless there is one weight for a sentence; for words one for each of its
/// target tokens, with or without one more for end_id, which has 1 without.
void check_weights(const std::vector<float>& weights, WeightLevel level, size_t target_tokens,
                   const std::string& where);

/// SentencePair::weights of a pair whose target was cut from `before` to `after` tokens.
std::vector<int32_t> training_weights(const std::vector<float>& weights, WeightLevel level, size_t before, size_t after,
                                      bool right_left);

}  // namespace bough
