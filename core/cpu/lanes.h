#pragma once
#include <cstdint>
#include <cstring>

// Rows in parts of 32 bytes on every machine: the order of a sum, and so its bits, does not depend on the width of its
// vectors.

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors never cross a call that is not inlined

namespace bough {

namespace detail {
template <class T>
struct LanesOf;
template <>
struct LanesOf<float> {
  using type [[gnu::vector_size(32)]] = float;
};
template <>
struct LanesOf<double> {
  using type [[gnu::vector_size(32)]] = double;
};
}  // namespace detail

/// 32 bytes of a row.
template <class T>
using Lanes = typename detail::LanesOf<T>::type;
template <class T>
constexpr int64_t lanes = 32 / int64_t(sizeof(T));

template <class T>
[[gnu::always_inline]] inline Lanes<T> load_lanes(const T* from) {
  Lanes<T> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <class T>
[[gnu::always_inline]] inline void store_lanes(T* to, const Lanes<T>& v) {
  std::memcpy(to, &v, sizeof v);
}

/// to (8, 8) = from (rows, 8)^T, with zeros for the rows that `from` lacks.
inline void transpose_block(float* to, int64_t to_stride, const float* from, int64_t from_stride, int64_t rows) {
  Lanes<float> row[8], pair[8], four[8];
  for (int64_t r = 0; r < 8; ++r) row[r] = r < rows ? load_lanes(from + r * from_stride) : Lanes<float>{};
  for (int i = 0; i < 8; i += 2) {
    pair[i] = __builtin_shufflevector(row[i], row[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    pair[i + 1] = __builtin_shufflevector(row[i], row[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; ++j) {
      four[i + 2 * j] = __builtin_shufflevector(pair[i + j], pair[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      four[i + 2 * j + 1] = __builtin_shufflevector(pair[i + j], pair[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int i = 0; i < 4; ++i) {
    store_lanes<float>(to + i * to_stride, __builtin_shufflevector(four[i], four[i + 4], 0, 1, 2, 3, 8, 9, 10, 11));
    store_lanes<float>(to + (i + 4) * to_stride,
                       __builtin_shufflevector(four[i], four[i + 4], 4, 5, 6, 7, 12, 13, 14, 15));
  }
}

/// combine() of all lanes, halves first.
template <class T, class Combine>
[[gnu::always_inline]] inline T fold(const Lanes<T>& from, const Combine& combine) {
  Lanes<T> v = from;
  if constexpr (lanes<T> == 8) {
    v = combine(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3));
    v = combine(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5));
    v = combine(v, __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6));
  } else {
    v = combine(v, __builtin_shufflevector(v, v, 2, 3, 0, 1));
    v = combine(v, __builtin_shufflevector(v, v, 1, 0, 3, 2));
  }
  return v[0];
}

template <class T>
[[gnu::always_inline]] inline T total(const Lanes<T>& v) {
  return fold<T>(v, [](const Lanes<T>& x, const Lanes<T>& y) { return x + y; });
}

/// The larger of each pair, y where one is not a number.
template <class T>
[[gnu::always_inline]] inline Lanes<T> larger(const Lanes<T>& x, const Lanes<T>& y) {
  return x > y ? x : y;
}

/// The sum of whole(0), whole(lanes), ..., and of single(i) for what is left of n.
template <class T, class Whole, class Single>
inline T sum_in_lanes(int64_t n, const Whole& whole, const Single& single) {
  constexpr int64_t sums = 4, step = sums * lanes<T>;
  Lanes<T> sum[sums] = {};
  int64_t i = 0;
  for (; i + step <= n; i += step)
    for (int64_t s = 0; s < sums; ++s) sum[s] += whole(i + s * lanes<T>);
  for (int64_t s = 0; i + lanes<T> <= n; i += lanes<T>, ++s) sum[s] += whole(i);
  T result = total<T>((sum[0] + sum[1]) + (sum[2] + sum[3]));
  for (; i < n; ++i) result += single(i);
  return result;
}

/// The sum of term(x_i), i = 0 .. n-1. term takes a number, and Lanes of them.
template <class T, class Term>
inline T sum_of(const T* x, int64_t n, const Term& term) {
  return sum_in_lanes<T>(
      n, [&](int64_t i) { return term(load_lanes(x + i)); }, [&](int64_t i) { return term(x[i]); });
}

template <class T>
inline T sum_of(const T* x, int64_t n) {
  return sum_of(x, n, [](const auto& value) { return value; });
}

/// The sum of x_i y_i.
template <class T>
inline T dot(const T* x, const T* y, int64_t n) {
  return sum_in_lanes<T>(
      n, [=](int64_t i) { return load_lanes(x + i) * load_lanes(y + i); }, [=](int64_t i) { return x[i] * y[i]; });
}

/// The largest of x[0 .. n), n > 0.
template <class T>
inline T largest(const T* x, int64_t n) {
  T result = x[0];
  int64_t i = 0;
  if (n >= 2 * lanes<T>) {
    Lanes<T> first = load_lanes(x), second = load_lanes(x + lanes<T>);
    for (i = 2 * lanes<T>; i + 2 * lanes<T> <= n; i += 2 * lanes<T>) {
      first = larger<T>(load_lanes(x + i), first);
      second = larger<T>(load_lanes(x + i + lanes<T>), second);
    }
    result = fold<T>(larger<T>(first, second), larger<T>);
  }
  for (; i < n; ++i) result = result < x[i] ? x[i] : result;
  return result;
}

}  // namespace bough
