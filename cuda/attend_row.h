#pragma once
#include "cuda/rows.h"

// Attention of single queries, a warp each: 32 keys at a time, a key a lane for the scores, a column a lane for
// what is summed over keys. Any head width, any number of keys.

namespace bough::cuda {

/// Element (row, d) of a head's columns of a matrix lies at data[row * stride + d].
template <class T>
struct HeadRows {
  T* data;
  int64_t stride;
  __device__ T* row(int64_t r) const { return data + r * stride; }
};

/// Columns of a matrix before a head is chosen.
template <class T>
struct ColumnRows {
  T* data = nullptr;
  int64_t stride = 0;
  __device__ HeadRows<T> head(int64_t h, int64_t dim) const { return {data + h * dim, stride}; }
};
template <class T>
ColumnRows<const T> columns_of(const Columns& c) {
  return {c.tensor.template data<T>() + c.first, c.tensor.cols()};
}
template <class T>
ColumnRows<const T> columns_of(In t) {
  return {t.data<T>(), t.cols()};
}
/// Whether heads of `dim` columns can be read by whole chunks.
inline bool heads_are_vectors(const Columns& c, int64_t dim) {
  return is_aligned(c.tensor) && (c.first * int64_t(size_of(c.tensor.dtype()))) % 16 == 0 &&
         c.tensor.cols() % chunk_cols == 0 && dim % chunk_cols == 0;
}

/// sum of x[d] row[d]: a lane's own product; x in shared memory, row in global memory, of which four chunks are loaded
/// before the first is used.
template <class T>
__device__ inline float dot(const float* x, const T* row, int dim, bool is_vector) {
  constexpr int ahead = 4;
  float sum = 0;
  int first = 0;
  if (is_vector)
    for (; first + ahead * chunk_cols <= dim; first += ahead * chunk_cols) {
      PackedChunk<T> words[ahead];
#pragma unroll
      for (int k = 0; k < ahead; ++k) words[k] = load_packed(row + first + k * chunk_cols);
#pragma unroll
      for (int k = 0; k < ahead; ++k) {
        const Chunk v = unpack<T>(words[k]);
#pragma unroll
        for (int i = 0; i < chunk_cols; ++i) sum += x[first + k * chunk_cols + i] * v[i];
      }
    }
  for (int d = first; d < dim; d += chunk_cols) {
    const Chunk v = load_chunk(row, d, dim, is_vector);
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i)
      if (d + i < dim) sum += x[d + i] * v[i];
  }
  return sum;
}

/// Copies a row of a head to shared memory as f32, for the whole warp to read.
template <class T>
__device__ inline void load_row(float* to, const T* row, int dim) {
  for (int d = lane_id(); d < dim; d += warp_size) to[d] = to_float(row[d]);
}

/// to[d] += sum over j < count of weights[j] row(j)[d]; lane l owns the columns l, l + 32, ...
template <class Row>
__device__ inline void add_weighted(float* to, const float* weights, int count, int dim, const Row& row) {
  for (int d = lane_id(); d < dim; d += warp_size) {
    float sum = to[d];
    for (int j = 0; j < count; ++j) sum += weights[j] * to_float(row(j)[d]);
    to[d] = sum;
  }
}

/// The shared memory of a warp that attends: q and o (dim), weights of 32 keys.
inline size_t attend_row_bytes(int64_t dim) { return size_t(2 * dim + warp_size) * sizeof(float); }
/// The same, as the warp sees it: pointers to its q and o, and the weights of 32 keys.
struct AttendMemory {
  float *q, *o, *weights;
  __device__ static AttendMemory of_warp(int dim) {
    float* const begin = reinterpret_cast<float*>(dynamic_shared()) + size_t(warp_id()) * size_t(2 * dim + warp_size);
    return {begin, begin + dim, begin + 2 * dim};
  }
  /// With q a row of a head, and o zero.
  template <class T>
  __device__ static AttendMemory with_row(const T* row, int dim) {
    const AttendMemory m = of_warp(dim);
    load_row(m.q, row, dim);
    for (int d = lane_id(); d < dim; d += warp_size) m.o[d] = 0;
    sync_warp("the query would not be there yet");
    return m;
  }
};

/// o = sum_j factor(j) p_j v_j, p = softmax(scale q k^T), stored to `out`; returns log sum exp of the scores. Key
/// j lies at key(j), its value at value(j). One pass: sums are kept relative to the largest score so far.
template <class T, class Key, class Value, class Factor>
__device__ inline float attend_row(T* out, const T* query, int64_t keys, int dim, float scale, bool is_vector,
                                   const Key& key, const Value& value, const Factor& factor) {
  const AttendMemory m = AttendMemory::with_row(query, dim);
  float maximum = -INFINITY, total = 0;
  for (int64_t first = 0; first < keys; first += warp_size) {
    const int64_t j = first + lane_id();
    const bool is_key = j < keys;
    const float score = is_key ? scale * dot(m.q, key(j), dim, is_vector) : -INFINITY;
    const float highest = warp_max(score > maximum ? score : maximum);
    const float weight = is_key ? math::exp(score - highest) : 0.0f;
    const float correction = math::exp(maximum - highest);  // 0 at first: maximum is -inf, highest is not
    total = total * correction + warp_sum(weight);
    maximum = highest;
    m.weights[lane_id()] = is_key ? weight * factor(j) : 0.0f;
    for (int d = lane_id(); d < dim; d += warp_size) m.o[d] *= correction;
    sync_warp("weights of other lanes would be missing");
    const int count = int(keys - first < warp_size ? keys - first : warp_size);
    add_weighted(m.o, m.weights, count, dim, [&](int i) { return value(first + i); });
    sync_warp("the next weights would overwrite those still to be read");
  }
  const float inverse = total > 0 ? 1.0f / total : 0.0f;  // no keys: zeros
  for (int d = lane_id(); d < dim; d += warp_size) out[d] = from_float<T>(m.o[d] * inverse);
  sync_warp("the next query would overwrite this one");
  return total > 0 ? maximum + logf(total) : 0.0f;
}

}  // namespace bough::cuda
