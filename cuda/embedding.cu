// y[t] = dropout(word[t] scale table[ids[t]] + position_table[positions[t]]), and the gradients of both tables: every
// row of a table is a sum in the order of the rows of dy. A frequent word has thousands of rows: the order of all rows
// by word is cut into spans, a block sums a span, and a second kernel adds the sums of words that several spans share.
#include "core/base/special_ids.h"
#include "cuda/cuda_backend.h"
#include "cuda/rows.h"

namespace bough::cuda {
namespace {

constexpr int place_threads = 256;

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
  const bool is_tail = id < 0 && id != start_id;
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

constexpr int span_places = warp_size;  // of `order`, summed by a block: a place a lane

/// Rows with one id are a run of `order`. What the kernels need to know of a span's runs; every lane has its place's.
struct Span {
  int row, id;              ///< of this lane's place; id tail_id: beyond the last row, or of no word
  int id_before, id_after;  ///< of the places around the span
  __device__ Span(const int32_t* ids, const int32_t* order, int64_t rows, int64_t vocabulary, int64_t span) {
    const int64_t first = span * span_places, place = first + lane_id();
    const auto id_at = [&](int64_t i) {
      const int32_t id = i >= 0 && i < rows ? ids[order[i]] : tail_id;
      return id < vocabulary ? id : tail_id;
    };
    row = place < rows ? order[place] : 0;
    id = id_at(place);
    id_before = id_at(first - 1);
    id_after = id_at(first + span_places);
  }
};

/// shared_sums: (2 spans, cols) f32. Of a span, the first row is the sum of its places of the run that begins before
/// it, the second that of the run that goes on behind it; runs within it go to the table.
template <class T>
__global__ void table_backward_kernel(Target dtable, float* shared_sums, const T* dy, const int32_t* ids,
                                      const int32_t* order, int64_t rows, int64_t vocabulary, int64_t cols,
                                      bool is_vector, float scale, DropoutSite word_site, DropoutSite site) {
  constexpr int ahead = 4;  // rows that are loaded before the first is added
  const Span span(ids, order, rows, vocabulary, blockIdx.x);
  const DropoutFactors words(word_site), dropout(site);
  const float weight = word_weight(words, span.row, scale);
  float* const sums = shared_sums + 2 * int64_t(blockIdx.x) * cols;
  for (int64_t first_col = 0; first_col < cols; first_col += int64_t(blockDim.x) * chunk_cols) {
    const int64_t col = first_col + int64_t(threadIdx.x) * chunk_cols;
    const bool is_inside = col < cols;  // lanes without columns still take part in the shuffles
    Chunk sum = filled(0.0f);
    int id = shuffle(span.id, 0);
    bool is_first = true;
    const auto end_run = [&](int next_id) {
      const bool begins_before = is_first && span.id_before == id;
      if (is_inside && id >= 0) {
        if (begins_before)
          store_chunk(sums, col, cols, is_vector, sum);
        else if (next_id == id)
          store_chunk(sums + cols, col, cols, is_vector, sum);
        else
          deposit_chunk(dtable, id * cols, col, cols, is_vector, sum);
      }
      sum = filled(0.0f);
      is_first = false;
    };
#pragma unroll 1
    for (int place = 0; place < span_places; place += ahead) {
      Chunk g[ahead];
#pragma unroll
      for (int k = 0; k < ahead; ++k) {
        const int64_t row = shuffle(span.row, place + k);
        const bool is_used = shuffle(span.id, place + k) >= 0 && is_inside;
        g[k] = is_used ? load_chunk(dy + row * cols, col, cols, is_vector) : filled(0.0f);
      }
#pragma unroll
      for (int k = 0; k < ahead; ++k) {
        const int now = shuffle(span.id, place + k);
        if (now != id) end_run(tail_id);
        id = now;
        const float factor = shuffle(weight, place + k);
        const Chunk keep = dropout.of_chunk(shuffle(span.row, place + k), col);
#pragma unroll
        for (int i = 0; i < chunk_cols; ++i) sum[i] += factor * keep[i] * g[k][i];
      }
    }
    end_run(span.id_after);
  }
}

/// The block of the span in which a shared run begins adds up the run's sums, in order.
__global__ void table_backward_finish(Target dtable, const float* shared_sums, const int32_t* ids, const int32_t* order,
                                      int64_t rows, int64_t vocabulary, int64_t cols, bool is_vector) {
  const int64_t first = blockIdx.x;
  const Span span(ids, order, rows, vocabulary, first);
  const int id = span.id_after;
  const bool is_one_run = shuffle(span.id, 0) == id && span.id_before == id;
  if (id < 0 || shuffle(span.id, span_places - 1) != id || is_one_run) return;
  int64_t end = first + 1;  // of the spans that begin with the run
  for (int found = warp_size; found == warp_size; end += found) {
    const int64_t place = (end + lane_id()) * span_places;
    found = warp_sum(place < rows && ids[order[place]] == id ? 1 : 0);
  }
  for (int64_t col = int64_t(threadIdx.x) * chunk_cols; col < cols; col += int64_t(blockDim.x) * chunk_cols) {
    Chunk sum = load_chunk(shared_sums + (2 * first + 1) * cols, col, cols, is_vector);
#pragma unroll 4
    for (int64_t s = first + 1; s < end; ++s) {
      const Chunk more = load_chunk(shared_sums + 2 * s * cols, col, cols, is_vector);
#pragma unroll
      for (int i = 0; i < chunk_cols; ++i) sum[i] += more[i];
    }
    deposit_chunk(dtable, id * cols, col, cols, is_vector, sum);
  }
}

/// What position_backward sums rows by: -1 for the tail.
__global__ void places_kernel(int32_t* places, const int32_t* ids, const int32_t* positions, int64_t rows) {
  const int64_t row = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row < rows) places[row] = ids[row] >= 0 || ids[row] == start_id ? positions[row] : -1;
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
                                          In order, In position_order, double scale, const Dropout& word,
                                          const Dropout& dropout) {
  check(!dtable || (order && order.size() == ids.size()),
        "embedding: the gradient of the table needs the rows sorted by id");
  check(!dposition_table || (position_order && position_order.size() == ids.size()),
        "embedding: the gradient of the positions needs the rows sorted by position");
  const int64_t cols = dy.cols(), rows = ids.size();
  const unsigned spans = blocks_for(rows, span_places), threads = threads_for_row(cols);
  float* const shared_sums = scratch<float>(2 * int64_t(spans) * cols + rows);
  dispatch_float(dy.dtype(), [&]<class T>() {
    const auto sum_rows = [&](const Grad& to, const int32_t* keys, In sorted, double factor, const Dropout& words) {
      if (to.mode == GradMode::write) fill_impl(to.tensor, 0);  // rows of words that do not occur
      const bool is_vector = rows_are_vectors(cols, to.tensor, dy);
      launch(stream(), "embedding_backward", table_backward_kernel<T>, {spans, threads}, target_of(add_to(to.tensor)),
             shared_sums, dy.data<T>(), keys, sorted.data<int32_t>(), rows, to.tensor.rows(), cols, is_vector,
             float(factor), DropoutSite(words), DropoutSite(dropout));
      launch(stream(), "embedding_backward", table_backward_finish, {spans, threads}, target_of(add_to(to.tensor)),
             shared_sums, keys, sorted.data<int32_t>(), rows, to.tensor.rows(), cols, is_vector);
    };
    if (dtable) sum_rows(dtable, ids.data<int32_t>(), order, scale, word);
    if (!dposition_table) return;
    auto* const places = reinterpret_cast<int32_t*>(shared_sums + 2 * int64_t(spans) * cols);
    launch(stream(), "position_backward", places_kernel, {blocks_for(rows, place_threads), unsigned(place_threads)},
           places, ids.data<int32_t>(), positions.data<int32_t>(), rows);
    sum_rows(dposition_table, places, position_order, 1, {});
  });
}

}  // namespace bough
