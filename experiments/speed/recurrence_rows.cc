#include <algorithm>
#include <vector>

#include "experiments/speed/kernel_rows.h"

// The kernels of small, fast models: recurrent decoders, lists of words.

namespace bough::speed {
namespace {

struct RecurrenceBuffers {
  Tensor u, bias, y, c;
};
RecurrenceBuffers recurrence_buffers(Buffers& b, int64_t rows) {
  const int64_t C = b.sizes.width;
  return {b.numbers({rows, 2 * C}), b.numbers({C}), b.memory({rows, C}), b.memory({rows, C}, DType::f32)};
}

}  // namespace

void add_recurrences(std::vector<KernelRow>& rows) {
  rows.push_back({"ssru", "kept", [](Buffers& b) {
                    const RecurrenceBuffers r = recurrence_buffers(b, b.sizes.rows);
                    return Call{[=, &b] { b.backend.ssru(r.y, r.c, r.u, r.bias, b.batch.target.packing); },
                                double(r.u.bytes() + r.y.bytes() + r.c.bytes())};
                  }});
  rows.push_back({"ssru_backward", "", [](Buffers& b) {
                    const RecurrenceBuffers r = recurrence_buffers(b, b.sizes.rows);
                    b.backend.ssru(r.y, r.c, r.u, r.bias, b.batch.target.packing);
                    const Tensor dy = b.numbers(r.y.shape()), du = b.memory(r.u.shape());
                    const Tensor dbias = b.memory({b.sizes.width}, DType::f32);
                    return Call{[=, &b] {
                                  b.backend.ssru_backward(write_to(du), write_to(dbias), dy, r.c, r.u, r.bias,
                                                          b.batch.target.packing);
                                },
                                double(2 * r.u.bytes() + dy.bytes() + r.c.bytes())};
                  }});
  rows.push_back({"listed_logits", "600 words a sentence", [](Buffers& b) {
                    const Sizes& s = b.sizes;
                    const int64_t R = s.sentences * s.beam, L = std::min<int64_t>(600, s.vocabulary);
                    const Tensor x = b.numbers({R, s.width}), table = b.numbers({s.vocabulary, s.width}),
                                 bias = b.numbers({s.vocabulary}), logits = b.memory({R, L});
                    std::vector<int32_t> offsets, ids, sentences;
                    for (int64_t i = 0; i <= s.sentences; ++i) offsets.push_back(int32_t(i * L));
                    for (int64_t i = 0; i < s.sentences * L; ++i) ids.push_back(int32_t((i * 7919) % s.vocabulary));
                    for (int64_t r = 0; r < R; ++r) sentences.push_back(int32_t(r / s.beam));
                    const Tensor first = b.integers(offsets), words = b.integers(ids), of_row = b.integers(sentences);
                    return Call{[=, &b] { b.backend.listed_logits(logits, x, table, bias, first, words, of_row); },
                                double(s.sentences * L * s.width) * double(size_of(b.backend.compute_dtype())) +
                                    double(x.bytes() + logits.bytes())};
                  }});
  rows.push_back({"ssru_step", "mid-sentence", [](Buffers& b) {
                    const Sizes& s = b.sizes;
                    const int64_t R = s.sentences * s.beam;
                    const RecurrenceBuffers r = recurrence_buffers(b, R);
                    const Tensor state = b.numbers({R, 2, s.width}, DType::f32);
                    std::vector<int32_t> slots, steps(size_t(R), int32_t(s.step)), ancestry;
                    for (int64_t row = 0; row < R; ++row) {
                      slots.push_back(int32_t(row));
                      ancestry.insert(ancestry.end(), size_t(s.longest), int32_t(row));
                    }
                    const Tensor history = b.integers(ancestry).view(0, {R, s.longest}), at = b.integers(steps),
                                 slot = b.integers(slots);
                    return Call{[=, &b] { b.backend.ssru_step(r.y, state, r.u, r.bias, history, slot, at); },
                                double(r.u.bytes() + r.y.bytes() + state.bytes())};
                  }});
}

}  // namespace bough::speed
