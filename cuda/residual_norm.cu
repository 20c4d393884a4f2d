// sum = residual_scale x [+ second] + branch_scale dropout(branch + bias);  y = (sum - mean) rstd gamma + beta
// (Ba et al. 2016 for the norm). A warp owns a row; the row stays in registers between the sum, the statistics
// and y, so that every tensor crosses the memory bus once. Rows of more than 1024 columns are summed anew in
// every pass. total_row_sums adds up what the rows say of their terms.
#include "cuda/cuda_backend.h"
#include "cuda/residual_terms.h"

namespace bough::cuda {
namespace {

constexpr int warps = 4;  // rows of a block
constexpr int narrow_warps = 8;
constexpr unsigned totals_threads = 512;
constexpr int64_t many_rows = 8192;  // for whose blocks there are enough multiprocessors at one row a warp

template <class T>
struct Outputs {
  T *y, *sum, *y_low, *sum_low;
  float *mean, *rstd;
  float* row_sums;          // where wanted, else null
  const int32_t* segments;  // of row_sums, or null
  float epsilon;

  /// Stores a lane's share of {sum of r, of r^2, of f, of f^2}; all lanes of the warp take part.
  __device__ void store_row_sums(const float (&of_lane)[4], int64_t row) const {
    const float sum = warp_sums(of_lane);
    if (lane_id() < 4) row_sums[row * 4 + lane_id()] = segments && segments[row] < 0 ? 0.0f : sum;
  }
};

/// Adds 8 terms and their squares.
__device__ inline void add_moments(float& total, float& squares, const Chunk& terms) {
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) {
    total += terms[i];
    squares += terms[i] * terms[i];
  }
}

/// What a lane adds to the row's ResidualOutputs::row_sums, in a pass of its own over what the caches hold.
template <class T>
__device__ void sum_terms(float (&sums)[4], const ResidualTerms<T>& in, const ResidualFactors<T>& f, int64_t row) {
  for (int64_t col = lane_id() * chunk_cols; col < in.cols; col += warp_cols) {
    Chunk r = in.load(in.x, in.x_low, row, col);
    const Chunk residual = in.residual_scale.of_chunk(col, in.cols, in.is_vector, f.residual);
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i) r[i] *= residual[i];
    if (in.second) {
      const Chunk second = in.load(in.second, in.second_low, row, col);
#pragma unroll
      for (int i = 0; i < chunk_cols; ++i) r[i] += second[i];
    }
    add_moments(sums[0], sums[1], r);
    if (!in.branch) continue;
    Chunk branch = in.biased_branch(row, col);
    const Chunk scale = in.branch_scale.of_chunk(col, in.cols, in.is_vector, f.branch);
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i) branch[i] *= scale[i];
    add_moments(sums[2], sums[3], branch);
  }
}

/// 8 columns of the sum.
template <class T>
__device__ Chunk sum_chunk(const ResidualTerms<T>& in, const ResidualFactors<T>& f, int64_t row, int64_t col) {
  Chunk sum = in.load(in.x, in.x_low, row, col);
  const Chunk residual = in.residual_scale.of_chunk(col, in.cols, in.is_vector, f.residual);
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) sum[i] *= residual[i];
  if (in.second) {
    const Chunk second = in.load(in.second, in.second_low, row, col);
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

/// What is left of the values where a T holds them.
template <class T>
__device__ Chunk rounded(Chunk v) {
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) v[i] = to_float(from_float<T>(v[i]));
  return v;
}
/// Stores values, and what they lose by it where that is wanted.
template <class T>
__device__ void store_split(T* high, T* low, const ResidualTerms<T>& in, int64_t row, int64_t col, Chunk v) {
  store_chunk(high + row * in.cols, col, in.cols, in.is_vector, v);
  if (!low) return;
  const Chunk kept = rounded<T>(v);
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) v[i] -= kept[i];
  store_chunk(low + row * in.cols, col, in.cols, in.is_vector, v);
}
/// The sum that is normalised: as `sum` keeps it, where it is kept without a low part. The backward pass knows no
/// other, and (rounded sum - unrounded mean) rstd would be far off in rows that vary little.
template <class T>
__device__ Chunk normed_sum_chunk(const Outputs<T>& out, const ResidualTerms<T>& in, const ResidualFactors<T>& f,
                                  int64_t row, int64_t col) {
  const Chunk sum = sum_chunk(in, f, row, col);
  return out.sum && !out.sum_low ? rounded<T>(sum) : sum;
}

template <class T>
__device__ void store_normalised(const Outputs<T>& out, const ResidualTerms<T>& in, const Chunk& sum, float mean,
                                 float rstd, int64_t row, int64_t col) {
  const Chunk gamma = load_chunk(in.gamma, col, in.cols, in.is_vector),
              beta = load_chunk(in.beta, col, in.cols, in.is_vector);
  Chunk y;
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) y[i] = (sum[i] - mean) * rstd * gamma[i] + beta[i];
  store_split(out.y, out.y_low, in, row, col, y);
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
__global__ void __launch_bounds__(warps* warp_size) residual_norm_kernel(Outputs<T> out, ResidualTerms<T> in) {
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
        kept[0] = normed_sum_chunk(out, in, f, row, col);
        use(kept[0], col);
      }
    }
  };
  float total = 0;
  for_each([&](Chunk& sum, int64_t col) {
    if constexpr (chunks > 0) sum = normed_sum_chunk(out, in, f, row, col);
    if (out.sum) store_split(out.sum, out.sum_low, in, row, col, sum);
    total += chunk_sum(sum);  // 0 beyond the last column: everything there was loaded as 0
  });
  if (out.row_sums) {
    float sums[4] = {};
    sum_terms(sums, in, f, row);
    out.store_row_sums(sums, row);
  }
  if (!in.gamma) return;
  float mean = warp_sum(total) / float(in.cols), squares = 0;
  // Of the centred values, in a second pass: no digits are lost.
  for_each([&](Chunk& sum, int64_t col) { squares += square_sum(sum, mean, col, in.cols); });
  float rstd = 1.0f / sqrtf(warp_sum(squares) / float(in.cols) + out.epsilon);
  for_each([&](Chunk& sum, int64_t col) { store_normalised(out, in, sum, mean, rstd, row, col); });
  if (out.sum && out.sum_low) {  // the backward pass sees `sum` alone: it gets that one's statistics
    total = squares = 0;
    for_each([&](Chunk& sum, int64_t) { total += chunk_sum(rounded<T>(sum)); });
    mean = warp_sum(total) / float(in.cols);
    for_each([&](Chunk& sum, int64_t col) { squares += square_sum(rounded<T>(sum), mean, col, in.cols); });
    rstd = 1.0f / sqrtf(warp_sum(squares) / float(in.cols) + out.epsilon);
  }
  if (lane_id() != 0) return;
  out.mean[row] = mean;
  out.rstd[row] = rstd;
}

/// What a narrow row is loaded as, while the row before it is at work. 0 beyond the last column.
template <class T>
struct PackedTerms {
  PackedChunk<T> x[narrow_chunks]{}, branch[narrow_chunks]{};

  __device__ void load(const ResidualTerms<T>& in, int row, int cols) {
    load_narrow(x, in.x, branch, in.branch, row, cols);
  }
};

/// Narrow rows of a branch and one residual without low parts, normalised. A warp goes through rows of its block, with
/// bias, gamma and beta at hand.
template <class T, bool sums_terms>
__global__ void __launch_bounds__(narrow_warps* warp_size, sizeof(T) == 2 ? 4 : 2)
    narrow_norm_kernel(Outputs<T> out, ResidualTerms<T> in, int rows, int cols, int block_rows) {
  __shared__ SharedArray<float, 3 * narrow_cols> shared;
  const SharedColumns bias(shared.data()), gamma(shared.data() + narrow_cols), beta(shared.data() + 2 * narrow_cols);
  const int begin = int(blockIdx.x) * block_rows, end = begin + block_rows < rows ? begin + block_rows : rows;
  PackedTerms<T> next;
  if (begin + warp_id() < end) next.load(in, begin + warp_id(), cols);
  bias.fill(in.bias, cols);
  gamma.fill(in.gamma, cols);
  beta.fill(in.beta, cols);
  sync_block("columns that other warps fill in would be missing");
  const ResidualFactors<T> f(in);
  const float inverse_cols = 1 / float(cols);
  for (int row = begin + warp_id(); row < end; row += narrow_warps) {
    const uint32_t first = element_of(row, cols);
    Chunk v[narrow_chunks];  // the sum, then what it differs by from its mean
    float total = 0, squares = 0, of_terms[4] = {};
#pragma unroll
    for (int k = 0; k < narrow_chunks; ++k) {
      const Chunk x = unpack<T>(next.x[k]), branch = unpack<T>(next.branch[k]), b = bias.load(k);
      const Chunk keep = f.dropout.of_chunk(row, column_of(k), f.branch);
#pragma unroll
      for (int i = 0; i < chunk_cols; ++i) v[k][i] = f.residual * x[i] + keep[i] * (branch[i] + b[i]);
      if constexpr (sums_terms) {  // scaled once the row is summed: v has the same bits with and without
        Chunk biased;
#pragma unroll
        for (int i = 0; i < chunk_cols; ++i) biased[i] = branch[i] + b[i];
        if (column_of(k) < cols) {
          add_moments(of_terms[0], of_terms[1], x);
          add_moments(of_terms[2], of_terms[3], biased);
        }
      }
      if (out.sum) {  // see normed_sum_chunk
        const PackedChunk<T> sum = pack<T>(v[k]);
        if (column_of(k) < cols) store_packed(out.sum + first + k * warp_cols, sum);
        v[k] = unpack<T>(sum);
      }
      total += chunk_sum(v[k]);
    }
    if (row + narrow_warps < end) next.load(in, row + narrow_warps, cols);
    if constexpr (sums_terms) {
      const float r = f.residual, s = f.branch;
      out.store_row_sums({r * of_terms[0], r * r * of_terms[1], s * of_terms[2], s * s * of_terms[3]}, row);
    }
    const float mean = warp_sum(total) * inverse_cols;
#pragma unroll
    for (int k = 0; k < narrow_chunks; ++k) {
      if (column_of(k) >= cols) continue;
#pragma unroll
      for (int i = 0; i < chunk_cols; ++i) {
        v[k][i] -= mean;
        squares += v[k][i] * v[k][i];
      }
    }
    const float rstd = inverse_sqrt(warp_sum(squares) * inverse_cols + out.epsilon);
#pragma unroll
    for (int k = 0; k < narrow_chunks; ++k) {
      if (column_of(k) >= cols) continue;
      const Chunk g = gamma.load(k), b = beta.load(k);
#pragma unroll
      for (int i = 0; i < chunk_cols; ++i) v[k][i] = v[k][i] * rstd * g[i] + b[i];
      store_packed(out.y + first + k * warp_cols, pack<T>(v[k]));
    }
    if (lane_id() != 0) continue;
    out.mean[row] = mean;
    out.rstd[row] = rstd;
  }
}

/// A block adds up the rows of one site, a thread every totals_threads-th number, all of one quantity; the threads'
/// sums are added within warps, then in the order of the warps.
__global__ void total_row_sums_kernel(double* totals, const float* x, int64_t rows, bool adds) {
  constexpr int quantities = 4;
  static_assert(warp_size % quantities == 0);
  __shared__ SharedArray<double, totals_threads / warp_size * quantities> of_warp;
  x += int64_t(blockIdx.x) * rows * quantities;
  double total = 0;
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < rows * quantities; i += totals_threads) total += double(x[i]);
#pragma unroll
  for (int mask = quantities; mask < warp_size; mask *= 2) total += shuffle_xor(total, mask);
  if (lane_id() < quantities) of_warp[warp_id() * quantities + lane_id()] = total;
  sync_block("sums of other warps would be missing");
  if (threadIdx.x >= quantities) return;
  const int q = int(threadIdx.x);
  total = 0;
  for (int w = 0; w < warp_count(); ++w) total += of_warp[w * quantities + q];
  double& out = totals[int64_t(blockIdx.x) * quantities + q];
  out = adds ? out + total : total;
}

}  // namespace
}  // namespace bough::cuda

namespace bough {

using namespace cuda;

void CudaBackend::residual_dropout_norm_impl(const ResidualOutputs& out, const ResidualInputs& in,
                                             const ResidualNorm& p) {
  check(in.branch || !in.bias, "residual_dropout_norm: a bias needs a branch to be added to");
  const int64_t rows = in.x.rows(), cols = in.x.cols();
  const bool is_vector =
      rows_are_vectors(cols, in.x, in.second, in.branch, in.bias, in.gamma, in.beta, in.x_low, in.second_low, out.y,
                       out.sum, out.y_low, out.sum_low, p.residual_scale.word < 0 ? p.residual_scale.tensor : Tensor(),
                       p.branch_scale.word < 0 ? p.branch_scale.tensor : Tensor());
  const bool is_common = is_narrow(rows, cols, is_vector) && in.branch && in.gamma && !in.second && !in.x_low &&
                         !out.y_low && !out.sum_low && is_given(p.residual_scale) && is_given(p.branch_scale);
  dispatch_float(in.x.dtype(), [&]<class T>() {
    const auto start = [&](auto kernel, int block_rows = warps, int block_warps = warps, auto... more) {
      launch(stream(), "residual_dropout_norm", kernel,
             {blocks_for(rows, block_rows), unsigned(block_warps * warp_size)},
             Outputs<T>{out.y.data<T>(), out.sum.data<T>(), out.y_low.data<T>(), out.sum_low.data<T>(),
                        out.mean.data<float>(), out.rstd.data<float>(), out.row_sums.data<float>(),
                        in.segments.data<int32_t>(), float(p.epsilon)},
             ResidualTerms<T>(in, p, rows, cols, is_vector), more...);
    };
    if (is_common) {
      const int block_rows = narrow_warps * (rows < many_rows ? 1 : 4);
      const auto narrow = out.row_sums ? narrow_norm_kernel<T, true> : narrow_norm_kernel<T, false>;
      return start(narrow, block_rows, narrow_warps, rows, cols, block_rows);
    }
    if (cols <= 2 * warp_cols) return start(residual_norm_kernel<T, 2>);
    if (cols <= 4 * warp_cols) return start(residual_norm_kernel<T, 4>);
    start(residual_norm_kernel<T, 0>);
  });
}

void CudaBackend::total_row_sums_impl(const Grad& totals, In x) {
  launch(stream(), "total_row_sums", total_row_sums_kernel, {unsigned(x.shape()[0]), totals_threads},
         totals.tensor.data<double>(), x.data<float>(), x.shape()[1], totals.mode == GradMode::add);
}

}  // namespace bough
