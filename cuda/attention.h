#pragma once
#include <cmath>

#include "cuda/attend_row.h"

// What the two ways of computing attention share: whatever head width and dtype (attention.cu), and bf16 with
// head widths of 16, 32, 64 and 128 on tensor cores (attention_bins*.cu).

namespace bough::cuda {

/// The packed sentences of one side, on the device.
struct Sentences {
  const int32_t *offsets, *segments, *positions;
  int64_t tokens;
  explicit Sentences(const Packing& p)
      : offsets(p.offsets.data<int32_t>()),
        segments(p.segments.data<int32_t>()),
        positions(p.positions.data<int32_t>()),
        tokens(p.tokens) {}
};

/// Rows [begin, end) of the other side that a row attends to, or is attended by.
struct Range {
  int64_t begin, end;
};
__device__ inline Range rows_of_sentence(const Sentences& side, int32_t sentence) {
  return {side.offsets[sentence], side.offsets[sentence + 1]};
}

/// Writes a head's row of a gradient; zeros for a row of no sentence, which nothing is added to.
__device__ inline void deposit_row(const Target& target, int64_t first, const float* values, int dim, bool is_tail) {
  if (!target || (is_tail && target.adds)) return;
  for (int d = lane_id(); d < dim; d += warp_size) deposit(target, first + d, is_tail ? 0.0f : values[d]);
}

/// What every kernel of attention gets.
template <class T>
struct AttentionArguments {
  ColumnRows<const T> q, k, v;
  Sentences queries, keys;
  const int32_t* bins;
  DropoutSite dropout;
  int heads, dim;
  float scale;  ///< 1 / sqrt(D)
  bool is_causal, is_vector;

  AttentionArguments(const Columns& q, const Columns& k, const Columns& v, const Attention& p)
      : q(columns_of<T>(q)),
        k(columns_of<T>(k)),
        v(columns_of<T>(v)),
        queries(p.queries),
        keys(p.keys),
        bins(p.bins.data<int32_t>()),
        dropout(p.dropout),
        heads(int(p.heads)),
        dim(int(q.count / p.heads)),
        scale(float(1.0 / std::sqrt(double(q.count / p.heads)))),
        is_causal(p.is_causal),
        is_vector(heads_are_vectors(q, q.count / p.heads) && heads_are_vectors(k, q.count / p.heads) &&
                  heads_are_vectors(v, q.count / p.heads)) {}
};

/// Gradients of columns, and what the backward pass reads beside the inputs.
template <class T>
struct AttentionGradients {
  struct Side {
    Target target;
    int64_t stride = 0, first = 0;
    explicit Side(const GradColumns& g) : target(target_of(g)), stride(g ? g.tensor.cols() : 0), first(g.first) {}
    __device__ int64_t at(int64_t row, int head, int dim) const { return row * stride + first + int64_t(head) * dim; }
  };
  Side dq, dk, dv;
  ColumnRows<const T> d_o, o;
  const float* log_sum_exp;
};

/// Tiles of 64 rows on tensor cores; whether it could (bf16, a head width it knows, aligned columns).
bool attend_bins(const Stream& stream, Out o, Out log_sum_exp, const Columns& q, const Columns& k, const Columns& v,
                 const Attention& p);
bool attend_bins_backward(const Stream& stream, const GradColumns& dq, const GradColumns& dk, const GradColumns& dv,
                          In d_o, In o, In log_sum_exp, const Columns& q, const Columns& k, const Columns& v,
                          const Attention& p);

}  // namespace bough::cuda
