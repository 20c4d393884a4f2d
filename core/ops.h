#pragma once
#include "core/tape.h"

// The operations a model is written with: each runs one or two kernels of core/kernels.def and records
// the derivative. Letters: docs/notation.md.

namespace bough {

/// x W^T + b.  x: (T, K); weight: (N, K); bias: (N) or empty Var. Returns (T, N).
Var linear(const Var& x, const Var& weight, const Var& bias = {});
/// max(x W^T + b, 0): a linear layer and its activation in one product.
Var linear_relu(const Var& x, const Var& weight, const Var& bias);

/// x, whose gradient is added up in f32 where x is bf16, and rounded once: for values with many users, whose single
/// gradients bf16 would lose.
Var sum_gradients_in_f32(const Var& x);

/// Token ids of one side of a batch, on the backend.
struct TokenRows {
  Tensor ids;    ///< (T) i32; core/base/special_ids.h: start_id, tail_id
  Tensor order;  ///< (T) i32, rows sorted by (id, row); needed for gradients only
  /// (T) i32, rows sorted by (position, row), the tail first or last; needed for gradients of positions only
  Tensor position_order;
};
/// dropout(word_dropout(table[id]) * scale + position_table[position]).  table: (V, C);
/// position_table: (L, C), a constant (sinusoids), a parameter, or empty. Returns (T, C).
Var embedding(const Var& table, const Var& position_table, const TokenRows& tokens, In positions, double scale,
              const Dropout& word, const Dropout& dropout);

/// What a residual connection adds up and how it is normalised; empty Vars are left out.
struct ResidualArguments {
  Var x, second, branch, bias, gamma, beta;
  Var residual_parameter, branch_parameter;  ///< (1) or (C): factors learned with the model
  bool keep_sum = false;                     ///< `sum` is wanted as a result too (pre-norm)
  bool splits = false;        ///< what the stream goes on with has a low() part: sum where it is a result, else y
  Tensor row_sums, segments;  ///< see ResidualOutputs and ResidualInputs; no part of the derivative
};
/// What residual_norm returns, both (T, C).
struct ResidualResult {
  Var y;    ///< LN(sum), empty without gamma
  Var sum;  ///< residual_scale x + second + branch_scale dropout(branch + bias)
};
/// The residual family's one equation (see ResidualNorm in core/kernel_types.h).
ResidualResult residual_norm(const ResidualArguments& arguments, const ResidualNorm& p);

/// dropout(activation(x + bias)).  x: (T, F); bias: (F). Returns (T, F).
/// The result may take the place of x: x must be the result of an op and have no other use.
Var bias_activation(const Var& x, const Var& bias, Activation activation, const Dropout& dropout);

/// Where queries, keys and values stand inside fused projections.
struct AttentionArguments {
  Var queries;      ///< (Tq, ...)
  Var keys_values;  ///< (Tk, ...); the same Var as queries for a fused self-attention
  int64_t query_column = 0, key_column = 0, value_column = 0;
  int64_t width = 0;  ///< H D
};
/// dropout(softmax(q k^T / sqrt(D))) v for every sentence and head. Returns (Tq, H D).
Var attention(const AttentionArguments& arguments, const Attention& p);

/// The loss of a head's alignments in every query row, see the kernel: head 0 of what attention() gets as `a`, which
/// must come after it, so that its gradient of the columns is there when this one's is added. Returns (Tq), f32 (f64 in
/// tests).
Var alignment_loss(const AttentionArguments& a, int64_t heads, const AlignmentLoss& p);

/// The kernel ssru: u: (T, 2 C), bias: (C). Returns (T, C).
Var ssru(const Var& u, const Var& bias, const Packing& rows);

/// Label-smoothed cross-entropy of every row, in nats, 0 where label < 0.
///   loss_t = -(1-e) log p(y_t) - e/V sum_v log p(v)      (Szegedy et al. 2016, sec. 7)
/// logits: (T, Vpad >= vocabulary); labels: (T) i32; weights: (T) i32 words that hold floats, factors of the rows'
/// losses, or empty. When the tape records, the logits are overwritten
/// with their gradient and backward() starts there. Returns (T), f32 (f64 in tests).
Tensor cross_entropy(const Var& logits, In labels, double smoothing, int64_t vocabulary, In weights = {});

}  // namespace bough
