#pragma once
#include "cuda/rows.h"

// Sums over the rows of a matrix without atomics: every block of rows leaves partial sums, and a second
// kernel adds those up in the order of the blocks. The blocks depend on the number of rows alone, so
// that the bits do not depend on the device.

namespace bough::cuda {

constexpr int max_column_sums = 5;  ///< quantities that one kernel sums at a time

/// How rows are cut into blocks.
struct RowBlocks {
  int64_t rows, block_rows;
  explicit RowBlocks(int64_t rows) : rows(rows), block_rows(std::max<int64_t>(16, (rows + 263) / 264)) {}
  int64_t count() const { return (rows + block_rows - 1) / block_rows; }
};

/// What becomes of the sums: gradient (=|+=) factor * sums.
struct ColumnSum {
  Target target;
  float factor = 1;
  bool is_total = false;  ///< one number: the sum over all columns
};

/// partial: (blocks, quantities, cols) f32; sums[q] says what becomes of quantity q.
void finish_column_sums(const Stream& stream, const float* partial, int64_t blocks, int64_t cols,
                        std::initializer_list<ColumnSum> sums);

}  // namespace bough::cuda
