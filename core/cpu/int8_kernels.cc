// Compiled once for every instruction level, each time in a namespace of its own, BOUGH_LEVEL (levels.cmake). Nothing
// that other files define inline may be called here: the linker keeps one copy of such a function, of any level.
#include "core/cpu/int8_panels.h"
#include "core/cpu/int8_vectors.h"
#include "core/cpu/tiles.h"

namespace bough::BOUGH_LEVEL {
namespace {

constexpr int64_t group_bytes = panel_columns * int8_group;

struct Int8Kernel {
  using Product = Int8Product;
#if defined(__AVX512F__)
  static constexpr int most_rows = 6, most_sums = 24, most_panels = 8;  // of 32 registers
#elif defined(__AVX2__)
  static constexpr int most_rows = 4, most_sums = 8, most_panels = 4;  // of 16 registers
#else
  static constexpr int most_rows = 4, most_sums = 16, most_panels = 1;
#endif
  template <int R, int P>
  static void tile(const Int8Product& p, int64_t i, int64_t j, const Ahead& ahead);

  static Int8Product from(Int8Product p, int64_t i, int64_t j) {
    p.x = row(p, i);
    p.row_scales += i;
    p.panels = panel(p, j);
    p.starts += j;
    p.column_scales += j;
    if (p.corrections) p.correction_offsets += j / panel_columns;
    if (p.bias) p.bias += j;
    p.c += i * p.ldc + j;
    return p;
  }
  static bool adds(const Int8Product&) { return false; }
  static bool are_far(const Int8Product&) { return true; }
  static const int8_t* panel(const Int8Product& p, int64_t j) { return p.panels + j * p.terms * p.groups * int8_group; }
  static int64_t lines(const Int8Product& p) { return p.terms * p.groups; }
  static const uint8_t* row(const Int8Product& p, int64_t i) { return p.x + i * p.ldx; }
};

/// What the sums of R rows and P panels from (i, j) on begin with where there are corrections.
template <int R, int P>
void correct(int32_t* sums, const Int8Product& p, int64_t i, int64_t j) {
  const int32_t* const offsets = p.correction_offsets + j / panel_columns;
  for (int r = 0; r < R; ++r)
    for (int x = 0; x < P; ++x, sums += panel_columns) {
      __builtin_memcpy(sums, p.starts + j + x * panel_columns, panel_columns * sizeof *sums);
      for (int32_t c = offsets[x]; c < offsets[x + 1]; ++c) {
        const Int8Correction& more = p.corrections[c];
        sums[more.column] += (Int8Kernel::row(p, i + r)[more.k] - int8_limit) * more.rest;
      }
    }
}

/// Held in registers while k runs.
template <int R, int P>
void Int8Kernel::tile(const Int8Product& p, int64_t i, int64_t j, const Ahead& ahead) {
  constexpr int V = P * panel_vectors;
  int32_t corrected[R * P * panel_columns];
  const int64_t first = j / panel_columns;
  const bool has_corrections =
      saturates && p.corrections && p.correction_offsets[first] < p.correction_offsets[first + P];
  if (has_corrections) correct<R, P>(corrected, p, i, j);
  const int32_t* const starts = has_corrections ? corrected : p.starts + j;
  const int64_t starts_row = has_corrections ? P * panel_columns : 0;
  Ints sum[R][V];
#pragma GCC unroll 32
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 32
    for (int v = 0; v < V; ++v) sum[r][v] = load_ints(starts + r * starts_row + v * lanes);
  const int8_t* w = panel(p, j);
  const int64_t ldx = p.ldx, size = p.terms * p.groups * group_bytes;
  Ahead part = ahead;
  for (int64_t term = 0; term < p.terms; ++term) {
    const uint8_t* x = row(p, i);
    fetch_and_run(p.groups, part, [&] {
      Ints some[V];
#pragma GCC unroll 32
      for (int v = 0; v < V; ++v)
        some[v] = load_ints(w + v / panel_vectors * size + v % panel_vectors * int64_t(sizeof(Ints)));
#pragma GCC unroll 32
      for (int r = 0; r < R; ++r) {
        const Ints four = all_bytes(x + r * ldx);
#pragma GCC unroll 32
        for (int v = 0; v < V; ++v) sum[r][v] = dot(sum[r][v], four, some[v]);
      }
      x += int8_group;
      w += group_bytes;
    });
    part.from += p.groups * part.step;
  }
  const float *scales = p.column_scales + j, *biases = p.bias ? p.bias + j : nullptr, *row_scales = p.row_scales + i;
  float* const c = p.c + i * p.ldc + j;
#pragma GCC unroll 32
  for (int v = 0; v < V; ++v) {
    const Vector scale = load(scales + v * lanes), bias = biases ? load(biases + v * lanes) : all(0);
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) {
      Vector y = times(to_floats(sum[r][v]), times(all(row_scales[r]), scale));
      if (biases) y = plus(y, bias);
      store(c + r * p.ldc + v * lanes, p.relu ? positive(y) : y);
    }
  }
}

/// The integer that orders the sizes of floats, NaN above all.
inline int32_t size_bits(float x) {
  int32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits & 0x7fffffff;
}
constexpr int32_t infinity_bits = 0x7f800000;

inline uint8_t quantized(float x, float multiplier) {
  float y = x * multiplier;
  y = y > -float(int8_limit) ? y : -float(int8_limit);  // NaN, too
  y = y < float(int8_limit) ? y : float(int8_limit);
  return uint8_t(int(__builtin_nearbyintf(y)) + int8_limit);
}

#if defined(__AVX2__)
inline int32_t largest_size(const float* x, int64_t n) {
  const __m256i size = _mm256_set1_epi32(0x7fffffff);
  __m256i largest = _mm256_setzero_si256();
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    largest = _mm256_max_epi32(largest, _mm256_and_si256(size, _mm256_castps_si256(_mm256_loadu_ps(x + i))));
  int32_t all[8], result = 0;
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(all), largest);
  for (const int32_t one : all) result = one > result ? one : result;
  for (; i < n; ++i) result = size_bits(x[i]) > result ? size_bits(x[i]) : result;
  return result;
}

/// The part of n that is whole vectors; returns its length.
inline int64_t quantize_vectors(uint8_t* to, const float* x, int64_t n, float multiplier) {
  const __m256 m = _mm256_set1_ps(multiplier), low = _mm256_set1_ps(-int8_limit), high = _mm256_set1_ps(int8_limit);
  const auto eight = [&](const float* from) {
    // The order of operands decides what becomes of NaN.
    return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(_mm256_mul_ps(_mm256_loadu_ps(from), m), low), high));
  };
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7), shift = _mm256_set1_epi8(int8_limit);
  int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const __m256i a = _mm256_packs_epi32(eight(x + i), eight(x + i + 8)),
                  b = _mm256_packs_epi32(eight(x + i + 16), eight(x + i + 24));
    const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), order);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), _mm256_add_epi8(bytes, shift));
  }
  return i;
}
#else
inline int32_t largest_size(const float* x, int64_t n) {
  int32_t largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = size_bits(x[i]) > largest ? size_bits(x[i]) : largest;
  return largest;
}
inline int64_t quantize_vectors(uint8_t*, const float*, int64_t, float) { return 0; }
#endif

float quantize(uint8_t* to, const float* x, int64_t n, float multiplier, float* largest) {
  const int32_t bits = largest_size(x, n);
  __builtin_memcpy(largest, &bits, sizeof bits);
  float scale = 1;
  if (multiplier == 0) {
    multiplier = *largest > 0 ? float(int8_limit) / *largest : 1;
    scale = 1 / multiplier;
  }
  for (int64_t i = quantize_vectors(to, x, n, multiplier); i < n; ++i) to[i] = quantized(x[i], multiplier);
  return bits < infinity_bits ? scale : __builtin_nanf("");
}

inline void put_word(const Int8Dots& p, int64_t r, int64_t j, int32_t sum) {
  const int32_t v = p.ids[j];
  const float y = float(sum) * (p.row_scales[r] * p.table_scales[v]);
  p.c[r * p.ldc + j] = p.bias ? y + p.bias[v] : y;
}

#if defined(__AVX2__)
void multiply_words(const Int8Dots& p) {
  for (int64_t j = 0; j < p.words; j += 4) {
    const int64_t count = p.words - j < 4 ? p.words - j : 4;
    const int8_t* w[4];
    for (int64_t i = 0; i < 4; ++i) w[i] = p.table + p.ids[j + (i < count ? i : 0)] * p.width;
    for (int64_t r = 0; r < p.rows; ++r) {
      const uint8_t* const x = p.x + r * p.width;
      Ints sum[4] = {no_ints(), no_ints(), no_ints(), no_ints()};
      for (int64_t k = 0; k < p.width; k += int64_t(sizeof(Ints))) {
        const SignedBytes some = signed_bytes(x + k);
        for (int i = 0; i < 4; ++i) sum[i] = dot(sum[i], some, load_ints(w[i] + k));
      }
      int32_t total[4];
      _mm_storeu_si128(reinterpret_cast<__m128i*>(total), totals(sum[0], sum[1], sum[2], sum[3]));
      for (int64_t i = 0; i < count; ++i) put_word(p, r, j + i, total[i]);
    }
  }
}
#else
void multiply_words(const Int8Dots& p) {
  for (int64_t j = 0; j < p.words; ++j)
    for (int64_t r = 0; r < p.rows; ++r) {
      int32_t sum = 0;
      for (int64_t k = 0; k < p.width; ++k)
        sum += (p.x[r * p.width + k] - int8_limit) * p.table[p.ids[j] * p.width + k];
      put_word(p, r, j, sum);
    }
}
#endif

#define BOUGH_TEXT_OF(level) #level
#define BOUGH_NAME_OF(level) BOUGH_TEXT_OF(level)

}  // namespace

extern const Int8Kernels int8_kernels;
const Int8Kernels int8_kernels{BOUGH_NAME_OF(BOUGH_LEVEL), saturates, quantize, multiply_in_tiles<Int8Kernel>,
                               multiply_words};

}  // namespace bough::BOUGH_LEVEL
