#pragma once
#include <cstdint>

#include "core/math.h"

// The loops that softmax is made of. They are fastest where n is a multiple of the vector width.

namespace bough {

/// The largest of x[0 .. n), n > 0.
template <class T>
T largest(const T* x, int64_t n) {
  T result = x[0];
#pragma omp simd reduction(max : result)
  for (int64_t i = 0; i < n; ++i) result = result < x[i] ? x[i] : result;
  return result;
}

/// sum of exp((x - maximum) * scale).
template <class T>
T sum_of_exponentials(const T* x, int64_t n, T maximum, T scale = 1) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += math::softmax_exp((x[i] - maximum) * scale);
  return sum;
}

/// Replaces x by exp((x - maximum) * scale) and returns the sum.
template <class T>
T exponentiate(T* x, int64_t n, T maximum, T scale = 1) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    x[i] = math::softmax_exp((x[i] - maximum) * scale);
    sum += x[i];
  }
  return sum;
}

}  // namespace bough
