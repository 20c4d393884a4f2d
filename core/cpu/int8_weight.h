#pragma once
#include <memory>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/cpu/int8_panels.h"
#include "core/kernel_types.h"

namespace bough {

/// Bytes of a weight, on a border of the cache's lines.
struct alignas(64) Int8Line {
  int8_t byte[64];
};

/// A weight W (n, k) in 8 bits: panels of W^T for products, or rows for listed_logits.
struct Int8Weight {
  int64_t n = 0, k = 0;
  int64_t terms = 1;  ///< see Int8Product
  float input = 0;    ///< Int8Multipliers::input
  std::shared_ptr<InputSizes> input_sizes;
  std::vector<Int8Line> bytes;
  int64_t row_bytes = 0;                            ///< of rows; 0: these are panels
  std::vector<float> scales;                        ///< of columns of W^T, 1 / (input weight_n)
  std::vector<int32_t> starts, correction_offsets;  ///< of panels; see Int8Product
  std::vector<Int8Correction> corrections;
};

Int8Weight pack_int8_panels(ThreadPool& pool, const Int8Kernels& kernels, const KeptWeight& weight);
Int8Weight pack_int8_rows(ThreadPool& pool, const Int8Kernels& kernels, const KeptWeight& weight);

/// y (M, N) = x W^T, with bias and relu as `gemm` says. x: (M, K).
void multiply_int8(ThreadPool& pool, const Int8Kernels& kernels, const Int8Weight& weight, Out y, In x,
                   const Gemm& gemm);

/// x in 8 bits, memory that a thread keeps for its next call.
struct Int8Rows {
  const uint8_t* bytes;  ///< (M, width)
  const float* scales;   ///< (M)
  int64_t width;
};
Int8Rows quantize_rows(ThreadPool& pool, const Int8Kernels& kernels, const Int8Weight& weight, In x);

}  // namespace bough
