#pragma once
#include "cuda/rows.h"

namespace bough::cuda {

/// e^d, d <= 0, as 2^(d log2 e): a multiplication and one instruction, within (2 + |d|) ulp.
__device__ inline float exp_of_difference(float d) { return exp2(d * log2_e); }

/// Calls use_chunk(col, chunk) and use_element(col, value), as f32, for what of x[0 .. n) belongs to this thread of the
/// block. 64 bytes of chunks are loaded before the first are used, so that enough of them are on their way.
template <class T, class C, class E>
__device__ inline void for_each_logit(const T* x, int n, bool is_vector, C&& use_chunk, E&& use_element) {
  constexpr int ahead = 8 / sizeof(T);
  const int stride = int(blockDim.x) * chunk_cols, whole = is_vector ? n / chunk_cols * chunk_cols : 0;
  int col = int(threadIdx.x) * chunk_cols;
  for (; col + (ahead - 1) * stride < whole; col += ahead * stride) {
    PackedChunk<T> words[ahead];
#pragma unroll
    for (int k = 0; k < ahead; ++k) words[k] = load_packed(x + col + k * stride);
#pragma unroll
    for (int k = 0; k < ahead; ++k) use_chunk(col + k * stride, unpack<T>(words[k]));
  }
  for (; col < whole; col += stride) use_chunk(col, unpack<T>(load_packed(x + col)));
  for (int i = whole + int(threadIdx.x); i < n; i += int(blockDim.x)) use_element(i, to_float(x[i]));
}

/// What one pass over logits leaves behind.
struct LogitSums {
  float maximum = -3.0e38f;  ///< max x; not -inf: the difference of two would be NaN
  float exponentials = 0;    ///< sum of exp(x - max); relative to the largest value so far (Milakov & Gimelshein 2018)
  float logits = 0;          ///< sum of x

  __device__ void raise(float highest) {
    exponentials *= exp_of_difference(maximum - highest);
    maximum = highest;
  }
  template <int N>
  __device__ void add(const Vector<float, N>& v) {
    float highest = maximum;
#pragma unroll
    for (int i = 0; i < N; ++i) highest = fmaxf(highest, v[i]);  // a NaN shows in the sums
    raise(highest);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      exponentials += exp_of_difference(v[i] - maximum);
      logits += v[i];
    }
  }
};

/// The sums over x[0 .. n), read once by a block; the same bits in every thread.
template <class T>
__device__ inline LogitSums sum_logits(const T* x, int n, bool is_vector) {
  LogitSums own;
  for_each_logit(
      x, n, is_vector, [&](int, const Chunk& v) { own.add(v); }, [&](int, float v) { own.add(Vector<float, 1>{v}); });

  __shared__ SharedArray<float, 3 * warp_size> of_warps;
  own.raise(warp_max(own.maximum));
  const float exponentials = warp_sum(own.exponentials), logits = warp_sum(own.logits);
  if (lane_id() == 0) {
    of_warps[3 * warp_id()] = own.maximum;
    of_warps[3 * warp_id() + 1] = exponentials;
    of_warps[3 * warp_id() + 2] = logits;
  }
  sync_block("sums of other warps would be missing");
  LogitSums sums;
  for (int w = 0; w < warp_count(); ++w) sums.maximum = fmaxf(sums.maximum, of_warps[3 * w]);
  for (int w = 0; w < warp_count(); ++w) {
    sums.exponentials += of_warps[3 * w + 1] * exp_of_difference(of_warps[3 * w] - sums.maximum);
    sums.logits += of_warps[3 * w + 2];
  }
  return sums;
}

}  // namespace bough::cuda
