#pragma once
#include <algorithm>
#include <cstdint>

#include "core/base/thread_pool.h"

namespace bough {

/// How many blocks a product is cut into along an axis of `length`. A large product gets several blocks a thread, so
/// that a thread that is held up costs less, but no block so small that packing the other operand would show.
inline int64_t count_blocks(int64_t length, double work, int threads) {
  if (threads == 1 || work < 0.5e6) return 1;  // waking a thread takes longer
  return threads * std::clamp<int64_t>(length / (512 * threads), 1, 4);
}

/// compute(m0, m1, n0, n1) for blocks of C (m, n) that cover it, on the threads: rows or columns, of `work`
/// multiply-adds in all. Borders are multiples of 64.
template <class Compute>
void compute_in_blocks(ThreadPool& pool, int64_t m, int64_t n, double work, bool by_rows, const Compute& compute) {
  constexpr int64_t unit = 64;
  const int64_t length = by_rows ? m : n, blocks = count_blocks(length, work, pool.threads());
  const int64_t grain = ((length + blocks - 1) / blocks + unit - 1) / unit * unit;
  pool.parallel_for(length, grain, [&](int64_t begin, int64_t end) {
    by_rows ? compute(begin, end, int64_t{0}, n) : compute(int64_t{0}, m, begin, end);
  });
}

/// Whether x W^T is cut by rows: whoever gets some packs all of W, whoever gets columns transposes all of x.
inline bool is_cut_by_rows(int64_t m, int64_t n, int threads) { return m > n && n < 64 * threads; }

}  // namespace bough
