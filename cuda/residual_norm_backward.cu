// With s = sum, g = dy gamma and xhat = (s - mean) rstd (or (y - beta) / gamma where s was not kept):
//   ds = rstd (g - mean(g) - xhat mean(g xhat)) + dsum,
//   dx = residual_scale ds,  dsecond = ds,  dbranch = branch_scale dropout ds,
//   dgamma = sum_t dy xhat,  dbeta = sum_t dy,  dbias = sum_t dbranch,
//   dresidual_scale = sum_t ds x,  dbranch_scale = sum_t dropout ds (branch + bias).
// A warp goes through rows of its block, keeping the column sums of its rows in registers; the warps' sums are
// added in their order, those of the blocks by finish_column_sums. Wide rows and the gradients of scales, which
// few models have, take a kernel that keeps column sums in memory.
#include "cuda/column_sums.h"
#include "cuda/cuda_backend.h"
#include "cuda/residual_terms.h"

namespace bough::cuda {
namespace {

constexpr int warps = 8;
constexpr int warp_cols = warp_size * chunk_cols;
constexpr float smallest_gamma = 1e-6f;

/// What the backward pass sums over rows.
enum Quantity { of_gamma, of_beta, of_bias, of_residual_scale, of_branch_scale, quantities };
constexpr int common_quantities = 3;  // in the kernel without gradients of scales

template <class T>
struct Arguments {
  ResidualTerms<T> in;
  const T *dy, *dsum, *y, *sum;
  const float *mean, *rstd;
  Target dx, dsecond, dbranch;
  bool sums_bias, sums_residual_scale, sums_branch_scale;
  float* partial;
};

template <class T>
__device__ Chunk normalised(const Arguments<T>& a, int64_t row, int64_t col) {
  Chunk v;
  if (a.sum) {
    v = a.in.load(a.sum, row, col);
    const float mean = a.mean[row], rstd = a.rstd[row];
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i) v[i] = (v[i] - mean) * rstd;
    return v;
  }
  v = a.in.load(a.y, row, col);
  const Chunk gamma = load_chunk(a.in.gamma, col, a.in.cols, a.in.is_vector),
              beta = load_chunk(a.in.beta, col, a.in.cols, a.in.is_vector);
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) {
    // A channel with gamma = 0 has lost its xhat: keep the quotient finite.
    const float size = fabsf(gamma[i]) < smallest_gamma ? smallest_gamma : fabsf(gamma[i]);
    v[i] = (v[i] - beta[i]) / copysignf(size, gamma[i]);
  }
  return v;
}

/// 8 columns of what arrives: dy, g = dy gamma and xhat; 0 beyond the last column and without dy.
struct Arrived {
  Chunk dy, g, xhat;
};
template <class T>
__device__ Arrived arrived(const Arguments<T>& a, int64_t row, int64_t col) {
  if (!a.dy) return {filled(0), filled(0), filled(0)};
  Arrived v{a.in.load(a.dy, row, col), load_chunk(a.in.gamma, col, a.in.cols, a.in.is_vector), normalised(a, row, col)};
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) {
    v.g[i] *= v.dy[i];
    if (col + i >= a.in.cols) v.xhat[i] = 0;  // (0 - mean) rstd is not 0
  }
  return v;
}

/// The row's mean(g), mean(g xhat) and rstd.
struct RowMeans {
  float mean = 0, slope = 0, rstd = 0;
};
template <class T>
__device__ RowMeans row_means(const Arguments<T>& a, int64_t row, float total, float product) {
  if (!a.dy) return {};
  return {warp_sum(total) / float(a.in.cols), warp_sum(product) / float(a.in.cols), a.rstd[row]};
}
template <class T>
__device__ Chunk sum_gradient(const Arguments<T>& a, const Arrived& v, const RowMeans& m, int64_t row, int64_t col) {
  Chunk ds;
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) ds[i] = m.rstd * (v.g[i] - m.mean - v.xhat[i] * m.slope);
  if (!a.dsum) return ds;
  const Chunk more = a.in.load(a.dsum, row, col);
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) ds[i] += more[i];
  return ds;
}

/// Gradients of the terms of the sum; returns dropout ds.
template <class T>
__device__ Chunk spread(const Arguments<T>& a, const ResidualFactors<T>& f, const Chunk& ds, int64_t row, int64_t col,
                        Chunk& dbranch) {
  const int64_t first = row * a.in.cols;
  if (a.dx) {
    Chunk dx = a.in.residual_scale.of_chunk(col, a.in.cols, a.in.is_vector, f.residual);
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i) dx[i] *= ds[i];
    deposit_chunk(a.dx, first, col, a.in.cols, a.in.is_vector, dx);
  }
  deposit_chunk(a.dsecond, first, col, a.in.cols, a.in.is_vector, ds);
  dbranch = filled(0);
  if (!a.dbranch && !a.sums_bias && !a.sums_branch_scale) return dbranch;
  Chunk kept = f.dropout.of_chunk(row, col);
  const Chunk scale = a.in.branch_scale.of_chunk(col, a.in.cols, a.in.is_vector, f.branch);
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) {
    kept[i] *= ds[i];
    dbranch[i] = scale[i] * kept[i];
  }
  deposit_chunk(a.dbranch, first, col, a.in.cols, a.in.is_vector, dbranch);
  return kept;
}

/// Adds the warps' column sums in the order of the warps and stores the block's.
template <int chunks>
__device__ void store_sums(float* partial, const Chunk (&sums)[common_quantities][chunks], int64_t cols) {
  __shared__ SharedArray<float, warps * warp_cols> of_warp;
#pragma unroll
  for (int q = 0; q < common_quantities; ++q)
#pragma unroll
    for (int k = 0; k < chunks; ++k) {
      store_floats(of_warp.data() + warp_id() * warp_cols + lane_id() * chunk_cols, sums[q][k]);
      sync_block("sums of other warps would be missing");
      const int mine = int(threadIdx.x);  // one column a thread: 8 warps are 256 columns
      float sum = 0;
      for (int w = 0; w < warps; ++w) sum += of_warp[w * warp_cols + mine];
      const int64_t col = k * warp_cols + mine;
      if (col < cols) partial[(int64_t(blockIdx.x) * common_quantities + q) * cols + col] = sum;
      sync_block("the next sums would overwrite those still to be read");
    }
}

template <class T, int chunks>
__global__ void __launch_bounds__(warps * warp_size) backward_kernel(Arguments<T> a, int64_t block_rows) {
  static_assert(warps * warp_size == warp_cols, "store_sums gives every thread a column");
  constexpr bool is_wide = chunks > 2;  // what arrives does not fit into the registers beside the sums
  const ResidualFactors<T> f(a.in);
  const int64_t begin = blockIdx.x * block_rows;
  const int64_t end = begin + block_rows < a.in.rows ? begin + block_rows : a.in.rows;
  Chunk sums[common_quantities][chunks];
#pragma unroll
  for (int q = 0; q < common_quantities; ++q)
#pragma unroll
    for (int k = 0; k < chunks; ++k) sums[q][k] = filled(0);
  for (int64_t row = begin + warp_id(); row < end; row += warps) {
    Arrived v[is_wide ? 1 : chunks];
    float total = 0, product = 0;
#pragma unroll
    for (int k = 0; k < chunks; ++k) {
      const int64_t col = k * warp_cols + lane_id() * chunk_cols;
      if (col >= a.in.cols) continue;
      Arrived& now = v[is_wide ? 0 : k];
      now = arrived(a, row, col);
#pragma unroll
      for (int i = 0; i < chunk_cols; ++i) {
        total += now.g[i];
        product += now.g[i] * now.xhat[i];
        sums[of_gamma][k][i] += now.dy[i] * now.xhat[i];
        sums[of_beta][k][i] += now.dy[i];
      }
    }
    const RowMeans means = row_means(a, row, total, product);
#pragma unroll
    for (int k = 0; k < chunks; ++k) {
      const int64_t col = k * warp_cols + lane_id() * chunk_cols;
      if (col >= a.in.cols) continue;
      if constexpr (is_wide) v[0] = arrived(a, row, col);  // once more, from the L1 cache
      Chunk dbranch;
      spread(a, f, sum_gradient(a, v[is_wide ? 0 : k], means, row, col), row, col, dbranch);
#pragma unroll
      for (int i = 0; i < chunk_cols; ++i) sums[of_bias][k][i] += dbranch[i];
    }
  }
  store_sums<chunks>(a.partial, sums, a.in.cols);
}

/// += to this lane's columns of a quantity of the block's partial sums, or = for the first row.
template <class T>
__device__ void add_to_partial(const Arguments<T>& a, Quantity q, int64_t col, const Chunk& v, bool is_first) {
  float* const sums = a.partial + (int64_t(blockIdx.x) * quantities + q) * a.in.cols;
  deposit_chunk_as(sums, col, a.in.cols, false, v, !is_first);
}

/// One warp a block: every column of the partial sums has one owner. All quantities, any width.
template <class T>
__global__ void general_backward_kernel(Arguments<T> a, int64_t block_rows) {
  const ResidualFactors<T> f(a.in);
  const int64_t begin = blockIdx.x * block_rows;
  const int64_t end = begin + block_rows < a.in.rows ? begin + block_rows : a.in.rows;
  for (int64_t row = begin; row < end; ++row) {
    const bool is_first = row == begin;
    float total = 0, product = 0;
    for (int64_t col = lane_id() * chunk_cols; col < a.in.cols; col += warp_cols) {
      const Arrived v = arrived(a, row, col);
      Chunk dgamma;
#pragma unroll
      for (int i = 0; i < chunk_cols; ++i) {
        total += v.g[i];
        product += v.g[i] * v.xhat[i];
        dgamma[i] = v.dy[i] * v.xhat[i];
      }
      add_to_partial(a, of_gamma, col, dgamma, is_first);
      add_to_partial(a, of_beta, col, v.dy, is_first);
    }
    const RowMeans means = row_means(a, row, total, product);
    for (int64_t col = lane_id() * chunk_cols; col < a.in.cols; col += warp_cols) {
      const Chunk ds = sum_gradient(a, arrived(a, row, col), means, row, col);
      Chunk dbranch, dscale;
      // Before dx is deposited: its memory may be that of x.
      if (a.sums_residual_scale) {
        dscale = a.in.load(a.in.x, row, col);
#pragma unroll
        for (int i = 0; i < chunk_cols; ++i) dscale[i] *= ds[i];
        add_to_partial(a, of_residual_scale, col, dscale, is_first);
      }
      if (a.sums_branch_scale) dscale = a.in.biased_branch(row, col);
      const Chunk kept = spread(a, f, ds, row, col, dbranch);
      add_to_partial(a, of_bias, col, dbranch, is_first);
      if (!a.sums_branch_scale) continue;
#pragma unroll
      for (int i = 0; i < chunk_cols; ++i) dscale[i] *= kept[i];
      add_to_partial(a, of_branch_scale, col, dscale, is_first);
    }
  }
}

ColumnSum scale_sum(const Grad& gradient, const Scale& scale, int64_t cols) {
  return {target_of(gradient), float(scale.constant), gradient && !(gradient.tensor.size() == cols && cols > 1)};
}

}  // namespace
}  // namespace bough::cuda

namespace bough {

using namespace cuda;

void CudaBackend::residual_dropout_norm_backward_impl(const ResidualGrads& d, In dy, In dsum,
                                                      const ResidualOutputs& out, const ResidualInputs& in,
                                                      const ResidualNorm& p) {
  const Tensor& any = dy ? dy : dsum;
  const int64_t cols = any.cols();
  const RowBlocks blocks(any.rows());
  const bool is_general = d.residual_scale || d.branch_scale || cols > 4 * warp_cols;
  float* const partial = scratch<float>(blocks.count() * (is_general ? int(quantities) : common_quantities) * cols);
  const Tensor none;
  const bool is_vector = rows_are_vectors(
      cols, dy, dsum, out.y, out.sum, in.x, in.branch, in.bias, in.gamma, in.beta, d.x.tensor, d.second.tensor,
      d.branch.tensor, p.residual_scale.word < 0 ? p.residual_scale.tensor : none,
      p.branch_scale.word < 0 ? p.branch_scale.tensor : none);
  dispatch_float(any.dtype(), [&]<class T>() {
    const Arguments<T> a{ResidualTerms<T>(in, p, any.rows(), cols, is_vector),
                         dy.data<T>(),
                         dsum.data<T>(),
                         out.y.data<T>(),
                         out.sum.data<T>(),
                         out.mean.data<float>(),
                         out.rstd.data<float>(),
                         target_of(d.x),
                         target_of(d.second),
                         target_of(d.branch),
                         bool(d.bias),
                         bool(d.residual_scale),
                         bool(d.branch_scale),
                         partial};
    const auto start = [&](auto kernel, int threads) {
      launch(stream(), "residual_dropout_norm_backward", kernel, {unsigned(blocks.count()), unsigned(threads)}, a,
             blocks.block_rows);
    };
    if (is_general) return start(general_backward_kernel<T>, warp_size);
    if (cols <= warp_cols) return start(backward_kernel<T, 1>, warps * warp_size);
    if (cols <= 2 * warp_cols) return start(backward_kernel<T, 2>, warps * warp_size);
    start(backward_kernel<T, 4>, warps * warp_size);
  });
  const ColumnSum gamma{target_of(d.gamma)}, beta{target_of(d.beta)}, bias{target_of(d.bias)};
  if (is_general)
    finish_column_sums(stream(), partial, blocks.count(), cols,
                       {gamma, beta, bias, scale_sum(d.residual_scale, p.residual_scale, cols),
                        scale_sum(d.branch_scale, p.branch_scale, cols)});
  else
    finish_column_sums(stream(), partial, blocks.count(), cols, {gamma, beta, bias});
}

}  // namespace bough
