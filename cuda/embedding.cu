// y[t] = dropout(word[t] scale table[ids[t]] + position_table[positions[t]]), and the gradients of both tables:
// every row of a table is summed by one block in the order of the rows of dy.
#include "cuda/cuda_backend.h"
#include "cuda/rows.h"

namespace bough::cuda {
namespace {

constexpr int32_t sentence_start = -2;  // a zero word, with its position; else below 0: a tail
constexpr int search_threads = 256;

/// word[t] scale: the factor of a row's word.
__device__ float word_weight(const DropoutFactors& words, int64_t row, float scale) {
  return words.of_element(row, 0, 0) * scale;
}

/// A block a row.
template <class T>
__global__ void embedding_kernel(T* y, const T* table, int64_t vocabulary, const T* position_table, int64_t places,
                                 const int32_t* ids, const int32_t* positions, int64_t cols, bool is_vector,
                                 float scale, DropoutSite word_site, DropoutSite site) {
  const int64_t row = blockIdx.x;
  const int32_t id = ids[row];
  const bool is_tail = id < 0 && id != sentence_start;
  const int64_t place = position_table && !is_tail ? positions[row] : 0;
  // No error can be thrown here: an id or a position outside its table becomes NaN, which the loss will show.
  const bool is_outside = id >= vocabulary || place < 0 || (position_table && place >= places);
  const DropoutFactors words(word_site), dropout(site);
  const float weight = word_weight(words, row, scale);
  for (int64_t col = int64_t(threadIdx.x) * chunk_cols; col < cols; col += int64_t(blockDim.x) * chunk_cols) {
    Chunk v = filled(is_outside ? NAN : 0.0f);
    if (id >= 0 && !is_outside) {
      v = load_chunk(table + id * cols, col, cols, is_vector);
#pragma unroll
      for (int i = 0; i < chunk_cols; ++i) v[i] *= weight;
    }
    if (position_table && !is_tail && !is_outside) {
      const Chunk p = load_chunk(position_table + place * cols, col, cols, is_vector);
#pragma unroll
      for (int i = 0; i < chunk_cols; ++i) v[i] += p[i];
    }
    const Chunk keep = dropout.of_chunk(row, col);
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i) v[i] *= keep[i];
    store_chunk(y + row * cols, col, cols, is_vector, v);
  }
}

/// sum[c] += weight dropout dy[row, c].
template <class T>
__device__ void add_row(Chunk& sum, const T* dy, int64_t row, int64_t col, int64_t cols, bool is_vector, float weight,
                        const DropoutFactors& dropout) {
  const Chunk g = load_chunk(dy + row * cols, col, cols, is_vector), keep = dropout.of_chunk(row, col);
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) sum[i] += weight * keep[i] * g[i];
}

/// Rows with one id are a run of `order`. The block of the run's first place sums all of it; others leave.
template <class T>
__global__ void table_backward_kernel(Target dtable, const T* dy, const int32_t* ids, const int32_t* order,
                                      int64_t rows, int64_t vocabulary, int64_t cols, bool is_vector, float scale,
                                      DropoutSite word_site, DropoutSite site) {
  const int64_t first = blockIdx.x;
  const int32_t id = ids[order[first]];
  if (id < 0 || id >= vocabulary || (first > 0 && ids[order[first - 1]] == id)) return;
  const DropoutFactors words(word_site), dropout(site);
  for (int64_t col = int64_t(threadIdx.x) * chunk_cols; col < cols; col += int64_t(blockDim.x) * chunk_cols) {
    Chunk sum = filled(0.0f);
    for (int64_t i = first; i < rows && ids[order[i]] == id; ++i)
      add_row(sum, dy, order[i], col, cols, is_vector, word_weight(words, order[i], scale), dropout);
    deposit_chunk(dtable, id * cols, col, cols, is_vector, sum);
  }
}

/// A block a position: it looks through all rows, `search_threads` at a time.
template <class T>
__global__ void position_backward_kernel(Target dposition_table, const T* dy, const int32_t* ids,
                                         const int32_t* positions, int64_t rows, int64_t cols, bool is_vector,
                                         DropoutSite site) {
  __shared__ SharedArray<uint32_t, search_threads / warp_size> found;  // a bit for every row of the round
  const int64_t place = blockIdx.x;
  const DropoutFactors dropout(site);
  const int64_t block_cols = int64_t(search_threads) * chunk_cols;
  for (int64_t first_col = 0; first_col < cols; first_col += block_cols) {
    const int64_t col = first_col + int64_t(threadIdx.x) * chunk_cols;
    Chunk sum = filled(0.0f);
    for (int64_t base = 0; base < rows; base += search_threads) {
      const int64_t mine = base + threadIdx.x;
      const uint32_t hits =
          ballot(mine < rows && (ids[mine] >= 0 || ids[mine] == sentence_start) && positions[mine] == place);
      if (lane_id() == 0) found[warp_id()] = hits;
      sync_block("hits of other warps would be missing");
      for (int w = 0; w < search_threads / warp_size; ++w)
        for (int l = 0; l < warp_size; ++l)
          if ((found[w] >> l & 1u) && col < cols)
            add_row(sum, dy, base + w * warp_size + l, col, cols, is_vector, 1.0f, dropout);
      sync_block("the next round would overwrite hits still to be read");
    }
    if (col < cols) deposit_chunk(dposition_table, place * cols, col, cols, is_vector, sum);
  }
}

}  // namespace
}  // namespace bough::cuda

namespace bough {

using namespace cuda;

void CudaBackend::embedding_impl(Out y, In table, In position_table, In ids, In positions, double scale,
                                 const Dropout& word, const Dropout& dropout) {
  dispatch_float(y.dtype(), [&]<class T>() {
    launch(stream(), "embedding", embedding_kernel<T>, {unsigned(y.rows()), threads_for_row(y.cols())}, y.data<T>(),
           table.data<T>(), table.rows(), position_table.data<T>(), position_table.rows(), ids.data<int32_t>(),
           positions.data<int32_t>(), y.cols(), rows_are_vectors(y.cols(), y, table, position_table), float(scale),
           DropoutSite(word), DropoutSite(dropout));
  });
}

void CudaBackend::embedding_backward_impl(const Grad& dtable, const Grad& dposition_table, In dy, In ids, In positions,
                                          In order, double scale, const Dropout& word, const Dropout& dropout) {
  check(!dtable || (order && order.size() == ids.size()),
        "embedding: the gradient of the table needs the rows sorted by id");
  const int64_t cols = dy.cols();
  dispatch_float(dy.dtype(), [&]<class T>() {
    if (dtable) {
      if (dtable.mode == GradMode::write) fill_impl(dtable.tensor, 0);  // rows of words that do not occur
      launch(stream(), "embedding_backward", table_backward_kernel<T>, {unsigned(ids.size()), threads_for_row(cols)},
             target_of(add_to(dtable.tensor)), dy.data<T>(), ids.data<int32_t>(), order.data<int32_t>(), ids.size(),
             dtable.tensor.rows(), cols, rows_are_vectors(cols, dtable.tensor, dy), float(scale), DropoutSite(word),
             DropoutSite(dropout));
    }
    if (dposition_table)
      launch(stream(), "position_backward", position_backward_kernel<T>,
             {unsigned(dposition_table.tensor.rows()), unsigned(search_threads)}, target_of(dposition_table),
             dy.data<T>(), ids.data<int32_t>(), positions.data<int32_t>(), ids.size(), cols,
             rows_are_vectors(cols, dposition_table.tensor, dy), DropoutSite(dropout));
  });
}

}  // namespace bough
