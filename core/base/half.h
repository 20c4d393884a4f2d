#pragma once
#include <bit>
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

/// The nearest, half to even; infinity from 65520 on.
inline std::uint16_t to_half(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const auto sign = std::uint16_t(bits >> 16 & 0x8000);
  const float size = std::abs(x);
  if (!(size <= std::numeric_limits<float>::max())) return sign | (std::isnan(x) ? 0x7E00 : 0x7C00);
  if (size >= 65520) return sign | 0x7C00;
  if (size < 0x1p-14f) return sign | std::uint16_t(std::nearbyint(size * 0x1p24f));
  const std::uint32_t rounded = (bits & 0x7FFFFFFF) + 0xFFF + (bits >> 13 & 1);
  return sign | std::uint16_t((rounded >> 13) - (112 << 10));
}

}  // namespace bough
