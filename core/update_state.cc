#include "core/update_state.h"

#include <bit>

#include "core/base/random.h"

namespace bough {

std::vector<int32_t> UpdateState::pack() const {
  const auto word = [](double v) { return std::bit_cast<int32_t>(float(v)); };
  std::vector<int32_t> words(size_t(this->words()));
  const uint64_t key = mix_bits(seed ^ mix_bits(uint64_t(update)));
  words[dropout_key_low] = int32_t(uint32_t(key));
  words[dropout_key_high] = int32_t(uint32_t(key >> 32));
  words[learning_rate] = word(lr);
  words[inverse_tokens] = word(1.0 / tokens);
  words[clip_norm] = word(clip);
  words[average_rate] = word(average);
  words[bound_share] = word(bound);
  for (size_t i = 0; i < branch_scales.size(); ++i) words[size_t(first_branch_scale) + i] = word(branch_scales[i]);
  return words;
}

}  // namespace bough
