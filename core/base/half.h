#pragma once
#include <cmath>
#include <cstdint>
#include <limits>

namespace bough {

/// IEEE binary16: 1 bit of sign, 5 of exponent, 10 of fraction.
inline float from_half(std::uint16_t half) {
  const int exponent = (half >> 10) & 0x1F;
  const float fraction = float(half & 0x3FF) / 1024;
  float magnitude = 0;
  if (exponent == 0x1F)
    magnitude = fraction == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  else
    magnitude = exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1 + fraction, exponent - 15);
  return half & 0x8000 ? -magnitude : magnitude;
}

}  // namespace bough
