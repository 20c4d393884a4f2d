// Products by panels, in float32 and in 8 bits, against loops over single elements: without the rest of bough, so that
// a script can compile them for a machine that is not there (test/arm/run.sh). The bits are to be the same.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "core/cpu/int8_panels.h"
#include "core/cpu/panels.h"

using namespace bough;

namespace {

struct Shape {
  int64_t m, n, k;
};
// Edges of tiles and panels.
const Shape shapes[] = {{1, 1, 1},    {1, 200, 70}, {2, 16, 8},   {5, 17, 33},
                        {6, 64, 100}, {7, 31, 130}, {13, 96, 34}, {40, 150, 64}};

int64_t panels_of(int64_t n) { return (n + panel_columns - 1) / panel_columns; }

bool are_same(const char* what, const Shape& s, const std::vector<float>& found, const std::vector<float>& expected) {
  if (std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)) == 0) return true;
  std::printf("%s: m %d, n %d, k %d: not the bits of single elements\n", what, int(s.m), int(s.n), int(s.k));
  return false;
}

bool floats_are_right(const Shape& s, bool adds, bool has_bias, bool relu, bool are_far, std::mt19937& random) {
  std::uniform_real_distribution<float> draw(-1, 1);
  const auto numbers = [&](int64_t n) {
    auto x = std::vector<float>(size_t(n));
    for (float& v : x) v = draw(random);
    return x;
  };
  const std::vector<float> a = numbers(s.m * s.k), b = numbers(s.k * s.n), bias = numbers(s.n);
  std::vector<float> c = numbers(s.m * s.n), expected = c;
  if (!adds) std::fill(c.begin(), c.end(), std::nanf(""));
  auto panels = std::vector<float>(size_t(panels_of(s.n) * s.k * panel_columns));
  for (int64_t k = 0; k < s.k; ++k)
    for (int64_t j = 0; j < s.n; ++j)
      panels[size_t((j / panel_columns * s.k + k) * panel_columns + j % panel_columns)] = b[size_t(k * s.n + j)];
  for (int64_t i = 0; i < s.m; ++i)
    for (int64_t j = 0; j < s.n; ++j) {
      float& sum = expected[size_t(i * s.n + j)];
      if (!adds) sum = 0;
      for (int64_t k = 0; k < s.k; ++k) sum = std::fma(a[size_t(i * s.k + k)], b[size_t(k * s.n + j)], sum);
      if (has_bias) sum += bias[size_t(j)];
      if (relu) sum = sum > 0 ? sum : 0;
    }
  generic::panel_kernels.multiply({.m = s.m,
                                   .n = s.n,
                                   .k = s.k,
                                   .a = a.data(),
                                   .lda = s.k,
                                   .panels = panels.data(),
                                   .panel_size = s.k * panel_columns,
                                   .are_far = are_far,
                                   .bias = has_bias ? bias.data() : nullptr,
                                   .c = c.data(),
                                   .ldc = s.n,
                                   .adds = adds,
                                   .relu = relu});
  return are_same("float32", s, c, expected);
}

bool bytes_are_right(const Shape& s, bool has_bias, std::mt19937& random) {
  std::uniform_int_distribution<int> draw(-127, 127);
  const int64_t groups = (s.k + int8_group - 1) / int8_group, columns = panels_of(s.n) * panel_columns;
  auto x = std::vector<int>(size_t(s.m * s.k)), w = std::vector<int>(size_t(s.n * s.k));
  for (int& v : x) v = draw(random);
  for (int& v : w) v = draw(random);
  auto rows = std::vector<uint8_t>(size_t(s.m * groups * int8_group), uint8_t(int8_limit));
  auto panels = std::vector<int8_t>(size_t(columns * groups * int8_group));
  auto starts = std::vector<int32_t>(size_t(columns));
  auto scales = std::vector<float>(size_t(columns)), bias = std::vector<float>(size_t(s.n)),
       c = std::vector<float>(size_t(s.m * s.n));
  std::vector<float> row_scales, expected;
  for (int64_t i = 0; i < s.m; ++i) {
    row_scales.push_back(0.5f + float(i));
    for (int64_t k = 0; k < s.k; ++k)
      rows[size_t(i * groups * int8_group + k)] = uint8_t(x[size_t(i * s.k + k)] + int8_limit);
  }
  for (int64_t j = 0; j < s.n; ++j) {
    scales[size_t(j)] = 0.01f * float(j + 1);
    bias[size_t(j)] = float(j) - 3;
    for (int64_t k = 0; k < s.k; ++k) {
      const int value = w[size_t(j * s.k + k)];
      panels[size_t(((j / panel_columns * groups + k / int8_group) * panel_columns + j % panel_columns) * int8_group +
                    k % int8_group)] = int8_t(value);
      starts[size_t(j)] -= int8_limit * value;
    }
  }
  for (int64_t i = 0; i < s.m; ++i)
    for (int64_t j = 0; j < s.n; ++j) {
      int32_t sum = 0;
      for (int64_t k = 0; k < s.k; ++k) sum += x[size_t(i * s.k + k)] * w[size_t(j * s.k + k)];
      const float y = float(sum) * (row_scales[size_t(i)] * scales[size_t(j)]);
      expected.push_back(has_bias ? y + bias[size_t(j)] : y);
    }
  generic::int8_kernels.multiply({.m = s.m,
                                  .n = s.n,
                                  .groups = groups,
                                  .terms = 1,
                                  .x = rows.data(),
                                  .ldx = groups * int8_group,
                                  .row_scales = row_scales.data(),
                                  .panels = panels.data(),
                                  .starts = starts.data(),
                                  .column_scales = scales.data(),
                                  .corrections = nullptr,
                                  .correction_offsets = nullptr,
                                  .bias = has_bias ? bias.data() : nullptr,
                                  .c = c.data(),
                                  .ldc = s.n,
                                  .relu = false});
  return are_same("int8", s, c, expected);
}

}  // namespace

int main() {
  std::mt19937 random(1);
  int products = 0, wrong = 0;
  for (const Shape& s : shapes) {
    for (int how = 0; how < 16; ++how, ++products)
      wrong += !floats_are_right(s, how & 1, how & 2, how & 4, how & 8, random);
    for (int how = 0; how < 2; ++how, ++products) wrong += !bytes_are_right(s, how, random);
  }
  std::printf("%d products, %d wrong\n", products, wrong);
  return wrong > 0;
}
