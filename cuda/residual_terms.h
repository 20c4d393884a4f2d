#pragma once
#include "cuda/rows.h"

namespace bough::cuda {

/// A Scale as kernels see it: constant * (a StepState word, a parameter, a column of a parameter, or 1).
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

/// What every thread of a kernel reads once.
template <class T>
struct ResidualFactors {
  DropoutFactors dropout;
  float residual, branch;
  __device__ explicit ResidualFactors(const ResidualTerms<T>& t)
      : dropout(t.dropout), residual(t.residual_scale.value()), branch(t.branch_scale.value()) {}
};

}  // namespace bough::cuda
