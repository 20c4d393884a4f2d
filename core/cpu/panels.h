#pragma once
#include <cstdint>

// Products by packed panels of one operand, within one thread. The loops are compiled once for every instruction level
// (core/cpu/panel_kernels.cc), and all levels give the same bits.

namespace bough {

/// Columns of a panel: element (i, j) of its matrix, i = 0 .. k-1, lies at i * panel_columns + j.
constexpr int64_t panel_columns = 16;

/// c (m, n) = or += a (m, k) b (k, n):
///   c_ij = relu(fma(a_ik, b_kj, ... fma(a_i1, b_1j, s)) + bias_j),   s = 0, or the old c_ij
/// Every element is this one chain of fused multiply-adds in ascending k, whatever m and n are: a product may be cut
/// along k, where the later parts add.
struct PanelProduct {
  int64_t m, n, k;
  const float* a;
  int64_t lda;
  const float* panels;  ///< of b, the last filled up with zeros
  int64_t panel_size;   ///< from panel to panel
  bool are_far;         ///< panels: in memory, so that the next are fetched while some are read
  const float* bias;    ///< (n), or null
  float* c;
  int64_t ldc;
  bool adds, relu;
};

/// The loops of one instruction level.
struct PanelKernels {
  void (*multiply)(const PanelProduct& product);
  /// Element (j, i) of `to` = element (i, j) of `from`, whose rows are m, columns n.
  void (*transpose)(float* to, int64_t to_stride, const float* from, int64_t from_stride, int64_t m, int64_t n);
};

enum class CpuLevel : uint8_t;  // core/cpu/factory.h
const PanelKernels& panel_kernels(CpuLevel level);

namespace generic {
extern const PanelKernels panel_kernels;
}
namespace avx2 {
extern const PanelKernels panel_kernels;
}
namespace avx512 {
extern const PanelKernels panel_kernels;
}

}  // namespace bough
