// Products in 8 bits against whole numbers: the same bits at every level, for any rows, threads and neighbours.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/backend.h"
#include "core/base/random.h"
#include "core/base/rounding.h"
#include "core/cpu/factory.h"
#include "core/cpu/int8_panels.h"
#include "test/catch.h"

using namespace bough;

namespace {

using Floats = std::vector<float>;

Floats random_values(int64_t n, uint64_t seed, double size = 1) {
  RandomStream random(seed);
  auto x = Floats(size_t(n));
  for (float& v : x) v = float((2 * random.uniform() - 1) * size);
  return x;
}

Tensor upload(Backend& b, const Floats& values, Shape shape) {
  const Tensor t = b.allocate_persistent(shape, DType::f32);
  b.upload(t, values.data());
  return t;
}

Floats download(Backend& b, const Tensor& t) {
  Floats values;
  b.download(values, t);
  return values;
}

int quantized(float x, float multiplier) { return int(std::nearbyint(std::clamp(x * multiplier, -127.0f, 127.0f))); }

struct Product {
  int64_t m, n, k;
  float input;  ///< 0: each row's own
  bool has_bias = false, relu = false;
};

/// x, W and bias of a product, and its result by the definition of Int8Multipliers.
struct Operands {
  Product p;
  Floats x, w, bias, multipliers;

  Operands(const Product& product, double weight_size)
      : p(product),
        x(random_values(p.m * p.k, 1, 3)),
        w(random_values(p.n * p.k, 2, weight_size)),
        bias(random_values(p.n, 3)),
        multipliers(random_values(p.n, 4)) {
    for (float& multiplier : multipliers) multiplier = 127 + 20 * multiplier;
  }
  Floats expected() const {
    Floats y;
    for (int64_t i = 0; i < p.m; ++i) {
      const float* const row = x.data() + i * p.k;
      float largest = 0;
      for (int64_t k = 0; k < p.k; ++k) largest = std::max(largest, std::abs(row[k]));
      const float own = largest > 0 ? 127 / largest : 1, input = p.input > 0 ? p.input : own;
      const float row_scale = p.input > 0 ? 1 : 1 / own;
      for (int64_t j = 0; j < p.n; ++j) {
        int64_t sum = 0;
        for (int64_t k = 0; k < p.k; ++k)
          sum += quantized(row[k], input) * quantized(w[size_t(j * p.k + k)], multipliers[size_t(j)]);
        const float column_scale = 1 / ((p.input > 0 ? p.input : 1) * multipliers[size_t(j)]);
        float value = float(sum) * (row_scale * column_scale);
        if (p.has_bias) value += bias[size_t(j)];
        y.push_back(p.relu ? std::max(value, 0.0f) : value);
      }
    }
    return y;
  }
  Floats found(Backend& backend) const {
    const Tensor tx = upload(backend, x, {p.m, p.k}), tw = upload(backend, w, {p.n, p.k}),
                 y = backend.allocate({p.m, p.n});
    const auto kept = backend.keep_weights({{tw, {multipliers, p.input}}});
    Gemm gemm{.transpose_b = true, .relu = p.relu};
    if (p.has_bias) gemm.bias = upload(backend, bias, {p.n});
    backend.gemm(write_to(y), tx, tw, gemm);
    return download(backend, y);
  }
};

bool are_same(const Floats& a, const Floats& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("int8: every level gives exact sums", "[cpu][int8]") {
  // Edges of tiles, panels, groups of k and blocks of rows; weights of which no pair would leave 16 bits, few (they get
  // corrections), a quarter (the weight is two terms).
  const Product products[] = {
      {.m = 1, .n = 1, .k = 1, .input = 20, .has_bias = true},
      {.m = 1, .n = 200, .k = 70, .input = 0},
      {.m = 5, .n = 17, .k = 33, .input = 30, .has_bias = true, .relu = true},
      {.m = 7, .n = 31, .k = 1030, .input = 0, .has_bias = true},
      {.m = 13, .n = 96, .k = 34, .input = 42, .relu = true},
      {.m = 600, .n = 20, .k = 64, .input = 40, .has_bias = true},
      {.m = 64, .n = 400, .k = 131, .input = 0},
  };
  for (const Product& p : products)
    for (const double weight_size : {0.3, 0.55, 1.2}) {
      const Operands operands(p, weight_size);
      const Floats expected = operands.expected();
      for (const CpuLevel level : cpu_levels())
        for (const int threads : {1, 3}) {
          INFO(name_of(level) << ", threads " << threads << ", m " << p.m << ", n " << p.n << ", k " << p.k
                              << ", weights up to " << weight_size);
          REQUIRE(are_same(operands.found(*make_cpu_backend(threads, DType::f32, level)), expected));
        }
    }
}

TEST_CASE("int8: a row does not depend on the rows beside it", "[cpu][int8]") {
  const auto backend = make_cpu_backend(2);
  for (const float input : {0.0f, 40.0f}) {
    const Operands all({.m = 40, .n = 130, .k = 96, .input = input}, 0.5);
    const Floats whole = all.found(*backend);
    for (int64_t m = 1; m < 40; ++m) {
      Operands some = all;
      some.p.m = m;
      some.x.resize(size_t(m * 96));
      INFO(m << " rows");
      REQUIRE(are_same(some.found(*backend), Floats(whole.begin(), whole.begin() + m * 130)));
    }
  }
}

/// The kernels of instructions that this machine's levels do not choose, too: AVX-512 without VNNI.
TEST_CASE("int8: the kernels of all instructions", "[cpu][int8]") {
  constexpr int64_t rows = 3, words = 7, width = 128;
  const Floats from = random_values(rows * width, 5, 2);
  auto table = std::vector<int8_t>(size_t(20 * width));
  for (size_t i = 0; i < table.size(); ++i) table[i] = int8_t(int(i * 37 % 255) - 127);
  const Floats scales = random_values(20, 6), bias = random_values(20, 7), row_scales = random_values(rows, 8);
  const std::vector<int32_t> ids{3, 0, 19, 7, 8, 3, 11};
  std::vector<uint8_t> first_bytes;
  Floats first_words;
  for (const Int8Kernels* const kernels : all_int8_kernels()) {
    INFO(kernels->name);
    auto bytes = std::vector<uint8_t>(size_t(rows * width));
    float largest;
    for (int64_t r = 0; r < rows; ++r)
      CHECK(kernels->quantize(bytes.data() + r * width, from.data() + r * width, width - 5, 50, &largest) == 1);
    Floats y(rows * words);
    kernels->multiply_words({.rows = rows,
                             .words = words,
                             .width = width,
                             .x = bytes.data(),
                             .row_scales = row_scales.data(),
                             .table = table.data(),
                             .table_scales = scales.data(),
                             .ids = ids.data(),
                             .bias = bias.data(),
                             .c = y.data(),
                             .ldc = words});
    if (kernels == all_int8_kernels().front()) {
      first_bytes = bytes;
      first_words = y;
    }
    CHECK(bytes == first_bytes);
    CHECK(are_same(y, first_words));
  }
  CHECK(int(first_bytes[0]) == quantized(from[0], 50) + 127);
  int64_t sum = 0;
  for (int64_t k = 0; k < width; ++k) sum += (first_bytes[size_t(k)] - 127) * table[size_t(3 * width + k)];
  CHECK(first_words[0] == Approx(double(sum) * row_scales[0] * scales[3] + bias[3]));
}

TEST_CASE("int8: what is not finite does not get lost", "[cpu][int8]") {
  constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const CpuLevel level : cpu_levels())
    for (const float input : {0.0f, 10.0f})
      for (const float bad : {infinity, -infinity, nan}) {
        Operands operands({.m = 3, .n = 4, .k = 40, .input = input}, 1);
        operands.x[40 + 33] = bad;
        operands.x[80 + 3] = 1e30f;  // clipped
        const Floats y = operands.found(*make_cpu_backend(1, DType::f32, level));
        for (size_t j = 0; j < 4; ++j) {
          CHECK(std::isfinite(y[j]));
          CHECK_FALSE(std::isfinite(y[4 + j]));
          CHECK(std::isfinite(y[8 + j]));
        }
      }
}

TEST_CASE("int8: logits of listed words are those of all words", "[cpu][int8]") {
  constexpr int64_t words = 50, columns = 70, rows = 5, longest = 30;
  const Floats values = random_values(words * columns, 1), x = random_values(rows * columns, 2),
               bias = random_values(words, 3);
  const std::vector<int32_t> ids{4, 9, 17, 18, 49, 0, 1, 2}, offsets{0, 5, 8}, sentences{0, 0, 1, 1, 1};
  for (const CpuLevel level : cpu_levels())
    for (const float input : {0.0f, 60.0f}) {
      const auto backend = make_cpu_backend(2, DType::f32, level);
      const auto integers = [&](const std::vector<int32_t>& from) {
        const Tensor t = backend->allocate({int64_t(from.size())}, DType::i32);
        backend->upload(t, from.data());
        return t;
      };
      const Tensor table = upload(*backend, values, {words, columns}), tx = upload(*backend, x, {rows, columns}),
                   tb = upload(*backend, bias, {words}), all = backend->allocate({rows, words}),
                   listed = backend->allocate({rows, longest});
      const Int8Multipliers multipliers{Floats(words, 127), input};
      const auto kept = backend->keep_weights({{table, multipliers}, {table, multipliers, true}});
      backend->gemm(write_to(all), tx, table, Gemm{.transpose_b = true, .bias = tb});
      backend->listed_logits(listed, tx, table, tb, integers(offsets), integers(ids), integers(sentences));
      const Floats every = download(*backend, all), some = download(*backend, listed);
      for (size_t r = 0; r < size_t(rows); ++r) {
        const auto first = size_t(offsets[size_t(sentences[r])]), end = size_t(offsets[size_t(sentences[r]) + 1]);
        for (size_t j = first; j < end; ++j) CHECK(some[r * longest + j - first] == every[r * words + size_t(ids[j])]);
        CHECK(some[r * longest + end - first] == float(unlisted_logit));
      }
    }
}

TEST_CASE("int8: the sizes of inputs are noted", "[cpu][int8]") {
  const auto backend = make_cpu_backend(1);
  const auto sizes = std::make_shared<InputSizes>();
  const Tensor w = upload(*backend, random_values(20 * 8, 1), {20, 8}), y = backend->allocate({2, 20});
  const auto kept = backend->keep_weights({{w, {Floats(20, 127), 0, sizes}}});
  for (const float largest : {2.0f, 4.0f}) {
    Floats x(16, 1.0f);
    x[9] = -largest;
    backend->gemm(write_to(y), upload(*backend, x, {2, 8}), w, Gemm{.transpose_b = true});
  }
  CHECK(sizes->products == 2);
  CHECK(sizes->sum == 6);
  CHECK(sizes->square_sum == 20);
}
