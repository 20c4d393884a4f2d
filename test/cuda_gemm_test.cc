// The real cuda/gemm.cc (on the emulated cuBLASLt, or on a GPU) against loops in f64.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/base/random.h"
#include "cuda/factory.h"
#include "test/catch.h"
#include "test/skip.h"
#include "test/throws.h"
#if defined(BOUGH_EMULATOR)
#include "test/emulator/machine.h"
#endif

using namespace bough;

namespace {

double bf16_value(double x) {
  // Round to nearest even at 8 bits of mantissa.
  if (x == 0 || !std::isfinite(x)) return x;
  int exponent = 0;
  const double mantissa = std::frexp(x, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(mantissa, 8)), exponent - 8);
}

/// Values, as the device holds them.
struct Matrix {
  std::vector<double> values;
  Tensor tensor;
};

/// A persistent tensor that begins `offset` elements behind an aligned address.
Tensor place(Backend& b, Shape shape, DType type, int64_t offset) {
  return b.allocate_persistent({shape.elements() + offset}, type).view(offset, shape);
}

void upload(Backend& b, Out t, const std::vector<double>& values) {
  if (t.dtype() == DType::f32) {
    const std::vector<float> narrow(values.begin(), values.end());
    b.upload(t, narrow.data());
    return;
  }
  std::vector<uint16_t> halves;
  for (const double v : values) {
    const float f = float(v);  // exact: the values were rounded
    uint32_t bits = 0;
    std::memcpy(&bits, &f, sizeof f);
    halves.push_back(uint16_t(bits >> 16));
  }
  b.upload(t, halves.data());
}

std::vector<double> download(Backend& b, In t) {
  std::vector<double> values(size_t(t.size()));
  if (t.dtype() == DType::f32) {
    std::vector<float> narrow(values.size());
    b.download(narrow.data(), t);
    std::copy(narrow.begin(), narrow.end(), values.begin());
    return values;
  }
  std::vector<uint16_t> halves(values.size());
  b.download(halves.data(), t);
  for (size_t i = 0; i < values.size(); ++i) {
    const uint32_t bits = uint32_t(halves[i]) << 16;
    float f = 0;
    std::memcpy(&f, &bits, sizeof f);
    values[i] = double(f);
  }
  return values;
}

Matrix random_matrix(Backend& b, Shape shape, DType type, uint64_t seed, int64_t offset = 0) {
  Matrix m{std::vector<double>(size_t(shape.elements())), place(b, shape, type, offset)};
  RandomStream random(seed);
  for (double& v : m.values) {
    v = float(2 * random.uniform() - 1);
    if (type == DType::bf16) v = bf16_value(v);
  }
  upload(b, m.tensor, m.values);
  return m;
}

struct Case {
  int64_t m, n, k;
  bool transpose_a, transpose_b, add, has_bias;
  DType in, out;
  int64_t offset = 0;  ///< of c and bias, in elements
};

/// Largest difference from the f64 product, in units of what rounding may do.
double error_of(Backend& b, const Case& t) {
  const auto shape = [](bool transpose, int64_t rows, int64_t cols) {
    return transpose ? Shape{cols, rows} : Shape{rows, cols};
  };
  const Matrix a = random_matrix(b, shape(t.transpose_a, t.m, t.k), t.in, 1);
  const Matrix x = random_matrix(b, shape(t.transpose_b, t.k, t.n), t.in, 2);
  Matrix c = random_matrix(b, {t.m, t.n}, t.out, 3, t.offset);
  if (!t.add) upload(b, c.tensor, std::vector<double>(c.values.size(), std::nan("")));
  const Matrix bias = t.has_bias ? random_matrix(b, {t.n}, t.out, 4, t.offset) : Matrix{};
  b.gemm(t.add ? add_to(c.tensor) : write_to(c.tensor), a.tensor, x.tensor,
         Gemm{.transpose_a = t.transpose_a, .transpose_b = t.transpose_b, .bias = bias.tensor});
  const std::vector<double> actual = download(b, c.tensor);
  double worst = 0;
  for (int64_t i = 0; i < t.m; ++i)
    for (int64_t j = 0; j < t.n; ++j) {
      double sum = 0, magnitude = 0;
      for (int64_t l = 0; l < t.k; ++l) {
        const double term = a.values[size_t(t.transpose_a ? l * t.m + i : i * t.k + l)] *
                            x.values[size_t(t.transpose_b ? j * t.k + l : l * t.n + j)];
        sum += term;
        magnitude += std::abs(term);
      }
      if (t.add) sum += c.values[size_t(i * t.n + j)];
      if (t.has_bias) sum += bias.values[size_t(j)];
      const double bound = (magnitude + 1) * 0x1p-24 * (4 + std::sqrt(double(t.k))) +
                           (t.out == DType::bf16 ? std::abs(sum) * 0x1p-8 : 0);
      const double error = std::abs(actual[size_t(i * t.n + j)] - sum) / bound;
      if (!(error <= worst)) worst = error;  // NaN stays
      if (std::isnan(worst)) return worst;
    }
  return worst;
}

}  // namespace

TEST_CASE("cuda gemm: every transpose, mode, epilogue and type", "[cuda][gemm]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  const auto backend = make_cuda_backend({.compute_dtype = DType::bf16});
  const std::vector<std::array<int64_t, 3>> shapes = {{1, 1, 1},    {7, 33, 5},    {33, 16, 64},
                                                      {64, 64, 32}, {257, 24, 40}, {8, 136, 257}};
  for (const auto& [m, n, k] : shapes)
    for (int bits = 0; bits < 16; ++bits)
      for (int types = 0; types < 3; ++types) {
        const Case t{m,
                     n,
                     k,
                     (bits & 1) != 0,
                     (bits & 2) != 0,
                     (bits & 4) != 0,
                     (bits & 8) != 0,
                     types == 0 ? DType::f32 : DType::bf16,
                     types == 2 ? DType::bf16 : DType::f32};
        if (t.add && t.has_bias) continue;
        CAPTURE(m, n, k, bits, types);
        CHECK(error_of(*backend, t) <= 1.0);
      }
}

TEST_CASE("cuda gemm: addresses that are aligned to one element only", "[cuda][gemm]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  const auto backend = make_cuda_backend({.compute_dtype = DType::bf16});
  for (const int64_t offset : {1, 2, 4})
    for (const DType out : {DType::f32, DType::bf16}) {
      CAPTURE(offset, int(out));
      CHECK(error_of(*backend, {16, 32, 64, false, true, false, true, DType::bf16, out, offset}) <= 1.0);
    }
}

TEST_CASE("cuda gemm: empty products", "[cuda][gemm]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  const auto backend = make_cuda_backend({.compute_dtype = DType::f32});
  CHECK(error_of(*backend, {3, 4, 0, true, false, false, false, DType::f32, DType::f32}) == 0);
  CHECK(error_of(*backend, {3, 4, 0, true, false, true, false, DType::f32, DType::f32}) == 0);
  CHECK(error_of(*backend, {0, 4, 5, false, true, false, true, DType::f32, DType::f32}) == 0);
}

TEST_CASE("cuda gemm: wrong types are refused in a sentence", "[cuda][gemm]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  const auto b = make_cuda_backend({.compute_dtype = DType::bf16});
  const Tensor f = b->allocate_persistent({8, 8}, DType::f32), h = b->allocate_persistent({8, 8}, DType::bf16);
  const Tensor bias = b->allocate_persistent({8}, DType::bf16);
  CHECK(
      message_of([&] { b->gemm(write_to(h), f, f, Gemm{}); }).starts_with("gemm: a is float32, b is float32 and c is"));
  CHECK(message_of([&] { b->gemm(write_to(f), f, h, Gemm{}); }).starts_with("gemm: a is float32, b is bfloat16"));
  CHECK(message_of([&] { b->gemm(write_to(f), h, h, Gemm{.bias = bias}); }).starts_with("gemm: a bias must be"));
}

TEST_CASE("cuda gemm: TF32 is used when asked for", "[cuda][gemm]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  const Case t{64, 64, 64, false, true, false, false, DType::f32, DType::f32};
  CHECK(error_of(*make_cuda_backend({.compute_dtype = DType::f32}), t) <= 1.0);
  const double error = error_of(*make_cuda_backend({.compute_dtype = DType::f32, .allow_tf32 = true}), t);
  CHECK(error > 1.0);
  CHECK(error < 0x1p13);
}

TEST_CASE("cuda gemm: plans are text, and bring the same bits back", "[cuda][gemm]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  const Shape shape{64, 128};
  const auto product = [&](Backend& b) {
    const Matrix a = random_matrix(b, shape, DType::bf16, 1), x = random_matrix(b, shape, DType::bf16, 2);
    const Tensor c = b.allocate_persistent({64, 64}, DType::f32);
    b.gemm(write_to(c), a.tensor, x.tensor, Gemm{.transpose_b = true});
    return download(b, c);
  };
  const auto tuned = make_cuda_backend({.compute_dtype = DType::bf16, .autotune = true});
  const std::vector<double> expected = product(*tuned);
  const std::string plans = tuned->plans();
  CHECK(plans.starts_with("gemm-plans 2 | "));

  const auto resumed = make_cuda_backend({.compute_dtype = DType::bf16});
  CHECK(resumed->set_plans(plans));
  CHECK(product(*resumed) == expected);
  CHECK(resumed->plans() == plans);

  CHECK(!resumed->set_plans("gemm-plans 2 | another device\n"));
  CHECK(message_of([&] { resumed->set_plans(plans + "64 64 oops\n"); }).find("is damaged") != std::string::npos);
  CHECK(product(*resumed) == expected);
}

#if defined(BOUGH_EMULATOR)
namespace {

/// What a weight's and its bias' gradient are, and a layer with relu, where the sums begin `offset` elements behind an
/// aligned address; added twice more to the first.
struct Products {
  std::vector<double> weight, bias, inner;
  int64_t kernels = 0;  ///< that were launched besides gemm
  bool operator==(const Products&) const = default;
};

Products products(Backend& b, int64_t offset) {
  const Matrix dy = random_matrix(b, {50, 24}, DType::bf16, 1), x = random_matrix(b, {50, 40}, DType::bf16, 2);
  const Matrix w = random_matrix(b, {24, 40}, DType::bf16, 3), bias = random_matrix(b, {24}, DType::bf16, 4);
  const Tensor dw = b.allocate_persistent({24, 40}, DType::f32), db = place(b, {24}, DType::f32, offset);
  const Tensor y = b.allocate_persistent({50, 24}, DType::bf16);
  const int64_t before = emulator::counters().kernels;
  for (const GradMode mode : {GradMode::write, GradMode::add, GradMode::add})
    b.gemm(Grad{dw, mode}, dy.tensor, x.tensor, Gemm{.transpose_a = true, .row_sums = {db, mode}});
  b.gemm(write_to(y), x.tensor, w.tensor, Gemm{.transpose_b = true, .bias = bias.tensor, .relu = true});
  const int64_t kernels = emulator::counters().kernels - before;
  return {download(b, dw), download(b, db), download(b, y), kernels};
}

}  // namespace

TEST_CASE("cuda gemm: relu and row sums in one pass, or by kernels where cuBLASLt has none", "[cuda][gemm][emulator]") {
  const emulator::Settings saved = emulator::settings();
  const auto run = [](int64_t offset) { return products(*make_cuda_backend({.compute_dtype = DType::bf16}), offset); };
  const Products fused = run(0);
  Products shifted = run(3);
  emulator::settings().has_all_epilogues = false;
  const Products apart = run(0);
  emulator::settings() = saved;
  CHECK(fused.kernels == 2);    // sums that are added
  CHECK(shifted.kernels == 3);  // and sums that vectors may not be written to
  CHECK(apart.kernels == 7);    // two for each of three sums over columns, one for relu
  shifted.kernels = fused.kernels;
  CHECK(shifted == fused);
  CHECK(apart.weight == fused.weight);
  REQUIRE(fused.bias.size() == 24);
  for (size_t i = 0; i < 24; ++i) CHECK(std::abs(fused.bias[i] - apart.bias[i]) <= 1e-4);
  double positive = 0;
  for (size_t i = 0; i < fused.inner.size(); ++i) {
    CHECK(fused.inner[i] >= 0);
    CHECK(std::abs(fused.inner[i] - apart.inner[i]) <= 0x1p-7 * std::abs(fused.inner[i]) + 0x1p-7);
    positive += fused.inner[i] > 0;
  }
  CHECK(positive > 200);
  CHECK(positive < 1000);
}

TEST_CASE("cuda gemm: autotuning leaves row sums to a pass of their own where that is faster",
          "[cuda][gemm][emulator]") {
  const emulator::Settings saved = emulator::settings();
  emulator::settings().row_sums_us = 100;
  const auto tuned = make_cuda_backend({.compute_dtype = DType::bf16, .autotune = true});
  products(*tuned, 0);  // times proposals
  const Products slow = products(*tuned, 0);
  emulator::settings() = saved;
  CHECK(slow.kernels == 6);  // relu stays in its product

  // The choice is a part of the plans: a run that goes on makes the same, whatever it would measure.
  const auto resumed = make_cuda_backend({.compute_dtype = DType::bf16, .autotune = true});
  CHECK(resumed->set_plans(tuned->plans()));
  CHECK(products(*resumed, 0) == slow);
  CHECK(resumed->plans() == tuned->plans());

  const auto fresh = make_cuda_backend({.compute_dtype = DType::bf16, .autotune = true});
  products(*fresh, 0);
  CHECK(products(*fresh, 0).kernels == 2);
}
#endif

TEST_CASE("cuda gemm: a weight's gradient beside the input's", "[cuda][gemm]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  // As core/ops.cc asks for them: dw = dy^T x, dx = dy w; then something that overwrites dy.
  const auto b = make_cuda_backend({.compute_dtype = DType::bf16});
  const Matrix dy = random_matrix(*b, {40, 16}, DType::bf16, 1), x = random_matrix(*b, {40, 24}, DType::bf16, 2);
  const Matrix w = random_matrix(*b, {16, 24}, DType::bf16, 3);
  const Tensor dw = b->allocate_persistent({16, 24}, DType::f32), dx = b->allocate_persistent({40, 24}, DType::bf16);
  const auto once = [&] {
    upload(*b, dy.tensor, dy.values);
    b->gemm(write_to(dw), dy.tensor, x.tensor, Gemm{.transpose_a = true});
    b->gemm(write_to(dx), dy.tensor, w.tensor, Gemm{});
    upload(*b, dy.tensor, std::vector<double>(dy.values.size(), std::nan("")));
    return std::pair(download(*b, dw), download(*b, dx));
  };
  const auto first = once();
  for (const double v : first.first) REQUIRE(std::isfinite(v));
  for (int i = 0; i < 20; ++i) CHECK(once() == first);
}

TEST_CASE("cuda graphs: a replay gives the bits of the first run", "[cuda][graph]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  const auto b = make_cuda_backend({.compute_dtype = DType::bf16, .graph_limit = 2});
  const Matrix w = random_matrix(*b, {16, 24}, DType::bf16, 3);
  const Tensor x = b->allocate_persistent({40, 24}, DType::bf16), dw = b->allocate_persistent({16, 24}, DType::f32);
  const Tensor y = b->allocate_persistent({40, 24}, DType::bf16);
  int runs = 0;
  const auto work = [&](bool add) {
    b->repeat(add ? "add" : "write", [&] {
      ++runs;
      const Tensor inner = b->allocate({40, 16});
      b->gemm(write_to(inner), x, w.tensor, Gemm{.transpose_b = true});
      b->gemm(add ? add_to(dw) : write_to(dw), inner, x, Gemm{.transpose_a = true});
      b->gemm(write_to(y), inner, w.tensor, Gemm{});
      b->flops += 7;
    });
  };
  const auto update = [&](uint64_t seed) {
    upload(*b, x, random_matrix(*b, {40, 24}, DType::bf16, seed).values);
    work(false);
    upload(*b, x, random_matrix(*b, {40, 24}, DType::bf16, seed + 50).values);
    work(true);
    return std::pair(download(*b, dw), download(*b, y));
  };
  std::vector<std::pair<std::vector<double>, std::vector<double>>> first;
  for (uint64_t seed = 0; seed < 3; ++seed) first.push_back(update(seed));
  CHECK(runs == 4);  // once as it is, once to record, of each key
  for (uint64_t seed = 0; seed < 3; ++seed) CHECK(update(seed) == first[seed]);
  CHECK(runs == 4);
  CHECK(b->flops == 12 * 7);
  CHECK(first[0] != first[1]);

  const auto grows = [&] { b->repeat("grows", [&] { b->allocate_persistent({8}, DType::f32); }); };
  grows();
  CHECK(message_of(grows).find("Capture") != std::string::npos);
  CHECK(update(0) == first[0]);  // and the backend goes on
}

TEST_CASE("cuda graphs: of the records that are not kept always, those used last stay", "[cuda][graph]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  const auto b = make_cuda_backend({.graph_limit = 2});
  const Tensor x = b->allocate_persistent({40}, DType::f32);
  const auto runs_of = [&](const char* key, Backend::Keep keep = Backend::Keep::if_recent) {
    int runs = 0;
    b->repeat(
        key, [&] { ++runs, b->fill(x, 1); }, keep);
    return runs;  // 0: a replay
  };
  for (int i = 0; i < 3; ++i) CHECK(runs_of("kept", Backend::Keep::always) == (i < 2));
  for (const char* key : {"a", "b"})
    for (int i = 0; i < 3; ++i) CHECK(runs_of(key) == (i < 2));
  CHECK(runs_of("a") == 0);
  CHECK(runs_of("c") == 1);  // b goes
  CHECK(runs_of("a") == 0);
  CHECK(runs_of("b") == 1);
  CHECK(runs_of("kept", Backend::Keep::always) == 0);
}
