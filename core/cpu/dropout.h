#pragma once
#include <algorithm>
#include <bit>
#include <cstring>

#include "core/base/random.h"
#include "core/update_state.h"

namespace bough {

/// The dropout factors of a tensor, row by row: 0 where an element is dropped, else the exact
/// inverse of the share that is kept. Everything is 1 where `dropout` is off.
template <class T>
class DropoutFactors {
 public:
  explicit DropoutFactors(const Dropout& dropout) : is_on_(bool(dropout)), site_(dropout.site) {
    if (!is_on_) return;
    const int32_t* words = dropout.state.data<int32_t>();
    key0_ = uint32_t(words[UpdateState::dropout_key_low]);
    key1_ = uint32_t(words[UpdateState::dropout_key_high]);
    first_row_ = uint32_t(*dropout.first_row.data<int32_t>());
    threshold_ = dropout_threshold(dropout.probability);
    scale_ = T(dropout_scale(threshold_));
  }
  explicit operator bool() const { return is_on_; }
  /// The factor of what is kept.
  T scale() const { return scale_; }

  /// Factors of columns first .. first+count-1 of `row`. first is a multiple of 8; head: see dropout_bits.
  void fill(T* factors, int64_t row, int64_t first, int64_t count, int64_t head = 0) const {
    if (!is_on_) {
      std::fill_n(factors, count, T(1));
      return;
    }
    const uint32_t threshold = threshold_;
    const T scale = scale_;
    uint32_t words[4 * group];
    uint16_t draws[8 * group];
    for (int64_t done = 0; done < count; done += 8 * group) {
      draw_group(words, uint32_t(head), uint32_t(row) + first_row_, uint32_t((first + done) / 8));
      // Low half first: in little-endian memory the draws lie in column order.
      static_assert(std::endian::native == std::endian::little);
      std::memcpy(draws, words, sizeof draws);
      const int64_t n = std::min<int64_t>(8 * group, count - done);
      for (int64_t c = 0; c < n; ++c) factors[done + c] = draws[c] >= threshold ? scale : T(0);
    }
  }

  /// The factor of column 0 of `row`.
  T first_of_row(int64_t row) const {
    if (!is_on_) return 1;
    const Philox4 bits = dropout_bits(key0_, key1_, site_, 0, uint32_t(row) + first_row_, 0);
    return dropout_draw(bits, 0) >= threshold_ ? scale_ : T(0);
  }

 private:
  static constexpr int64_t group = 16;  // calls of Philox side by side: one per lane of a vector

  void draw_group(uint32_t* words, uint32_t head, uint32_t row, uint32_t block) const {
    const uint32_t key0 = key0_, key1 = key1_, site = site_;  // members might change with words
#pragma omp simd
    for (int64_t i = 0; i < group; ++i) {
      const Philox4 bits = dropout_bits(key0, key1, site, head, row, block + uint32_t(i));
      words[4 * i] = bits.x[0];
      words[4 * i + 1] = bits.x[1];
      words[4 * i + 2] = bits.x[2];
      words[4 * i + 3] = bits.x[3];
    }
  }

  bool is_on_;
  uint32_t site_, key0_ = 0, key1_ = 0, first_row_ = 0, threshold_ = 0;
  T scale_ = 1;
};

}  // namespace bough
