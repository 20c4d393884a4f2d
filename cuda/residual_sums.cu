// How large the two terms of a residual are: {sum of r^2, sum of f^2, sum of f} with r = residual_scale x + second and
// f = branch_scale (branch + bias), for the log and for Admin's profiling. Blocks of rows, then one block adds their
// sums in order: the same bits in every run.
#include "cuda/cuda_backend.h"
#include "cuda/residual_terms.h"

namespace bough::cuda {
namespace {

constexpr int64_t block_rows = 16;
constexpr unsigned threads = 256;
constexpr int quantities = 3;

template <class T>
__global__ void residual_sums_kernel(double* partial, ResidualTerms<T> in, const int32_t* segments) {
  const float residual = in.residual_scale.value(), scale = in.branch_scale.value();
  const int64_t chunks = (in.cols + chunk_cols - 1) / chunk_cols, first = blockIdx.x * block_rows;
  const int64_t rows = first + block_rows < in.rows ? block_rows : in.rows - first;
  double squares = 0, branch_squares = 0, branch_total = 0;
  for (int64_t i = threadIdx.x; i < rows * chunks; i += blockDim.x) {
    const int64_t row = first + i / chunks, col = i % chunks * chunk_cols;
    if (segments && segments[row] < 0) continue;
    const Chunk a = in.residual_scale.of_chunk(col, in.cols, in.is_vector, residual);
    const Chunk x = in.load(in.x, row, col), second = in.second ? in.load(in.second, row, col) : filled(0);
    for (int k = 0; k < chunk_cols; ++k) {
      const double r = double(a[k] * x[k] + second[k]);
      squares += r * r;
    }
    if (!in.branch) continue;
    const Chunk f = in.biased_branch(row, col), c = in.branch_scale.of_chunk(col, in.cols, in.is_vector, scale);
    for (int k = 0; k < chunk_cols; ++k) {
      const double term = double(c[k] * f[k]);
      branch_squares += term * term;
      branch_total += term;
    }
  }
  squares = block_sum(squares);
  branch_squares = block_sum(branch_squares);
  branch_total = block_sum(branch_total);
  if (threadIdx.x != 0) return;
  double* const out = partial + blockIdx.x * quantities;
  out[0] = squares;
  out[1] = branch_squares;
  out[2] = branch_total;
}

/// One thread a quantity adds the blocks in order.
__global__ void residual_sums_finish(double* sums, const double* partial, int64_t blocks, bool adds) {
  if (threadIdx.x >= quantities) return;
  double total = 0;
  for (int64_t b = 0; b < blocks; ++b) total += partial[b * quantities + threadIdx.x];
  sums[threadIdx.x] = adds ? sums[threadIdx.x] + total : total;
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
  launch(stream(), "residual_square_sums", residual_sums_finish, {1, unsigned(warp_size)}, sums.tensor.data<double>(),
         partial, int64_t(blocks), sums.mode == GradMode::add);
}

}  // namespace bough
