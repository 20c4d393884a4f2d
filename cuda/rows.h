#pragma once
#include <algorithm>

#include "core/kernel_types.h"
#include "cuda/launch.h"

// What kernels over rows share: chunks of columns, dropout factors, where gradients go.

namespace bough::cuda {

/// Columns that a thread moves at a time: 16 bytes of bf16, and the columns of one dropout draw.
constexpr int chunk_cols = 8;
using Chunk = Vector<float, chunk_cols>;

/// A chunk as memory holds it, in words: two bf16 are taken out of one, and put into one, together.
template <class T>
using PackedChunk = Vector<uint32_t, int(sizeof(T)) * chunk_cols / 4>;
template <class T>
__device__ inline PackedChunk<T> load_packed(const T* p) {
  return load_vector<int(sizeof(T)) * chunk_cols / 4>(reinterpret_cast<const uint32_t*>(p));
}
template <class T>
__device__ inline Chunk unpack(const PackedChunk<T>& words) {
  Chunk v;
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i)
    if constexpr (sizeof(T) == 4)
      v[i] = math::float_of(words[i]);
    else
      v[i] = i % 2 == 0 ? low_float(words[i / 2]) : high_float(words[i / 2]);
  return v;
}
template <class T>
__device__ inline PackedChunk<T> pack(const Chunk& v) {
  PackedChunk<T> words;
#pragma unroll
  for (int i = 0; i < int(sizeof(T)) * chunk_cols / 4; ++i)
    if constexpr (sizeof(T) == 4)
      words[i] = math::bits_of(v[i]);
    else
      words[i] = pack_bf16(v[2 * i], v[2 * i + 1]);
  return words;
}
template <class T>
__device__ inline void store_packed(T* p, const PackedChunk<T>& words) {
  store_vector(reinterpret_cast<uint32_t*>(p), words);
}

/// Columns col .. col+7 of a row of `cols` as f32, 0 beyond its end. is_vector: see rows_are_vectors.
template <class T>
__device__ inline Chunk load_chunk(const T* row, int64_t col, int64_t cols, bool is_vector) {
  if (is_vector) return unpack<T>(load_packed(row + col));
  Chunk v;
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) v[i] = col + i < cols ? to_float(row[col + i]) : 0.0f;
  return v;
}
template <class T>
__device__ inline void store_chunk(T* row, int64_t col, int64_t cols, bool is_vector, const Chunk& v) {
  if (is_vector) return store_packed(row + col, pack<T>(v));
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i)
    if (col + i < cols) row[col + i] = from_float<T>(v[i]);
}
__device__ inline Chunk filled(float value) {
  Chunk v;
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) v[i] = value;
  return v;
}
__device__ inline float chunk_sum(const Chunk& v) {
  float sum = v[0];
#pragma unroll
  for (int i = 1; i < chunk_cols; ++i) sum += v[i];
  return sum;
}

inline bool is_aligned(const Tensor& t) { return reinterpret_cast<uintptr_t>(t.data<void>()) % 16 == 0; }
/// Whether rows of `cols` elements in all these tensors (absent ones aside) can be moved by whole chunks.
template <class... Tensors>
bool rows_are_vectors(int64_t cols, const Tensors&... tensors) {
  return cols % chunk_cols == 0 && (... && is_aligned(tensors));
}

/// A gradient as kernels see it. Gradients of parameters are f32 even where computation is in bf16.
struct Target {
  void* data = nullptr;
  bool is_bf16 = false, adds = false;
  __host__ __device__ explicit operator bool() const { return data != nullptr; }
};
/// One of Grad or GradColumns, without data when it is not wanted.
template <class G>
Target target_of(const G& gradient) {
  if (!gradient) return {};
  const DType dtype = gradient.tensor.dtype();
  check(dtype == DType::bf16 || dtype == DType::f32, "no CUDA kernel for a gradient in {}", name_of(dtype));
  return {gradient.tensor.template data<void>(), dtype == DType::bf16, gradient.mode == GradMode::add};
}

template <class T>
__device__ inline void deposit_as(T* out, float value, bool adds) {
  *out = from_float<T>(adds ? to_float(*out) + value : value);
}
/// gradient[index] = or += value.
__device__ inline void deposit(const Target& to, int64_t index, float value) {
  if (to.is_bf16)
    deposit_as(static_cast<bf16*>(to.data) + index, value, to.adds);
  else
    deposit_as(static_cast<float*>(to.data) + index, value, to.adds);
}

template <class T>
__device__ inline void deposit_chunk_as(T* row, int64_t col, int64_t cols, bool is_vector, Chunk v, bool adds) {
  if (adds) {
    const Chunk before = load_chunk(row, col, cols, is_vector);
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i) v[i] += before[i];
  }
  store_chunk(row, col, cols, is_vector, v);
}
/// The same for a chunk of columns of the row that starts at element `first`; nothing where not wanted.
__device__ inline void deposit_chunk(const Target& to, int64_t first, int64_t col, int64_t cols, bool is_vector,
                                     const Chunk& v) {
  if (!to) return;
  if (to.is_bf16)
    deposit_chunk_as(static_cast<bf16*>(to.data) + first, col, cols, is_vector, v, to.adds);
  else
    deposit_chunk_as(static_cast<float*>(to.data) + first, col, cols, is_vector, v, to.adds);
}

/// Dropout as kernels get it: what is constant by value, what changes from update to update by address.
struct DropoutSite {
  const int32_t *state = nullptr, *first_row = nullptr;
  uint32_t site = 0, threshold = 0;
  float scale = 1;
  explicit DropoutSite(const Dropout& d) {
    if (!d) return;
    state = d.state.data<int32_t>();
    first_row = d.first_row.data<int32_t>();
    site = d.site;
    threshold = dropout_threshold(d.probability);
    scale = float(dropout_scale(threshold));
  }
};

/// The factors of a site in this update: 0 where an element is dropped, the inverse of the kept share where not.
class DropoutFactors {
 public:
  __device__ explicit DropoutFactors(const DropoutSite& site)
      : is_on_(site.state != nullptr), site_(site.site), threshold_(site.threshold), scale_(site.scale) {
    if (!is_on_) return;
    key0_ = uint32_t(site.state[UpdateState::dropout_key_low]);
    key1_ = uint32_t(site.state[UpdateState::dropout_key_high]);
    first_row_ = uint32_t(*site.first_row);
  }
  __device__ bool is_on() const { return is_on_; }
  __device__ float scale() const { return scale_; }
  /// Columns col .. col+7 of a row; col is a multiple of 8.
  __device__ Chunk of_chunk(int64_t row, int64_t col) const { return of_chunk(row, col, 1.0f); }
  /// Multiplied by `factor`.
  __device__ Chunk of_chunk(int64_t row, int64_t col, float factor) const {
    if (!is_on_) return filled(factor);
    const Philox4 bits = draw(row, 0, col);
    const float of_kept = factor * scale_;
    Chunk v;
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i) v[i] = is_kept(bits, i) ? of_kept : 0.0f;
    return v;
  }
  __device__ float of_element(int64_t row, int head, int64_t col) const {
    if (!is_on_) return 1.0f;
    const Philox4 bits = draw(row, head, col);
    // Not bits.x[col / 2 % 4]: an array that is indexed at run time would go to local memory.
    const int pair = int(col % chunk_cols) / 2;
    const uint32_t word = pair < 2 ? (pair == 0 ? bits.x[0] : bits.x[1]) : (pair == 2 ? bits.x[2] : bits.x[3]);
    return (word >> (16 * (col % 2)) & 0xFFFFu) >= threshold_ ? scale_ : 0.0f;
  }
  /// Bit i: column col + i is kept. In attention; col is a multiple of 8.
  __device__ uint32_t kept_of_chunk(int64_t row, int head, int64_t col) const {
    const Philox4 bits = draw(row, head, col);
    uint32_t kept = 0;
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i) kept |= uint32_t(is_kept(bits, i)) << i;
    return kept;
  }

 private:
  __device__ Philox4 draw(int64_t row, int head, int64_t col) const {
    return dropout_bits(key0_, key1_, site_, uint32_t(head), uint32_t(row) + first_row_, uint32_t(col / chunk_cols));
  }
  /// dropout_draw(bits, i) >= threshold, compared where the draw stands in its word: the odd ones need no shift.
  __device__ bool is_kept(const Philox4& bits, int i) const {
    const uint32_t word = bits.x[i / 2];
    return (i % 2 == 0 ? word << 16 : word) >= threshold_ << 16;
  }

  bool is_on_;
  uint32_t site_, threshold_, key0_ = 0, key1_ = 0, first_row_ = 0;
  float scale_;
};

/// Threads for one row: one a chunk, at most 256; a block loops over longer rows.
inline unsigned threads_for_row(int64_t cols) {
  return unsigned(std::min<int64_t>(256, (cols + chunk_cols * warp_size - 1) / (chunk_cols * warp_size) * warp_size));
}

}  // namespace bough::cuda
