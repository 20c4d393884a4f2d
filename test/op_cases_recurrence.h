#pragma once
#include "test/op_cases_layers.h"

// Rows of the op table: recurrences over the rows of a sentence.

namespace bough::test {

inline Case ssru_case(const std::vector<int>& lengths, int tail, int64_t C) {
  const Sentences s(lengths, tail);
  return {{{{s.tokens(), 2 * C}}, {{C}, Range::small}},
          [=](Bench& b, auto& v) { return std::vector{ssru(v[0], v[1], b.packing(s))}; },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            std::vector<R> y;
            for (int64_t t = 0; t < s.tokens(); ++t)
              for (int64_t i = 0; i < C; ++i) {
                // c_t = sum over the rows k <= t of the sentence of (1 - f_k) candidate_k f_(k+1) ... f_t
                R c = 0, kept = 1;
                const int64_t first = s.segments[size_t(t)] < 0 ? t + 1 : s.offsets[size_t(s.segments[size_t(t)])];
                for (int64_t k = t; k >= first; --k) {
                  const R f = 1 / (1 + std::exp(-(in[0][size_t(k * 2 * C + i)] + in[1][size_t(i)])));
                  c += kept * (1 - f) * in[0][size_t(k * 2 * C + C + i)];
                  kept *= f;
                }
                y.push_back(c > 0 ? c : R(0));
              }
            return {y};
          },
          {{0, {s.tokens() + 1, 2 * C}}, {1, {C + 1}}},
          tail};
}

/// Four rows in five slots, steps 2, 0, 1 and 2; rows 0 and 3 share an ancestor.
inline Case ssru_step_case(int64_t C) {
  const int64_t A = 3, rows = 4;
  const std::vector<int32_t> slots{1, 3, 0, 2}, steps{2, 0, 1, 2};
  const std::vector<int32_t> ancestry{0, 1, 1, 3, -1, -1, 4, 0, -1, 0, 1, 2};
  return {{data({rows, 2 * C}), data({C}), data({5, 2, C}, Type::statistics)},
          [=](Bench& b, auto& v) {
            const Tensor y = b.output({rows, C});
            b.backend().ssru_step(y, v[2].value(), v[0].value(), v[1].value(), b.ints({rows, A}, ancestry),
                                  b.ints(slots), b.ints(steps));
            return constants(v[0], {y, v[2].value()});
          },
          [=]<class R>(const Lists<R>& in) -> Lists<R> {
            std::vector<R> y, state = in[2];
            for (int64_t r = 0; r < rows; ++r)
              for (int64_t i = 0; i < C; ++i) {
                const int32_t t = steps[size_t(r)];
                const R f = 1 / (1 + std::exp(-(in[0][size_t(r * 2 * C + i)] + in[1][size_t(i)])));
                R c = (1 - f) * in[0][size_t(r * 2 * C + C + i)];
                if (t > 0) c += f * in[2][size_t((2 * ancestry[size_t(r * A + t - 1)] + (t - 1) % 2) * C + i)];
                state[size_t((2 * slots[size_t(r)] + t % 2) * C + i)] = c;
                y.push_back(c > 0 ? c : R(0));
              }
            return {y, state};
          }};
}

}  // namespace bough::test
