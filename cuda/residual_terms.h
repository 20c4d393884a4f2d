#pragma once
#include "cuda/rows.h"

namespace bough::cuda {

constexpr int warp_cols = warp_size * chunk_cols;  ///< columns that a warp moves at a time

/// A Scale as kernels see it: constant * (a UpdateState word, a parameter, a column of a parameter, or 1).
template <class T>
struct ScaleSource {
  enum class Kind : uint8_t { constant, word, one, columns } kind = Kind::constant;
  double constant = 1;
  const void* data = nullptr;

  ScaleSource(const Scale& s, int64_t cols) : constant(s.constant) {
    if (!s.tensor) return;
    if (s.word >= 0) {
      kind = Kind::word;
      data = s.tensor.data<int32_t>() + s.word;
      return;
    }
    check(s.tensor.size() == 1 || s.tensor.size() == cols,
          "residual_dropout_norm: a scale has {} elements, must have 1 or {}", s.tensor.size(), cols);
    kind = s.tensor.size() == 1 ? Kind::one : Kind::columns;
    data = s.tensor.data<T>();
  }
  /// The factor of all columns (where kind is not `columns`). f64: rounded once, as on the CPU.
  __device__ float value() const {
    if (kind == Kind::word) return float(constant * double(math::float_of(*static_cast<const uint32_t*>(data))));
    return float(constant) * (kind == Kind::one ? to_float(*static_cast<const T*>(data)) : 1.0f);
  }
  __device__ Chunk of_chunk(int64_t col, int64_t cols, bool is_vector, float value) const {
    if (kind != Kind::columns) return filled(value);
    Chunk v = load_chunk(static_cast<const T*>(data), col, cols, is_vector);
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i) v[i] *= float(constant);
    return v;
  }
};

/// The inputs of the residual family: null where a term is left out.
template <class T>
struct ResidualTerms {
  const T *x, *second, *branch, *bias, *gamma, *beta, *x_low, *second_low;
  ScaleSource<T> residual_scale, branch_scale;
  DropoutSite dropout;
  int64_t rows, cols;
  bool is_vector;

  ResidualTerms(const ResidualInputs& in, const ResidualNorm& p, int64_t rows, int64_t cols, bool is_vector)
      : x(in.x.data<T>()),
        second(in.second.data<T>()),
        branch(in.branch.data<T>()),
        bias(in.bias.data<T>()),
        gamma(in.gamma.data<T>()),
        beta(in.beta.data<T>()),
        x_low(in.x_low.data<T>()),
        second_low(in.second_low.data<T>()),
        residual_scale(p.residual_scale, cols),
        branch_scale(p.branch_scale, cols),
        dropout(p.dropout),
        rows(rows),
        cols(cols),
        is_vector(is_vector) {}

  __device__ Chunk load(const T* matrix, int64_t row, int64_t col) const {
    return load_chunk(matrix + row * cols, col, cols, is_vector);
  }
  /// With what was rounded away from it before, where that is kept.
  __device__ Chunk load(const T* matrix, const T* low, int64_t row, int64_t col) const {
    Chunk v = load(matrix, row, col);
    if (!low) return v;
    const Chunk part = load(low, row, col);
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i) v[i] += part[i];
    return v;
  }
  /// branch + bias.
  __device__ Chunk biased_branch(int64_t row, int64_t col) const {
    Chunk v = load(branch, row, col);
    if (!bias) return v;
    const Chunk b = load_chunk(bias, col, cols, is_vector);
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i) v[i] += b[i];
    return v;
  }
};

/// Rows of at most so many columns, without anything but a number as a scale, have kernels of their own: a lane keeps
/// two chunks, and no choice is left to make for an element.
constexpr int narrow_chunks = 2, narrow_cols = narrow_chunks * warp_cols;
/// Their elements are numbered in 32 bits, which takes one instruction to make an address of.
inline bool is_narrow(int64_t rows, int64_t cols, bool is_vector) {
  return is_vector && cols <= narrow_cols && rows * cols <= int64_t{UINT32_MAX};
}
/// Whether `scale` is one number, and none that is learned: no path may depend on which gradients are wanted.
inline bool is_given(const Scale& scale) { return !scale.tensor || scale.word >= 0; }
/// First column of this lane's chunk k.
__device__ inline int column_of(int k) { return (k * warp_size + lane_id()) * chunk_cols; }

/// Number of this lane's first element in a row; those of its other chunks lie warp_cols elements further each.
__device__ inline uint32_t element_of(int row, int cols) {
  return uint32_t(row) * uint32_t(cols) + uint32_t(column_of(0));
}
/// Loads this lane's chunks of a row of two matrices; those beyond the last column stay what they are.
template <class T>
__device__ inline void load_narrow(PackedChunk<T> (&a)[narrow_chunks], const T* from_a,
                                   PackedChunk<T> (&b)[narrow_chunks], const T* from_b, int row, int cols) {
  const uint32_t first = element_of(row, cols);
#pragma unroll
  for (int k = 0; k < narrow_chunks; ++k) {
    if (column_of(k) >= cols) continue;
    a[k] = load_packed(from_a + first + k * warp_cols);
    b[k] = load_packed(from_b + first + k * warp_cols);
  }
}

/// f32 of `narrow_cols` columns in shared memory. The halves of chunks lie apart: lanes that read 16 bytes side by
/// side have no bank conflicts.
class SharedColumns {
 public:
  __device__ explicit SharedColumns(float* values) : values_(values) {}
  __device__ void store(int k, const Chunk& v) const {
    store_vector(half(k, 0), Vector<float, 4>{{v[0], v[1], v[2], v[3]}});
    store_vector(half(k, 1), Vector<float, 4>{{v[4], v[5], v[6], v[7]}});
  }
  /// The values of a row, 0 beyond its end and where there is none. A barrier must follow.
  template <class T>
  __device__ void fill(const T* row, int cols) const {
    for (int k = warp_id(); k < narrow_chunks; k += warp_count())
      store(k, row && column_of(k) < cols ? load_chunk(row, column_of(k), cols, true) : filled(0));
  }
  __device__ Chunk load(int k) const {
    const auto a = load_vector<4>(half(k, 0)), b = load_vector<4>(half(k, 1));
    return {{a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]}};
  }

 private:
  __device__ float* half(int k, int second) const { return values_ + ((2 * k + second) * warp_size + lane_id()) * 4; }
  float* values_;
};

/// What every thread of a kernel reads once.
template <class T>
struct ResidualFactors {
  DropoutFactors dropout;
  float residual, branch;
  __device__ explicit ResidualFactors(const ResidualTerms<T>& t)
      : dropout(t.dropout), residual(t.residual_scale.value()), branch(t.branch_scale.value()) {}
};

}  // namespace bough::cuda
