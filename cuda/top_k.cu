// The k best of log softmax(x) of every row, x: (R, V): one pass for the normaliser, in which every thread also
// finds the two best of its own columns; then k rounds in which the block takes the best of all and its owner
// moves on, searching its columns anew only when both of its candidates are gone.
#include "cuda/cuda_backend.h"
#include "cuda/softmax.h"

namespace bough::cuda {
namespace {

constexpr int threads = 512;

struct Candidate {
  float value = -INFINITY;
  int32_t id = INT32_MAX;  // none
};
/// Largest value first, equal values by smaller id.
__device__ inline bool is_before(const Candidate& a, const Candidate& b) {
  return a.value > b.value || (a.value == b.value && a.id < b.id);
}

/// The best of the warp, in every lane.
__device__ inline Candidate warp_best(Candidate mine) {
  for (int mask = warp_size / 2; mask > 0; mask /= 2) {
    const Candidate other{shuffle_xor(mine.value, mask), shuffle_xor(mine.id, mask)};
    if (is_before(other, mine)) mine = other;
  }
  return mine;
}
/// The best of the block, in every thread.
__device__ inline Candidate block_best(const Candidate& mine) {
  __shared__ SharedArray<Candidate, warp_size> of_warp;
  const Candidate best = warp_best(mine);
  if (lane_id() == 0) of_warp[warp_id()] = best;
  sync_block("candidates of other warps would be missing");
  Candidate first = of_warp[0];
  for (int w = 1; w < warp_count(); ++w)
    if (is_before(of_warp[w], first)) first = of_warp[w];
  sync_block("the next round would overwrite candidates still to be read");
  return first;
}

/// A thread's columns, best first: the two that come next after what was taken.
template <class T>
struct OwnColumns {
  const T* x;
  int64_t vocabulary, banned_id;
  bool is_vector;
  Candidate first, second;

  /// Looks through the columns for the two best that come after `last`.
  __device__ void search(const Candidate& last, bool has_last) {
    first = second = Candidate();
    for (int64_t col = int64_t(threadIdx.x) * chunk_cols; col < vocabulary; col += int64_t(blockDim.x) * chunk_cols) {
      const Chunk v = load_chunk(x, col, vocabulary, is_vector && col + chunk_cols <= vocabulary);
#pragma unroll
      for (int i = 0; i < chunk_cols; ++i) {
        // NaN comes last, as -inf: comparisons with it would lose other candidates.
        const Candidate c{v[i] == v[i] ? v[i] : -INFINITY, int32_t(col + i)};
        if (col + i >= vocabulary || col + i == banned_id || (has_last && !is_before(last, c))) continue;
        if (is_before(c, first)) {
          second = first;
          first = c;
        } else if (is_before(c, second)) {
          second = c;
        }
      }
    }
  }
  /// Goes on behind `taken`, which was `first`.
  __device__ void advance(const Candidate& taken) {
    const bool is_last = second.id == INT32_MAX;
    first = second;
    second = Candidate();
    if (is_last) search(taken, true);
  }
};

/// A block a row.
template <class T>
__global__ void __launch_bounds__(threads)
    log_softmax_top_k_kernel(float* scores, int32_t* ids, const T* logits, int64_t cols, int64_t vocabulary, int k,
                             int64_t banned_id, bool is_vector, bool skips_softmax) {
  const int64_t row = blockIdx.x;
  const T* const x = logits + row * cols;
  float normaliser = 0;
  if (!skips_softmax) {
    const LogitSums sums = sum_logits(x, int(vocabulary), is_vector);
    normaliser = sums.maximum + logf(sums.exponentials);
  }
  OwnColumns<T> mine{x, vocabulary, banned_id, is_vector, {}, {}};
  mine.search({}, false);
  for (int i = 0; i < k; ++i) {
    const Candidate best = block_best(mine.first);
    if (best.id == mine.first.id) mine.advance(best);
    if (threadIdx.x != 0) continue;
    scores[row * k + i] = best.value - normaliser;
    ids[row * k + i] = best.id;
  }
}

}  // namespace
}  // namespace bough::cuda

namespace bough {

void CudaBackend::log_softmax_top_k_impl(Out scores, Out ids, In logits, int64_t vocabulary, int64_t k,
                                         int64_t banned_id, bool skips_softmax) {
  check(k >= 1 && k + (banned_id >= 0 && banned_id < vocabulary) <= vocabulary,
        "log_softmax_top_k: the {} best of {} words", k, vocabulary);
  cuda::dispatch_float(logits.dtype(), [&]<class T>() {
    cuda::launch(stream(), "log_softmax_top_k", cuda::log_softmax_top_k_kernel<T>,
                 {unsigned(logits.rows()),
                  logits.cols() > 4096 ? unsigned(cuda::threads) : cuda::threads_for_row(logits.cols())},
                 scores.data<float>(), ids.data<int32_t>(), logits.data<T>(), logits.cols(), vocabulary, int(k),
                 banned_id, cuda::rows_are_vectors(logits.cols(), logits), skips_softmax);
  });
}

}  // namespace bough
