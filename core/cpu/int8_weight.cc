#include "core/cpu/int8_weight.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/base/rounding.h"
#include "core/cpu/product_blocks.h"

namespace bough {
namespace {

constexpr int64_t line_bytes = sizeof(Int8Line);

/// W's row n in 8 bits, filled up with zeros.
void quantize_weight(const Int8Kernels& kernels, std::vector<int8_t>& row, const KeptWeight& w, int64_t n) {
  const int64_t k = w.weight.cols();
  std::vector<uint8_t> shifted(row.size(), uint8_t(int8_limit));
  float largest;
  kernels.quantize(shifted.data(), w.weight.data<float>() + n * k, k, w.int8.weight[size_t(n)], &largest);
  for (size_t i = 0; i < row.size(); ++i) row[i] = int8_t(shifted[i] - int8_limit);
}

Int8Weight start(const KeptWeight& w) {
  Int8Weight packed;
  packed.n = w.weight.rows();
  packed.k = w.weight.cols();
  packed.input = w.int8.input;
  packed.input_sizes = w.int8.input_sizes;
  check(int64_t(w.int8.weight.size()) == packed.n, "int8: {} multipliers of a weight {}, must have one for each row",
        w.int8.weight.size(), w.weight.shape());
  const float input = packed.input > 0 ? packed.input : 1;
  for (const float multiplier : w.int8.weight) packed.scales.push_back(1 / (input * multiplier));
  return packed;
}

/// Two neighbours times x + int8_limit, at most 254 each, must not leave 16 bits: takes away from the second what is
/// too much, and returns it.
int take_excess(int8_t first, int8_t& second) {
  constexpr int most = INT16_MAX / (2 * int8_limit);
  const int sum = first + second, kept = std::clamp(sum, -most, most);
  second = int8_t(kept - first);
  return sum - kept;
}

/// 16 rows of W as a panel.
struct Panel {
  std::vector<Int8Line> lines;
  int32_t starts[panel_columns] = {};
  std::vector<Int8Correction> corrections;
};

using Lines = std::vector<Int8Line>::iterator;

/// A column of a matrix, from `line` on; returns where the next matrix of the panel begins.
Lines put_column(Lines line, const std::vector<int8_t>& row, int32_t column) {
  for (size_t i = 0; i < row.size(); i += size_t(int8_group), ++line)
    std::memcpy(line->byte + column * int8_group, row.data() + i, size_t(int8_group));
  return line;
}

/// terms: 1 or 2. The row is of no use after it.
void add_column(Panel& panel, std::vector<int8_t>& row, int32_t column, int64_t terms, bool saturates) {
  int32_t sum = 0;
  for (const int8_t byte : row) sum += byte;
  if (terms == 1 && saturates)
    for (size_t k = 0; k < row.size(); k += 2)
      if (const int rest = take_excess(row[k], row[k + 1])) {
        panel.corrections.push_back({int32_t(k) + 1, column, rest});
        sum -= rest;
      }
  panel.starts[column] = -int8_limit * sum;
  Lines line = panel.lines.begin();
  if (terms == 2) {
    auto half = std::vector<int8_t>(row.size());
    for (size_t i = 0; i < row.size(); ++i) {
      half[i] = int8_t(row[i] / 2);
      row[i] = int8_t(row[i] - half[i]);
    }
    line = put_column(line, half, column);
  }
  put_column(line, row, column);
}

/// W as the sum of one matrix or two.
Int8Weight pack_terms(ThreadPool& pool, const Int8Kernels& kernels, const KeptWeight& w, int64_t terms) {
  Int8Weight packed = start(w);
  packed.terms = terms;
  const int64_t groups = divide_up(packed.k, int8_group), panels = divide_up(packed.n, panel_columns);
  auto parts = std::vector<Panel>(size_t(panels));
  packed.bytes.resize(size_t(panels * terms * groups));
  pool.parallel_for(panels, 1, [&](int64_t begin, int64_t end) {
    auto row = std::vector<int8_t>(size_t(groups * int8_group));
    for (int64_t j = begin; j < end; ++j) {
      Panel& panel = parts[size_t(j)];
      panel.lines.resize(size_t(terms * groups));
      for (int64_t n = j * panel_columns; n < std::min((j + 1) * panel_columns, packed.n); ++n) {
        quantize_weight(kernels, row, w, n);
        add_column(panel, row, int32_t(n % panel_columns), terms, kernels.saturates);
      }
      std::ranges::copy(panel.lines, packed.bytes.begin() + j * terms * groups);
      panel.lines = {};
    }
  });
  for (const Panel& panel : parts) {
    packed.starts.insert(packed.starts.end(), std::begin(panel.starts), std::end(panel.starts));
    packed.correction_offsets.push_back(int32_t(packed.corrections.size()));
    packed.corrections.insert(packed.corrections.end(), panel.corrections.begin(), panel.corrections.end());
  }
  packed.correction_offsets.push_back(int32_t(packed.corrections.size()));
  packed.scales.resize(size_t(panels * panel_columns));
  return packed;
}

}  // namespace

Int8Weight pack_int8_panels(ThreadPool& pool, const Int8Kernels& kernels, const KeptWeight& w) {
  constexpr int64_t correction_cost = 64;  // of the products that a correction takes as long as
  Int8Weight packed = pack_terms(pool, kernels, w, 1);
  if (int64_t(packed.corrections.size()) * correction_cost > packed.n * packed.k)
    return pack_terms(pool, kernels, w, 2);
  return packed;
}

Int8Weight pack_int8_rows(ThreadPool& pool, const Int8Kernels& kernels, const KeptWeight& w) {
  Int8Weight packed = start(w);
  packed.row_bytes = round_up(packed.k, int8_row_multiple);
  packed.bytes.resize(size_t(packed.n * packed.row_bytes / line_bytes));
  pool.parallel_for(packed.n, 64, [&](int64_t begin, int64_t end) {
    auto row = std::vector<int8_t>(size_t(packed.row_bytes));
    for (int64_t n = begin; n < end; ++n) {
      quantize_weight(kernels, row, w, n);
      std::ranges::copy(row, packed.bytes.data()->byte + n * packed.row_bytes);
    }
  });
  return packed;
}

Int8Rows quantize_rows(ThreadPool& pool, const Int8Kernels& kernels, const Int8Weight& weight, In x) {
  thread_local std::vector<uint8_t> kept_bytes;
  thread_local std::vector<float> kept_scales, kept_largest;
  std::vector<uint8_t>& bytes = kept_bytes;
  std::vector<float>&scales = kept_scales, &largest = kept_largest;
  const int64_t m = x.rows(), k = x.cols(), width = round_up(k, int8_row_multiple);
  bytes.resize(std::max(bytes.size(), size_t(m * width)));
  scales.resize(std::max(scales.size(), size_t(m)));
  largest.resize(scales.size());
  pool.parallel_for(m, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      uint8_t* const row = bytes.data() + i * width;
      scales[size_t(i)] = kernels.quantize(row, x.data<float>() + i * k, k, weight.input, &largest[size_t(i)]);
      std::fill(row + k, row + width, uint8_t(int8_limit));
    }
  });
  if (weight.input_sizes && m > 0)
    weight.input_sizes->note(double(*std::max_element(largest.begin(), largest.begin() + m)));
  return {bytes.data(), scales.data(), width};
}

void multiply_int8(ThreadPool& pool, const Int8Kernels& kernels, const Int8Weight& w, Out y, In x, const Gemm& gemm) {
  constexpr int64_t row_block = 512;  // they stay in the L2 cache while panels go by
  const Int8Rows rows = quantize_rows(pool, kernels, w, x);
  const int64_t m = x.rows(), groups = divide_up(w.k, int8_group);
  const double work = double(m) * double(w.n) * double(w.k) / 4;  // as one of floats
  compute_in_blocks(pool, m, w.n, work, is_cut_by_rows(m, w.n, pool.threads()),
                    [&](int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
                      for (int64_t first = m0; first < m1; first += row_block)
                        kernels.multiply({.m = std::min(row_block, m1 - first),
                                          .n = n1 - n0,
                                          .groups = groups,
                                          .terms = w.terms,
                                          .x = rows.bytes + first * rows.width,
                                          .ldx = rows.width,
                                          .row_scales = rows.scales + first,
                                          .panels = w.bytes.data()->byte + n0 * w.terms * groups * int8_group,
                                          .starts = w.starts.data() + n0,
                                          .column_scales = w.scales.data() + n0,
                                          .corrections = w.corrections.empty() ? nullptr : w.corrections.data(),
                                          .correction_offsets = w.correction_offsets.data() + n0 / panel_columns,
                                          .bias = gemm.bias ? gemm.bias.data<float>() + n0 : nullptr,
                                          .c = y.data<float>() + first * w.n + n0,
                                          .ldc = w.n,
                                          .relu = gemm.relu});
                    });
}

}  // namespace bough
