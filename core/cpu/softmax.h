#pragma once
#include <algorithm>
#include <cstdint>

#include "core/cpu/lanes.h"
#include "core/math.h"

// The loops that softmax is made of. They are fastest where n is a multiple of the vector width.

namespace bough {

/// exps[i] = exp((x[i] - maximum) * scale); may be x.
template <class T>
void exponentials(T* exps, const T* x, int64_t n, T maximum, T scale) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) exps[i] = math::softmax_exp((x[i] - maximum) * scale);
}

/// sum of exp((x - maximum) * scale).
template <class T>
T sum_of_exponentials(const T* x, int64_t n, T maximum, T scale = 1) {
  constexpr int64_t block = 256;
  T exps[block], sum = 0;
  for (int64_t i = 0; i < n; i += block) {
    const int64_t count = std::min(block, n - i);
    exponentials(exps, x + i, count, maximum, scale);
    sum += sum_of(exps, count);
  }
  return sum;
}

/// Replaces x by exp((x - maximum) * scale) and returns the sum.
template <class T>
T exponentiate(T* x, int64_t n, T maximum, T scale = 1) {
  exponentials(x, x, n, maximum, scale);
  return sum_of(x, n);
}

}  // namespace bough
