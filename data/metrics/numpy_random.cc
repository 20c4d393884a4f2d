#include "data/metrics/numpy_random.h"

#include <array>
#include <bit>

namespace bough {
namespace {

using uint128 = unsigned __int128;

constexpr uint128 join(uint64_t high, uint64_t low) { return uint128(high) << 64 | low; }

constexpr uint128 pcg_multiplier = join(2549297995355413924, 4865540595714422341);

/// SeedSequence's hash: its constant changes with each use.
struct SeedHash {
  uint32_t constant, multiplier;

  uint32_t operator()(uint32_t value) {
    value ^= constant;
    constant *= multiplier;
    value *= constant;
    return value ^ (value >> 16);
  }
};

uint32_t mix(uint32_t x, uint32_t y) {
  const uint32_t mixed = 0xCA01F9DDU * x - 0x4973F715U * y;
  return mixed ^ (mixed >> 16);
}

/// SeedSequence(seed).generate_state(4, uint64).
std::array<uint64_t, 4> seed_state(uint64_t seed) {
  std::array<uint32_t, 4> pool = {uint32_t(seed), uint32_t(seed >> 32)};
  SeedHash absorb{0x43B0D7E5, 0x931E8875};
  for (uint32_t& word : pool) word = absorb(word);
  for (size_t from = 0; from < pool.size(); ++from)
    for (size_t to = 0; to < pool.size(); ++to)
      if (from != to) pool[to] = mix(pool[to], absorb(pool[from]));
  SeedHash squeeze{0x8B51F9DD, 0x58F38DED};
  std::array<uint64_t, 4> state{};
  for (size_t i = 0; i < 8; ++i) state[i / 2] |= uint64_t(squeeze(pool[i % 4])) << (32 * (i % 2));
  return state;
}

}  // namespace

NumpyRandom::NumpyRandom(uint64_t seed) {
  const auto words = seed_state(seed);
  increment_ = join(words[2], words[3]) << 1 | 1;
  state_ = (increment_ + join(words[0], words[1])) * pcg_multiplier + increment_;
}

uint64_t NumpyRandom::next_uint64() {
  state_ = state_ * pcg_multiplier + increment_;
  const auto high = uint64_t(state_ >> 64), low = uint64_t(state_);
  return std::rotr(high ^ low, int(high >> 58));
}

uint32_t NumpyRandom::next_uint32() {
  if (has_high_half_) {
    has_high_half_ = false;
    return high_half_;
  }
  const uint64_t both = next_uint64();
  high_half_ = uint32_t(both >> 32);
  has_high_half_ = true;
  return uint32_t(both);
}

uint32_t NumpyRandom::below(uint32_t bound) {
  if (bound == 1) return 0;  // draws nothing
  uint64_t product = uint64_t(next_uint32()) * bound;
  if (uint32_t(product) < bound) {
    const uint32_t threshold = (UINT32_MAX - (bound - 1)) % bound;
    while (uint32_t(product) < threshold) product = uint64_t(next_uint32()) * bound;
  }
  return uint32_t(product >> 32);
}

bool NumpyBits::next() {
  if (left_ == 0) {
    bits_ = random_.next_uint32();
    left_ = 32;
  }
  const bool bit = (bits_ & 1) != 0;
  bits_ >>= 1;
  --left_;
  return bit;
}

}  // namespace bough
