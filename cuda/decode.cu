// One decoding step: attention of single queries over cached keys and values,
//   o = softmax(q k^T / sqrt(D)) v,
// a warp for every row and head. Rows do not see one another: a row's bits do not depend on its batch.
#include <cmath>

#include "cuda/attend_row.h"
#include "cuda/cuda_backend.h"

namespace bough::cuda {
namespace {

constexpr int warps = 4;  // heads of a block

struct Cache {
  int64_t length, width, ancestors;  // steps of a slot; H D; columns of the ancestry
  const int32_t *ancestry, *slots, *steps;
  __device__ int64_t entry(int64_t slot, int64_t t) const { return (slot * length + t) * 2 * width; }
};

/// Every row's key and value to its own slot. A kernel of its own: a row may attend over what another writes.
template <class T>
__global__ void append_kernel(T* memory, const T* qkv, Cache cache) {
  const int64_t row = blockIdx.x;
  T* const to = memory + cache.entry(cache.slots[row], cache.steps[row]);
  const T* const from = qkv + row * 3 * cache.width + cache.width;
  for (int64_t i = threadIdx.x; i < 2 * cache.width; i += blockDim.x) to[i] = from[i];
}

template <class T>
__global__ void self_attention_step_kernel(T* o, const T* memory, const T* qkv, Cache cache, int heads, int dim,
                                           float scale, bool is_vector) {
  const int64_t row = blockIdx.x;
  const int head = int(blockIdx.y) * warps + warp_id();
  if (head >= heads) return;
  const int64_t column = int64_t(head) * dim;
  const int32_t* const ancestors = cache.ancestry + row * cache.ancestors;
  const auto key = [&](int64_t t) { return memory + cache.entry(ancestors[t], t) + column; };
  attend_row(
      o + row * cache.width + column, qkv + row * 3 * cache.width + column, int64_t(cache.steps[row]) + 1, dim, scale,
      is_vector, key, [&](int64_t t) { return key(t) + cache.width; }, [](int64_t) { return 1.0f; });
}

template <class T>
__global__ void cross_attention_step_kernel(T* o, const T* q, ColumnRows<const T> k, ColumnRows<const T> v,
                                            const int32_t* offsets, const int32_t* sentences, int heads, int dim,
                                            float scale, bool is_vector) {
  const int64_t row = blockIdx.x, width = int64_t(heads) * dim;
  const int head = int(blockIdx.y) * warps + warp_id();
  if (head >= heads) return;
  const int64_t first = offsets[sentences[row]], keys = offsets[sentences[row] + 1] - first;
  const HeadRows<const T> key = k.head(head, dim), value = v.head(head, dim);
  attend_row(
      o + row * width + int64_t(head) * dim, q + row * width + int64_t(head) * dim, keys, dim, scale, is_vector,
      [&](int64_t j) { return key.row(first + j); }, [&](int64_t j) { return value.row(first + j); },
      [](int64_t) { return 1.0f; });
}

/// A warp owns a word of a row.
template <class T>
__global__ void listed_logits_kernel(T* logits, const T* x, const T* table, const T* bias, int64_t columns,
                                     int64_t length, const int32_t* offsets, const int32_t* ids,
                                     const int32_t* sentences) {
  const int64_t row = blockIdx.x, j = int64_t(blockIdx.y) * warps + warp_id();
  if (j >= length) return;
  const int64_t first = offsets[sentences[row]], words = offsets[sentences[row] + 1] - first;
  float sum = float(unlisted_logit);
  if (j < words) {
    const int64_t word = ids[first + j];
    sum = 0;
    for (int64_t c = lane_id(); c < columns; c += warp_size)
      sum += to_float(x[row * columns + c]) * to_float(table[word * columns + c]);
    sum = warp_sum(sum) + (bias != nullptr ? to_float(bias[word]) : 0.0f);
  }
  if (lane_id() == 0) logits[row * length + j] = from_float<T>(sum);
}

LaunchShape step_shape(int64_t rows, int64_t heads, int64_t dim) {
  return {dim3(unsigned(rows), blocks_for(heads, warps)), unsigned(warps * warp_size), warps * attend_row_bytes(dim)};
}

}  // namespace
}  // namespace bough::cuda

namespace bough {

using namespace cuda;

void CudaBackend::self_attention_step_impl(Out o, Out cache, In qkv, In ancestry, In slots, In steps, int64_t heads) {
  const int64_t rows = qkv.rows(), width = qkv.cols() / 3, dim = width / heads;
  const Cache c{cache.shape()[1],     width, ancestry.cols(), ancestry.data<int32_t>(), slots.data<int32_t>(),
                steps.data<int32_t>()};
  dispatch_float(o.dtype(), [&]<class T>() {
    launch(stream(), "self_attention_append", append_kernel<T>, {unsigned(rows), 128}, cache.data<T>(), qkv.data<T>(),
           c);
    launch(stream(), "self_attention_step", self_attention_step_kernel<T>, step_shape(rows, heads, dim), o.data<T>(),
           cache.data<T>(), qkv.data<T>(), c, int(heads), int(dim), float(1.0 / std::sqrt(double(dim))),
           rows_are_vectors(dim, cache));
  });
}

void CudaBackend::listed_logits_impl(Out logits, In x, In table, In bias, In offsets, In ids, In sentences) {
  dispatch_float(logits.dtype(), [&]<class T>() {
    launch(stream(), "listed_logits", listed_logits_kernel<T>,
           {dim3(unsigned(x.rows()), blocks_for(logits.cols(), warps)), unsigned(warps * warp_size)}, logits.data<T>(),
           x.data<T>(), table.data<T>(), bias ? bias.data<T>() : nullptr, x.cols(), logits.cols(),
           offsets.data<int32_t>(), ids.data<int32_t>(), sentences.data<int32_t>());
  });
}

void CudaBackend::cross_attention_step_impl(Out o, In q, const Columns& k, const Columns& v, In offsets, In sentences,
                                            int64_t heads) {
  const int64_t dim = q.cols() / heads;
  dispatch_float(o.dtype(), [&]<class T>() {
    launch(stream(), "cross_attention_step", cross_attention_step_kernel<T>, step_shape(q.rows(), heads, dim),
           o.data<T>(), q.data<T>(), columns_of<T>(k), columns_of<T>(v), offsets.data<int32_t>(),
           sentences.data<int32_t>(), int(heads), int(dim), float(1.0 / std::sqrt(double(dim))),
           heads_are_vectors(k, dim));
  });
}

}  // namespace bough
