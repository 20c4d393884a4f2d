// gcc 12 finds uninitialised variables in its own AVX-512 header, which Eigen uses.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <Eigen/Core>
#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "core/base/rounding.h"
#include "core/cpu/backend.h"
#include "core/cpu/int8_weight.h"
#include "core/cpu/panels.h"
#include "core/cpu/product_blocks.h"

// C (M, N) = op(A) op(B): every thread computes its own block of C, one-threaded. In f32 every element is one chain of
// fused multiply-adds in ascending k (core/cpu/panels.h): its bits do not depend on M, N, threads or instructions, so
// that a sentence's translation does not depend on its batch. f64, for tests, is Eigen's.

namespace bough {
namespace {

/// A block of the product: pointers to its first elements, strides between rows as stored.
template <class T>
struct Block {
  int64_t m, n, k;
  const T *a, *b, *bias;
  T* c;
  int64_t lda, ldb, ldc;
  bool transpose_a, transpose_b, adds, relu;
  const T* panels;        ///< of all of op(B), or null
  T* row_sums = nullptr;  ///< of op(A), if wanted
  bool sums_add = false;  ///< to what is there
};

constexpr int64_t k_block = 1024;         // of what is packed or transposed within a call
constexpr int64_t packed_columns = 1024;  // of op(B) at a time: with it 4 MiB
constexpr int64_t row_block = 192;        // of op(A) at a time: they stay in the L2 cache while panels go by
constexpr int64_t row_stride = k_block + panel_columns;  // of A transposed: rows share no sets of the cache

struct alignas(64) PanelRow {
  float column[panel_columns];
};

/// Rows [k0, k0 + k) and columns [n0, n0 + n) of op(B) as panels.
void pack(const PanelKernels& kernels, float* panels, const Block<float>& b, int64_t k0, int64_t k, int64_t n0,
          int64_t n) {
  for (int64_t j = 0; j < n; j += panel_columns) {
    float* const to = panels + j * k;
    const int64_t columns = std::min(panel_columns, n - j);
    if (columns < panel_columns) std::fill_n(to, k * panel_columns, 0.0f);
    if (b.transpose_b) {
      kernels.transpose(to, panel_columns, b.b + (n0 + j) * b.ldb + k0, b.ldb, columns, k);
      continue;
    }
    const float* const from = b.b + k0 * b.ldb + n0 + j;
    for (int64_t i = 0; i < k; ++i)
      if (columns == panel_columns)
        std::copy_n(from + i * b.ldb, panel_columns, to + i * panel_columns);
      else
        std::copy_n(from + i * b.ldb, columns, to + i * panel_columns);
  }
}

/// sums[i] (=|+=) the sum of row i of A transposed, in the same order on every machine.
void sum_rows(float* sums, const PanelRow* transposed, int64_t m, int64_t k, bool adds) {
  using Lanes [[gnu::vector_size(sizeof(PanelRow))]] = float;
  for (int64_t i = 0; i < m; ++i) {
    const PanelRow* const row = transposed + i * (row_stride / panel_columns);
    Lanes lane{}, more;
    for (int64_t j = 0; j < k / panel_columns; ++j) {
      std::memcpy(&more, row[j].column, sizeof more);
      lane += more;
    }
    float sum = adds ? sums[i] : 0;
    for (int64_t j = 0; j < panel_columns; ++j) sum += lane[j];
    for (int64_t j = k / panel_columns * panel_columns; j < k; ++j) sum += row[0].column[j];
    sums[i] = sum;
  }
}

/// Columns [n0, n0 + n) of the block.
void multiply_columns(const PanelKernels& kernels, const Block<float>& b, int64_t n0, int64_t n) {
  thread_local std::vector<PanelRow> packed, transposed;
  const int64_t most_k = b.panels && !b.transpose_a ? std::max<int64_t>(b.k, 1) : k_block;
  for (int64_t k0 = 0; k0 == 0 || k0 < b.k; k0 += most_k) {
    const int64_t k = std::min(most_k, b.k - k0);
    const bool is_last = k0 + k == b.k;
    if (!b.panels) {
      packed.resize(std::max(packed.size(), size_t(divide_up(n, panel_columns) * k)));
      pack(kernels, packed.data()->column, b, k0, k, n0, n);
    }
    for (int64_t m0 = 0; m0 < b.m; m0 += row_block) {
      const int64_t m = std::min(row_block, b.m - m0);
      const float* a = b.transpose_a ? b.a + k0 * b.lda + m0 : b.a + m0 * b.lda + k0;
      if (b.transpose_a) {
        transposed.resize(size_t(row_block * row_stride / panel_columns));
        kernels.transpose(transposed.data()->column, row_stride, a, b.lda, k, m);
        a = transposed.data()->column;
        if (b.row_sums && n0 == 0) sum_rows(b.row_sums + m0, transposed.data(), m, k, b.sums_add || k0 > 0);
      }
      kernels.multiply({.m = m,
                        .n = n,
                        .k = k,
                        .a = a,
                        .lda = b.transpose_a ? row_stride : b.lda,
                        .panels = b.panels ? b.panels + n0 * b.k + k0 * panel_columns : packed.data()->column,
                        .panel_size = (b.panels ? b.k : k) * panel_columns,
                        .are_far = b.panels != nullptr,
                        .bias = is_last && b.bias ? b.bias + n0 : nullptr,
                        .c = b.c + m0 * b.ldc + n0,
                        .ldc = b.ldc,
                        .adds = b.adds || k0 > 0,
                        .relu = is_last && b.relu});
    }
  }
}

void multiply_block(const PanelKernels& kernels, const Block<float>& b) {
  const int64_t most = b.panels ? b.n : packed_columns;
  for (int64_t n0 = 0; n0 < b.n; n0 += most) multiply_columns(kernels, b, n0, std::min(most, b.n - n0));
}

void multiply_block(const PanelKernels&, const Block<double>& b) {
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Strided = Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>;
  const Strided x(b.a, b.transpose_a ? b.k : b.m, b.transpose_a ? b.m : b.k, Eigen::OuterStride<>(b.lda));
  const Strided y(b.b, b.transpose_b ? b.n : b.k, b.transpose_b ? b.k : b.n, Eigen::OuterStride<>(b.ldb));
  Eigen::Map<Matrix, 0, Eigen::OuterStride<>> c(b.c, b.m, b.n, Eigen::OuterStride<>(b.ldc));
  if (!b.adds) c.setZero();
  if (b.transpose_a && b.transpose_b)
    c.noalias() += x.transpose() * y.transpose();
  else if (b.transpose_a)
    c.noalias() += x.transpose() * y;
  else if (b.transpose_b)
    c.noalias() += x * y.transpose();
  else
    c.noalias() += x * y;
  if (b.bias) c.rowwise() += Eigen::Map<const Eigen::Matrix<double, 1, Eigen::Dynamic>>(b.bias, b.n);
  if (b.relu) c = c.cwiseMax(0.0);
}

/// The part of the product that covers rows [m0, m1) and columns [n0, n1) of C; n0: a multiple of panel_columns.
template <class T>
Block<T> part_of(const Block<T>& whole, int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
  Block<T> part = whole;
  part.m = m1 - m0;
  part.n = n1 - n0;
  part.a += whole.transpose_a ? m0 : m0 * whole.lda;
  part.b += whole.transpose_b ? n0 * whole.ldb : n0;
  part.c += m0 * whole.ldc + n0;
  if (part.bias) part.bias += n0;
  if (part.panels) part.panels += n0 * whole.k;
  if (part.row_sums) part.row_sums = n0 == 0 ? part.row_sums + m0 : nullptr;
  return part;
}

template <class T>
void multiply(ThreadPool& pool, const PanelKernels& kernels, const Block<T>& whole) {
  const bool by_rows = whole.transpose_a ? whole.m >= whole.n : is_cut_by_rows(whole.m, whole.n, pool.threads());
  const double work = double(whole.m) * double(whole.n) * double(whole.k);
  compute_in_blocks(pool, whole.m, whole.n, work, by_rows, [&](int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
    multiply_block(kernels, part_of(whole, m0, m1, n0, n1));
  });
}

}  // namespace

std::shared_ptr<const void> CpuBackend::pack_panels(In weight, const float*& panels) {
  const int64_t n = weight.rows(), k = weight.cols();
  const auto memory = std::make_shared<Tensor>(allocate_outside({round_up(n, panel_columns) * k}, DType::f32));
  const Block<float> block{.n = n, .k = k, .b = weight.data<float>(), .ldb = k, .transpose_b = true};
  pool_.parallel_for(n, panel_columns, [&](int64_t begin, int64_t end) {
    pack(*panel_kernels_, memory->data<float>() + begin * k, block, 0, k, begin, end - begin);
  });
  panels = memory->data<float>();
  return memory;
}

void CpuBackend::gemm_impl(const Grad& c, In a, In b, const Gemm& p) {
  if (!c || c.tensor.size() == 0) return;
  const int64_t m = c.tensor.rows(), n = c.tensor.cols(), k = p.transpose_a ? a.rows() : a.cols();
  check((p.transpose_a ? a.cols() : a.rows()) == m && (p.transpose_b ? b.rows() : b.cols()) == n &&
            (p.transpose_b ? b.cols() : b.rows()) == k,
        "gemm: {}{} times {}{} does not give {}", a.shape(), p.transpose_a ? "^T" : "", b.shape(),
        p.transpose_b ? "^T" : "", c.tensor.shape());
  check(!p.bias || (p.bias.size() == n && c.mode == GradMode::write),
        "gemm: a bias of {} elements for {} columns, only with GradMode::write", p.bias.size(), n);
  check(!p.relu || c.mode == GradMode::write, "gemm: a relu only with GradMode::write");
  check(!p.row_sums || (p.transpose_a && p.row_sums.tensor.size() == m),
        "gemm: {} sums for {} rows, only with transpose_a", p.row_sums.tensor.size(), m);
  dispatch(c.tensor.dtype(), [&]<class T>() {
    Block<T> whole{.m = m,
                   .n = n,
                   .k = k,
                   .a = a.data<T>(),
                   .b = b.data<T>(),
                   .bias = p.bias ? p.bias.data<T>() : nullptr,
                   .c = c.tensor.data<T>(),
                   .lda = a.cols(),
                   .ldb = b.cols(),
                   .ldc = n,
                   .transpose_a = p.transpose_a,
                   .transpose_b = p.transpose_b,
                   .adds = c.mode == GradMode::add,
                   .relu = p.relu,
                   .row_sums = p.row_sums ? p.row_sums.tensor.data<T>() : nullptr,
                   .sums_add = p.row_sums.mode == GradMode::add};
    if constexpr (std::is_same_v<T, float>)
      if (const KeptForm* const kept = p.transpose_b ? packed_weights_->find(whole.b, n, k) : nullptr) {
        if (kept->int8 && !p.transpose_a && !whole.adds)
          return multiply_int8(pool_, *int8_kernels_, *kept->int8, c.tensor, a, p);
        whole.panels = kept->panels;
      }
    multiply<T>(pool_, *panel_kernels_, whole);
    if (std::is_same_v<T, double> && p.row_sums) column_sum_impl(p.row_sums, a);
  });
}

}  // namespace bough
