#pragma once
#include <bit>

#include "test/op_cases_layers.h"

// Rows of the op table: kernels called directly, because they have no derivative or are used
// without it.

namespace bough::test {

using Type = Input::Type;

// ---- gemm in all its forms: c (M, N) = op(a) op(b) (+ bias), or c += op(a) op(b)

inline Case gemm_case(int64_t M, int64_t N, int64_t K, bool transpose_a, bool transpose_b, bool adds, bool has_bias) {
  std::vector<Input> inputs{data(transpose_a ? Shape{K, M} : Shape{M, K}),
                            data(transpose_b ? Shape{N, K} : Shape{K, N}), data({M, N}), data({N})};
  return {inputs,
          [=](Bench& b, auto& v) {
            const Tensor c = adds ? v[2].value() : b.output({M, N});
            b.backend().gemm(Grad{c, adds ? GradMode::add : GradMode::write}, v[0].value(), v[1].value(),
                             Gemm{transpose_a, transpose_b, has_bias ? v[3].value() : Tensor()});
            return constants(v[0], {c});
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            std::vector<R> c(size_t(M * N));
            for (int64_t m = 0; m < M; ++m)
              for (int64_t n = 0; n < N; ++n) {
                R sum = 0;
                for (int64_t k = 0; k < K; ++k)
                  sum += in[0][size_t(transpose_a ? k * M + m : m * K + k)] *
                         in[1][size_t(transpose_b ? n * K + k : k * N + n)];
                c[size_t(m * N + n)] = sum + (adds ? in[2][size_t(m * N + n)] : has_bias ? in[3][size_t(n)] : R(0));
              }
            return {c};
          },
          {},
          0,
          false};
}

/// c (=|+=) a^T b and the sums of a's columns (a weight's and its bias' gradient).
inline Case row_sums_case(int64_t M, int64_t N, int64_t K, bool adds) {
  return {{data({K, M}), data({K, N}), data({M, N}), data({M})},
          [=](Bench& b, auto& v) {
            const Tensor c = adds ? v[2].value() : b.output({M, N}), sums = adds ? v[3].value() : b.output({M});
            const GradMode mode = adds ? GradMode::add : GradMode::write;
            b.backend().gemm(Grad{c, mode}, v[0].value(), v[1].value(),
                             Gemm{.transpose_a = true, .row_sums = {sums, mode}});
            return constants(v[0], {c, sums});
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            auto c = std::vector<R>(size_t(M * N)), sums = std::vector<R>(size_t(M));
            for (int64_t m = 0; m < M; ++m) {
              R total = 0;
              for (int64_t k = 0; k < K; ++k) total += in[0][size_t(k * M + m)];
              sums[size_t(m)] = total + (adds ? in[3][size_t(m)] : R(0));
              for (int64_t n = 0; n < N; ++n) {
                R sum = 0;
                for (int64_t k = 0; k < K; ++k) sum += in[0][size_t(k * M + m)] * in[1][size_t(k * N + n)];
                c[size_t(m * N + n)] = sum + (adds ? in[2][size_t(m * N + n)] : R(0));
              }
            }
            return {c, sums};
          },
          {},
          0,
          false};
}

// ---- cross_entropy through its op: the loss, and the logits that became their gradient

inline Case cross_entropy_case(int64_t T, int64_t V, int64_t padded, double smoothing, bool with_gradient,
                               bool is_weighted = false) {
  std::vector<int32_t> labels, weights;
  const auto weight = [=](int64_t t) { return is_weighted ? 0.5 * double(t % 4) : 1.0; };
  for (int64_t t = 0; is_weighted && t < T; ++t) weights.push_back(std::bit_cast<int32_t>(float(weight(t))));
  for (int64_t t = 0; t < T; ++t) labels.push_back(int32_t(t == 0 ? V - 1 : t * 5 % V));
  labels.back() = -1;
  return {{data({T, padded})},
          [=](Bench& b, auto& v) {
            Tape tape(b.backend());
            const auto slot = std::make_shared<GradSlot>();
            const Var logits = with_gradient ? tape.parameter(v[0].value(), slot) : tape.constant(v[0].value());
            const Tensor loss =
                cross_entropy(logits, b.ints(labels), smoothing, V, is_weighted ? b.ints(weights) : Tensor());
            return constants(v[0], {loss, with_gradient ? slot->tensor : v[0].value()});
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            std::vector<R> loss(size_t(T), R(0)), gradient = in[0];
            for (int64_t t = 0; t < T; ++t) {
              R* g = gradient.data() + t * padded;
              const int32_t label = labels[size_t(t)];
              R largest = g[0], total = 0;
              for (int64_t c = 0; c < V; ++c) largest = std::max(largest, g[c]);
              for (int64_t c = 0; c < V; ++c) total += std::exp(g[c] - largest);
              for (int64_t c = 0; c < padded; ++c) {
                const R share = (c == label ? R(1 - smoothing) : R(0)) + R(smoothing) / R(V);
                const R log_p = g[c] - largest - std::log(total);
                const R w = R(weight(t));
                if (label >= 0 && c < V) loss[size_t(t)] -= w * share * log_p;
                if (with_gradient) g[c] = label < 0 || c >= V ? R(0) : w * (std::exp(log_p) - share);
              }
            }
            return {loss, gradient};
          },
          {{0, {T + 1, padded}}, {0, {T, V - 1}}}};
}

// ---- sums, cast, fill, accumulate: write onto NaN, add onto the second input

inline Case sum_case(int64_t T, bool adds) {
  return {{data({T}, Type::statistics), data({1}, Type::f64)},
          [=](Bench& b, auto& v) {
            const Tensor total = adds ? v[1].value() : b.output({1}, DType::f64);
            b.backend().sum(adds ? add_to(total) : write_to(total), v[0].value());
            return constants(v[0], {total});
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            R total = adds ? in[1][0] : R(0);
            for (const R x : in[0]) total += x;
            return {{total}};
          }};
}

inline Case column_sum_case(int64_t T, int64_t C, bool adds) {
  return {{data({T, C}), data({C})},
          [=](Bench& b, auto& v) {
            const Tensor total = adds ? v[1].value() : b.output({C});
            b.backend().column_sum(adds ? add_to(total) : write_to(total), v[0].value());
            return constants(v[0], {total});
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            std::vector<R> total = adds ? in[1] : std::vector<R>(size_t(C), R(0));
            for (size_t i = 0; i < in[0].size(); ++i) total[i % size_t(C)] += in[0][i];
            return {total};
          }};
}

inline Case cast_case(int64_t C, bool to_f32) {
  return {{{.shape = {C}, .differentiable = false, .type = to_f32 ? Type::compute : Type::statistics}},
          [=](Bench& b, auto& v) {
            const Tensor y = to_f32 ? b.output({C}, DType::f32) : b.output({C});
            b.backend().cast(y, v[0].value());
            return constants(v[0], {y});
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            std::vector<R> y = in[0];
            for (R& value : y) value = to_f32 ? R(float(value)) : value;
            return {y};
          }};
}

inline Case fill_case(int64_t C) {
  return {{data({1})},
          [=](Bench& b, auto& v) {
            const Tensor y = b.output({3, C});
            b.backend().fill(y, 0.375);
            return constants(v[0], {y});
          },
          [=]<class R>(const Lists<R>&) -> Lists<R> { return {std::vector<R>(size_t(3 * C), R(0.375))}; }};
}

inline Case accumulate_case(int64_t C, bool adds) {
  return {{data({2, C}), data({2, C})},
          [=](Bench& b, auto& v) {
            const Tensor y = adds ? v[1].value() : b.output({2, C});
            b.backend().accumulate(adds ? add_to(y) : write_to(y), v[0].value());
            return constants(v[0], {y});
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            std::vector<R> y = in[0];
            for (size_t i = 0; i < y.size(); ++i) y[i] += adds ? in[1][i] : R(0);
            return {y};
          }};
}

// ---- the optimizer. tokens = 5, clip = 0.5, learning rate 0.01 and average rate 1/8: test_state()

inline Case statistics_case(int64_t N, double size_of_gradient, bool is_finite) {
  Values gradient;
  RandomStream random(99);
  for (int64_t i = 0; i < N; ++i) gradient.push_back(float(size_of_gradient * (random.uniform() - 0.5)));
  if (!is_finite) gradient[size_t(N / 2)] = INFINITY;
  return {{given({N}, gradient, Type::statistics)},
          [=](Bench& b, auto& v) {
            const Tensor statistics = b.output({gradient_stat::count}, DType::f64);
            const Tensor sums = b.output({(N + 65535) / 65536}, DType::f64);
            b.backend().block_square_sums(sums, v[0].value());
            b.backend().gradient_statistics(statistics, sums, b.state());
            return constants(v[0], is_finite ? std::vector{statistics} : std::vector{statistics.view(2, {1})});
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            if (!is_finite) return {{R(0)}};
            double squares = 0;  // f64 on every backend
            for (const R g : in[0]) squares += double(g) * double(g);
            const double per_token = float(1.0 / test_state().tokens), norm = std::sqrt(squares) * per_token;
            std::vector<R> statistics(size_t(gradient_stat::count), R(NAN));
            statistics[gradient_stat::norm] = R(norm);
            statistics[gradient_stat::multiplier] = R(std::min(1.0, 0.5 / norm) * per_token);
            statistics[gradient_stat::is_finite] = 1;
            return {statistics};
          }};
}

/// Pieces that overlap, leave gaps and are empty.
inline Case square_sums_case(int64_t N, bool has_other) {
  const Values pieces{0, double(N), double(N / 2), double(N - N / 2), double(N / 3), 1, 0, 0};
  return {{data({N}, Type::statistics), data({N}, Type::statistics), given({4, 2}, pieces, Type::f64)},
          [=](Bench& b, auto& v) {
            const Tensor sums = b.output({4}, DType::f64);
            b.backend().square_sums(sums, v[0].value(), has_other ? v[1].value() : Tensor(), v[2].value());
            return constants(v[0], {sums});
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            std::vector<R> sums;
            for (size_t p = 0; p < 4; ++p) {
              double sum = 0;  // f64 on every backend
              for (size_t i = 0; i < size_t(pieces[2 * p + 1]); ++i) {
                const size_t k = size_t(pieces[2 * p]) + i;
                sum += std::pow(double(in[0][k]) - (has_other ? double(in[1][k]) : 0), 2);
              }
              sums.push_back(R(sum));
            }
            return {sums};
          }};
}

/// The row_sums of the residual family's kernel, with dropout on: they do not see it. Every third row is of no sentence
/// where there are segments.
inline Case row_sums_case(int64_t T, int64_t C, const ResidualForm& f, bool has_segments) {
  std::vector<Input> inputs;
  const ResidualPlaces at = residual_inputs(f, T, C, inputs);
  for (Input& input : inputs) input.differentiable = false;
  std::vector<int32_t> segments;
  for (int64_t t = 0; t < T; ++t) segments.push_back(t % 3 == 2 ? -1 : int32_t(t / 3));
  return {inputs,
          [=](Bench& b, auto& v) {
            const auto pick = [&](int place) { return place < 0 ? Tensor() : v[size_t(place)].value(); };
            ResidualNorm p{scale_of(b, f.residual_scale, 1.25), scale_of(b, f.branch_scale, 0.75), b.dropout(0.3, 5)};
            if (at.residual >= 0) p.residual_scale.tensor = pick(at.residual);
            if (at.scale >= 0) p.branch_scale.tensor = pick(at.scale);
            ResidualInputs in{v[0].value(),  pick(at.second), pick(at.branch),
                              pick(at.bias), pick(at.gamma),  pick(at.beta)};
            if (has_segments) in.segments = b.ints(segments);
            const DType type = b.statistics_type();
            ResidualOutputs out{.row_sums = b.output({T, 4}, type)};
            if (f.norm) {
              out.y = b.output({T, C});
              out.mean = b.output({T}, type);
              out.rstd = b.output({T}, type);
            } else {
              out.sum = b.output({T, C});
            }
            b.backend().residual_dropout_norm(out, in, p);
            return constants(v[0], {out.row_sums});
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            std::vector<R> sums(size_t(T * 4), R(0));
            for (int64_t t = 0; t < T; ++t)
              for (int64_t c = 0; c < C && !(has_segments && segments[size_t(t)] < 0); ++c) {
                const size_t i = size_t(t * C + c);
                R* const of_row = sums.data() + t * 4;
                const R r = scale_value(f.residual_scale, 1.25, at.residual, in, c) * in[0][i] +
                            (f.second ? in[size_t(at.second)][i] : R(0));
                of_row[0] += r;
                of_row[1] += r * r;
                if (!f.branch) continue;
                const R branch = scale_value(f.branch_scale, 0.75, at.scale, in, c) *
                                 (in[size_t(at.branch)][i] + (f.bias ? in[size_t(at.bias)][size_t(c)] : R(0)));
                of_row[2] += branch;
                of_row[3] += branch * branch;
              }
            return {sums};
          }};
}

inline Case total_row_sums_case(int64_t sites, int64_t T, bool adds) {
  return {{data({sites, T, 4}, Type::statistics), data({sites, 4}, Type::f64)},
          [=](Bench& b, auto& v) {
            const Tensor totals = adds ? v[1].value() : b.output({sites, 4}, DType::f64);
            b.backend().total_row_sums(adds ? add_to(totals) : write_to(totals), v[0].value());
            return constants(v[0], {totals});
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            std::vector<R> totals;
            for (int64_t i = 0; i < sites * 4; ++i) {
              double total = adds ? double(in[1][size_t(i)]) : 0;
              for (int64_t t = 0; t < T; ++t) total += double(in[0][size_t((i / 4 * T + t) * 4 + i % 4)]);
              totals.push_back(R(total));
            }
            return {totals};
          }};
}

/// Sites of which each shows one branch of the rule: held by the bound, grown by `growth`, kept above the smallest,
/// kept below 1, and three that keep what they have (no residual; sums that are not finite).
inline Case branch_scales_case(bool is_finite) {
  constexpr int64_t sites = 7;
  constexpr double growth = 1.5;
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const Values before{0.5, 0.25, 0.5, 0.875, 0.5, 0.5, 0.5};
  //                  {r, r^2, f, f^2}, of which the second and the fourth count
  const Values sums{0, 4, 0, 1, 0, 4, 0, 0.0001, 0, 1, 0, 100, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, inf, 0, nan, 0, 1};
  Values limits, statistics(size_t(gradient_stat::count), 0.0);
  for (int64_t i = 0; i < sites; ++i) limits.insert(limits.end(), {0.125, 0.1, 0.5});
  statistics[gradient_stat::is_finite] = is_finite;
  return {{given({sites, 4}, sums, Type::f64), given({sites, 3}, limits, Type::f64),
           given({gradient_stat::count}, statistics, Type::f64)},
          [=](Bench& b, auto& v) {
            std::vector<int32_t> words;
            for (const double scale : before) words.push_back(std::bit_cast<int32_t>(float(scale)));
            const Tensor scales = b.ints(words), floats = b.output({sites}, DType::f32);
            b.backend().adapt_branch_scales(scales, v[0].value(), v[1].value(), v[2].value(), b.state(), growth);
            b.backend().download(words.data(), scales);
            b.backend().upload(floats, words.data());
            return constants(v[0], {floats});
          },
          [=]<class R>(const Lists<R>&) -> Lists<R> {
            const double bound = 0.1 + test_state().bound * 0.4;
            std::vector<R> after(before.begin(), before.end());
            if (is_finite) {
              after[0] = R(float(0.5 * bound / 0.5));  // rounded to its word
              after[1] = R(0.25 * growth);
              after[2] = R(0.125);
              after[3] = R(1);
            }
            return {after};
          }};
}

struct OptimizerForm {
  OptimizerConstants constants;
  bool has_average = true, is_finite = true;
};

template <class R>
Lists<R> optimizer_reference(const OptimizerForm& f, const Lists<R>& in) {
  if (!f.is_finite) return {in[0], in[1], in[2], in[3], in[4]};
  const OptimizerConstants& k = f.constants;
  Lists<R> out{in[0], in[1], in[2], in[3], in[4]};
  std::vector<R>&theta = out[0], &m = out[1], &v = out[2], &average = out[3], &d = out[4];
  const R lr = R(0.01f), b1 = R(k.beta1), b2 = R(k.beta2);
  const bool is_adam = k.kind == OptimizerKind::adam;
  if (is_adam) d = {b1 * d[0] + (1 - b1), b2 * d[1] + (1 - b2)};
  for (size_t i = 0; i < theta.size(); ++i) {
    const R g = R(0.5) * in[5][i];
    if (is_adam) {
      m[i] = b1 * m[i] + (1 - b1) * g;
      v[i] = b2 * v[i] + (1 - b2) * g * g;
      theta[i] -= lr * ((m[i] / d[0]) / (std::sqrt(v[i] / d[1]) + R(k.epsilon)) + R(k.weight_decay) * theta[i]);
    } else if (k.kind == OptimizerKind::adagrad) {
      v[i] += g * g;
      theta[i] -= lr * g / (std::sqrt(v[i]) + R(k.epsilon));
    } else {
      theta[i] -= lr * g;
    }
    if (f.has_average) average[i] += R(0.125) * (theta[i] - average[i]);
  }
  return out;
}

inline Case optimizer_case(int64_t N, const OptimizerForm& f) {
  Input second = data({N}, Type::statistics);
  second.range = Range::near_one;
  const Values statistics{1, f.is_finite ? 0.5 : NAN, f.is_finite ? 1.0 : 0.0, 0, 0, 0, 0, 0};
  return {{data({N}, Type::statistics), data({N}, Type::statistics), second, data({N}, Type::statistics),
           given({2}, {0.25, 0.125}, Type::f64), data({N}, Type::statistics),
           given({gradient_stat::count}, statistics, Type::f64)},
          [=](Bench& b, auto& v) {
            OptimizerArenas a{v[0].value(), v[1].value(), v[2].value(), v[3].value(), v[4].value()};
            if (!f.has_average) a.average = {};
            b.backend().optimizer_update(a, v[5].value(), v[6].value(), b.state(), f.constants);
            return constants(v[0], {v[0].value(), v[1].value(), v[2].value(), v[3].value(), v[4].value()});
          },
          [=]<class R>(const Lists<R>& in) { return optimizer_reference(f, in); }};
}

// ---- decoding

/// Three rows in four slots, steps 2, 0 and 3; row 0 and row 2 share an ancestor.
inline Case self_attention_step_case(int64_t heads, int64_t D) {
  const int64_t W = heads * D, L = 5, A = 4, rows = 3;
  const std::vector<int32_t> slots{1, 3, 0}, steps{2, 0, 3};
  const std::vector<int32_t> ancestry{2, 1, 1, -1, 3, -1, -1, -1, 2, 1, 0, 0};
  return {{data({rows, 3 * W}), data({4, L, 2 * W})},
          [=](Bench& b, auto& v) {
            const Tensor o = b.output({rows, W});
            b.backend().self_attention_step(o, v[1].value(), v[0].value(), b.ints({rows, A}, ancestry), b.ints(slots),
                                            b.ints(steps), heads);
            return constants(v[0], {o, v[1].value()});
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            std::vector<R> cache = in[1], o;
            for (int64_t r = 0; r < rows; ++r)
              std::copy_n(in[0].begin() + r * 3 * W + W, 2 * W,
                          cache.begin() + (slots[size_t(r)] * L + steps[size_t(r)]) * 2 * W);
            for (int64_t r = 0; r < rows; ++r) {
              std::vector<R> seen;  // the history of this row, one step after another
              for (int64_t t = 0; t <= steps[size_t(r)]; ++t) {
                const auto entry = cache.begin() + (ancestry[size_t(r * A + t)] * L + t) * 2 * W;
                seen.insert(seen.end(), entry, entry + 2 * W);
              }
              for (int64_t h = 0; h < heads; ++h) {
                const R* key = seen.data() + h * D;
                const auto part = attend<R>(in[0].data() + r * 3 * W + h * D, key, key + W, 2 * W, steps[size_t(r)] + 1,
                                            D, [](int64_t) { return R(1); });
                o.insert(o.end(), part.begin(), part.end());
              }
            }
            return {o, cache};
          }};
}

/// Lists of 5, 1 and 9 words for five rows; some words are in several.
inline Case listed_logits_case(int64_t C, bool has_bias) {
  const int64_t V = 20, L = 11, rows = 5;
  const std::vector<int32_t> offsets{0, 5, 6, 15}, sentences{2, 0, 0, 1, 2};
  const std::vector<int32_t> ids{0, 3, 4, 11, 19, 7, 0, 1, 2, 3, 8, 9, 10, 17, 18};
  return {{data({rows, C}), data({V, C}), data({V})},
          [=](Bench& b, auto& v) {
            const Tensor logits = b.output({rows, L});
            b.backend().listed_logits(logits, v[0].value(), v[1].value(), has_bias ? v[2].value() : Tensor(),
                                      b.ints(offsets), b.ints(ids), b.ints(sentences));
            return constants(v[0], {logits});
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            auto logits = std::vector<R>(size_t(rows * L), R(unlisted_logit));
            for (int64_t r = 0; r < rows; ++r) {
              const size_t s = size_t(sentences[size_t(r)]);
              for (int32_t j = 0; j < offsets[s + 1] - offsets[s]; ++j) {
                const int32_t word = ids[size_t(offsets[s] + j)];
                R sum = has_bias ? in[2][size_t(word)] : R(0);
                for (int64_t c = 0; c < C; ++c) sum += in[0][size_t(r * C + c)] * in[1][size_t(word * C + c)];
                logits[size_t(r * L + j)] = sum;
              }
            }
            return {logits};
          }};
}

inline Case cross_attention_step_case(int64_t heads, int64_t D) {
  const int64_t W = heads * D, rows = 5;
  const Sentences keys({3, 1, 70}, 2);
  const std::vector<int32_t> sentences{2, 0, 0, 1, 2};
  return {{data({rows, W}), data({keys.tokens(), 2 * W})},
          [=](Bench& b, auto& v) {
            const Tensor o = b.output({rows, W});
            b.backend().cross_attention_step(o, v[0].value(), Columns{v[1].value(), 0, W}, Columns{v[1].value(), W, W},
                                             b.ints(keys.offsets), b.ints(sentences), heads);
            return constants(v[0], {o});
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            std::vector<R> o;
            for (int64_t r = 0; r < rows; ++r) {
              const size_t s = size_t(sentences[size_t(r)]);
              for (int64_t h = 0; h < heads; ++h) {
                const R* key = in[1].data() + keys.offsets[s] * 2 * W + h * D;
                const auto part = attend<R>(in[0].data() + r * W + h * D, key, key + W, 2 * W,
                                            keys.offsets[s + 1] - keys.offsets[s], D, [](int64_t) { return R(1); });
                o.insert(o.end(), part.begin(), part.end());
              }
            }
            return {o};
          }};
}

inline Case top_k_case(int64_t rows, int64_t V, int64_t padded, int64_t k, int64_t banned, bool skips_softmax = false) {
  return {{data({rows, padded})},
          [=](Bench& b, auto& v) {
            const Tensor scores = b.output({rows, k}, b.statistics_type()), ids = b.output({rows, k}, DType::i32);
            b.backend().log_softmax_top_k(scores, ids, v[0].value(), V, k, banned, skips_softmax);
            return constants(v[0], {scores, ids});
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            Lists<R> out(2);
            for (int64_t r = 0; r < rows; ++r) {
              const R* x = in[0].data() + r * padded;
              R total = 0;
              for (int64_t c = 0; c < V; ++c) total += std::exp(x[c]);
              auto order = std::vector<int64_t>(size_t(V));
              std::iota(order.begin(), order.end(), 0);
              std::erase(order, banned);
              std::stable_sort(order.begin(), order.end(), [x](int64_t i, int64_t j) { return x[i] > x[j]; });
              for (size_t i = 0; i < size_t(k); ++i) {
                out[0].push_back(x[order[i]] - (skips_softmax ? R(0) : std::log(total)));
                out[1].push_back(R(order[i]));
              }
            }
            return out;
          }};
}

}  // namespace bough::test
