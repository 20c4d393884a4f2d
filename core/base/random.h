#pragma once
#include <cstdint>

// One function decides every random element of training, on the CPU and on the GPU alike:
// the masks of a run do not depend on the backend, the thread count, the number of ranks or a restart.

#if defined(__CUDACC__)
#define BOUGH_HOST_DEVICE __host__ __device__
#else
#define BOUGH_HOST_DEVICE
#endif

namespace bough {

/// 128 random bits, in the order in which draws take them.
struct Philox4 {
  uint32_t x[4];
};

/// Philox-4x32 with 7 rounds (Salmon et al. 2011, table 2: passes BigCrush; as FlashAttention uses it).
/// A pure function of a 128-bit counter and a 64-bit key: 128 random bits.
BOUGH_HOST_DEVICE inline Philox4 philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 7; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0, p1 = uint64_t{0xCD9E8D57u} * c2;
    const uint32_t n0 = uint32_t(p1 >> 32) ^ c1 ^ k0, n2 = uint32_t(p0 >> 32) ^ c3 ^ k1;
    c1 = uint32_t(p1);
    c3 = uint32_t(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// Dropout keeps an element when its 16 random bits are >= threshold(p); the probability in force is
/// therefore threshold / 65536, and kept elements are scaled by exactly its complement's inverse. At most 65535: the
/// threshold fits into 16 bits, and the inverse is finite.
BOUGH_HOST_DEVICE inline uint32_t dropout_threshold(double probability) {
  const uint32_t nearest = uint32_t(probability * 65536.0 + 0.5);
  return nearest < 65535 ? nearest : 65535;
}
BOUGH_HOST_DEVICE inline double dropout_scale(uint32_t threshold) { return 65536.0 / (65536.0 - double(threshold)); }

/// The 8 decisions for columns 8*block .. 8*block+7 of one row: 16 bits each, low half first.
/// key: UpdateState's, fresh in every update. site: the place in the model; head: 0 except in attention.
/// row: the row's number within the whole update, over micro-batches and ranks.
BOUGH_HOST_DEVICE inline Philox4 dropout_bits(uint32_t key0, uint32_t key1, uint32_t site, uint32_t head, uint32_t row,
                                              uint32_t block) {
  return philox(block, row, site, head, key0, key1);
}
BOUGH_HOST_DEVICE inline uint32_t dropout_draw(const Philox4& bits, int column_in_block) {
  return (bits.x[column_in_block >> 1] >> (16 * (column_in_block & 1))) & 0xFFFFu;
}

/// splitmix64 (Steele et al. 2014): mixes 64 bits; for keys and seeds, never for streams of numbers.
BOUGH_HOST_DEVICE inline uint64_t mix_bits(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

/// A stream of numbers on the host, e.g. for initialisation: Philox over a running counter.
class RandomStream {
 public:
  explicit RandomStream(uint64_t seed, uint64_t stream = 0) : key_(mix_bits(seed ^ mix_bits(stream))) {}
  uint32_t next32() {
    if (used_ == 4) {
      block_ = philox(uint32_t(counter_), uint32_t(counter_ >> 32), 0, 0, uint32_t(key_), uint32_t(key_ >> 32));
      ++counter_;
      used_ = 0;
    }
    return block_.x[used_++];
  }
  /// Uniform in [0, 1), 32 bits.
  double uniform() { return next32() * 0x1p-32; }
  /// Uniform in [0, n), n > 0.
  uint64_t below(uint64_t n) {
    const uint64_t high = next32(), wide = (high << 32) | next32();
    return uint64_t((static_cast<unsigned __int128>(wide) * n) >> 64);
  }

 private:
  uint64_t key_, counter_ = 0;
  Philox4 block_{};
  int used_ = 4;
};

}  // namespace bough
