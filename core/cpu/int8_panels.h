#pragma once
#include <cstdint>
#include <vector>

#include "core/cpu/panels.h"

// Products in 8 bits within one thread: sums of integers, exact, so that all levels give the same bits. The loops are
// compiled once for every level (core/cpu/int8_kernels.cc).

namespace bough {

/// Elements along k that lie side by side in a panel: element (k, n) of a panel of 16 columns is byte
/// k / 4 * 64 + n * 4 + k % 4.
constexpr int64_t int8_group = 4;
/// Largest element, of x and of W.
constexpr int int8_limit = 127;
/// Rows of bytes are filled up to a multiple of this with zeros (elements that are 0).
constexpr int64_t int8_row_multiple = 64;

/// What a panel's packed weights lack: two neighbours along k whose sum could be too large for the 16 bits that
/// instructions before VNNI add them in are smaller there. Where many are, W is the sum of two terms of half its size
/// instead: twice the products.
struct Int8Correction {
  int32_t k, column;  ///< of the element, the column within its panel
  int32_t rest;       ///< what is to be added to it
};

/// c (m, n) = relu(scale_i scale_j s_ij + bias_j), s_ij = sum_k x_ik w_kj of whole numbers.
struct Int8Product {
  int64_t m, n, groups;  ///< groups of int8_group elements along k
  int64_t terms;         ///< matrices whose sum is w: in a panel one behind the other
  const uint8_t* x;      ///< x_ik + int8_limit
  int64_t ldx;
  const float* row_scales;            ///< (m)
  const int8_t* panels;               ///< of w, filled up with zeros
  const int32_t* starts;              ///< what the sum of each column begins with: -int8_limit sum_k w_kj
  const float* column_scales;         ///< (n), filled up to whole panels
  const Int8Correction* corrections;  ///< of all panels, or null
  const int32_t* correction_offsets;  ///< of each panel's first, and behind the last; where there are corrections
  const float* bias;                  ///< (n), or null
  float* c;
  int64_t ldc;
  bool relu;
};

/// c[r, j] = scale_r scale_v sum_k x_rk w_vk + bias_v for words v = ids[j]: rows of a table, of which few are wanted.
struct Int8Dots {
  int64_t rows, words, width;  ///< width: bytes of a row, a multiple of int8_row_multiple
  const uint8_t* x;            ///< (rows, width), x_rk + int8_limit
  const float* row_scales;
  const int8_t* table;  ///< (V, width)
  const float* table_scales;
  const int32_t* ids;
  const float* bias;  ///< (V), or null
  float* c;
  int64_t ldc;
};

/// The loops of one instruction level.
struct Int8Kernels {
  const char* name;
  /// Whether neighbours along k are added in 16 bits, which may be too few: see Int8Correction.
  bool saturates;
  /// to[k] = round(x[k] multiplier), half to even, clipped to +-int8_limit, plus int8_limit; k = 0 .. n-1.
  /// multiplier 0: int8_limit / max |x|. Returns what the products of the row are to be multiplied by: 1, or with
  /// multiplier 0 the inverse of the row's; NaN where an element of x is not finite. largest: max |x|.
  float (*quantize)(uint8_t* to, const float* x, int64_t n, float multiplier, float* largest);
  void (*multiply)(const Int8Product& product);
  void (*multiply_words)(const Int8Dots& dots);
};

/// Those of a level; with VNNI where the machine has it.
const Int8Kernels& int8_kernels(CpuLevel level);
/// All that this machine can run.
std::vector<const Int8Kernels*> all_int8_kernels();

namespace generic {
extern const Int8Kernels int8_kernels;
}
namespace avx2 {
extern const Int8Kernels int8_kernels;
}
namespace avx512 {
extern const Int8Kernels int8_kernels;
}
namespace avx512_vnni {
extern const Int8Kernels int8_kernels;
}

}  // namespace bough
