#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/backend.h"
#include "data/batch.h"
#include "layers/transformer.h"

namespace bough::speed {

/// The sizes of a training and a decoding step that kernels are timed at; see docs/notation.md.
struct Sizes {
  int64_t rows = 33792, width = 512, inner = 2048, heads = 8, vocabulary = 32000;
  int64_t parameters = 60'500'000;
  int64_t sentences = 32, beam = 4, step = 16, longest = 64;  ///< decoding
};
/// Small enough for the emulator.
inline constexpr Sizes toy_sizes{.rows = 128,
                                 .width = 32,
                                 .inner = 64,
                                 .heads = 2,
                                 .vocabulary = 256,
                                 .parameters = 5000,
                                 .sentences = 3,
                                 .beam = 2,
                                 .step = 3,
                                 .longest = 8};

/// One call of a kernel on buffers of its own, and what it cannot do without: the bytes that it must read and
/// write once, and its floating-point operations (products and attention only).
struct Call {
  std::function<void()> run;
  double bytes = 0, flops = 0;
};

/// Makes buffers: numbers are random, a batch has sentences of lengths as in translation data.
class Buffers {
 public:
  Buffers(Backend& backend, const Sizes& sizes);
  Tensor numbers(Shape shape, DType dtype);
  Tensor numbers(Shape shape) { return numbers(shape, backend.compute_dtype()); }
  Tensor memory(Shape shape, DType dtype);
  Tensor memory(Shape shape) { return memory(shape, backend.compute_dtype()); }
  Tensor integers(const std::vector<int32_t>& values);
  /// Dropout at 0.1.
  Dropout dropout(uint32_t site) const { return {0.1, site, state, batch.target.packing.first_row}; }
  double take_bytes();  ///< of the buffers since the last call

  Backend& backend;
  const Sizes sizes;
  ModelBatch batch;                 ///< `rows` tokens a side
  Tensor source_bins, target_bins;  ///< of self-attention: the same rows as queries and keys
  Tensor state;                     ///< UpdateState words, one branch scale

 private:
  Buffers(Backend& backend, const Sizes& sizes, const Batch& host);
  double bytes_ = 0;
};

/// A way to call a kernel of core/kernels.def.
struct KernelRow {
  std::string kernel, variant;
  std::function<Call(Buffers&)> make;
};

/// Those of word alignments.
void add_alignments(std::vector<KernelRow>& rows);
/// Those of small, fast models: recurrent decoders, lists of words.
void add_recurrences(std::vector<KernelRow>& rows);

/// Every kernel of core/kernels.def at least once; Error when one has no row, or a row has no kernel.
std::vector<KernelRow> kernel_rows();

}  // namespace bough::speed
