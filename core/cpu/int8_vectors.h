#pragma once
#include <cstdint>

#include "core/cpu/vectors.h"

// A vector register of 32-bit sums and the bytes that are multiplied into it: see core/cpu/vectors.h.

namespace bough::BOUGH_LEVEL {
namespace {

#if defined(__AVX2__) && !defined(__AVX512VNNI__)
constexpr bool saturates = true;  // see Int8Kernels
#else
constexpr bool saturates = false;
#endif

#if defined(__AVX512F__)
using Ints = __m512i;
inline Ints load_ints(const void* from) { return _mm512_loadu_si512(from); }
inline Ints no_ints() { return _mm512_setzero_si512(); }
/// Four bytes, for every sum.
inline Ints all_bytes(const uint8_t* from) {
  int32_t four;
  __builtin_memcpy(&four, from, sizeof four);
  return _mm512_set1_epi32(four);
}
inline Vector to_floats(Ints x) { return _mm512_cvtepi32_ps(x); }
/// sum + the four products of each sum's bytes, x unsigned and w signed.
inline Ints dot(Ints sum, Ints x, Ints w) {
#if defined(__AVX512VNNI__)
  // _mm512_dpbusd_epi32(sum, x, w): gcc 12 moves the sums of a large tile to and fro around its intrinsic.
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
  return sum;
#else
  return _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(x, w), _mm512_set1_epi16(1)));
#endif
}

/// Bytes of x + int8_limit, as signs and sizes: no sum of two products of a size and a byte of w is too large.
struct SignedBytes {
  Ints size;
  __mmask64 is_negative;
};
inline SignedBytes signed_bytes(const uint8_t* x) {
  const Ints value = _mm512_sub_epi8(load_ints(x), _mm512_set1_epi8(127));
  return {_mm512_abs_epi8(value), _mm512_movepi8_mask(value)};
}
inline Ints dot(Ints sum, const SignedBytes& x, Ints w) {
  return dot(sum, x.size, _mm512_mask_sub_epi8(w, x.is_negative, no_ints(), w));
}
/// The totals of four.
inline __m128i totals(Ints a, Ints b, Ints c, Ints d) {
  const auto half = [](Ints x) { return _mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1)); };
  const __m256i four = _mm256_hadd_epi32(_mm256_hadd_epi32(half(a), half(b)), _mm256_hadd_epi32(half(c), half(d)));
  return _mm_add_epi32(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
}

#elif defined(__AVX2__)
using Ints = __m256i;
inline Ints load_ints(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
inline Ints no_ints() { return _mm256_setzero_si256(); }
inline Ints all_bytes(const uint8_t* from) {
  int32_t four;
  __builtin_memcpy(&four, from, sizeof four);
  return _mm256_set1_epi32(four);
}
inline Vector to_floats(Ints x) { return _mm256_cvtepi32_ps(x); }
inline Ints dot(Ints sum, Ints x, Ints w) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1)));
}

/// The same: bytes of x, and their sizes.
struct SignedBytes {
  Ints size, value;
};
inline SignedBytes signed_bytes(const uint8_t* x) {
  const Ints value = _mm256_sub_epi8(load_ints(x), _mm256_set1_epi8(127));
  return {_mm256_abs_epi8(value), value};
}
inline Ints dot(Ints sum, const SignedBytes& x, Ints w) { return dot(sum, x.size, _mm256_sign_epi8(w, x.value)); }
inline __m128i totals(Ints a, Ints b, Ints c, Ints d) {
  const __m256i four = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
  return _mm_add_epi32(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
}

#elif defined(__aarch64__)
using Ints = int32x4_t;
inline Ints load_ints(const void* from) { return vreinterpretq_s32_u8(vld1q_u8(static_cast<const uint8_t*>(from))); }
inline Ints all_bytes(const uint8_t* from) {
  int32_t four;
  __builtin_memcpy(&four, from, sizeof four);
  return vdupq_n_s32(four);
}
inline Vector to_floats(Ints x) { return vcvtq_f32_s32(x); }
inline Ints dot(Ints sum, Ints x, Ints w) {
  const int8x16_t bytes = vreinterpretq_s8_s32(w);
#if defined(__ARM_FEATURE_DOTPROD)
  const int8x16_t limit = vdupq_n_s8(127), value = vsubq_s8(vreinterpretq_s8_s32(x), limit);  // of x + int8_limit
  return vdotq_s32(vdotq_s32(sum, limit, bytes), value, bytes);
#else
  const uint8x16_t sizes = vreinterpretq_u8_s32(x);
  const int16x8_t x_low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(sizes))),
                  x_high = vreinterpretq_s16_u16(vmovl_high_u8(sizes)), w_low = vmovl_s8(vget_low_s8(bytes)),
                  w_high = vmovl_high_s8(bytes);
  const Ints first = vpaddq_s32(vmull_s16(vget_low_s16(x_low), vget_low_s16(w_low)), vmull_high_s16(x_low, w_low)),
             last = vpaddq_s32(vmull_s16(vget_low_s16(x_high), vget_low_s16(w_high)), vmull_high_s16(x_high, w_high));
  return vaddq_s32(sum, vpaddq_s32(first, last));
#endif
}

#else
/// As many sums as a Vector has floats.
struct Ints {
  int32_t lane[lanes];
};
inline Ints load_ints(const void* from) {
  Ints x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}
inline Ints all_bytes(const uint8_t* from) {
  Ints x;
  for (int i = 0; i < lanes; ++i) __builtin_memcpy(&x.lane[i], from, sizeof x.lane[i]);
  return x;
}
inline Vector to_floats(const Ints& x) {
  Vector y;
  for (int i = 0; i < lanes; ++i) y.lane[i] = float(x.lane[i]);
  return y;
}
inline Ints dot(Ints sum, const Ints& x, const Ints& w) {
  uint8_t a[sizeof x];
  int8_t b[sizeof w];
  __builtin_memcpy(a, &x, sizeof x);
  __builtin_memcpy(b, &w, sizeof w);
  for (int i = 0; i < int(sizeof x); ++i) sum.lane[i / 4] += a[i] * b[i];
  return sum;
}
#endif

}  // namespace
}  // namespace bough::BOUGH_LEVEL
