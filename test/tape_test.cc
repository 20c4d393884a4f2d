// The tape as a whole: recomputation, gradients that meet, and the plan that the null backend
// makes.
#include "core/cpu/factory.h"
#include "test/catch.h"
#include "test/op_cases.h"

using namespace bough;
using namespace bough::test;

namespace {

/// A small two-layer model with everything in it, on any backend.
struct Model {
  explicit Model(Bench& b) : bench(b), tape(b.backend()) {
    for (const Shape& shape :
         {Shape{V, C}, Shape{3 * C, C}, Shape{C, C}, Shape{F, C}, Shape{C, F}, Shape{C}, Shape{C}}) {
      RandomStream random(parameters.size());
      Values values;
      for (int64_t i = 0; i < shape.elements(); ++i)
        values.push_back(float(0.5 + random.uniform()) * (i % 2 ? 0.3f : -0.3f));
      const Tensor value = b.tensor(shape, values);
      slots.push_back(std::make_shared<GradSlot>(GradSlot{b.output(shape), false, shape, value.dtype()}));
      parameters.push_back(tape.parameter(value, slots.back()));
    }
  }

  Var layer(const Var& x, uint32_t site) {
    const Sentences s({7, 1, 4}, 0);
    const auto dropout = [&](uint32_t place) {
      Dropout d = bench.dropout(0.2, site + place);
      return d;
    };
    Attention p = attention_of(bench, {.queries = {7, 1, 4}, .dropout = 0.1, .tail = 0}, s, s);
    p.dropout.site = site;
    const Var qkv = linear(x, parameters[1]);
    const Var heads = attention({qkv, qkv, 0, C, 2 * C, C}, p);
    const ResidualNorm norm{.dropout = dropout(1)};
    const Var& gamma = parameters[5];
    const Var& beta = parameters[6];
    const Var y = residual_norm({.x = x, .branch = linear(heads, parameters[2]), .gamma = gamma, .beta = beta}, norm).y;
    const Var inner = bias_activation(linear(y, parameters[3]), {}, Activation::relu, dropout(2));
    return residual_norm({.x = y, .branch = linear(inner, parameters[4]), .gamma = gamma, .beta = beta}, norm).y;
  }

  /// A forward and a backward pass; returns the losses.
  Tensor step(bool recomputes) {
    const std::vector<int32_t> ids{1, 2, 3, 1, 5, 6, 7, 0, 4, 4, 2, -1};
    std::vector<int32_t> labels{2, 3, 1, 5, 6, 7, 0, 0, 4, 2, 1, -1};
    Var x = embedding(parameters[0], {}, token_rows(bench, ids, std::vector<int32_t>(12)),
                      bench.ints(std::vector<int32_t>(12)), 2.0, {}, bench.dropout(0.1, 90));
    for (const uint32_t site : {10, 20, 30}) {
      const auto body = [this, site](const std::vector<Var>& v) { return std::vector{layer(v[0], site)}; };
      x = recomputes ? recompute({x}, body)[0] : body({x})[0];
    }
    const Tensor loss = cross_entropy(linear(x, parameters[0]), bench.ints(labels), 0.1, V);
    tape.backward();
    return loss;
  }

  static constexpr int64_t V = 9, C = 32, F = 40;
  Bench& bench;
  Tape tape;
  std::vector<std::shared_ptr<GradSlot>> slots;
  std::vector<Var> parameters;
};

const BackendRow null_row{"null", Precision::f32, [](int) { return make_null_backend(DType::f32); }};
const BackendRow cpu_row{"cpu", Precision::f32, [](int threads) { return make_cpu_backend(threads, DType::f32); }};

}  // namespace

TEST_CASE("recomputation changes no bit and saves memory", "[tape]") {
  for (const BackendRow& row : backends()) {
    Bench kept_bench(row), again_bench(row);
    Model kept(kept_bench), again(again_bench);
    const Values loss = kept_bench.values(kept.step(false));
    CHECK(again_bench.values(again.step(true)) == loss);
    for (size_t i = 0; i < kept.slots.size(); ++i) {
      INFO("parameter " << i << " on " << row.name);
      const Values gradient = kept_bench.values(kept.slots[i]->tensor);
      for (const double g : gradient) REQUIRE(std::isfinite(g));
      CHECK(again_bench.values(again.slots[i]->tensor) == gradient);
    }
    CHECK(again_bench.backend().allocator().peak() < kept_bench.backend().allocator().peak());
  }
}

TEST_CASE("the null backend foresees the memory and the operations of a step", "[tape]") {
  for (const bool recomputes : {false, true}) {
    Bench cpu_bench(cpu_row), null_bench(null_row);
    Model(cpu_bench).step(recomputes);
    Model(null_bench).step(recomputes);
    Backend &cpu = cpu_bench.backend(), &null = null_bench.backend();
    CHECK(null.allocator().peak() == cpu.allocator().peak());
    CHECK(null.flops == cpu.flops);
    CHECK(null.flops > 0);
    CHECK(null.calls == cpu.calls);
  }
}

TEST_CASE("after the backward pass the arena is empty", "[tape]") {
  Bench bench(cpu_row);
  Model model(bench);
  model.step(false);
  Allocator& arena = bench.backend().allocator();
  CHECK(arena.peak() > 0);
  arena.reset_peak();
  CHECK(arena.peak() == 0);
}

TEST_CASE("a value used twice gets both gradients", "[tape]") {
  Bench b(backends().front());
  Tape tape(b.backend());
  const Values x{1, -2, 3, 4}, cotangent{1, 10, 100, 1000};
  const auto slot = std::make_shared<GradSlot>(GradSlot{b.output({2, 2}), false, {2, 2}, DType::f64});
  const Var v = tape.parameter(b.tensor({2, 2}, x), slot);
  const Var sum = residual_norm({.x = v, .second = v, .branch = v}, {{2}, {3}}).sum;
  tape.seed(sum, b.tensor({2, 2}, cotangent));
  tape.backward();
  CHECK(b.values(slot->tensor) == Values{6, 60, 600, 6000});
}

TEST_CASE("what nobody uses costs no pullback", "[tape]") {
  Bench b(backends().front());
  Tape tape(b.backend());
  const auto slot = std::make_shared<GradSlot>(GradSlot{b.output({1, 2}), false, {1, 2}, DType::f64});
  const Var v = tape.parameter(b.tensor({1, 2}, {1, 2}), slot);
  bias_activation(v, {}, Activation::swish, {});
  tape.backward();
  CHECK_FALSE(slot->written);
  CHECK(b.backend().calls["bias_activation_dropout_backward"] == 0);
}
