// How large the two terms of a residual are: {sum of r, of r^2, of f, of f^2} with r = residual_scale x + second and
// f = branch_scale (branch + bias), for the log and for Admin's profiling. Blocks of rows, then one block adds their
// sums in a fixed order: the same bits in every run.
#include "cuda/cuda_backend.h"
#include "cuda/residual_terms.h"

namespace bough::cuda {
namespace {

constexpr int64_t block_rows = 32;
constexpr unsigned threads = 256, finish_threads = 1024;
constexpr int quantities = 4;

struct Moments {
  double total = 0, squares = 0;
  __device__ void add(float term) {
    total += double(term);
    squares += double(term) * double(term);
  }
};

/// 8 columns as memory holds them, 0 where there is no such term: nothing waits for a load before all are under way.
template <class T>
__device__ PackedChunk<T> words(const ResidualTerms<T>& in, const T* matrix, int64_t row, int64_t col) {
  if (!matrix) return {};
  matrix += row * in.cols;
  return in.is_vector ? load_packed(matrix + col) : pack<T>(load_chunk(matrix, col, in.cols, false));
}

/// A warp goes through rows of its block.
template <class T>
__global__ void __launch_bounds__(threads, 4)
    residual_sums_kernel(double* partial, ResidualTerms<T> in, const int32_t* segments) {
  const float residual = in.residual_scale.value(), scale = in.branch_scale.value();
  const int64_t begin = blockIdx.x * block_rows, end = begin + block_rows < in.rows ? begin + block_rows : in.rows;
  Moments of_residual, of_branch;
  for (int64_t row = begin + warp_id(); row < end; row += warp_count()) {
    if (segments && segments[row] < 0) continue;
    for (int64_t col = lane_id() * chunk_cols; col < in.cols; col += warp_size * chunk_cols) {
      const PackedChunk<T> x = words(in, in.x, row, col), second = words(in, in.second, row, col),
                           branch = words(in, in.branch, row, col), bias = words(in, in.bias, 0, col);
      const Chunk a = in.residual_scale.of_chunk(col, in.cols, in.is_vector, residual),
                  c = in.branch_scale.of_chunk(col, in.cols, in.is_vector, scale);
      const Chunk r = unpack<T>(x), s = unpack<T>(second), f = unpack<T>(branch), b = unpack<T>(bias);
#pragma unroll
      for (int k = 0; k < chunk_cols; ++k) {
        of_residual.add(a[k] * r[k] + s[k]);
        of_branch.add(c[k] * (f[k] + b[k]));
      }
    }
  }
  const double sums[quantities] = {block_sum(of_residual.total), block_sum(of_residual.squares),
                                   block_sum(of_branch.total), block_sum(of_branch.squares)};
  if (threadIdx.x != 0) return;
  for (int q = 0; q < quantities; ++q) partial[int64_t(blockIdx.x) * quantities + q] = sums[q];
}

/// One block. A thread adds every finish_threads-th number, which are all of one quantity; the threads' sums are added
/// within warps, then in the order of the warps.
__global__ void residual_sums_finish(double* sums, const double* partial, int64_t blocks, bool adds) {
  static_assert(warp_size % quantities == 0);
  __shared__ SharedArray<double, finish_threads / warp_size * quantities> of_warp;
  double total = 0;
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < blocks * quantities; i += finish_threads) total += partial[i];
#pragma unroll
  for (int mask = quantities; mask < warp_size; mask *= 2) total += shuffle_xor(total, mask);
  if (lane_id() < quantities) of_warp[warp_id() * quantities + lane_id()] = total;
  sync_block("sums of other warps would be missing");
  if (threadIdx.x >= quantities) return;
  const int q = int(threadIdx.x);
  total = 0;
  for (int w = 0; w < warp_count(); ++w) total += of_warp[w * quantities + q];
  sums[q] = adds ? sums[q] + total : total;
}

}  // namespace
}  // namespace bough::cuda

namespace bough {

using namespace cuda;

void CudaBackend::residual_square_sums_impl(const Grad& sums, const ResidualInputs& in, const ResidualNorm& p,
                                            In segments) {
  const int64_t rows = in.x.rows(), cols = in.x.cols();
  const bool is_vector = rows_are_vectors(cols, in.x, in.second, in.branch, in.bias,
                                          p.residual_scale.word < 0 ? p.residual_scale.tensor : Tensor(),
                                          p.branch_scale.word < 0 ? p.branch_scale.tensor : Tensor());
  const unsigned blocks = blocks_for(rows, block_rows);
  double* const partial = scratch<double>(int64_t(blocks) * quantities);
  dispatch_float(in.x.dtype(), [&]<class T>() {
    launch(stream(), "residual_square_sums", residual_sums_kernel<T>, {blocks, threads}, partial,
           ResidualTerms<T>(in, p, rows, cols, is_vector), segments.data<int32_t>());
  });
  launch(stream(), "residual_square_sums", residual_sums_finish, {1, finish_threads}, sums.tensor.data<double>(),
         partial, int64_t(blocks), sums.mode == GradMode::add);
}

}  // namespace bough
