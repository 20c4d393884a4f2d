#pragma once
#include <cstdint>
#include <cstring>

// Products of small matrices that stay in the caches, within one thread: attention's building
// block.

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors never cross a call that is not inlined

namespace bough {

#if defined(__AVX512F__)
#define BOUGH_VECTOR_BYTES 64
constexpr int tile_vectors = 4;  // 4 rows of 4 are 16 of 32 registers
#else
#define BOUGH_VECTOR_BYTES 32
constexpr int tile_vectors = 2;  // 4 rows of 2 are 8 of 16 registers
#endif

/// Elements of one vector register.
template <class T>
constexpr int64_t vector_width = int64_t(BOUGH_VECTOR_BYTES / sizeof(T));

/// n elements, rounded up to whole registers.
template <class T>
constexpr int64_t round_up_to_vector(int64_t n) {
  return (n + vector_width<T> - 1) / vector_width<T> * vector_width<T>;
}

namespace detail {

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  using type [[gnu::vector_size(BOUGH_VECTOR_BYTES)]] = float;
};
template <>
struct VectorOf<double> {
  using type [[gnu::vector_size(BOUGH_VECTOR_BYTES)]] = double;
};
template <class T>
using Vector = typename VectorOf<T>::type;

template <class T>
inline Vector<T> load(const T* from) {
  Vector<T> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
template <class T>
inline void store(T* to, const Vector<T>& v) {
  std::memcpy(to, &v, sizeof v);
}

/// R rows and V vectors of columns of the product, held in registers while k runs.
template <class T, int R, int V>
inline void product_tile(T* c, int64_t ldc, const T* a, int64_t a_row, int64_t a_col, const T* b, int64_t ldb,
                         int64_t k, bool adds) {
  constexpr int64_t w = vector_width<T>;
  Vector<T> sum[R][V];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) sum[r][v] = adds ? load(c + r * ldc + v * w) : Vector<T>{};
  for (int64_t i = 0; i < k; ++i) {
    Vector<T> x[V];
    for (int v = 0; v < V; ++v) x[v] = load(b + i * ldb + v * w);
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < V; ++v) sum[r][v] += a[r * a_row + i * a_col] * x[v];
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) store(c + r * ldc + v * w, sum[r][v]);
}

template <class T, int R>
inline void product_rows(T* c, int64_t ldc, const T* a, int64_t a_row, int64_t a_col, const T* b, int64_t ldb,
                         int64_t n, int64_t k, bool adds) {
  constexpr int64_t w = vector_width<T>, wide = tile_vectors * w;
  int64_t j = 0;
  for (; j + wide <= n; j += wide) product_tile<T, R, tile_vectors>(c + j, ldc, a, a_row, a_col, b + j, ldb, k, adds);
  for (; j + 2 * w <= n; j += 2 * w) product_tile<T, R, 2>(c + j, ldc, a, a_row, a_col, b + j, ldb, k, adds);
  if (j < n) product_tile<T, R, 1>(c + j, ldc, a, a_row, a_col, b + j, ldb, k, adds);
}

}  // namespace detail

/// c (m, n) = or += a (m, k) b (k, n).  Element (i, j) of `a` lies at a[i * a_row + j * a_col], so
/// that either stride may be the long one (a transposed matrix); n must be a multiple of
/// vector_width. Every element is summed in the order of k, whatever m and n are.
template <class T>
void small_product(T* c, int64_t ldc, const T* a, int64_t a_row, int64_t a_col, const T* b, int64_t ldb, int64_t m,
                   int64_t n, int64_t k, bool adds) {
  int64_t i = 0;
  for (; i + 4 <= m; i += 4)
    detail::product_rows<T, 4>(c + i * ldc, ldc, a + i * a_row, a_row, a_col, b, ldb, n, k, adds);
  c += i * ldc;
  a += i * a_row;
  switch (m - i) {  // together: one row's sums wait for each other
    case 3:
      return detail::product_rows<T, 3>(c, ldc, a, a_row, a_col, b, ldb, n, k, adds);
    case 2:
      return detail::product_rows<T, 2>(c, ldc, a, a_row, a_col, b, ldb, n, k, adds);
    case 1:
      return detail::product_rows<T, 1>(c, ldc, a, a_row, a_col, b, ldb, n, k, adds);
  }
}

}  // namespace bough
