// total[q, c] = sum over blocks b of partial[b, q, c], in the order of b.
#include "cuda/column_sums.h"

namespace bough::cuda {
namespace {

constexpr int slices = 32;  // warps of a block, each sums every 32nd partial sum of 32 columns
constexpr unsigned threads = slices * warp_size;

struct Sums {
  ColumnSum of[max_column_sums];
};

/// The sum over blocks of one column, in every thread of slice 0.
__device__ float sum_over_blocks(const float* column, int64_t blocks, int64_t stride, bool is_inside) {
  __shared__ SharedArray<float, int(threads)> of_slice;
  float sum = 0;
  if (is_inside)
#pragma unroll 8  // loads under way at a time
    for (int64_t b = warp_id(); b < blocks; b += slices) sum += column[b * stride];
  of_slice[int(threadIdx.x)] = sum;
  sync_block("the sums of other slices would be missing");
  sum = 0;
  for (int s = 0; s < slices; ++s) sum += of_slice[s * warp_size + lane_id()];
  sync_block("the next column's sums would overwrite those still to be read");
  return sum;
}

__global__ void finish_columns_kernel(const float* partial, int64_t blocks, int64_t cols, int quantities, Sums sums) {
  const int q = int(blockIdx.y);
  const ColumnSum sum = sums.of[q];
  if (!sum.target || sum.is_total) return;
  const int64_t col = int64_t(blockIdx.x) * warp_size + lane_id();
  const float total = sum_over_blocks(partial + q * cols + col, blocks, quantities * cols, col < cols);
  if (warp_id() == 0 && col < cols) deposit(sum.target, col, sum.factor * total);
}

__global__ void finish_total_kernel(const float* partial, int64_t blocks, int64_t cols, int quantities, int q,
                                    ColumnSum sum) {
  float total = 0;
  for (int64_t first = 0; first < cols; first += warp_size) {
    const int64_t col = first + lane_id();
    total += sum_over_blocks(partial + q * cols + col, blocks, quantities * cols, col < cols);
  }
  total = warp_sum(total);
  if (threadIdx.x == 0) deposit(sum.target, 0, sum.factor * total);
}

}  // namespace

void finish_column_sums(const Stream& stream, const float* partial, int64_t blocks, int64_t cols,
                        std::initializer_list<ColumnSum> list) {
  Sums sums;
  bool has_columns = false;
  int q = 0;
  const int quantities = int(list.size());
  for (const ColumnSum& sum : list) {
    if (sum.target && sum.is_total)
      launch(stream, "finish_total", finish_total_kernel, {1, threads}, partial, blocks, cols, quantities, q, sum);
    has_columns = has_columns || (sum.target && !sum.is_total);
    sums.of[q++] = sum;
  }
  if (has_columns)
    launch(stream, "finish_columns", finish_columns_kernel,
           {dim3(blocks_for(cols, warp_size), unsigned(quantities)), threads}, partial, blocks, cols, quantities, sums);
}

}  // namespace bough::cuda
