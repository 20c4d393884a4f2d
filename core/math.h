#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/base/random.h"

// Scalar functions of the kernels, for host and device. The float forms have no branches and no
// calls, so that loops over them vectorise; the double forms, which only tests use, are the
// standard library's.

namespace bough::math {

/// The bits of an IEEE single; float_of is the reverse.
BOUGH_HOST_DEVICE inline uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
BOUGH_HOST_DEVICE inline float float_of(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

/// e^x within 1.2 ulp where the result is a normal number; exp(-inf) = 0, exp(inf) = inf, exp(NaN)
/// = NaN. x = n ln 2 + r, |r| <= ln 2 / 2: 2^n is made of exponent bits, e^r is a polynomial
/// (Chebyshev fit).
BOUGH_HOST_DEVICE inline float exp(float x) {
  x = x > 89.0f ? 89.0f : x;      // e^89 = inf
  x = x < -104.0f ? -104.0f : x;  // e^-104 = 0
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the mantissa.
  const float shift = 12582912.0f;
  const float shifted = x * 1.44269504f + shift, n = shifted - shift;
  const float r = (x - n * 0.69140625f) - n * 1.74093056e-3f;  // the first product is exact
  float p = 1.39262508e-3f;
  p = p * r + 8.36323288e-3f;
  p = p * r + 4.16665542e-2f;
  p = p * r + 1.66665767e-1f;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  // 2^n in two factors: one alone would overflow before the product does, or lose the denormals.
  const int32_t exponent = int32_t(bits_of(shifted)) - 0x4B400000, half = exponent >> 1;
  const float low = float_of(uint32_t(half + 127) << 23);
  const float high = float_of(uint32_t(exponent - half + 127) << 23);
  return p * low * high;
}
BOUGH_HOST_DEVICE inline double exp(double x) { return std::exp(x); }

/// a b + c, rounded once where the machine has an instruction for it.
BOUGH_HOST_DEVICE inline float multiply_add(float a, float b, float c) {
#if defined(__CUDA_ARCH__) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

/// e^x of what softmax has, x <= 88: as exp, but 0 where that is below normal numbers, in half as many instructions.
BOUGH_HOST_DEVICE inline float softmax_exp(float x) {
  const float shift = 12582912.0f;
  const float shifted = multiply_add(x, 1.44269504f, shift), n = shifted - shift;
  const float r = multiply_add(-n, 1.74093056e-3f, multiply_add(-n, 0.69140625f, x));
  float p = multiply_add(1.39262508e-3f, r, 8.36323288e-3f);
  p = multiply_add(p, r, 4.16665542e-2f);
  p = multiply_add(p, r, 1.66665767e-1f);
  p = multiply_add(p, r, 0.5f);
  p = multiply_add(p * r, r, r) + 1.0f;
  return x < -87.0f ? 0.0f : p * float_of((bits_of(shifted) + (127u - 0x4B400000u)) << 23);
}
BOUGH_HOST_DEVICE inline double softmax_exp(double x) { return std::exp(x); }

template <class T>
BOUGH_HOST_DEVICE inline T sigmoid(T x) {
  return T(1) / (T(1) + exp(-x));
}

/// x sigmoid(1.702 x), close to x P(Z <= x) (Hendrycks & Gimpel 2016): the form of Marian, whose
/// models must keep their meaning, and its derivative.
template <class T>
BOUGH_HOST_DEVICE inline T gelu(T x) {
  return x * sigmoid(T(1.702) * x);
}
template <class T>
BOUGH_HOST_DEVICE inline T gelu_derivative(T x) {
  const T s = sigmoid(T(1.702) * x);
  return s + T(1.702) * x * s * (T(1) - s);
}

/// x sigmoid(x) (Ramachandran et al. 2017), and its derivative.
template <class T>
BOUGH_HOST_DEVICE inline T swish(T x) {
  return x * sigmoid(x);
}
template <class T>
BOUGH_HOST_DEVICE inline T swish_derivative(T x) {
  const T s = sigmoid(x);
  return s + x * s * (T(1) - s);
}

}  // namespace bough::math

namespace bough {

/// The rule of the kernel adapt_branch_scales for one site. sums: {of r, r^2, f, f^2}; limits: {smallest, first, last}.
BOUGH_HOST_DEVICE inline float adapted_branch_scale(float scale, const double* sums, const double* limits, double share,
                                                    double growth) {
  const double bound = limits[1] + share * (limits[2] - limits[1]);
  const double residual = sums[1], branch = sums[3];
  const bool is_known = residual > 0 && residual + branch - (residual + branch) == 0;  // inf - inf is NaN
  if (!is_known) return scale;
  const double ratio = std::sqrt(branch / residual);
  const double factor = ratio * growth > bound ? bound / ratio : growth;
  const double wanted = double(scale) * factor;
  const double raised = wanted < limits[0] ? limits[0] : wanted;
  return float(raised > 1 ? 1 : raised);
}

}  // namespace bough
