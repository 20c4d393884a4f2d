#pragma once
// A vector register of floats, by the instructions that a file is compiled for: for files that are compiled once for
// every level, whose namespace BOUGH_LEVEL is (core/cpu/levels.cmake).

#if defined(__AVX2__)
// gcc 12 finds uninitialised variables in its own AVX-512 header.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace bough::BOUGH_LEVEL {
namespace {

#if defined(__AVX512F__)
using Vector = __m512;
inline Vector load(const float* from) { return _mm512_loadu_ps(from); }
inline void store(float* to, Vector v) { _mm512_storeu_ps(to, v); }
inline Vector all(float x) { return _mm512_set1_ps(x); }
inline Vector fused(Vector x, Vector y, Vector sum) { return _mm512_fmadd_ps(x, y, sum); }
inline Vector plus(Vector x, Vector y) { return _mm512_add_ps(x, y); }
inline Vector times(Vector x, Vector y) { return _mm512_mul_ps(x, y); }
inline Vector positive(Vector x) { return _mm512_max_ps(x, _mm512_setzero_ps()); }
#elif defined(__AVX2__)
using Vector = __m256;
inline Vector load(const float* from) { return _mm256_loadu_ps(from); }
inline void store(float* to, Vector v) { _mm256_storeu_ps(to, v); }
inline Vector all(float x) { return _mm256_set1_ps(x); }
inline Vector fused(Vector x, Vector y, Vector sum) { return _mm256_fmadd_ps(x, y, sum); }
inline Vector plus(Vector x, Vector y) { return _mm256_add_ps(x, y); }
inline Vector times(Vector x, Vector y) { return _mm256_mul_ps(x, y); }
inline Vector positive(Vector x) { return _mm256_max_ps(x, _mm256_setzero_ps()); }
#elif defined(__aarch64__)
using Vector = float32x4_t;
inline Vector load(const float* from) { return vld1q_f32(from); }
inline void store(float* to, Vector v) { vst1q_f32(to, v); }
inline Vector all(float x) { return vdupq_n_f32(x); }
inline Vector fused(Vector x, Vector y, Vector sum) { return vfmaq_f32(sum, x, y); }
inline Vector plus(Vector x, Vector y) { return vaddq_f32(x, y); }
inline Vector times(Vector x, Vector y) { return vmulq_f32(x, y); }
inline Vector positive(Vector x) {  // NaN becomes 0, as elsewhere
  const Vector zero = vdupq_n_f32(0);
  return vbslq_f32(vcgtq_f32(x, zero), x, zero);
}
#else
/// Four floats.
struct Vector {
  float lane[4];
};
inline Vector load(const float* from) { return {{from[0], from[1], from[2], from[3]}}; }
inline Vector all(float x) { return {{x, x, x, x}}; }
inline void store(float* to, const Vector& v) {
  for (int i = 0; i < 4; ++i) to[i] = v.lane[i];
}
inline Vector fused(const Vector& x, const Vector& y, Vector sum) {
  for (int i = 0; i < 4; ++i) sum.lane[i] = __builtin_fmaf(x.lane[i], y.lane[i], sum.lane[i]);
  return sum;
}
inline Vector plus(Vector x, const Vector& y) {
  for (int i = 0; i < 4; ++i) x.lane[i] += y.lane[i];
  return x;
}
inline Vector times(Vector x, const Vector& y) {
  for (int i = 0; i < 4; ++i) x.lane[i] *= y.lane[i];
  return x;
}
inline Vector positive(Vector x) {
  for (float& lane : x.lane) lane = lane > 0 ? lane : 0;
  return x;
}
#endif

constexpr int lanes = sizeof(Vector) / sizeof(float);

}  // namespace
}  // namespace bough::BOUGH_LEVEL
