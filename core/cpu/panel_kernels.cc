// Compiled once for every instruction level, each time in a namespace of its own, BOUGH_LEVEL (levels.cmake). Nothing
// that other files define inline may be called here: the linker keeps one copy of such a function, of any level.
#include "core/cpu/panels.h"

#if defined(__AVX2__)
// gcc 12 finds uninitialised variables in its own AVX-512 header.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#endif

namespace bough::BOUGH_LEVEL {
namespace {

#if defined(__AVX512F__)
using Vector = __m512;
constexpr int most_rows = 6, most_sums = 24, most_panels = 8;  // of 32 registers
inline Vector load(const float* from) { return _mm512_loadu_ps(from); }
inline void store(float* to, Vector v) { _mm512_storeu_ps(to, v); }
inline Vector all(float x) { return _mm512_set1_ps(x); }
inline Vector fused(Vector x, Vector y, Vector sum) { return _mm512_fmadd_ps(x, y, sum); }
inline Vector plus(Vector x, Vector y) { return _mm512_add_ps(x, y); }
inline Vector positive(Vector x) { return _mm512_max_ps(x, _mm512_setzero_ps()); }
#elif defined(__AVX2__)
using Vector = __m256;
constexpr int most_rows = 6, most_sums = 12, most_panels = 4;  // of 16 registers
inline Vector load(const float* from) { return _mm256_loadu_ps(from); }
inline void store(float* to, Vector v) { _mm256_storeu_ps(to, v); }
inline Vector all(float x) { return _mm256_set1_ps(x); }
inline Vector fused(Vector x, Vector y, Vector sum) { return _mm256_fmadd_ps(x, y, sum); }
inline Vector plus(Vector x, Vector y) { return _mm256_add_ps(x, y); }
inline Vector positive(Vector x) { return _mm256_max_ps(x, _mm256_setzero_ps()); }
#else
struct Vector {
  float lane[4];
};
constexpr int most_rows = 4, most_sums = 16, most_panels = 1;
inline Vector load(const float* from) { return {{from[0], from[1], from[2], from[3]}}; }
inline Vector all(float x) { return {{x, x, x, x}}; }
inline void store(float* to, const Vector& v) {
  for (int i = 0; i < 4; ++i) to[i] = v.lane[i];
}
inline Vector fused(const Vector& x, const Vector& y, Vector sum) {
  for (int i = 0; i < 4; ++i) sum.lane[i] = __builtin_fmaf(x.lane[i], y.lane[i], sum.lane[i]);
  return sum;
}
inline Vector plus(Vector x, const Vector& y) {
  for (int i = 0; i < 4; ++i) x.lane[i] += y.lane[i];
  return x;
}
inline Vector positive(Vector x) {
  for (float& lane : x.lane) lane = lane > 0 ? lane : 0;
  return x;
}
#endif

constexpr int lanes = sizeof(Vector) / sizeof(float), panel_vectors = int(panel_columns) / lanes;

/// R rows and P whole panels, held in registers while k runs.
template <int R, int P>
void tile(const PanelProduct& p) {
  constexpr int V = P * panel_vectors;
  Vector sum[R][V];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) sum[r][v] = p.adds ? load(p.c + r * p.ldc + v * lanes) : all(0);
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < P; ++j) __builtin_prefetch(p.c + r * p.ldc + j * panel_columns, 1);  // for the end
  const float *a = p.a, *panel = p.panels;
  const int64_t lda = p.lda, size = p.panel_size;
  for (int64_t i = 0; i < p.k; ++i) {
    Vector b[V];
    for (int v = 0; v < V; ++v) b[v] = load(panel + v / panel_vectors * size + v % panel_vectors * lanes);
    for (int r = 0; r < R; ++r) {
      const Vector x = all(a[r * lda]);
      for (int v = 0; v < V; ++v) sum[r][v] = fused(x, b[v], sum[r][v]);
    }
    ++a;
    panel += panel_columns;
  }
  if (p.bias)
    for (int v = 0; v < V; ++v) {
      const Vector bias = load(p.bias + v * lanes);
      for (int r = 0; r < R; ++r) sum[r][v] = plus(sum[r][v], bias);
    }
  if (p.relu)
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < V; ++v) sum[r][v] = positive(sum[r][v]);
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) store(p.c + r * p.ldc + v * lanes, sum[r][v]);
}

/// The columns from `first` on.
inline PanelProduct columns_from(PanelProduct p, int64_t first) {
  p.n -= first;
  p.panels += first / panel_columns * p.panel_size;
  if (p.bias) p.bias += first;
  p.c += first;
  return p;
}

/// A part of a panel, in a copy of c.
template <int R>
void edge(const PanelProduct& p) {
  float c[R * panel_columns] = {}, bias[panel_columns] = {};
  PanelProduct whole = p;
  whole.c = c;
  whole.ldc = panel_columns;
  if (p.bias) whole.bias = bias;
  for (int64_t j = 0; j < p.n; ++j) {
    if (p.bias) bias[j] = p.bias[j];
    for (int r = 0; r < R && p.adds; ++r) c[r * panel_columns + j] = p.c[r * p.ldc + j];
  }
  tile<R, 1>(whole);
  for (int r = 0; r < R; ++r)
    for (int64_t j = 0; j < p.n; ++j) p.c[r * p.ldc + j] = c[r * panel_columns + j];
}

/// R rows, P panels at a time, then half as many.
template <int R, int P>
void tiles(PanelProduct p) {
  for (; p.n >= P * panel_columns; p = columns_from(p, P * panel_columns)) tile<R, P>(p);
  if constexpr (P > 1)
    tiles<R, P / 2>(p);
  else if (p.n > 0)
    edge<R>(p);
}

/// Panels at a time for R rows: few rows need many sums at once, or each waits for the one before.
constexpr int panels_for(int rows) {
  int panels = 1;
  while (2 * panels <= most_panels && 2 * panels * rows * panel_vectors <= most_sums) panels *= 2;
  return panels;
}

using Tiles = void (*)(PanelProduct);
struct TileTable {
  Tiles of_rows[most_rows + 1];
};
template <int R>
constexpr void fill(TileTable& table) {
  table.of_rows[R] = tiles<R, panels_for(R)>;
  if constexpr (R > 1) fill<R - 1>(table);
}
constexpr TileTable make_table() {
  TileTable table{};
  fill<most_rows>(table);
  return table;
}
constexpr TileTable table = make_table();

void multiply(const PanelProduct& p) {
  if (p.m <= 0 || p.n <= 0) return;
  // Tiles of equal heights, one apart at most. A few panels stay in the caches while the rows go by.
  const int64_t count = (p.m + most_rows - 1) / most_rows, rows = p.m / count, taller = p.m % count;
  const int64_t step = panels_for(int(rows)) * panel_columns;
  for (int64_t j = 0; j < p.n; j += count == 1 ? p.n : step) {
    PanelProduct part = columns_from(p, j);
    if (count > 1 && part.n > step) part.n = step;
    for (int64_t t = 0; t < count; ++t) {
      part.m = rows + (t < taller);
      table.of_rows[part.m](part);
      part.a += part.m * p.lda;
      part.c += part.m * p.ldc;
    }
  }
}

#if defined(__AVX2__)
/// 8 x 8 elements.
inline void transpose_block(float* to, int64_t to_stride, const float* from, int64_t from_stride) {
  __m256 pair[8], four[8];
  for (int i = 0; i < 8; i += 2) {
    const __m256 x = _mm256_loadu_ps(from + i * from_stride), y = _mm256_loadu_ps(from + (i + 1) * from_stride);
    pair[i] = _mm256_unpacklo_ps(x, y);
    pair[i + 1] = _mm256_unpackhi_ps(x, y);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; ++j) {
      four[i + 2 * j] = _mm256_shuffle_ps(pair[i + j], pair[i + j + 2], 0x44);
      four[i + 2 * j + 1] = _mm256_shuffle_ps(pair[i + j], pair[i + j + 2], 0xEE);
    }
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(to + i * to_stride, _mm256_permute2f128_ps(four[i], four[i + 4], 0x20));
    _mm256_storeu_ps(to + (i + 4) * to_stride, _mm256_permute2f128_ps(four[i], four[i + 4], 0x31));
  }
}
#else
inline void transpose_block(float* to, int64_t to_stride, const float* from, int64_t from_stride) {
  for (int i = 0; i < 8; ++i)
    for (int j = 0; j < 8; ++j) to[j * to_stride + i] = from[i * from_stride + j];
}
#endif

void transpose(float* to, int64_t to_stride, const float* from, int64_t from_stride, int64_t m, int64_t n) {
  for (int64_t i = 0; i < m; i += 8)
    for (int64_t j = 0; j < n; j += 8) {
      if (i + 8 <= m && j + 8 <= n) {
        transpose_block(to + j * to_stride + i, to_stride, from + i * from_stride + j, from_stride);
        continue;
      }
      for (int64_t x = i; x < m && x < i + 8; ++x)
        for (int64_t y = j; y < n && y < j + 8; ++y) to[y * to_stride + x] = from[x * from_stride + y];
    }
}

}  // namespace

extern const PanelKernels panel_kernels;
const PanelKernels panel_kernels{multiply, transpose};

}  // namespace bough::BOUGH_LEVEL
