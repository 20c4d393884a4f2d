#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/random.h"

// Scalar functions of the kernels, for host and device. The float forms have no branches and no calls, so
// that loops over them vectorise; the double forms, which only tests use, are the standard library's.

namespace bough::math {

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

/// e^x within 1.2 ulp where the result is a normal number; exp(-inf) = 0, exp(inf) = inf, exp(NaN) = NaN.
/// x = n ln 2 + r, |r| <= ln 2 / 2: 2^n is made of exponent bits, e^r is a polynomial (Chebyshev fit).
BOUGH_HOST_DEVICE inline float exp(float x) {
  x = x > 89.0f ? 89.0f : x;     // e^89 = inf
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

/// The error function, absolute error below 1.5e-7: x P(x^2) up to 1, 1 - e^(-x Q(x)) beyond.
BOUGH_HOST_DEVICE inline float erf(float x) {
  const float a = std::fabs(x), s = x * x;
  float p = 7.87587506e-5f;
  p = p * s - 8.01686429e-4f;
  p = p * s + 5.18908742e-3f;
  p = p * s - 2.6854212e-2f;
  p = p * s + 1.12835947e-1f;
  p = p * s - 3.76126267e-1f;
  p = p * s + 1.12837917f;
  const float t = a > 4.0f ? 4.0f : a;  // erf(4) rounds to 1
  float q = -1.1660325e-6f;
  q = q * t + 3.65930118e-5f;
  q = q * t - 5.15745564e-4f;
  q = q * t + 4.37392262e-3f;
  q = q * t - 2.53086012e-2f;
  q = q * t + 1.08091913e-1f;
  q = q * t + 6.33971448e-1f;
  q = q * t + 1.12895724f;
  const float tail = std::copysign(1.0f - exp(-t * q), x);
  return a > 1.0f ? tail : x * p;
}
BOUGH_HOST_DEVICE inline double erf(double x) { return std::erf(x); }

template <class T>
BOUGH_HOST_DEVICE inline T sigmoid(T x) {
  return T(1) / (T(1) + exp(-x));
}

/// P(Z <= x) of a standard normal Z.
template <class T>
BOUGH_HOST_DEVICE inline T normal_cdf(T x) {
  return T(0.5) * (T(1) + erf(x * T(0.70710678118654752440)));
}

/// x P(Z <= x), the exact form (Hendrycks & Gimpel 2016), and its derivative.
template <class T>
BOUGH_HOST_DEVICE inline T gelu(T x) {
  return x * normal_cdf(x);
}
template <class T>
BOUGH_HOST_DEVICE inline T gelu_derivative(T x) {
  const T density = T(0.39894228040143267794) * exp(T(-0.5) * x * x);
  return normal_cdf(x) + x * density;
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
