// loss = log sum_v exp(x_v) - (1-e) x_y - e/V sum_v x_v,  d loss / d x_v = p(v) - (1-e) [v = y] - e/V
// (Szegedy et al. 2016, sec. 7), both times the row's weight. The gradient takes the place of the logits. A row is read
// from memory once: the second pass finds it in the L2 cache.
#include "cuda/cuda_backend.h"
#include "cuda/softmax.h"

namespace bough::cuda {
namespace {

constexpr unsigned row_threads = 512;
/// Blocks that are to fit onto a multiprocessor, which bounds the registers of a thread.
template <class T>
constexpr int min_blocks = sizeof(T) == 2 ? 3 : 2;

struct Smoothing {
  float confidence, uniform;  // 1-e, e/V
};

/// d loss / d x of one row, as a function of the column.
struct RowGradient {
  float maximum, inverse;
  Smoothing smoothing;
  int label;

  /// Without the label's own term.
  __device__ float of_others(float x) const { return exp_of_difference(x - maximum) * inverse - smoothing.uniform; }
  __device__ float operator()(int col, float x) const {
    return of_others(x) - (col == label ? smoothing.confidence : 0.0f);
  }
};

/// Columns 0 .. vocabulary-1 of x become the gradient.
template <class T>
__device__ void write_gradient(T* x, int vocabulary, bool is_vector, const RowGradient& gradient) {
  for_each_logit(
      x, vocabulary, is_vector,
      [&](int col, Chunk v) {
#pragma unroll
        for (int i = 0; i < chunk_cols; ++i) v[i] = gradient.of_others(v[i]);
        if (unsigned(gradient.label - col) < unsigned(chunk_cols))
#pragma unroll
          for (int i = 0; i < chunk_cols; ++i) v[i] -= col + i == gradient.label ? gradient.smoothing.confidence : 0.0f;
        store_packed(x + col, pack<T>(v));
      },
      [&](int col, float v) { x[col] = from_float<T>(gradient(col, v)); });
}

/// Zeros in columns begin .. end-1.
template <class T>
__device__ void clear(T* x, int begin, int end) {
  for (int col = begin + int(threadIdx.x); col < end; col += int(blockDim.x)) x[col] = from_float<T>(0);
}

/// A block a row.
template <class T>
__global__ void __launch_bounds__(row_threads, min_blocks<T>)
    cross_entropy_kernel(float* loss, T* logits, const int32_t* labels, const int32_t* weights, int cols,
                         int vocabulary, Smoothing smoothing, bool with_gradient, bool is_vector) {
  // The product has just written the last rows: they are still in the L2 cache, the first may not be.
  const int64_t row = int64_t(gridDim.x) - 1 - blockIdx.x;
  T* const x = logits + row * cols;
  const int32_t label = labels[row];
  if (label < 0) {  // a tail
    if (threadIdx.x == 0) loss[row] = 0;
    if (with_gradient) clear(x, 0, cols);
    return;
  }
  const float weight = weights ? math::float_of(uint32_t(weights[row])) : 1.0f;
  const LogitSums sums = sum_logits(x, vocabulary, is_vector);
  if (threadIdx.x == 0) {
    const bool is_outside = label >= vocabulary;  // no error can be thrown here: NaN shows it
    loss[row] = is_outside ? NAN
                           : weight * (sums.maximum + logf(sums.exponentials) -
                                       smoothing.confidence * to_float(x[label]) - smoothing.uniform * sums.logits);
  }
  if (!with_gradient) return;
  sync_block("the label's logit would be overwritten before the loss has read it");
  write_gradient(
      x, vocabulary, is_vector,
      {sums.maximum, weight / sums.exponentials, {weight * smoothing.confidence, weight * smoothing.uniform}, label});
  clear(x, vocabulary, cols);
}

}  // namespace
}  // namespace bough::cuda

namespace bough {

using namespace cuda;

void CudaBackend::cross_entropy_impl(Out loss, Out logits, In labels, In weights, double smoothing, int64_t vocabulary,
                                     bool with_gradient) {
  const int64_t cols = logits.cols();
  const Smoothing s{float(1 - smoothing), float(smoothing / double(vocabulary))};
  const unsigned threads = std::min(row_threads, threads_for_row(cols));
  dispatch_float(logits.dtype(), [&]<class T>() {
    launch(stream(), "cross_entropy", cross_entropy_kernel<T>,
           {unsigned(logits.rows()), cols > 4096 ? row_threads : threads}, loss.data<float>(), logits.data<T>(),
           labels.data<int32_t>(), weights ? weights.data<int32_t>() : nullptr, int(cols), int(vocabulary), s,
           with_gradient, rows_are_vectors(cols, logits));
  });
}

}  // namespace bough
