// What the op table does not say about single kernels: literal values, ties, one kernel against
// another.
#include <bit>
#include <cmath>

#include "core/math.h"
#include "test/catch.h"
#include "test/op_cases.h"

using namespace bough;
using namespace bough::test;

namespace {

const BackendRow& in_f64() { return backends().front(); }

Values random_list(int64_t n, uint64_t seed) {
  RandomStream random(seed);
  Values values;
  for (int64_t i = 0; i < n; ++i) values.push_back(2 * random.uniform() - 1);
  return values;
}

void check_close(const Values& actual, const Values& expected, double bound) {
  REQUIRE(actual.size() == expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    INFO("element " << i << ": " << actual[i] << " and " << expected[i]);
    CHECK(is_close(actual[i], expected[i], bound));
  }
}

/// Parameters after each of three updates with given gradients; learning rate 1/8.
std::vector<Values> three_updates(const OptimizerConstants& constants) {
  Bench b(in_f64());
  UpdateState state;
  state.lr = 0.125;
  const Tensor words = b.ints(state.pack()), statistics = b.tensor({8}, {1, 1, 1, 0, 0, 0, 0, 0}, DType::f64);
  const auto zeros = [&] { return b.tensor({2}, {0, 0}); };
  const OptimizerArenas arenas{b.tensor({2}, {0.5, -1.25}), zeros(), zeros(), {}, zeros()};
  std::vector<Values> steps;
  for (const Values& g : {Values{0.2, -0.4}, Values{-0.1, 0.3}, Values{0.05, 1.0}}) {
    b.backend().optimizer_update(arenas, b.tensor({2}, g), statistics, words, constants);
    steps.push_back(b.values(arenas.parameters));
  }
  return steps;
}

}  // namespace

TEST_CASE("the exponential of softmax is the exponential, and 0 where that is tiny", "[kernels]") {
  double worst = 0;
  for (float x = -87; x < 88; x += 0.0007f) {
    const double expected = std::exp(double(x));
    worst = std::max(worst, std::abs(double(math::softmax_exp(x)) / expected - 1));
  }
  CHECK(worst < 1.6 * std::exp2(-24));
  CHECK(math::softmax_exp(0.0f) == 1);
  for (const float x : {-87.1f, -200.0f, -1e9f, -3e38f, -INFINITY}) CHECK(math::softmax_exp(x) == 0);
  CHECK(std::isnan(math::softmax_exp(NAN)));
}

TEST_CASE("adam gives the numbers of PyTorch's AdamW", "[kernels]") {
  // By hand from the equations of torch.optim.AdamW: decay theta *= 1 - lr wd first, corrections 1
  // - beta^t.
  const auto steps = three_updates({OptimizerKind::adam, 0.9, 0.98, 1e-8, 0.01});
  check_close(steps[0], {0.37437500625, -1.123437503125}, 1e-13);
  check_close(steps[1], {0.34051857541609, -1.1108525404109}, 1e-13);
  check_close(steps[2], {0.297244860614102, -1.17660655701931}, 1e-13);
}

TEST_CASE("adagrad gives the numbers of its equation", "[kernels]") {
  const auto steps = three_updates({.kind = OptimizerKind::adagrad, .epsilon = 1e-8});
  check_close(steps[2], {0.403624468098472, -1.31180339949999}, 1e-13);
}

TEST_CASE("layer norm and cross-entropy give the numbers of PyTorch", "[kernels]") {
  Bench b(in_f64());
  Tape tape(b.backend(), false);
  const Var x = tape.constant(b.tensor({1, 4}, {1, 2, 3, 4}));
  const Var one = tape.constant(b.tensor({4}, {1, 1, 1, 1})), zero = tape.constant(b.tensor({4}, {0, 0, 0, 0}));
  const Var y = residual_norm({.x = x, .gamma = one, .beta = zero}, {}).y;
  check_close(b.values(y.value()), {-1.34164024984388, -0.447213416614627, 0.447213416614627, 1.34164024984388}, 1e-13);
  for (const auto& [smoothing, loss] : {std::pair{0.0, 0.40760596444438}, {0.1, 0.50760596444438}}) {
    const Var logits = tape.constant(b.tensor({1, 5}, {1, 2, 3, 99, NAN}));  // columns beyond the vocabulary
    check_close(b.values(cross_entropy(logits, b.ints({2}), smoothing, 3)), {loss}, 1e-13);
  }
}

TEST_CASE("the gradient of cross-entropy is the loss's central difference", "[kernels]") {
  const std::vector<int32_t> weights = {std::bit_cast<int32_t>(2.5f), 0, std::bit_cast<int32_t>(1.0f)};
  const int64_t T = 3, V = 6, padded = 8;
  const Values logits = random_list(T * padded, 1);
  Bench b(in_f64());
  const auto run = [&](const Values& values, bool with_gradient) {
    const Tensor loss = b.output({T}), x = b.tensor({T, padded}, values);
    b.backend().cross_entropy(loss, x, b.ints({5, 0, -1}), b.ints(weights), 0.1, V, with_gradient);
    return std::pair{b.values(loss), b.values(x)};
  };
  const Values gradient = run(logits, true).second;
  for (size_t i = 0; i < logits.size(); ++i) {
    Values up = logits, down = logits;
    up[i] += difference_step;
    down[i] -= difference_step;
    double numeric = 0;
    for (size_t t = 0; t < size_t(T); ++t)
      numeric += (run(up, false).first[t] - run(down, false).first[t]) / (2 * difference_step);
    INFO("logit " << i << ": " << gradient[i] << " and " << numeric);
    CHECK(is_close(gradient[i], numeric, difference_tolerance));
  }
}

TEST_CASE("equal scores are ordered by id, and a banned id is passed over", "[kernels]") {
  for (const BackendRow& row : backends()) {
    Bench b(row);
    const Tensor scores = b.output({2, 4}, b.statistics_type()), ids = b.output({2, 4}, DType::i32);
    const Tensor logits = b.tensor({2, 7}, {1, 3, 3, 2, 3, 99, 99, 5, 5, 5, 5, 5, 99, 99});
    b.backend().log_softmax_top_k(scores, ids, logits, 5, 4, 2, false);
    CHECK(b.values(ids) == Values{1, 4, 3, 0, 0, 1, 3, 4});
    const double z = std::log(3 * std::exp(3.0) + std::exp(2.0) + std::exp(1.0)), fifth = -std::log(5.0);
    check_close(b.values(scores), {3 - z, 3 - z, 2 - z, 1 - z, fifth, fifth, fifth, fifth}, 3e-7);
  }
}

TEST_CASE("a product that threads share is the whole product", "[kernels]") {
  for (const BackendRow& row : backends())
    for (const auto& [M, N] : {std::pair{40, 700}, {700, 40}})
      for (int form = 0; form < 10; ++form) {  // as the rows of the op table
        const bool ta = form & 1, tb = form >= 8 || form & 2, adds = form & 4, bias = form >= 8;
        const Case op = gemm_case(M, N, 50, ta, tb, adds, bias);
        Bench b(row, 3);
        Tape tape(b.backend(), false);
        std::vector<Var> vars;
        Lists<double> inputs;
        for (const Input& input : op.inputs) {
          inputs.push_back(b.values(b.tensor(input.shape, random_list(input.shape.elements(), 8))));
          vars.push_back(tape.constant(b.tensor(input.shape, inputs.back())));
        }
        const Values c = b.values(op.apply(b, vars)[0].value()), exact = op.reference.f64(inputs)[0];
        double error = 0, largest = 1;
        for (const double v : exact)
          if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
        for (size_t i = 0; i < c.size(); ++i)
          error = std::max(error, std::isfinite(c[i]) ? std::abs(c[i] - exact[i]) : 1e9);
        INFO(row.name << " " << M << " x " << N << " form " << form << ": error " << error);
        CHECK(is_close(error, 0, tolerance(row.precision).forward * largest));
        CHECK(b.guards_are_whole());
      }
}

TEST_CASE("attention_backward adds to columns where it is asked to", "[kernels]") {
  for (const BackendRow& row : backends()) {
    const AttentionForm form{.queries = {4, 1, 7}, .is_causal = true, .dropout = 0.2};
    const Sentences s(form.queries, 1);
    const int64_t T = s.tokens(), W = form.heads * form.head_dim;
    Bench b(row);
    const Attention p = attention_of(b, form, s, s);
    const Tensor qkv = b.tensor({T, 3 * W}, random_list(T * 3 * W, 2)), o = b.output({T, W});
    const Tensor lse = b.output({T, form.heads}, b.statistics_type()), d_o = b.tensor({T, W}, random_list(T * W, 3));
    const Columns q{qkv, 0, W}, k{qkv, W, W}, v{qkv, 2 * W, W};
    b.backend().attention(o, lse, q, k, v, p);
    const Tensor written = b.output({T, 3 * W}), added = b.tensor({T, 3 * W}, random_list(T * 3 * W, 4));
    const Values start = b.values(added);
    const auto backward = [&](const Tensor& d, GradMode mode) {
      b.backend().attention_backward(GradColumns{d, 0, W, mode}, GradColumns{d, W, W, mode},
                                     GradColumns{d, 2 * W, W, mode}, d_o, o, lse, q, k, v, p);
    };
    backward(written, GradMode::write);
    backward(added, GradMode::add);
    Values expected = b.values(written);
    for (size_t i = 0; i < expected.size(); ++i) expected[i] += start[i];
    check_close(b.values(added), expected, 2 * tolerance(row.precision).forward);
    CHECK(b.guards_are_whole());
  }
}

TEST_CASE("attention's gradients do not depend on what was computed before", "[kernels]") {
  for (const BackendRow& row : backends()) {
    INFO(row.name);
    const auto gradients = [&](const std::vector<int>& lengths, const Values& qkv_values) {
      const AttentionForm form{.queries = lengths, .is_causal = true, .dropout = 0.2};
      const Sentences s(form.queries, 0);
      const int64_t T = s.tokens(), W = form.heads * form.head_dim;
      Bench b(row);
      const Attention p = attention_of(b, form, s, s);
      Values values = qkv_values;
      values.resize(size_t(T * 3 * W), NAN);
      const Tensor qkv = b.tensor({T, 3 * W}, values), o = b.output({T, W}), d = b.output({T, 3 * W});
      const Tensor lse = b.output({T, form.heads}, b.statistics_type()), d_o = b.tensor({T, W}, random_list(T * W, 3));
      const Columns q{qkv, 0, W}, k{qkv, W, W}, v{qkv, 2 * W, W};
      b.backend().attention(o, lse, q, k, v, p);
      b.backend().attention_backward(GradColumns{d, 0, W, GradMode::write}, GradColumns{d, W, W, GradMode::write},
                                     GradColumns{d, 2 * W, W, GradMode::write}, d_o, o, lse, q, k, v, p);
      return b.values(d);
    };
    const Values numbers = random_list(8 * 3 * 32, 2), before = gradients({5, 3}, numbers);
    gradients({200}, {});  // NaN everywhere, as after an update that was not finite
    CHECK(gradients({5, 3}, numbers) == before);
  }
}

TEST_CASE("dropout close to 1 drops almost everything, and stays finite", "[kernels]") {
  const int64_t T = 64, C = 512;
  for (const BackendRow& row : backends()) {
    INFO(row.name);
    Bench b(row);
    const Tensor y = b.output({T, C}), x = b.tensor({T, C}, Values(size_t(T * C), 1.0));
    b.backend().bias_activation_dropout(y, x, Tensor(), Activation::relu, b.dropout(0.999999, 6));
    int64_t kept = 0;
    for (const double v : b.values(y)) {
      REQUIRE(std::isfinite(v));
      kept += v != 0;
    }
    CHECK(kept < 8);
  }
}

TEST_CASE("decoding step by step equals attention over the whole sentence", "[kernels]") {
  for (const BackendRow& row : backends()) {
    const int64_t heads = 2, D = 16, W = heads * D, L = 6;
    const AttentionForm form{.queries = {int(L), int(L)}, .is_causal = true, .tail = 0};
    const Sentences s(form.queries);
    const Values values = random_list(2 * L * 3 * W, 6);
    Bench b(row);
    const Tensor qkv = b.tensor({2 * L, 3 * W}, values), whole = b.output({2 * L, W});
    b.backend().attention(whole, b.output({2 * L, heads}, b.statistics_type()), Columns{qkv, 0, W}, Columns{qkv, W, W},
                          Columns{qkv, 2 * W, W}, attention_of(b, form, s, s));
    const Values expected = b.values(whole);

    const Tensor cache = b.output({3, L, 2 * W});  // sentence 0 in slot 2, sentence 1 in slot 0
    std::vector<int32_t> ancestry(size_t(2 * L), 2);
    std::fill(ancestry.begin() + L, ancestry.end(), 0);
    for (int64_t t = 0; t < L; ++t) {
      Values now(values.begin() + t * 3 * W, values.begin() + (t + 1) * 3 * W), want;
      now.insert(now.end(), values.begin() + (L + t) * 3 * W, values.begin() + (L + t + 1) * 3 * W);
      const Tensor o = b.output({2, W});
      b.backend().self_attention_step(o, cache, b.tensor({2, 3 * W}, now), b.ints({2, L}, ancestry), b.ints({2, 0}),
                                      b.ints({int32_t(t), int32_t(t)}), heads);
      for (const int64_t sentence : {0, 1})
        want.insert(want.end(), expected.begin() + (sentence * L + t) * W,
                    expected.begin() + (sentence * L + t + 1) * W);
      check_close(b.values(o), want, 2 * tolerance(row.precision).forward);
    }
  }
}

TEST_CASE("dropout depends on a row's number in the update, not on the batch it is in", "[kernels]") {
  const int64_t T = 8, C = 300;
  Bench b(in_f64());
  const auto run = [&](int32_t first_row, int64_t rows) {
    Dropout dropout = b.dropout(0.3, 6);
    dropout.first_row = b.ints({first_row});
    const Tensor y = b.output({rows, C}), x = b.tensor({rows, C}, Values(size_t(rows * C), 1.0));
    b.backend().bias_activation_dropout(y, x, Tensor(), Activation::relu, dropout);
    return b.values(y);
  };
  const Values whole = run(40, T);
  Values halves = run(40, 3);
  for (const double v : run(43, 5)) halves.push_back(v);
  CHECK(halves == whole);
  double sum = 0;
  for (const double v : whole) sum += v;
  CHECK(is_close(sum / double(T * C), 1, 0.05));  // kept elements make up for the others
  CHECK(run(41, T) != whole);
}
