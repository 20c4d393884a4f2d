// loss = log sum_v exp(x_v) - (1-e) x_y - e/V sum_v x_v,  d loss / d x_v = p(v) - (1-e) [v = y] - e/V
// (Szegedy et al. 2016, sec. 7). The gradient takes the place of the logits. A row is read from memory once: the
// second pass finds it in the L2 cache.
#include "cuda/cuda_backend.h"
#include "cuda/softmax.h"

namespace bough::cuda {
namespace {

constexpr unsigned row_threads = 512;

struct Smoothing {
  float confidence, uniform;  // 1-e, e/V
};

/// Row x becomes the gradient; 0 beyond the vocabulary.
template <class T>
__device__ void write_gradient(T* x, int64_t cols, int64_t vocabulary, int32_t label, const LogitSums& sums,
                               Smoothing smoothing, bool is_vector) {
  const float inverse = 1.0f / sums.exponentials;
  for (int64_t col = int64_t(threadIdx.x) * chunk_cols; col < cols; col += int64_t(blockDim.x) * chunk_cols) {
    Chunk v = load_chunk(x, col, cols, is_vector);
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i) {
      const float p = math::exp(v[i] - sums.maximum) * inverse;
      const float g = p - smoothing.uniform - (col + i == label ? smoothing.confidence : 0.0f);
      v[i] = label >= 0 && col + i < vocabulary ? g : 0.0f;
    }
    store_chunk(x, col, cols, is_vector, v);
  }
}

/// A block a row.
template <class T>
__global__ void __launch_bounds__(row_threads)
    cross_entropy_kernel(float* loss, T* logits, const int32_t* labels, int64_t cols, int64_t vocabulary,
                         Smoothing smoothing, bool with_gradient, bool is_vector) {
  // The product has just written the last rows: they are still in the L2 cache, the first may not be.
  const int64_t row = int64_t(gridDim.x) - 1 - blockIdx.x;
  T* const x = logits + row * cols;
  const int32_t label = labels[row];
  LogitSums sums{0, 1, 0};
  if (label >= 0) {
    sums = sum_logits(x, vocabulary, is_vector);
    if (threadIdx.x == 0) {
      const bool is_outside = label >= vocabulary;  // no error can be thrown here: NaN shows it
      loss[row] = is_outside ? NAN
                             : sums.maximum + logf(sums.exponentials) - smoothing.confidence * to_float(x[label]) -
                                   smoothing.uniform * sums.logits;
    }
  } else if (threadIdx.x == 0) {
    loss[row] = 0;
  }
  if (!with_gradient) return;
  sync_block("the label's logit would be overwritten before the loss has read it");
  write_gradient(x, cols, vocabulary, label, sums, smoothing, is_vector);
}

}  // namespace
}  // namespace bough::cuda

namespace bough {

using namespace cuda;

void CudaBackend::cross_entropy_impl(Out loss, Out logits, In labels, double smoothing, int64_t vocabulary,
                                     bool with_gradient) {
  const int64_t cols = logits.cols();
  const Smoothing s{float(1 - smoothing), float(smoothing / double(vocabulary))};
  const unsigned threads = std::min(row_threads, threads_for_row(cols));
  dispatch_float(logits.dtype(), [&]<class T>() {
    launch(stream(), "cross_entropy", cross_entropy_kernel<T>, {unsigned(logits.rows()), cols > 4096 ? row_threads : threads},
           loss.data<float>(), logits.data<T>(), labels.data<int32_t>(), cols, vocabulary, s, with_gradient,
           rows_are_vectors(cols, logits));
  });
}

}  // namespace bough
