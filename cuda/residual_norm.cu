// sum = residual_scale x [+ second] + branch_scale dropout(branch + bias);  y = (sum - mean) rstd gamma + beta
// (Ba et al. 2016 for the norm). A warp owns a row; the row stays in registers between the sum, the statistics
// and y, so that every tensor crosses the memory bus once. Rows of more than 1024 columns are summed anew in
// every pass.
#include "cuda/cuda_backend.h"
#include "cuda/residual_terms.h"

namespace bough::cuda {
namespace {

constexpr int warps = 4;  // rows of a block
constexpr int warp_cols = warp_size * chunk_cols;

template <class T>
struct Outputs {
  T *y, *sum;
  float *mean, *rstd;
  float epsilon;
};

/// 8 columns of the sum.
template <class T>
__device__ Chunk sum_chunk(const ResidualTerms<T>& in, const ResidualFactors<T>& f, int64_t row, int64_t col) {
  Chunk sum = in.load(in.x, row, col);
  const Chunk residual = in.residual_scale.of_chunk(col, in.cols, in.is_vector, f.residual);
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) sum[i] *= residual[i];
  if (in.second) {
    const Chunk second = in.load(in.second, row, col);
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i) sum[i] += second[i];
  }
  if (in.branch) {
    const Chunk branch = in.biased_branch(row, col), keep = f.dropout.of_chunk(row, col);
    const Chunk scale = in.branch_scale.of_chunk(col, in.cols, in.is_vector, f.branch);
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i) sum[i] += scale[i] * keep[i] * branch[i];
  }
  return sum;
}

/// The same as `sum` holds it, where it is kept. y is the norm of that and not of the unrounded sum: the backward pass
/// knows no other, and (rounded sum - unrounded mean) rstd would be far off in rows that vary little.
template <class T>
__device__ Chunk stored_sum_chunk(const Outputs<T>& out, const ResidualTerms<T>& in, const ResidualFactors<T>& f,
                                  int64_t row, int64_t col) {
  Chunk sum = sum_chunk(in, f, row, col);
  if (!out.sum) return sum;
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) sum[i] = to_float(from_float<T>(sum[i]));
  return sum;
}

template <class T>
__device__ void store_normalised(const Outputs<T>& out, const ResidualTerms<T>& in, const Chunk& sum, float mean,
                                 float rstd, int64_t row, int64_t col) {
  const Chunk gamma = load_chunk(in.gamma, col, in.cols, in.is_vector),
              beta = load_chunk(in.beta, col, in.cols, in.is_vector);
  Chunk y;
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) y[i] = (sum[i] - mean) * rstd * gamma[i] + beta[i];
  store_chunk(out.y + row * in.cols, col, in.cols, in.is_vector, y);
}

/// What 8 columns add to the variance; columns beyond the end add nothing.
__device__ inline float square_sum(const Chunk& sum, float mean, int64_t col, int64_t cols) {
  float squares = 0;
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) squares += col + i < cols ? (sum[i] - mean) * (sum[i] - mean) : 0.0f;
  return squares;
}

/// chunks: 8-column chunks that a lane keeps; 0: none, they are summed anew in every pass.
template <class T, int chunks>
__global__ void __launch_bounds__(warps * warp_size) residual_norm_kernel(Outputs<T> out, ResidualTerms<T> in) {
  const int64_t row = int64_t(blockIdx.x) * warps + warp_id();
  if (row >= in.rows) return;
  const ResidualFactors<T> f(in);
  Chunk kept[chunks > 0 ? chunks : 1];
  /// Calls use(chunk, col) for the lane's chunks.
  const auto for_each = [&](auto&& use) {
    if constexpr (chunks > 0) {
#pragma unroll
      for (int k = 0; k < chunks; ++k) {
        const int64_t col = k * warp_cols + lane_id() * chunk_cols;
        if (col < in.cols) use(kept[k], col);
      }
    } else {
      for (int64_t col = lane_id() * chunk_cols; col < in.cols; col += warp_cols) {
        kept[0] = stored_sum_chunk(out, in, f, row, col);
        use(kept[0], col);
      }
    }
  };
  float total = 0;
  for_each([&](Chunk& sum, int64_t col) {
    if constexpr (chunks > 0) sum = stored_sum_chunk(out, in, f, row, col);
    if (out.sum) store_chunk(out.sum + row * in.cols, col, in.cols, in.is_vector, sum);
    total += chunk_sum(sum);  // 0 beyond the last column: everything there was loaded as 0
  });
  if (!in.gamma) return;
  const float mean = warp_sum(total) / float(in.cols);
  float squares = 0;  // of the centred values, in a second pass: no digits are lost
  for_each([&](Chunk& sum, int64_t col) { squares += square_sum(sum, mean, col, in.cols); });
  const float rstd = 1.0f / sqrtf(warp_sum(squares) / float(in.cols) + out.epsilon);
  for_each([&](Chunk& sum, int64_t col) { store_normalised(out, in, sum, mean, rstd, row, col); });
  if (lane_id() != 0) return;
  out.mean[row] = mean;
  out.rstd[row] = rstd;
}

}  // namespace
}  // namespace bough::cuda

namespace bough {

using namespace cuda;

void CudaBackend::residual_dropout_norm_impl(const ResidualOutputs& out, const ResidualInputs& in,
                                             const ResidualNorm& p) {
  check(in.branch || !in.bias, "residual_dropout_norm: a bias needs a branch to be added to");
  const int64_t rows = in.x.rows(), cols = in.x.cols();
  const bool is_vector = rows_are_vectors(cols, in.x, in.second, in.branch, in.bias, in.gamma, in.beta, out.y, out.sum,
                                          p.residual_scale.word < 0 ? p.residual_scale.tensor : Tensor(),
                                          p.branch_scale.word < 0 ? p.branch_scale.tensor : Tensor());
  dispatch_float(in.x.dtype(), [&]<class T>() {
    const auto start = [&](auto kernel) {
      launch(stream(), "residual_dropout_norm", kernel, {blocks_for(rows, warps), unsigned(warps * warp_size)},
             Outputs<T>{out.y.data<T>(), out.sum.data<T>(), out.mean.data<float>(), out.rstd.data<float>(),
                        float(p.epsilon)},
             ResidualTerms<T>(in, p, rows, cols, is_vector));
    };
    if (cols <= warp_cols) return start(residual_norm_kernel<T, 1>);
    if (cols <= 2 * warp_cols) return start(residual_norm_kernel<T, 2>);
    if (cols <= 4 * warp_cols) return start(residual_norm_kernel<T, 4>);
    start(residual_norm_kernel<T, 0>);
  });
}

}  // namespace bough
