#pragma once
#include <cstdint>
#include <cstring>

// Products of small matrices that stay in the caches, within one thread: attention's building block.

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors wider than the machine's never cross a call

namespace bough {

/// Elements of one vector: 64 bytes; the compiler splits it where the machine's vectors are shorter.
template <class T>
constexpr int64_t vector_width = int64_t(64 / sizeof(T));

template <class T>
constexpr int64_t round_up_to_vector(int64_t n) {
  return (n + vector_width<T> - 1) / vector_width<T> * vector_width<T>;
}

namespace detail {

template <class T>
using Vector [[gnu::vector_size(64)]] = T;

/// R rows and V vectors of columns of the product, held in registers while k runs.
template <class T, int R, int V>
inline void product_tile(T* c, int64_t ldc, const T* a, int64_t a_row, int64_t a_col, const T* b,
                         int64_t ldb, int64_t k, bool adds) {
  Vector<T> sum[R][V], x[V];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) {
      if (adds)
        std::memcpy(&sum[r][v], c + r * ldc + v * vector_width<T>, sizeof(Vector<T>));
      else
        sum[r][v] = Vector<T>{};
    }
  for (int64_t i = 0; i < k; ++i) {
    for (int v = 0; v < V; ++v) std::memcpy(&x[v], b + i * ldb + v * vector_width<T>, sizeof(Vector<T>));
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < V; ++v) sum[r][v] += a[r * a_row + i * a_col] * x[v];
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) std::memcpy(c + r * ldc + v * vector_width<T>, &sum[r][v], sizeof(Vector<T>));
}

template <class T, int R>
inline void product_rows(T* c, int64_t ldc, const T* a, int64_t a_row, int64_t a_col, const T* b,
                         int64_t ldb, int64_t n, int64_t k, bool adds) {
  constexpr int64_t w = vector_width<T>;
  int64_t j = 0;
  for (; j + 4 * w <= n; j += 4 * w)
    product_tile<T, R, 4>(c + j, ldc, a, a_row, a_col, b + j, ldb, k, adds);
  for (; j + 2 * w <= n; j += 2 * w)
    product_tile<T, R, 2>(c + j, ldc, a, a_row, a_col, b + j, ldb, k, adds);
  if (j < n) product_tile<T, R, 1>(c + j, ldc, a, a_row, a_col, b + j, ldb, k, adds);
}

}  // namespace detail

/// c (m, n) = or += a (m, k) b (k, n).  Element (i, j) of `a` lies at a[i * a_row + j * a_col], so that either
/// stride may be the long one (a transposed matrix); n must be a multiple of vector_width. Every element is
/// summed in the order of k, whatever m and n are.
template <class T>
void small_product(T* c, int64_t ldc, const T* a, int64_t a_row, int64_t a_col, const T* b, int64_t ldb,
                   int64_t m, int64_t n, int64_t k, bool adds) {
  int64_t i = 0;
  for (; i + 4 <= m; i += 4)
    detail::product_rows<T, 4>(c + i * ldc, ldc, a + i * a_row, a_row, a_col, b, ldb, n, k, adds);
  for (; i < m; ++i)
    detail::product_rows<T, 1>(c + i * ldc, ldc, a + i * a_row, a_row, a_col, b, ldb, n, k, adds);
}

}  // namespace bough
