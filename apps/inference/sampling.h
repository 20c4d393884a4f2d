#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace bough {

/// How a word is drawn from p(v)^(1/temperature), normalised over the words that may come (`output-sampling`).
struct SamplingRule {
  enum class Words {
    none,      ///< no sampling: search
    all,       ///< "full"
    best,      ///< "topk K": the K most probable
    nucleus,   ///< "nucleus P": the most probable ones until they have probability P together (Holtzman et al. 2020)
    probable,  ///< "epsilon E": those with probability E or more (Hewitt et al. 2022), at least the best
  };
  Words words = Words::none;
  double limit = 0;  ///< K, P or E; P and E are of p(v)^(1/temperature)
  double temperature = 1;

  explicit operator bool() const { return words != Words::none; }
};

/// "full [T]", "topk K [T]", "nucleus P [T]", "epsilon E [T]"; nothing, or "false": no sampling. False for what is
/// none.
bool parse_items(const std::vector<std::string>& items, SamplingRule& rule);
std::vector<std::string> format_items(const SamplingRule& rule);

/// Where a word is drawn: the number that decides is a function of this alone.
struct DrawPlace {
  uint64_t seed = 1;
  int64_t sentence = 0;               ///< number in the input
  uint32_t sample = 0, position = 0;  ///< of the sentence's samples; of the word
};
/// Uniform in [0, 1), 53 bits.
double uniform_at(const DrawPlace& place);

/// The word at which `uniform`, in [0, 1), stands on the scale of cumulated probabilities. scores: log p of every word,
/// up to a constant; banned_id (or -1) is never drawn. -1 where no score is finite.
int32_t draw_word(std::span<const float> scores, const SamplingRule& rule, int32_t banned_id, double uniform);

}  // namespace bough
