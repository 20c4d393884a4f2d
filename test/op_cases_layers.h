#pragma once
#include <algorithm>
#include <array>
#include <numeric>

#include "test/op_case.h"

// Rows of the op table: what a model is made of.

namespace bough::test {

using Range = Input::Range;

// ---- linear

inline Case linear_case(int64_t T, int64_t K, int64_t N, bool has_bias, bool has_relu = false) {
  std::vector<Input> inputs{{{T, K}}, {{N, K}}};
  if (has_bias) inputs.push_back({{N}});
  return {inputs,
          [has_relu](Bench&, auto& v) {
            if (has_relu) return std::vector{linear_relu(v[0], v[1], v[2])};
            return std::vector{v.size() > 2 ? linear(v[0], v[1], v[2]) : linear(v[0], v[1])};
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            std::vector<R> y;
            for (int64_t t = 0; t < T; ++t)
              for (int64_t n = 0; n < N; ++n) {
                R sum = 0;
                for (int64_t k = 0; k < K; ++k) sum += in[0][t * K + k] * in[1][n * K + k];
                if (has_bias) sum += in[2][n];
                y.push_back(has_relu ? std::max(sum, R(0)) : sum);
              }
            return {y};
          },
          {{0, {T, K + 1}}, {1, {N, K + 2}}},
          0,
          false};
}

// ---- embedding

enum class PositionTable { absent, constant, parameter };

/// Repeated ids, starts of target sentences (-2) and a tail of two rows (-1).
inline std::vector<int32_t> example_ids(int64_t rows, int64_t vocabulary) {
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < rows; ++t) ids.push_back(t % 5 == 3 ? -2 : int32_t(t * t % vocabulary));
  for (size_t i = 0; i < 2; ++i) ids[ids.size() - 1 - i] = -1;
  return ids;
}

inline TokenRows token_rows(Bench& b, const std::vector<int32_t>& ids, const std::vector<int32_t>& positions) {
  std::vector<int32_t> order(ids.size());
  std::iota(order.begin(), order.end(), 0);
  const auto place = [&](int32_t t) { return ids[size_t(t)] == -1 ? INT32_MAX : positions[size_t(t)]; };
  auto by_position = order;
  std::stable_sort(order.begin(), order.end(), [&](int32_t x, int32_t y) { return ids[size_t(x)] < ids[size_t(y)]; });
  std::stable_sort(by_position.begin(), by_position.end(), [&](int32_t x, int32_t y) { return place(x) < place(y); });
  return {b.ints(ids), b.ints(order), b.ints(by_position)};
}

inline Case embedding_case(int64_t rows, int64_t C, PositionTable kind, double word_p, double p) {
  const int64_t V = 7, L = 4, T = rows + 6;
  const double scale = 1.5;
  const std::vector<int32_t> ids = example_ids(T, V);
  std::vector<int32_t> positions;
  for (int64_t t = 0; t < T; ++t) positions.push_back(int32_t(t % 3));
  std::vector<Input> inputs{{{V, C}}};
  if (kind != PositionTable::absent) inputs.push_back({{L, C}, Range::normal, kind == PositionTable::parameter});
  std::vector<Case::BadShape> bad;
  if (kind != PositionTable::absent) bad.push_back({1, {L, C + 1}});
  return {inputs,
          [=](Bench& b, auto& v) {
            return std::vector{embedding(v[0], v.size() > 1 ? v[1] : Var(), token_rows(b, ids, positions),
                                         b.ints(positions), scale, b.dropout(word_p, 3), b.dropout(p, 4))};
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            std::vector<R> y;
            for (int64_t t = 0; t < T; ++t)
              for (int64_t c = 0; c < C; ++c) {
                R value = 0;
                if (ids[size_t(t)] >= 0)
                  value += keep<R>(word_p, 3, t, 0) * R(scale) * in[0][size_t(ids[size_t(t)] * C + c)];
                if (ids[size_t(t)] != -1 && in.size() > 1) value += in[1][size_t(positions[size_t(t)] * C + c)];
                y.push_back(keep<R>(p, 4, t, c) * value);
              }
            return {y};
          },
          bad};
}

// ---- the residual family

enum class ScaleKind { constant, word, scalar, vector };

struct ResidualForm {
  bool second = false, branch = true, bias = true, norm = true, keep_sum = false;
  double dropout = 0;
  ScaleKind residual_scale = ScaleKind::constant, branch_scale = ScaleKind::constant;
  bool lows = false;  ///< x and second come with low parts, the result gets one (test/residual_split_test.cc)
};

/// Places of the arguments among the inputs of a case; -1 where absent.
struct ResidualPlaces {
  int second = -1, branch = -1, bias = -1, gamma = -1, beta = -1, residual = -1, scale = -1;
  int x_low = -1, second_low = -1;
};

inline ResidualPlaces residual_inputs(const ResidualForm& f, int64_t T, int64_t C, std::vector<Input>& inputs) {
  ResidualPlaces at;
  const auto add = [&](bool wanted, int& place, Input input) {
    if (!wanted) return;
    place = int(inputs.size());
    inputs.push_back(input);
  };
  const auto scale = [&](ScaleKind kind, int& place) {
    add(kind == ScaleKind::scalar || kind == ScaleKind::vector, place,
        {kind == ScaleKind::scalar ? Shape{1} : Shape{C}, Range::near_one});
  };
  inputs.push_back({{T, C}});
  add(f.second, at.second, {{T, C}});
  add(f.branch, at.branch, {{T, C}});
  add(f.bias, at.bias, {{C}});
  add(f.norm, at.gamma, {{C}, Range::near_one});
  add(f.norm, at.beta, {{C}});
  scale(f.residual_scale, at.residual);
  scale(f.branch_scale, at.scale);
  const Input low{{T, C}, Range::small, false};
  add(f.lows, at.x_low, low);
  add(f.lows && f.second, at.second_low, low);
  return at;
}

inline Scale scale_of(Bench& b, ScaleKind kind, double constant) {
  Scale s{.constant = constant};
  if (kind == ScaleKind::word) s = {constant, b.state(), UpdateState::first_branch_scale + 1};
  return s;
}

/// The factor of column c in the reference.
template <class R>
R scale_value(ScaleKind kind, double constant, int place, const Lists<R>& in, int64_t c) {
  if (kind == ScaleKind::word) return R(constant * test_state().branch_scales[1]);
  if (kind == ScaleKind::constant) return R(constant);
  return R(constant) * in[size_t(place)][kind == ScaleKind::scalar ? 0 : size_t(c)];
}

template <class R>
Lists<R> residual_reference(const ResidualForm& f, const ResidualPlaces& at, int64_t T, int64_t C, const Lists<R>& in) {
  std::vector<R> y(size_t(T * C)), sum(size_t(T * C));
  for (int64_t t = 0; t < T; ++t) {
    R mean = 0, variance = 0;
    for (int64_t c = 0; c < C; ++c) {
      const size_t i = size_t(t * C + c);
      const R x = in[0][i] + (f.lows ? in[size_t(at.x_low)][i] : R(0));
      sum[i] = scale_value(f.residual_scale, 1.25, at.residual, in, c) * x;
      if (f.second) sum[i] += in[size_t(at.second)][i];
      if (f.second && f.lows) sum[i] += in[size_t(at.second_low)][i];
      if (f.branch)
        sum[i] += scale_value(f.branch_scale, 0.75, at.scale, in, c) * keep<R>(f.dropout, 5, t, c) *
                  (in[size_t(at.branch)][i] + (f.bias ? in[size_t(at.bias)][size_t(c)] : R(0)));
      mean += sum[i] / R(C);
    }
    for (int64_t c = 0; c < C; ++c)
      variance += (sum[size_t(t * C + c)] - mean) * (sum[size_t(t * C + c)] - mean) / R(C);
    for (int64_t c = 0; c < C && f.norm; ++c)
      y[size_t(t * C + c)] =
          (sum[size_t(t * C + c)] - mean) / std::sqrt(variance + R(1e-6)) * in[size_t(at.gamma)][size_t(c)] +
          in[size_t(at.beta)][size_t(c)];
  }
  if (!f.norm) return {sum};
  return f.keep_sum ? Lists<R>{y, sum} : Lists<R>{y};
}

inline Case residual_case(int64_t T, int64_t C, const ResidualForm& f) {
  std::vector<Input> inputs;
  const ResidualPlaces at = residual_inputs(f, T, C, inputs);
  std::vector<Case::BadShape> bad;
  if (f.second) bad.push_back({size_t(at.second), {T + 1, C}});
  if (f.branch) bad.push_back({size_t(at.branch), {T, C + 1}});
  if (f.bias) bad.push_back({size_t(at.bias), {C + 1}});
  if (f.norm) bad.push_back({size_t(at.gamma), {C + 1}});
  return {inputs,
          [=](Bench& b, auto& v) {
            const auto pick = [&](int place) { return place < 0 ? Var() : v[size_t(place)]; };
            const auto pick_with = [&](int place, int low) {
              return low < 0 ? pick(place) : pick(place).with_low(pick(low).value());
            };
            const ResidualArguments a{pick_with(0, at.x_low),
                                      pick_with(at.second, at.second_low),
                                      pick(at.branch),
                                      pick(at.bias),
                                      pick(at.gamma),
                                      pick(at.beta),
                                      pick(at.residual),
                                      pick(at.scale),
                                      f.keep_sum,
                                      f.lows};
            const ResidualResult r = residual_norm(
                a, {scale_of(b, f.residual_scale, 1.25), scale_of(b, f.branch_scale, 0.75), b.dropout(f.dropout, 5)});
            if (!f.norm) return std::vector{r.sum};
            return f.keep_sum ? std::vector{r.y, r.sum} : std::vector{r.y};
          },
          [=]<class R>(const Lists<R>& in) { return residual_reference(f, at, T, C, in); }, bad};
}

// ---- bias, activation, dropout

inline Case activation_case(int64_t T, int64_t F, Activation activation, bool has_bias, double p) {
  std::vector<Input> inputs{{{T, F}, Range::off_zero}};  // relu's kink stays out of reach of the bias
  if (has_bias) inputs.push_back({{F}, Range::small});
  std::vector<Case::BadShape> bad;
  if (has_bias) bad.push_back({1, {F + 1}});
  return {inputs,
          [=](Bench& b, auto& v) {
            return std::vector{bias_activation(v[0], has_bias ? v[1] : Var(), activation, b.dropout(p, 6))};
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            std::vector<R> y;
            for (int64_t t = 0; t < T; ++t)
              for (int64_t c = 0; c < F; ++c) {
                const R x = in[0][size_t(t * F + c)] + (has_bias ? in[1][size_t(c)] : R(0));
                const R value = activation == Activation::relu   ? std::max(x, R(0))
                                : activation == Activation::gelu ? x / (1 + std::exp(R(-1.702) * x))
                                                                 : x / (1 + std::exp(-x));
                y.push_back(keep<R>(p, 6, t, c) * value);
              }
            return {y};
          },
          bad};
}

// ---- attention

struct AttentionForm {
  std::vector<int> queries, keys;  ///< sentence lengths; keys empty: self-attention
  int64_t heads = 2, head_dim = 16;
  bool is_causal = false;
  double dropout = 0;
  int tail = 2;
  int bin_rows = 64;
};

/// {first query, queries, first key, keys} of every bin: whole sentences, at most bin_rows of each
/// where sentences are no longer than that.
inline std::vector<int32_t> bins_of(const Sentences& q, const Sentences& k, int bin_rows) {
  std::vector<int32_t> bins;
  for (size_t s = 0; s + 1 < q.offsets.size(); ++s) {
    const int32_t queries = q.offsets[s + 1] - q.offsets[s], keys = k.offsets[s + 1] - k.offsets[s];
    const size_t last = bins.size();
    if (last > 0 && bins[last - 3] + queries <= bin_rows && bins[last - 1] + keys <= bin_rows) {
      bins[last - 3] += queries;
      bins[last - 1] += keys;
    } else {
      bins.insert(bins.end(), {q.offsets[s], queries, k.offsets[s], keys});
    }
  }
  return bins;
}

inline Attention attention_of(Bench& b, const AttentionForm& f, const Sentences& q, const Sentences& k) {
  const std::vector<int32_t> bins = bins_of(q, k, f.bin_rows);
  Attention p{.queries = b.packing(q), .heads = f.heads, .is_causal = f.is_causal, .dropout = b.dropout(f.dropout, 7)};
  p.keys = f.keys.empty() ? p.queries : b.packing(k);
  p.bins = b.ints({int64_t(bins.size()) / 4, 4}, bins);
  return p;
}

/// One query row of one head. Rows have `stride` elements in q and `key_stride` in k and v.
template <class R>
std::vector<R> attend(const R* q, const R* k, const R* v, int64_t key_stride, int64_t keys, int64_t D,
                      const std::function<R(int64_t)>& factor) {
  std::vector<R> weight, o(size_t(D), R(0));
  R total = 0;
  for (int64_t j = 0; j < keys; ++j) {
    R score = 0;
    for (int64_t d = 0; d < D; ++d) score += q[d] * k[j * key_stride + d];
    weight.push_back(std::exp(score / std::sqrt(R(D))));
    total += weight.back();
  }
  for (int64_t j = 0; j < keys; ++j)
    for (int64_t d = 0; d < D; ++d) o[size_t(d)] += weight[size_t(j)] / total * factor(j) * v[j * key_stride + d];
  return o;
}

template <class R>
Lists<R> attention_reference(const AttentionForm& f, const Sentences& q, const Sentences& k, const Lists<R>& in) {
  const int64_t D = f.head_dim, W = f.heads * D;
  const bool is_self = f.keys.empty();
  const int64_t q_stride = is_self ? 3 * W : W, stride = is_self ? 3 * W : 2 * W, first_key = is_self ? W : 0;
  std::vector<R> o(size_t(q.tokens() * W), R(NAN));
  for (int64_t t = 0; t < q.tokens(); ++t) {
    const int32_t s = q.segments[size_t(t)];
    if (s < 0) continue;
    const int64_t first = k.offsets[size_t(s)], all = k.offsets[size_t(s) + 1] - first;
    const int64_t keys = f.is_causal ? q.positions[size_t(t)] + 1 : all;
    for (int64_t h = 0; h < f.heads; ++h) {
      const R* key = in[is_self ? 0 : 1].data() + first * stride + first_key + h * D;
      const std::vector<R> row = attend<R>(in[0].data() + t * q_stride + h * D, key, key + W, stride, keys, D,
                                           [&](int64_t j) { return keep<R>(f.dropout, 7, t, j, h); });
      std::copy(row.begin(), row.end(), o.begin() + t * W + h * D);
    }
  }
  return {o};
}

/// Self-attention reads one fused (Tq, 3 H D), cross-attention (Tq, H D) and (Tk, 2 H D).
inline Case attention_case(const AttentionForm& f) {
  const Sentences q(f.queries, f.tail), k(f.keys.empty() ? f.queries : f.keys, f.tail);
  const int64_t W = f.heads * f.head_dim;
  std::vector<Input> inputs{{{q.tokens(), f.keys.empty() ? 3 * W : W}}};
  if (!f.keys.empty()) inputs.push_back({{k.tokens(), 2 * W}});
  for (Input& input : inputs) input.by_columns = true;
  const AttentionForm form = f;
  return {inputs,
          [=](Bench& b, auto& v) {
            const bool is_self = form.keys.empty();
            const AttentionArguments a{v[0], is_self ? v[0] : v[1], 0, is_self ? W : 0, is_self ? 2 * W : W, W};
            return std::vector{attention(a, attention_of(b, form, q, k))};
          },
          [=]<class R>(const Lists<R>& in) { return attention_reference(form, q, k, in); },
          {{0, {q.tokens() + 1, inputs[0].shape.back()}}},
          f.tail};
}

// ---- word alignments

/// Softmax of q k^T / sqrt(D) over `keys` keys.
template <class R>
std::vector<R> probabilities(const R* q, const R* k, int64_t key_stride, int64_t keys, int64_t D) {
  std::vector<R> p;
  R total = 0;
  for (int64_t j = 0; j < keys; ++j) {
    R score = 0;
    for (int64_t d = 0; d < D; ++d) score += q[d] * k[j * key_stride + d];
    p.push_back(std::exp(score / std::sqrt(R(D))));
    total += p.back();
  }
  for (R& x : p) x /= total;
  return p;
}

/// The alignment of a test corpus: rows with no, one, several points, and one that is named twice.
struct TestPoints {
  std::vector<int32_t> offsets{0}, keys;
  TestPoints(const Sentences& q, const Sentences& k) {
    for (int64_t t = 0; t < q.tokens(); ++t) {
      const int32_t s = q.segments[size_t(t)];
      const int32_t count = s < 0 ? 0 : k.offsets[size_t(s) + 1] - k.offsets[size_t(s)];
      for (int32_t i = 0; s >= 0 && i < int32_t(t % 4); ++i) keys.push_back((7 * int32_t(t) + 2 * i) % count);
      if (s >= 0 && t % 5 == 1) keys.push_back(keys.empty() ? 0 : keys.back() % count);
      offsets.push_back(int32_t(keys.size()));
    }
  }
};

inline Case alignment_loss_case(const AttentionForm& f, double weight) {
  const Sentences q(f.queries, f.tail), k(f.keys, f.tail);
  const TestPoints points(q, k);
  const int64_t D = f.head_dim;
  return {{{{q.tokens(), D}}, {{k.tokens(), D}}},
          [=](Bench& b, auto& v) {
            const AttentionArguments a{.queries = v[0], .keys_values = v[1], .width = D};
            const AlignmentPoints given{b.ints(points.offsets), b.ints(points.keys)};
            return std::vector{alignment_loss(a, 1, {b.packing(q), b.packing(k), given, weight})};
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            std::vector<R> loss;
            for (int64_t t = 0; t < q.tokens(); ++t) {
              loss.push_back(0);
              const int32_t s = q.segments[size_t(t)], first = points.offsets[size_t(t)];
              const int32_t end = points.offsets[size_t(t) + 1];
              if (s < 0) continue;
              const int64_t first_key = k.offsets[size_t(s)];
              const std::vector<R> p = probabilities(in[0].data() + t * D, in[1].data() + first_key * D, D,
                                                     k.offsets[size_t(s) + 1] - first_key, D);
              for (int32_t i = first; i < end; ++i)
                loss.back() -= R(weight) / R(end - first) * std::log(p[size_t(points.keys[size_t(i)])] + R(1e-6));
            }
            return {loss};
          },
          {{0, {q.tokens() + 1, D}}, {1, {k.tokens() + 1, D}}},
          f.tail};
}

/// Rows in any order, one of no sentence; the last columns of the result are beyond every sentence.
inline Case attention_weights_case(int64_t D) {
  const Sentences keys({3, 1, 70}, 2);
  const std::vector<int32_t> sentences{2, 0, -1, 1, 0, 2};
  const int64_t rows = int64_t(sentences.size()), length = 75;
  return {{data({rows, 2 * D}), data({keys.tokens(), 3 * D})},
          [=](Bench& b, auto& v) {
            const Tensor weights = b.output({rows, length}, b.statistics_type());
            b.backend().attention_weights(weights, Columns{v[0].value(), D, D}, Columns{v[1].value(), D, D},
                                          b.ints(keys.offsets), b.ints(sentences));
            return constants(v[0], {weights});
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            std::vector<R> weights;
            for (int64_t r = 0; r < rows; ++r) {
              const int32_t s = sentences[size_t(r)];
              std::vector<R> row;
              if (s >= 0)
                row = probabilities(in[0].data() + r * 2 * D + D, in[1].data() + keys.offsets[size_t(s)] * 3 * D + D,
                                    3 * D, keys.offsets[size_t(s) + 1] - keys.offsets[size_t(s)], D);
              row.resize(size_t(length), R(0));
              weights.insert(weights.end(), row.begin(), row.end());
            }
            return {weights};
          }};
}

}  // namespace bough::test
