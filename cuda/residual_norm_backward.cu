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

/// gamma, not too near to 0 to be divided by: a channel with gamma = 0 has lost its xhat, the quotient stays finite.
__device__ inline float divisor(float gamma) {
  return copysignf(fabsf(gamma) < smallest_gamma ? smallest_gamma : fabsf(gamma), gamma);
}

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
  for (int i = 0; i < chunk_cols; ++i) v[i] = (v[i] - beta[i]) / divisor(gamma[i]);
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

/// What a narrow row is loaded as, while the row before it is at work. 0 beyond the last column.
template <class T>
struct PackedRow {
  PackedChunk<T> dy[narrow_chunks]{}, v[narrow_chunks]{};  // v: of sum or y
  float mean = 0, rstd = 0;

  template <bool from_sum>
  __device__ void load(const Arguments<T>& a, int row, int cols) {
    load_narrow(dy, a.dy, v, from_sum ? a.sum : a.y, row, cols);
    if constexpr (from_sum) mean = a.mean[row];
    rstd = a.rstd[row];
  }
};

/// 1 / gamma, from what this thread has filled in.
__device__ inline void fill_inverse(const SharedColumns& inverse, const SharedColumns& gamma) {
  for (int k = warp_id(); k < narrow_chunks; k += warps) {
    Chunk v = gamma.load(k);
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i) v[i] = 1 / divisor(v[i]);
    inverse.store(k, v);
  }
}

/// Which gradients are wanted, in one word that costs one instruction to test: 2 bits a target, and 1.
enum WantedBits : unsigned { of_x = 0, of_second = 2, of_branch = 4, with_bias = 64 };
template <class T>
unsigned wanted_of(const Arguments<T>& a) {
  const auto bits = [](const Target& to, unsigned place) { return (unsigned(bool(to)) | to.adds * 2u) << place; };
  return bits(a.dx, of_x) | bits(a.dsecond, of_second) | bits(a.dbranch, of_branch) | a.sums_bias * with_bias;
}
/// = or += factor * v; nothing where not wanted.
template <class T>
__device__ void deposit_scaled(void* to, unsigned wanted, uint32_t first, int k, Chunk v, float factor) {
  if (!(wanted & 1)) return;
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) v[i] *= factor;
  deposit_chunk_as(static_cast<T*>(to) + first + k * warp_cols, 0, chunk_cols, true, v, wanted & 2);
}

/// The backward pass of narrow rows. from_sum: `sum` was kept; if not, y - beta = gamma xhat takes the place of xhat
/// where a factor gamma would come to it anyway.
template <class T, bool from_sum>
__global__ void __launch_bounds__(warps* warp_size, sizeof(T) == 2 ? 2 : 1)
    narrow_backward_kernel(Arguments<T> a, unsigned wanted, int rows, int cols, int block_rows) {
  __shared__ SharedArray<float, 3 * narrow_cols> shared;
  const SharedColumns gamma_columns(shared.data()), beta_columns(shared.data() + narrow_cols),
      inverse_columns(shared.data() + 2 * narrow_cols);
  const int begin = int(blockIdx.x) * block_rows, end = begin + block_rows < rows ? begin + block_rows : rows;
  PackedRow<T> next;
  if (begin + warp_id() < end) next.template load<from_sum>(a, begin + warp_id(), cols);
  gamma_columns.fill(a.in.gamma, cols);
  if constexpr (!from_sum) {
    beta_columns.fill(a.in.beta, cols);
    fill_inverse(inverse_columns, gamma_columns);
  }
  sync_block("columns that other warps fill in would be missing");
  const ResidualFactors<T> f(a.in);
  const float inverse_cols = 1 / float(cols);
  Chunk sums[common_quantities][narrow_chunks]{};
  for (int row = begin + warp_id(); row < end; row += warps) {
    const float rstd = next.rstd, shift = -next.mean * rstd;
    Chunk g[narrow_chunks], x[narrow_chunks];  // x: xhat or gamma xhat
    float total = 0, product = 0;
#pragma unroll
    for (int k = 0; k < narrow_chunks; ++k) {
      const Chunk dy = unpack<T>(next.dy[k]), v = unpack<T>(next.v[k]), gamma = gamma_columns.load(k);
      const Chunk beta = from_sum ? v : beta_columns.load(k);
#pragma unroll
      for (int i = 0; i < chunk_cols; ++i) {
        x[k][i] = from_sum ? v[i] * rstd + shift : v[i] - beta[i];
        g[k][i] = dy[i] * gamma[i];
        total += g[k][i];
        product += (from_sum ? g[k][i] : dy[i]) * x[k][i];
        sums[of_gamma][k][i] += dy[i] * x[k][i];
        sums[of_beta][k][i] += dy[i];
      }
    }
    if (row + warps < end) next.template load<from_sum>(a, row + warps, cols);
    const float mean = warp_sum(total) * inverse_cols, slope = warp_sum(product) * inverse_cols;
    const uint32_t first = element_of(row, cols);
#pragma unroll
    for (int k = 0; k < narrow_chunks; ++k) {
      if (column_of(k) >= cols) continue;
      const Chunk inverse = from_sum ? x[k] : inverse_columns.load(k);
      Chunk ds;  // without the factor rstd, where nothing else arrives
#pragma unroll
      for (int i = 0; i < chunk_cols; ++i) ds[i] = g[k][i] - mean - (from_sum ? x[k][i] : x[k][i] * inverse[i]) * slope;
      float factor = rstd;
      if (from_sum && a.dsum) {
        const Chunk more = unpack<T>(load_packed(a.dsum + first + k * warp_cols));
#pragma unroll
        for (int i = 0; i < chunk_cols; ++i) ds[i] = ds[i] * rstd + more[i];
        factor = 1;
      }
      deposit_scaled<T>(a.dx.data, wanted >> of_x, first, k, ds, factor * f.residual);
      deposit_scaled<T>(a.dsecond.data, wanted >> of_second, first, k, ds, factor);
      if (!(wanted & (1u << of_branch | with_bias))) continue;
      const Chunk keep = f.dropout.of_chunk(row, column_of(k), factor * f.branch);
#pragma unroll
      for (int i = 0; i < chunk_cols; ++i) {
        ds[i] *= keep[i];
        sums[of_bias][k][i] += ds[i];
      }
      deposit_scaled<T>(a.dbranch.data, wanted >> of_branch, first, k, ds, 1);
    }
  }
  if constexpr (!from_sum) {
#pragma unroll
    for (int k = 0; k < narrow_chunks; ++k) {
      const Chunk inverse = inverse_columns.load(k);
#pragma unroll
      for (int i = 0; i < chunk_cols; ++i) sums[of_gamma][k][i] *= inverse[i];
    }
  }
  store_sums<narrow_chunks>(a.partial, sums, cols);
}

/// Up to 1024 columns, any form: what arrives does not fit into the registers beside the sums.
template <class T>
__global__ void __launch_bounds__(warps* warp_size) backward_kernel(Arguments<T> a, int64_t block_rows) {
  static_assert(warps * warp_size == warp_cols, "store_sums gives every thread a column");
  constexpr int chunks = 4;
  const ResidualFactors<T> f(a.in);
  const int64_t begin = blockIdx.x * block_rows;
  const int64_t end = begin + block_rows < a.in.rows ? begin + block_rows : a.in.rows;
  Chunk sums[common_quantities][chunks];
#pragma unroll
  for (int q = 0; q < common_quantities; ++q)
#pragma unroll
    for (int k = 0; k < chunks; ++k) sums[q][k] = filled(0);
  for (int64_t row = begin + warp_id(); row < end; row += warps) {
    float total = 0, product = 0;
#pragma unroll
    for (int k = 0; k < chunks; ++k) {
      const int64_t col = k * warp_cols + lane_id() * chunk_cols;
      if (col >= a.in.cols) continue;
      const Arrived now = arrived(a, row, col);
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
      const Arrived once_more = arrived(a, row, col);  // from the L1 cache
      Chunk dbranch;
      spread(a, f, sum_gradient(a, once_more, means, row, col), row, col, dbranch);
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
  const bool is_vector =
      rows_are_vectors(cols, dy, dsum, out.y, out.sum, in.x, in.branch, in.bias, in.gamma, in.beta, d.x.tensor,
                       d.second.tensor, d.branch.tensor, p.residual_scale.word < 0 ? p.residual_scale.tensor : none,
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
    const auto start = [&](auto kernel, int threads, auto... more) {
      launch(stream(), "residual_dropout_norm_backward", kernel, {unsigned(blocks.count()), unsigned(threads)}, a,
             more..., blocks.block_rows);
    };
    const auto is_stored = [&](const Grad& gradient) { return !gradient || gradient.tensor.dtype() == any.dtype(); };
    const bool is_common = is_narrow(any.rows(), cols, is_vector) && dy && (out.sum || !dsum) &&
                           is_given(p.residual_scale) && is_given(p.branch_scale) && is_stored(d.x) &&
                           is_stored(d.second) && is_stored(d.branch);
    if (is_general) return start(general_backward_kernel<T>, warp_size);
    if (!is_common) return start(backward_kernel<T>, warps * warp_size);
    start(out.sum ? narrow_backward_kernel<T, true> : narrow_backward_kernel<T, false>, warps * warp_size, wanted_of(a),
          any.rows(), cols);
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
