#include "core/ops.h"

#include <cassert>

namespace bough {
namespace {

bool any_gradient(std::initializer_list<const Var*> inputs) {
  for (const Var* x : inputs)
    if (x->needs_gradient()) return true;
  return false;
}

void check_vector(const char* op, const char* what, const Var& v, int64_t columns) {
  check(!v || v.value().size() == columns, "{}: {} has {} elements, must have {}", op, what, v.value().size(), columns);
}

/// One product: counts its operations and runs it.
void multiply(Backend& b, const Grad& c, In a, In x, const Gemm& gemm) {
  const int64_t inner = gemm.transpose_a ? a.rows() : a.cols();
  b.flops += 2.0 * double(c.tensor.size()) * double(inner);
  b.gemm(c, a, x, gemm);
}

/// x W^T + b, or with `relu` the larger of that and 0.
Var linear_layer(const char* op, const Var& x, const Var& weight, const Var& bias, bool relu) {
  Tape& tape = x.tape();
  Backend& b = tape.backend;
  check(weight.cols() == x.cols(), "{}: x has {} columns but the weight {} takes {}", op, x.cols(),
        weight.value().shape(), weight.cols());
  check_vector(op, "bias", bias, weight.rows());

  const Tensor out = b.allocate({x.rows(), weight.rows()});
  multiply(b, write_to(out), x.value(), weight.value(), {.transpose_b = true, .bias = bias.value(), .relu = relu});
  const Var y = tape.result(out, any_gradient({&x, &weight, &bias}));
  if (!y.needs_gradient()) return y;
  tape.record({y}, [&b, x = x.value(), w = weight.value(), dx = x.gradient(), dw = weight.gradient(),
                    db = bias.gradient(), gy = y.gradient(), out = relu ? out : Tensor()] {
    const Tensor& dy = gy.value();
    Grad bias_gradient = db.claim();
    if (out) {  // relu's derivative needs the result alone, takes dy's place and brings the bias' gradient with it
      b.bias_activation_dropout_backward(write_to(dy), bias_gradient, dy, Tensor(), out, Tensor(), Activation::relu,
                                         Dropout());
      bias_gradient = {};
    }
    // The two products in a row: CUDA runs them side by side.
    if (dw) multiply(b, dw.claim(), dy, x, {.transpose_a = true, .row_sums = bias_gradient});
    if (dx) multiply(b, dx.claim(), dy, w, {});
    if (!dw && bias_gradient) b.column_sum(bias_gradient, dy);
  });
  return y;
}

}  // namespace

Var linear(const Var& x, const Var& weight, const Var& bias) { return linear_layer("linear", x, weight, bias, false); }

Var linear_relu(const Var& x, const Var& weight, const Var& bias) {
  return linear_layer("linear_relu", x, weight, bias, true);
}

Var sum_gradients_in_f32(const Var& x) {
  if (!x.needs_gradient() || x.value().dtype() != DType::bf16) return x;
  Tape& tape = x.tape();
  const auto wide = std::make_shared<GradSlot>();
  wide->shape = x.value().shape();
  wide->dtype = DType::f32;
  const Var y = tape.parameter(x.value(), wide);
  tape.record({y}, [&b = tape.backend, dx = x.gradient(), wide] { b.accumulate(dx.claim(), wide->tensor); });
  return y;
}

Var embedding(const Var& table, const Var& position_table, const TokenRows& tokens, In positions, double scale,
              const Dropout& word, const Dropout& dropout) {
  Tape& tape = table.tape();
  Backend& b = tape.backend;
  check(tokens.ids.size() == positions.size(), "embedding: {} ids but {} positions", tokens.ids.size(),
        positions.size());
  check(!position_table || position_table.cols() == table.cols(),
        "embedding: the position table has {} columns, the word table {}", position_table.cols(), table.cols());

  const Tensor out = b.allocate({tokens.ids.size(), table.cols()});
  b.embedding(out, table.value(), position_table.value(), tokens.ids, positions, scale, word, dropout);
  const Var y = tape.result(out, any_gradient({&table, &position_table}));
  if (!y.needs_gradient()) return y;
  tape.record({y}, [&b, tokens, positions = Tensor(positions), scale, word, dropout, dt = table.gradient(),
                    dp = position_table.gradient(), gy = y.gradient()] {
    b.embedding_backward(dt.claim(), dp.claim(), gy.value(), tokens.ids, positions, tokens.order, tokens.position_order,
                         scale, word, dropout);
  });
  return y;
}

ResidualResult residual_norm(const ResidualArguments& a, const ResidualNorm& p_in) {
  Tape& tape = a.x.tape();
  Backend& b = tape.backend;
  const Shape shape = a.x.value().shape();
  for (const Var* term : {&a.second, &a.branch})
    check(!*term || term->value().shape() == shape, "residual_norm: x is {} but a term of the sum is {}", shape,
          term->value().shape());
  check(bool(a.gamma) == bool(a.beta), "residual_norm: gamma and beta come together");
  check_vector("residual_norm", "bias", a.bias, a.x.cols());
  check_vector("residual_norm", "gamma", a.gamma, a.x.cols());
  check_vector("residual_norm", "beta", a.beta, a.x.cols());

  ResidualNorm p = p_in;
  if (a.residual_parameter) p.residual_scale.tensor = a.residual_parameter.value();
  if (a.branch_parameter) p.branch_scale.tensor = a.branch_parameter.value();
  const bool has_norm = bool(a.gamma);
  ResidualOutputs out;
  if (has_norm) {
    out.y = b.allocate(shape);
    out.mean = b.allocate({a.x.rows()}, b.statistics_dtype());
    out.rstd = b.allocate({a.x.rows()}, b.statistics_dtype());
  }
  if (!has_norm || a.keep_sum) out.sum = b.allocate(shape);
  out.row_sums = a.row_sums;
  if (a.splits) (out.sum ? out.sum_low : out.y_low) = b.allocate(shape);
  ResidualInputs in{a.x.value(),    a.second.value(), a.branch.value(), a.bias.value(), a.gamma.value(),
                    a.beta.value(), a.x.low(),        a.second.low(),   a.segments};
  b.residual_dropout_norm(out, in, p);

  const bool needs = any_gradient(
      {&a.x, &a.second, &a.branch, &a.bias, &a.gamma, &a.beta, &a.residual_parameter, &a.branch_parameter});
  ResidualResult result;
  if (has_norm) result.y = tape.result(out.y, needs).with_low(out.y_low);
  if (out.sum) result.sum = tape.result(out.sum, needs).with_low(out.sum_low);
  if (!tape.is_recording() || !needs) return result;

  // Only what the derivative reads stays alive.
  if (!a.residual_parameter.needs_gradient()) in.x = {};
  if (!a.branch_parameter.needs_gradient()) in.branch = {};
  in.second = in.x_low = in.second_low = in.segments = out.y_low = out.sum_low = out.row_sums = {};
  struct Sinks {
    Gradient x, second, branch, bias, gamma, beta, residual, scale, y, sum;
  };
  Sinks s{a.x.gradient(),
          a.second.gradient(),
          a.branch.gradient(),
          a.bias.gradient(),
          a.gamma.gradient(),
          a.beta.gradient(),
          a.residual_parameter.gradient(),
          a.branch_parameter.gradient(),
          result.y ? result.y.gradient() : Gradient(),
          result.sum ? result.sum.gradient() : Gradient()};
  std::vector<Var> outputs;
  if (result.y) outputs.push_back(result.y);
  if (result.sum) outputs.push_back(result.sum);
  if (out.sum) out.y = {};  // xhat comes from the sum
  if (!has_norm) out = {};  // and nothing does without a norm
  tape.record(outputs, [&b, s, in, out, p] {
    const Tensor none;
    const Tensor& dy = s.y ? s.y.value() : none;
    const Tensor& dsum = s.sum ? s.sum.value() : none;
    const ResidualGrads d{s.x.claim(),     s.second.claim(), s.branch.claim(),   s.bias.claim(),
                          s.gamma.claim(), s.beta.claim(),   s.residual.claim(), s.scale.claim()};
    b.residual_dropout_norm_backward(d, dy, dsum, out, in, p);
  });
  return result;
}

Var bias_activation(const Var& x, const Var& bias, Activation activation, const Dropout& dropout) {
  Tape& tape = x.tape();
  Backend& b = tape.backend;
  check_vector("bias_activation", "bias", bias, x.cols());
  const bool needs = any_gradient({&x, &bias});
  // relu's derivative needs the result alone, so the result may take its input's place.
  const bool in_place = activation == Activation::relu || !tape.is_recording() || !needs;
  const Tensor out = in_place ? x.value() : b.allocate(x.value().shape());
  b.bias_activation_dropout(out, x.value(), bias.value(), activation, dropout);
  const Var y = tape.result(out, needs);
  if (!y.needs_gradient()) return y;
  const Tensor input = in_place ? Tensor() : x.value();
  tape.record({y}, [&b, input, out, bias = bias.value(), activation, dropout, dx = x.gradient(), db = bias.gradient(),
                    gy = y.gradient()] {
    b.bias_activation_dropout_backward(dx.claim(), db.claim(), gy.value(), input, out, bias, activation, dropout);
  });
  return y;
}

Var attention(const AttentionArguments& a, const Attention& p) {
  Tape& tape = a.queries.tape();
  Backend& b = tape.backend;
  check(p.heads > 0 && a.width % p.heads == 0, "attention: {} heads do not divide the width {}", p.heads, a.width);
  check(a.queries.rows() == p.queries.tokens && a.keys_values.rows() == p.keys.tokens,
        "attention: {} query and {} key rows, but the sentences have {} and {}", a.queries.rows(), a.keys_values.rows(),
        p.queries.tokens, p.keys.tokens);
  const Columns q{a.queries.value(), a.query_column, a.width};
  const Columns k{a.keys_values.value(), a.key_column, a.width};
  const Columns v{a.keys_values.value(), a.value_column, a.width};
  const Tensor out = b.allocate({a.queries.rows(), a.width});
  const Tensor lse = b.allocate({a.queries.rows(), p.heads}, b.statistics_dtype());
  b.flops += 4.0 * p.pair_count * double(a.width);
  b.attention(out, lse, q, k, v, p);
  const Var y = tape.result(out, any_gradient({&a.queries, &a.keys_values}));
  if (!y.needs_gradient()) return y;
  tape.record({y},
              [&b, out, lse, q, k, v, p, dq = a.queries.gradient(), dkv = a.keys_values.gradient(), gy = y.gradient()] {
                b.flops += 10.0 * p.pair_count * double(q.count);
                b.attention_backward(dq.claim_columns(q.first, q.count), dkv.claim_columns(k.first, k.count),
                                     dkv.claim_columns(v.first, v.count), gy.value(), out, lse, q, k, v, p);
              });
  return y;
}

Var alignment_loss(const AttentionArguments& a, int64_t heads, const AlignmentLoss& p) {
  Tape& tape = a.queries.tape();
  Backend& b = tape.backend;
  check(heads > 0 && a.width % heads == 0, "alignment_loss: {} heads do not divide the width {}", heads, a.width);
  check(a.queries.rows() == p.queries.tokens && a.keys_values.rows() == p.keys.tokens,
        "alignment_loss: {} query and {} key rows, but the sentences have {} and {}", a.queries.rows(),
        a.keys_values.rows(), p.queries.tokens, p.keys.tokens);
  check(p.points.offsets.size() == a.queries.rows() + 1, "alignment_loss: {} offsets of points for {} rows",
        p.points.offsets.size(), a.queries.rows());
  const Columns q{a.queries.value(), a.query_column, a.width / heads};
  const Columns k{a.keys_values.value(), a.key_column, a.width / heads};
  const Tensor loss = b.allocate({a.queries.rows()}, b.statistics_dtype());
  const Tensor lse = b.allocate({a.queries.rows()}, b.statistics_dtype());
  b.alignment_loss(loss, lse, q, k, p);
  const Var y = tape.result(loss, any_gradient({&a.queries, &a.keys_values}));
  if (!y.needs_gradient()) return y;
  tape.record({y}, [&b, lse, q, k, p, dq = a.queries.gradient(), dk = a.keys_values.gradient(), gy = y.gradient()] {
    b.alignment_loss_backward(dq.join_columns(q.first, q.count), dk.join_columns(k.first, k.count), gy.value(), lse, q,
                              k, p);
  });
  return y;
}

Var ssru(const Var& u, const Var& bias, const Packing& rows) {
  Tape& tape = u.tape();
  Backend& b = tape.backend;
  check(u.rows() == rows.tokens, "ssru: {} rows, but the sentences have {}", u.rows(), rows.tokens);
  check(u.cols() == 2 * bias.value().size(), "ssru: {} columns for a bias of {}, must be twice as many", u.cols(),
        bias.value().size());
  const bool needs = any_gradient({&u, &bias});
  const Shape shape{u.rows(), bias.value().size()};
  const Tensor out = b.allocate(shape);
  const Tensor c = tape.is_recording() && needs ? b.allocate(shape, b.statistics_dtype()) : Tensor();
  b.ssru(out, c, u.value(), bias.value(), rows);
  const Var y = tape.result(out, needs);
  if (!y.needs_gradient()) return y;
  tape.record({y}, [&b, c, u = u.value(), bias = bias.value(), rows, du = u.gradient(), db = bias.gradient(),
                    gy = y.gradient()] { b.ssru_backward(du.claim(), db.claim(), gy.value(), c, u, bias, rows); });
  return y;
}

Tensor cross_entropy(const Var& logits, In labels, double smoothing, int64_t vocabulary, In weights) {
  Tape& tape = logits.tape();
  Backend& b = tape.backend;
  check(labels.size() == logits.rows(), "cross_entropy: {} labels for {} rows of logits", labels.size(), logits.rows());
  check(!weights || weights.size() == logits.rows(), "cross_entropy: {} weights for {} rows of logits", weights.size(),
        logits.rows());
  check(vocabulary > 0 && vocabulary <= logits.cols(), "cross_entropy: a vocabulary of {} does not fit {} logits",
        vocabulary, logits.cols());
  check(smoothing >= 0 && smoothing < 1, "cross_entropy: smoothing = {} is outside [0, 1)", smoothing);
  const Tensor loss = b.allocate({logits.rows()}, b.statistics_dtype());
  const bool with_gradient = logits.needs_gradient();
  b.cross_entropy(loss, logits.value(), labels, weights, smoothing, vocabulary, with_gradient);
  if (with_gradient) tape.seed(logits, logits.value());
  return loss;
}

}  // namespace bough
