#pragma once
#include <memory>
#include <utility>
#include <vector>

#include "core/tensor.h"
#include "core/update_state.h"

// The structs that the signatures of core/kernels.def use. Letters: T rows (tokens), C model width,
// F inner width, V vocabulary, H heads, D head width, S sentences (docs/notation.md).

namespace bough {

/// What follows the first product of a feed-forward sublayer; gelu is x sigmoid(1.702 x), swish x sigmoid(x).
enum class Activation : uint8_t { relu, gelu, swish };

/// C = op(A) op(B), op = transpose where the flag says so; and what else the same pass over C or A gives.
struct Gemm {
  bool transpose_a = false, transpose_b = false;
  Tensor bias;        ///< (N), added to every row; only with GradMode::write
  bool relu = false;  ///< C becomes max(C, 0), behind the bias; only with GradMode::write
  /// (M), of C's type: the sums of op(A) over K, only with transpose_a. Where C is a weight's gradient (A = dy), its
  /// bias' gradient.
  Grad row_sums = {};
};

/// How large x is in the products x W^T of a weight, to choose Int8Multipliers::input by.
struct InputSizes {
  int64_t products = 0;
  double sum = 0, square_sum = 0;  ///< of max |x|
  void note(double largest) {
    ++products;
    sum += largest;
    square_sum += largest * largest;
  }
};
/// How products x W^T are computed in 8 bits, where a backend can:
///   y_tn = sum_k q(x_tk input) q(w_nk weight_n) / (input weight_n),   q(v) = v rounded, half to even, clipped to +-127
/// whose sums are exact.
struct Int8Multipliers {
  std::vector<float> weight = {};                ///< (N); none: products are computed in the type of x and W
  float input = 0;                               ///< 0: 127 / max |x| of each row
  std::shared_ptr<InputSizes> input_sizes = {};  ///< where products are to be noted: by one thread at a time
};
/// See Backend::keep_weights.
struct KeptWeight {
  KeptWeight(Tensor w, Int8Multipliers multipliers = {}, bool listed = false)
      : weight(std::move(w)), int8(std::move(multipliers)), is_listed(listed) {}
  Tensor weight;
  Int8Multipliers int8;
  bool is_listed = false;      ///< for listed_logits, instead of products
  bool memory_may_go = false;  ///< nothing else reads W, ever: where it has another form, its content is lost
};

/// The packed sentences of one side of a batch.
struct Packing {
  Tensor offsets;                     ///< (S+1) i32: first row of every sentence, then the number of rows in use
  Tensor segments;                    ///< (T) i32: the sentence of every row; -1 in the tail
  Tensor positions;                   ///< (T) i32: the row's place in its sentence
  Tensor first_row;                   ///< (1) i32: number of row 0 within the whole update
  int64_t sentences = 0, tokens = 0;  ///< S, T
  int64_t longest = 0;                ///< rows of the longest sentence
  double square_sum = 0;              ///< sum of squared sentence lengths, for FLOP counts
};

/// softmax(q k^T / sqrt(D)) v per head, each query row attending to the keys of its own sentence.
struct Attention {
  Packing queries, keys;  ///< the same S; equal for self-attention
  Tensor bins;            ///< (B, 4) i32 {first query, queries, first key, keys}: whole sentences, B tiles
  int64_t heads = 1;
  bool is_causal = false;  ///< a query at position p sees keys at positions <= p
  Dropout dropout;         ///< of attention weights: column = key position, head = head number
  double pair_count = 0;   ///< query-key pairs inside sentences, for FLOP counts
};

/// Word alignments that a head of cross-attention is to learn: every query row's points, keys that it belongs to.
struct AlignmentPoints {
  Tensor offsets;  ///< (Tq + 1) i32: first point of every row, then N
  Tensor keys;     ///< (N) i32: the key's position in its sentence
  explicit operator bool() const { return bool(offsets); }
};
/// What alignment_loss compares, and how much it counts.
struct AlignmentLoss {
  Packing queries, keys;  ///< the same S
  AlignmentPoints points;
  double weight = 1;
};
/// Added to the probability of a point before the logarithm is taken, as in Marian.
inline constexpr double alignment_epsilon = 1e-6;

/// A logit that no word has: its probability is 0 beside any other, and sums with it stay finite.
inline constexpr double unlisted_logit = -1e30;

/// sum = residual x [+ second] + branch_scale dropout(branch + bias);  y = LN(sum) gamma + beta.
struct ResidualNorm {
  Scale residual_scale, branch_scale;
  Dropout dropout;
  double epsilon = 1e-6;
};
/// All (T, C) but bias, gamma, beta (C). An empty tensor is left out of the equation;
/// gamma and beta are both there (normalise) or both empty (no norm: y is not produced).
/// x_low, second_low: added to x and second, see ResidualOutputs.
struct ResidualInputs {
  Tensor x, second, branch, bias, gamma, beta;
  Tensor x_low, second_low;
  Tensor segments;  ///< (T) i32, for row_sums: -1 in the tail; empty: all rows count
};
/// y (T, C) with `norm`; sum (T, C) where wanted (pre-norm needs it, post-norm does not);
/// mean and rstd (T) of sum as it is kept, for the backward pass, with norm only.
/// y_low, sum_low: what y and sum lost in being rounded to their type, where wanted; a bf16 and its low part have 16
/// significant bits. y is the norm of sum + sum_low.
struct ResidualOutputs {
  Tensor y, sum, mean, rstd;
  Tensor y_low, sum_low;
  /// (T, 4) f32 (f64 in tests), where wanted: how large the terms are, {sum of r, of r^2, of f, of f^2} over each row,
  /// r = residual_scale x + second, f = branch_scale (branch + bias), dropout apart; 0 in rows with segments[t] < 0.
  Tensor row_sums;
};
/// Gradients of the terms and factors of ResidualNorm, each in its own mode.
struct ResidualGrads {
  Grad x, second, branch, bias, gamma, beta, residual_scale, branch_scale;
};

/// What one update of the optimizer reads and writes: flat f32 arenas of N elements (absent where empty).
struct OptimizerArenas {
  Tensor parameters, first_moment, second_moment, average;
  Tensor denominators;             ///< (2) f64: Adam's running bias corrections; only applied updates change them
  Tensor compute_copy;             ///< bf16 parameters where computation is in bf16
  bool steps_denominators = true;  ///< false: for another part of the arenas this update has done so
};
/// Kingma & Ba 2015; Duchi et al. 2011; plain gradient descent.
enum class OptimizerKind : uint8_t { adam, adagrad, sgd };
/// What does not change from update to update.
struct OptimizerConstants {
  OptimizerKind kind = OptimizerKind::adam;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0;  ///< decoupled (Loshchilov 2019)
};
/// Elements of a block of block_square_sums: part of the result, the same on every backend and for any number of ranks.
inline constexpr int64_t square_sum_block = 1 << 16;
/// Elements of the (8) f64 tensor that gradient_statistics writes.
namespace gradient_stat {
enum Index : int64_t {  ///< of an element of it
  norm,                 ///< of gradient / tokens, before clipping
  multiplier,           ///< what the optimizer multiplies gradient sums by: clipping and 1 / tokens
  is_finite,            ///< 1, or 0: the update is to be skipped
  count = 8
};
}

}  // namespace bough
