#include "experiments/speed/kernel_rows.h"

// The kernels of word alignments: one head of cross-attention, a point for each target token.

namespace bough::speed {
namespace {

struct AlignmentBuffers {
  Columns q, k;
  Tensor loss, log_sum_exp;
  AlignmentLoss p;
};

AlignmentBuffers alignment_buffers(Buffers& b) {
  const int64_t T = b.sizes.rows, C = b.sizes.width, D = C / b.sizes.heads;
  AlignmentBuffers a{{b.numbers({T, C}), 0, D}, {b.numbers({T, 2 * C}), 0, D}, {}, {}, {}};
  a.loss = b.memory({T}, DType::f32);
  a.log_sum_exp = b.memory({T}, DType::f32);
  std::vector<int32_t> offsets(size_t(T) + 1);
  for (int64_t t = 0; t <= T; ++t) offsets[size_t(t)] = int32_t(t);
  const auto first_words = std::vector<int32_t>(size_t(T));
  a.p = {b.batch.target.packing, b.batch.source.packing, {b.integers(offsets), b.integers(first_words)}, 0.1};
  b.backend.alignment_loss(a.loss, a.log_sum_exp, a.q, a.k, a.p);  // log_sum_exp for the backward pass
  return a;
}

/// Of a head's columns on one side.
double head_bytes(const Buffers& b) {
  return double(b.sizes.rows * b.sizes.width / b.sizes.heads) * double(size_of(b.backend.compute_dtype()));
}

}  // namespace

void add_alignments(std::vector<KernelRow>& rows) {
  rows.push_back({"alignment_loss", "a point each", [](Buffers& b) {
                    const AlignmentBuffers a = alignment_buffers(b);
                    return Call{[=, &b] { b.backend.alignment_loss(a.loss, a.log_sum_exp, a.q, a.k, a.p); },
                                2 * head_bytes(b), 2 * b.batch.pair_count * double(a.q.count)};
                  }});
  rows.push_back({"alignment_loss_backward", "added", [](Buffers& b) {
                    const AlignmentBuffers a = alignment_buffers(b);
                    const Tensor upstream = b.numbers(a.loss.shape(), DType::f32);
                    const GradColumns dq{b.numbers(a.q.tensor.shape()), 0, a.q.count, GradMode::add};
                    const GradColumns dk{b.numbers(a.k.tensor.shape()), 0, a.k.count, GradMode::add};
                    return Call{
                        [=, &b] { b.backend.alignment_loss_backward(dq, dk, upstream, a.log_sum_exp, a.q, a.k, a.p); },
                        6 * head_bytes(b), 8 * b.batch.pair_count * double(a.q.count)};
                  }});
  rows.push_back(
      {"attention_weights", "teacher-forced", [](Buffers& b) {
         const AlignmentBuffers a = alignment_buffers(b);
         const Tensor weights = b.memory({b.sizes.rows, a.p.keys.longest}, DType::f32);
         return Call{
             [=, &b] { b.backend.attention_weights(weights, a.q, a.k, a.p.keys.offsets, a.p.queries.segments); },
             2 * head_bytes(b) + double(weights.bytes()), 2 * b.batch.pair_count * double(a.q.count)};
       }});
}

}  // namespace bough::speed
