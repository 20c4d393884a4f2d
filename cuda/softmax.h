#pragma once
#include "cuda/rows.h"

namespace bough::cuda {

/// What one pass over logits leaves behind.
struct LogitSums {
  float maximum, exponentials, logits;  ///< max x, sum of exp(x - max), sum of x
};

/// The sums over x[0 .. n), read once by a block; the same bits in every thread. The sum of exponentials is kept
/// relative to the largest value seen so far (Milakov & Gimelshein 2018).
template <class T>
__device__ inline LogitSums sum_logits(const T* x, int64_t n, bool is_vector) {
  // Not -inf: exp(-inf - -inf) would be NaN.
  float maximum = -3.0e38f, exponentials = 0, logits = 0;
  for (int64_t col = int64_t(threadIdx.x) * chunk_cols; col < n; col += int64_t(blockDim.x) * chunk_cols) {
    const bool is_whole = is_vector && col + chunk_cols <= n;
    const Chunk v = load_chunk(x, col, n, is_whole);
    float highest = maximum;
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i)
      if (col + i < n && v[i] > highest) highest = v[i];
    exponentials *= math::exp(maximum - highest);
    maximum = highest;
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i)
      if (col + i < n) {
        exponentials += math::exp(v[i] - maximum);
        logits += v[i];
      }
  }
  const float highest = block_max(maximum);
  return {highest, block_sum(exponentials * math::exp(maximum - highest)), block_sum(logits)};
}

}  // namespace bough::cuda
