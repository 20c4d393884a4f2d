// The product's f32 GEMM against f64 loops, and the promise that decoding rests on: a row of x W^T
// has the same bits whatever rows stand beside it.
#include <cstring>
#include <limits>
#include <vector>

#include "core/backend.h"
#include "core/base/random.h"
#include "core/cpu/factory.h"
#include "test/catch.h"

using namespace bough;

namespace {

std::vector<float> random_values(int64_t n, uint64_t seed) {
  RandomStream random(seed);
  auto x = std::vector<float>(size_t(n));
  for (float& v : x) v = float(2 * random.uniform() - 1);
  return x;
}

Tensor upload(Backend& b, const std::vector<float>& values, Shape shape) {
  const Tensor t = b.allocate(shape);
  b.upload(t, values.data());
  return t;
}

struct Case {
  int64_t m, n, k;
  bool transpose_a, transpose_b, adds, has_bias;
};

/// The largest difference between the backend's product and the f64 loops, in units of sum |a b|
/// 2^-24.
double worst_error(Backend& backend, const Case& p) {
  const auto a = random_values(p.m * p.k, 1), b = random_values(p.k * p.n, 2), bias = random_values(p.n, 3);
  auto before = random_values(p.m * p.n, 4);
  if (!p.adds) before.assign(before.size(), std::numeric_limits<float>::quiet_NaN());

  const Tensor c = upload(backend, before, {p.m, p.n});
  const Tensor ta = upload(backend, a, p.transpose_a ? Shape{p.k, p.m} : Shape{p.m, p.k});
  const Tensor tb = upload(backend, b, p.transpose_b ? Shape{p.n, p.k} : Shape{p.k, p.n});
  Gemm gemm{p.transpose_a, p.transpose_b, {}};
  if (p.has_bias) gemm.bias = upload(backend, bias, {p.n});
  backend.gemm(p.adds ? add_to(c) : write_to(c), ta, tb, gemm);
  std::vector<float> result(before.size());
  backend.download(result.data(), c);

  double worst = 0;
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t j = 0; j < p.n; ++j) {
      double sum = p.adds ? before[size_t(i * p.n + j)] : 0, size = std::abs(sum);
      if (p.has_bias) sum += bias[size_t(j)], size += std::abs(bias[size_t(j)]);
      for (int64_t k = 0; k < p.k; ++k) {
        const double term = double(a[size_t(p.transpose_a ? k * p.m + i : i * p.k + k)]) *
                            b[size_t(p.transpose_b ? j * p.k + k : k * p.n + j)];
        sum += term;
        size += std::abs(term);
      }
      const double error = std::abs(result[size_t(i * p.n + j)] - sum) / (size * 0x1p-24);
      if (!(error <= worst)) worst = error;  // NaN stays
    }
  return worst;
}

std::vector<float> product(Backend& backend, const std::vector<float>& x, const std::vector<float>& w, int64_t m,
                           int64_t n, int64_t k) {
  const Tensor c = backend.allocate({m, n});
  const Tensor tx = upload(backend, x, {m, k}), tw = upload(backend, w, {n, k});
  backend.gemm(write_to(c), tx, tw, Gemm{.transpose_b = true});
  std::vector<float> result(size_t(m * n));
  backend.download(result.data(), c);
  return result;
}

/// What every level must give to the bit: one chain of fused multiply-adds an element, then bias and relu.
std::vector<float> chains(const Case& p, bool has_relu, const std::vector<float>& a, const std::vector<float>& b,
                          const std::vector<float>& bias, std::vector<float> c) {
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t j = 0; j < p.n; ++j) {
      float& sum = c[size_t(i * p.n + j)];
      if (!p.adds) sum = 0;
      for (int64_t k = 0; k < p.k; ++k)
        sum = std::fma(a[size_t(p.transpose_a ? k * p.m + i : i * p.k + k)],
                       b[size_t(p.transpose_b ? j * p.k + k : k * p.n + j)], sum);
      if (p.has_bias) sum += bias[size_t(j)];
      if (has_relu) sum = sum > 0 ? sum : 0;
    }
  return c;
}

/// The backend's product, by weights that it keeps where `keeps`.
std::vector<float> product(Backend& backend, const Case& p, bool has_relu, bool keeps, const std::vector<float>& a,
                           const std::vector<float>& b, const std::vector<float>& bias,
                           const std::vector<float>& before) {
  const Tensor c = upload(backend, before, {p.m, p.n});
  const Tensor ta = upload(backend, a, p.transpose_a ? Shape{p.k, p.m} : Shape{p.m, p.k});
  const Tensor tb = upload(backend, b, p.transpose_b ? Shape{p.n, p.k} : Shape{p.k, p.n});
  Gemm gemm{.transpose_a = p.transpose_a, .transpose_b = p.transpose_b, .relu = has_relu};
  if (p.has_bias) gemm.bias = upload(backend, bias, {p.n});
  const auto kept = keeps ? backend.keep_weights({tb}) : nullptr;
  backend.gemm(p.adds ? add_to(c) : write_to(c), ta, tb, gemm);
  std::vector<float> result(before.size());
  backend.download(result.data(), c);
  return result;
}

}  // namespace

TEST_CASE("every level gives the bits of one chain of fused multiply-adds", "[cpu][gemm]") {
  // Edges of tiles, panels, and blocks of columns, rows and k.
  const Case cases[] = {
      {.m = 1, .n = 1, .k = 1, .transpose_b = true, .has_bias = true},
      {.m = 1, .n = 200, .k = 70, .transpose_b = true},
      {.m = 5, .n = 17, .k = 33, .transpose_b = true, .has_bias = true},
      {.m = 6, .n = 64, .k = 8, .transpose_b = true, .has_bias = true},
      {.m = 7, .n = 31, .k = 1030, .transpose_b = true, .has_bias = true},
      {.m = 13, .n = 1100, .k = 20, .transpose_b = true, .adds = true},
      {.m = 200, .n = 40, .k = 1100, .transpose_b = true, .has_bias = true},
      {.m = 9, .n = 24, .k = 2050, .adds = true},
      {.m = 395, .n = 130, .k = 5},
      {.m = 21, .n = 19, .k = 1500, .transpose_a = true},
      {.m = 210, .n = 35, .k = 11, .transpose_a = true, .adds = true},
      {.m = 10, .n = 34, .k = 12, .transpose_a = true, .transpose_b = true, .has_bias = true},
  };
  for (const Case& p : cases) {
    const auto a = random_values(p.m * p.k, 1), b = random_values(p.k * p.n, 2), bias = random_values(p.n, 3),
               before = random_values(p.m * p.n, 4);
    for (const bool has_relu : {false, true}) {
      if (has_relu && p.adds) continue;
      const auto expected = chains(p, has_relu, a, b, bias, before);
      for (const CpuLevel level : cpu_levels())
        for (const int threads : {1, 3})
          for (const bool keeps : {false, true}) {
            if (keeps && !p.transpose_b) continue;
            INFO(name_of(level) << ", threads " << threads << ", kept " << keeps << ", relu " << has_relu << ", m "
                                << p.m << ", n " << p.n << ", k " << p.k);
            const auto backend = make_cpu_backend(threads, DType::f32, level);
            const auto found = product(*backend, p, has_relu, keeps, a, b, bias, before);
            REQUIRE(std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)) == 0);
          }
    }
  }
}

TEST_CASE("weights are kept as long as somebody keeps them", "[cpu][gemm]") {
  const auto backend = make_cpu_backend(1);
  const auto values = random_values(20 * 30, 1), other = random_values(20 * 30, 2), x = random_values(3 * 30, 3);
  const Tensor w = upload(*backend, values, {20, 30}), tx = upload(*backend, x, {3, 30}),
               c = backend->allocate({3, 20});
  const auto multiply = [&](Backend& b) {
    b.gemm(write_to(c), tx, w, Gemm{.transpose_b = true});
    std::vector<float> result(3 * 20);
    b.download(result.data(), c);
    return result;
  };
  const auto before = multiply(*backend);
  const auto worker = backend->make_worker(1);
  auto kept = backend->keep_weights({w}), again = worker->keep_weights({w});
  CHECK(multiply(*worker) == before);
  backend->upload(w, other.data());  // against the promise: shows that the panels are what is multiplied by
  CHECK(multiply(*worker) == before);
  again.reset();
  CHECK(multiply(*backend) == before);
  kept.reset();
  CHECK(multiply(*backend) != before);
  CHECK(multiply(*worker) != before);
}

TEST_CASE("memory of a kept weight that may go is gone", "[cpu][gemm]") {
  const auto backend = make_cpu_backend(1);
  constexpr int64_t n = 100, k = 1000;
  const auto values = random_values(n * k, 1), x = random_values(k, 3);
  const Tensor w = upload(*backend, values, {n, k}), tx = upload(*backend, x, {1, k}), c = backend->allocate({1, n});
  const auto multiply = [&] {
    backend->gemm(write_to(c), tx, w, Gemm{.transpose_b = true});
    auto result = std::vector<float>(size_t(n));
    backend->download(result.data(), c);
    return result;
  };
  const auto before = multiply();
  KeptWeight weight(w);
  weight.memory_may_go = true;
  const auto kept = backend->keep_weights({weight});
  CHECK(multiply() == before);
  auto left = std::vector<float>(size_t(n * k));
  backend->download(left.data(), w);
  CHECK(std::ranges::count(left, 0.0f) > n * k * 9 / 10);
}

TEST_CASE("f32 gemm is the product", "[cpu][gemm]") {
  for (const int threads : {1, 2}) {
    const auto backend = make_cpu_backend(threads);
    for (const int64_t m : {1, 7, 33, 257})
      for (const int bits : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}) {
        Case p{m, 130, 77, (bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0};
        if (m == 33) p.n = 1, p.k = 300;
        if (m == 257) p.n = 300, p.k = 64;
        INFO("threads " << threads << ", m " << p.m << ", n " << p.n << ", k " << p.k << ", transposed "
                        << p.transpose_a << p.transpose_b << ", adds " << p.adds << ", bias " << p.has_bias);
        // k roundings of partial sums no larger than the sum of sizes; in practice far fewer.
        CHECK(worst_error(*backend, p) <= double(p.k));
      }
  }
}

TEST_CASE("a row of x W^T does not depend on the rows beside it", "[cpu][gemm]") {
  // {n, k}: attention and inner matrices of small and base models, and vocabularies.
  const std::pair<int64_t, int64_t> shapes[] = {{128, 128}, {512, 128},  {512, 512},
                                                {768, 256}, {512, 2048}, {4001, 128}};
  for (const int threads : {1, 2}) {
    const auto backend = make_cpu_backend(threads);
    for (const auto& [n, k] : shapes) {
      const auto x = random_values(300 * k, 5), w = random_values(n * k, 6);
      const auto all = product(*backend, x, w, 300, n, k);
      for (int64_t m = 1; m < 300; m += m < 70 ? 1 : 23) {
        const auto some = product(*backend, {x.begin(), x.begin() + m * k}, w, m, n, k);
        INFO("threads " << threads << ", n " << n << ", k " << k << ", m " << m);
        REQUIRE(std::memcmp(some.data(), all.data(), some.size() * sizeof(float)) == 0);
      }
    }
  }
}

TEST_CASE("gemm repeats its bits for a thread count", "[cpu][gemm]") {
  const auto x = random_values(999 * 128, 7), dy = random_values(999 * 96, 8);
  for (const int threads : {1, 2}) {
    const auto backend = make_cpu_backend(threads);
    std::vector<float> first(128 * 96), again(128 * 96);
    for (std::vector<float>* result : {&first, &again}) {
      const Tensor dw = backend->allocate({96, 128});
      backend->gemm(write_to(dw), upload(*backend, dy, {999, 96}), upload(*backend, x, {999, 128}),
                    Gemm{.transpose_a = true});
      backend->download(result->data(), dw);
    }
    CHECK(first == again);
  }
}
