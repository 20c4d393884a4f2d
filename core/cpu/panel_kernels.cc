// Compiled once for every instruction level, each time in a namespace of its own, BOUGH_LEVEL (levels.cmake). Nothing
// that other files define inline may be called here: the linker keeps one copy of such a function, of any level.
#include "core/cpu/tiles.h"

namespace bough::BOUGH_LEVEL {
namespace {

struct FloatKernel {
  using Product = PanelProduct;
#if defined(__AVX512F__)
  static constexpr int most_rows = 6, most_sums = 24, most_panels = 8;  // of 32 registers
#elif defined(__AVX2__)
  static constexpr int most_rows = 6, most_sums = 12, most_panels = 4;  // of 16 registers
#elif defined(__aarch64__)
  static constexpr int most_rows = 5, most_sums = 20, most_panels = 4;  // of 32 registers, five for rows
#else
  static constexpr int most_rows = 4, most_sums = 16, most_panels = 1;
#endif
  template <int R, int P>
  static void tile(const PanelProduct& p, int64_t i, int64_t j, const Ahead& ahead);

  static PanelProduct from(PanelProduct p, int64_t i, int64_t j) {
    p.a = row(p, i);
    p.panels = panel(p, j);
    if (p.bias) p.bias += j;
    p.c += i * p.ldc + j;
    return p;
  }
  static bool adds(const PanelProduct& p) { return p.adds; }
  static bool are_far(const PanelProduct& p) { return p.are_far; }
  static const float* panel(const PanelProduct& p, int64_t j) { return p.panels + j / panel_columns * p.panel_size; }
  static int64_t lines(const PanelProduct& p) { return p.k; }
  static const float* row(const PanelProduct& p, int64_t i) { return p.a + i * p.lda; }
};

/// Held in registers while k runs: loops over an array's elements must go, or it stays in memory.
template <int R, int P>
void FloatKernel::tile(const PanelProduct& p, int64_t i, int64_t j, const Ahead& ahead) {
  constexpr int V = P * panel_vectors;
  float* const c = p.c + i * p.ldc + j;
  Vector sum[R][V];
#pragma GCC unroll 32
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 32
    for (int v = 0; v < V; ++v) sum[r][v] = p.adds ? load(c + r * p.ldc + v * lanes) : all(0);
#pragma GCC unroll 32
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 32
    for (int x = 0; x < P; ++x) __builtin_prefetch(c + r * p.ldc + x * panel_columns, 1);  // for the end
  const float *a = row(p, i), *w = panel(p, j);
  const int64_t lda = p.lda, size = p.panel_size;
  fetch_and_run(p.k, ahead, [&] {
    Vector b[V];
#pragma GCC unroll 32
    for (int v = 0; v < V; ++v) b[v] = load(w + v / panel_vectors * size + v % panel_vectors * lanes);
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) {
      const Vector x = all(a[r * lda]);
#pragma GCC unroll 32
      for (int v = 0; v < V; ++v) sum[r][v] = fused(x, b[v], sum[r][v]);
    }
    ++a;
    w += panel_columns;
  });
  if (p.bias)
#pragma GCC unroll 32
    for (int v = 0; v < V; ++v) {
      const Vector bias = load(p.bias + j + v * lanes);
#pragma GCC unroll 32
      for (int r = 0; r < R; ++r) sum[r][v] = plus(sum[r][v], bias);
    }
  if (p.relu)
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 32
      for (int v = 0; v < V; ++v) sum[r][v] = positive(sum[r][v]);
#pragma GCC unroll 32
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 32
    for (int v = 0; v < V; ++v) store(c + r * p.ldc + v * lanes, sum[r][v]);
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
const PanelKernels panel_kernels{multiply_in_tiles<FloatKernel>, transpose};

}  // namespace bough::BOUGH_LEVEL
