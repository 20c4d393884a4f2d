#pragma once
#include <algorithm>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/tensor.h"

// What the row-wise kernels of the CPU share.

namespace bough {

/// Rows a task gets: enough work to pay for waking a thread, and a function of the width alone.
inline int64_t row_grain(int64_t columns) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(columns, 1)); }

/// gradient[first + i] = (write) or += (add) value(i), i = 0 .. count-1; nothing where not wanted.
template <class T, class F>
void deposit(const Grad& gradient, int64_t first, int64_t count, F&& value) {
  if (!gradient) return;
  T* const out = gradient.tensor.data<T>() + first;
  if (gradient.mode == GradMode::add) {
    for (int64_t i = 0; i < count; ++i) out[i] += value(i);
  } else {
    for (int64_t i = 0; i < count; ++i) out[i] = value(i);
  }
}

/// Sums over rows, several quantities of the same width at once: a partial sum for every block of
/// rows, then the partial sums in block order. The blocks depend on the number of rows alone.
template <class T>
class ColumnSums {
 public:
  ColumnSums(int64_t rows, int64_t columns, int64_t quantities)
      : rows_(rows),
        columns_(columns),
        quantities_(quantities),
        block_rows_(std::max<int64_t>(16, (rows + 127) / 128)),
        blocks_((rows + block_rows_ - 1) / block_rows_),
        partial_(size_t(blocks_ * quantities * columns)) {}

  /// body(begin, end, sums) for every block of rows; it adds to sums + quantity * columns.
  template <class F>
  void run(ThreadPool& pool, F&& body) {
    pool.parallel_for(rows_, block_rows_, [&](int64_t begin, int64_t end) {
      body(begin, end, partial_.data() + begin / block_rows_ * quantities_ * columns_);
    });
  }
  /// The total of column c of a quantity.
  T total(int64_t quantity, int64_t c) const {
    T sum = 0;
    for (int64_t b = 0; b < blocks_; ++b) sum += partial_[size_t((b * quantities_ + quantity) * columns_ + c)];
    return sum;
  }
  /// gradient (=|+=) factor * the totals of a quantity.
  void finish(ThreadPool& pool, const Grad& gradient, int64_t quantity, T factor = 1) const {
    if (!gradient) return;
    pool.parallel_for(columns_, 256, [&](int64_t begin, int64_t end) {
      std::vector<T> sum(size_t(end - begin));
      for (int64_t b = 0; b < blocks_; ++b) {
        const T* part = partial_.data() + (b * quantities_ + quantity) * columns_ + begin;
        for (int64_t c = 0; c < end - begin; ++c) sum[size_t(c)] += part[c];
      }
      deposit<T>(gradient, begin, end - begin, [&](int64_t c) { return factor * sum[size_t(c)]; });
    });
  }

 private:
  int64_t rows_, columns_, quantities_, block_rows_, blocks_;
  std::vector<T> partial_;
};

}  // namespace bough
