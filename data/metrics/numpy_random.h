#pragma once
#include <cstdint>
#include <span>

namespace bough {

/// The random stream of NumPy's default_rng(seed): PCG64 (O'Neill 2014, XSL-RR 128/64) seeded by
/// SeedSequence. Bit for bit NumPy's, so that resampling tests give the p-values of other tools.
class NumpyRandom {
 public:
  explicit NumpyRandom(uint64_t seed);
  /// The next output of PCG64.
  uint64_t next_uint64();
  /// The halves of 64-bit outputs, low half first.
  uint32_t next_uint32();
  /// Uniform in [0, bound), 1 <= bound < 2^32: Generator.choice and .integers (Lemire 2019).
  uint32_t below(uint32_t bound);

 private:
  unsigned __int128 state_ = 0, increment_ = 0;
  uint32_t high_half_ = 0;
  bool has_high_half_ = false;
};

/// Generator.integers(2, dtype=bool): bits of successive 32-bit outputs, lowest first.
class NumpyBits {
 public:
  explicit NumpyBits(uint64_t seed) : random_(seed) {}
  bool next();

 private:
  NumpyRandom random_;
  uint32_t bits_ = 0;
  int left_ = 0;
};

}  // namespace bough
