// gcc 12 finds uninitialised variables in its own AVX-512 header, which Eigen uses.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <omp.h>

#include <Eigen/Core>
#include <algorithm>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <tuple>
#include <vector>

#include "core/cpu/backend.h"
#include "core/cpu/small_product.h"

// C (M, N) = op(A) op(B): every thread computes its own block of C, one-threaded.
// f32 is oneDNN's, by two entries:
//  - x W^T, the product of every linear layer, by the matmul primitive. With AVX-512 its sums run
//  over k in an
//    order that does not depend on M: a row's bits are the same whatever rows stand beside it
//    (test/gemm_test.cc), so that a sentence's translation does not depend on its batch. Without
//    AVX-512 that primitive is sgemm again, and our own loops take its place.
//  - the gradient products by sgemm: 5-10 % faster, and no code is generated for each T; but its
//  order
//    of summation changes below 16 rows.
// f64, for tests, is Eigen's.

namespace bough {
namespace {

/// A block of the product: pointers to its first elements, strides between rows as stored.
template <class T>
struct Block {
  int64_t m, n, k;
  const T *a, *b, *bias;
  T* c;
  int64_t lda, ldb, ldc;
  bool transpose_a, transpose_b, adds;
};

/// x W^T, or anything with a bias: the products whose rows must not depend on each other.
template <class T>
bool is_linear_layer(const Block<T>& b) {
  return b.bias || (b.transpose_b && !b.transpose_a);
}

/// The matmul primitives of one thread, by shape. oneDNN's own threads stay unused. The operands
/// must be dense: for others oneDNN falls back to sgemm.
class Primitives {
 public:
  Primitives() : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) { omp_set_num_threads(1); }

  void multiply(const Block<float>& b) {
    // Training sees a new number of rows in every batch: the cache is emptied before it grows
    // large.
    if (cache_.size() >= 1024) cache_.clear();
    const Key key{b.m, b.n, b.k, b.lda, b.ldb, b.ldc, b.transpose_a, b.transpose_b, b.adds, b.bias != nullptr};
    auto found = cache_.find(key);
    if (found == cache_.end()) found = cache_.emplace(key, make(b)).first;
    Entry& e = found->second;
    e.a.set_data_handle(const_cast<float*>(b.a));
    e.b.set_data_handle(const_cast<float*>(b.b));
    e.c.set_data_handle(b.c);
    if (b.bias) e.bias.set_data_handle(const_cast<float*>(b.bias));
    e.scratch.set_data_handle(scratch_.data());
    e.primitive.execute(stream_, e.arguments);
  }

 private:
  using Key = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, bool, bool, bool, bool>;
  struct Entry {
    dnnl::matmul primitive;
    dnnl::memory a, b, c, bias, scratch;
    std::unordered_map<int, dnnl::memory> arguments;  // handles of the five above
  };

  static dnnl::memory::desc describe(int64_t rows, int64_t cols, int64_t stride, bool is_transposed) {
    return {{rows, cols},
            dnnl::memory::data_type::f32,
            is_transposed ? dnnl::memory::dims{1, stride} : dnnl::memory::dims{stride, 1}};
  }

  Entry make(const Block<float>& b) {
    const auto a_desc = describe(b.m, b.k, b.lda, b.transpose_a);
    const auto b_desc = describe(b.k, b.n, b.ldb, b.transpose_b);
    const auto c_desc = describe(b.m, b.n, b.ldc, false);
    const auto bias_desc = b.bias ? describe(1, b.n, b.n, false) : dnnl::memory::desc();
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (b.adds) {
      dnnl::post_ops add;
      add.append_sum(1.0f);
      attributes.set_post_ops(add);
    }
    const dnnl::matmul::desc operation(a_desc, b_desc, bias_desc, c_desc);
    const dnnl::matmul::primitive_desc plan(operation, attributes, engine_);
    const auto memory = [&](const dnnl::memory::desc& d) { return dnnl::memory(d, engine_, DNNL_MEMORY_NONE); };
    Entry e{dnnl::matmul(plan), memory(a_desc), memory(b_desc), memory(c_desc), {}, memory(plan.scratchpad_desc()), {}};
    e.arguments = {{DNNL_ARG_SRC, e.a}, {DNNL_ARG_WEIGHTS, e.b}, {DNNL_ARG_DST, e.c}, {DNNL_ARG_SCRATCHPAD, e.scratch}};
    if (b.bias) {
      e.bias = memory(bias_desc);
      e.arguments[DNNL_ARG_BIAS] = e.bias;
    }
    scratch_.resize(std::max(scratch_.size(), plan.scratchpad_desc().get_size() / sizeof(float) + 1));
    return e;
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  std::map<Key, Entry> cache_;
  std::vector<float> scratch_;
};

/// The linear layer's product where oneDNN has no matmul of its own: panels of W are transposed
/// into whole vectors of columns.
void multiply_panels(const Block<float>& b) {
  constexpr int64_t width = tile_vectors * vector_width<float>;
  thread_local std::vector<float> panel, result;
  panel.resize(size_t(b.k * width));
  result.resize(size_t(b.m * width));
  for (int64_t begin = 0; begin < b.n; begin += width) {
    const int64_t columns = std::min(width, b.n - begin);
    std::fill(panel.begin(), panel.end(), 0.0f);
    for (int64_t j = 0; j < columns; ++j)
      for (int64_t i = 0; i < b.k; ++i)
        panel[size_t(i * width + j)] = b.transpose_b ? b.b[(begin + j) * b.ldb + i] : b.b[i * b.ldb + begin + j];
    small_product(result.data(), width, b.a, b.transpose_a ? 1 : b.lda, b.transpose_a ? b.lda : 1, panel.data(), width,
                  b.m, width, b.k, false);
    for (int64_t i = 0; i < b.m; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        float& c = b.c[i * b.ldc + begin + j];
        c = result[size_t(i * width + j)] + (b.bias ? b.bias[begin + j] : 0.0f) + (b.adds ? c : 0.0f);
      }
  }
}

void multiply_block(const Block<float>& b) {
  thread_local Primitives primitives;
  thread_local std::vector<float> dense;
  static const bool has_matmul = (unsigned(dnnl::get_effective_cpu_isa()) & unsigned(dnnl::cpu_isa::avx512_core)) ==
                                 unsigned(dnnl::cpu_isa::avx512_core);
  if (is_linear_layer(b)) {
    if (!has_matmul) return multiply_panels(b);
    if (b.ldc == b.n) return primitives.multiply(b);
    dense.resize(std::max(dense.size(), size_t(b.m * b.n)));
    Block<float> part = b;
    part.c = dense.data();
    part.ldc = b.n;
    part.adds = false;
    primitives.multiply(part);
    for (int64_t i = 0; i < b.m; ++i)
      for (int64_t j = 0; j < b.n; ++j)
        b.c[i * b.ldc + j] = dense[size_t(i * b.n + j)] + (b.adds ? b.c[i * b.ldc + j] : 0.0f);
    return;
  }
  const dnnl_status_t status = dnnl_sgemm(b.transpose_a ? 'T' : 'N', b.transpose_b ? 'T' : 'N', b.m, b.n, b.k, 1.0f,
                                          b.a, b.lda, b.b, b.ldb, b.adds ? 1.0f : 0.0f, b.c, b.ldc);
  check(status == dnnl_success, "gemm: oneDNN could not multiply ({}, {}) by ({}, {}): {}", b.m, b.k, b.k, b.n,
        status == dnnl_out_of_memory ? "out of memory; lower mini-batch-words or mini-batch"
                                     : fmt::format("status {}", int(status)));
}

void multiply_block(const Block<double>& b) {
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
}

/// The part of the product that covers rows [m0, m1) and columns [n0, n1) of C.
template <class T>
Block<T> part_of(const Block<T>& whole, int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
  Block<T> part = whole;
  part.m = m1 - m0;
  part.n = n1 - n0;
  part.a += whole.transpose_a ? m0 : m0 * whole.lda;
  part.b += whole.transpose_b ? n0 * whole.ldb : n0;
  part.c += m0 * whole.ldc + n0;
  if (part.bias) part.bias += n0;
  return part;
}

/// How many blocks C is cut into along an axis of `length`; a function of the shape and the thread
/// count only. A large product gets several blocks a thread, so that a thread that is held up costs
/// less, but no block so small that packing the other operand would show.
int64_t count_blocks(int64_t length, double work, int threads) {
  if (threads == 1 || work < 0.5e6) return 1;  // waking a thread takes longer
  return threads * std::clamp<int64_t>(length / (512 * threads), 1, 4);
}

template <class T>
void multiply(ThreadPool& pool, const Block<T>& whole) {
  // Blocks of rows are dense, and cost each thread a packed copy of W; few rows would not pay for
  // that.
  const bool by_rows = is_linear_layer(whole) ? whole.m >= 256 : whole.m >= whole.n;
  const int64_t length = by_rows ? whole.m : whole.n, unit = 64;
  const double work = double(whole.m) * double(whole.n) * double(whole.k);
  const int64_t blocks = count_blocks(length, work, pool.threads());
  const int64_t grain = ((length + blocks - 1) / blocks + unit - 1) / unit * unit;
  pool.parallel_for(length, grain, [&](int64_t begin, int64_t end) {
    multiply_block(by_rows ? part_of(whole, begin, end, 0, whole.n) : part_of(whole, 0, whole.m, begin, end));
  });
}

}  // namespace

void CpuBackend::gemm_impl(const Grad& c, In a, In b, const Gemm& p) {
  if (!c || c.tensor.size() == 0) return;
  const int64_t m = c.tensor.rows(), n = c.tensor.cols(), k = p.transpose_a ? a.rows() : a.cols();
  check((p.transpose_a ? a.cols() : a.rows()) == m && (p.transpose_b ? b.rows() : b.cols()) == n &&
            (p.transpose_b ? b.cols() : b.rows()) == k,
        "gemm: {}{} times {}{} does not give {}", to_string(a.shape()), p.transpose_a ? "^T" : "", to_string(b.shape()),
        p.transpose_b ? "^T" : "", to_string(c.tensor.shape()));
  check(!p.bias || (p.bias.size() == n && c.mode == GradMode::write),
        "gemm: a bias of {} elements for {} columns, only with GradMode::write", p.bias.size(), n);
  check(!p.relu || c.mode == GradMode::write, "gemm: a relu only with GradMode::write");
  check(!p.row_sums || (p.transpose_a && p.row_sums.tensor.size() == m),
        "gemm: {} sums for {} rows, only with transpose_a", p.row_sums.tensor.size(), m);
  const bool adds_bias = p.bias && !p.relu;
  dispatch(c.tensor.dtype(), [&]<class T>() {
    multiply<T>(pool_, {m, n, k, a.data<T>(), b.data<T>(), adds_bias ? p.bias.data<T>() : nullptr, c.tensor.data<T>(),
                        a.cols(), b.cols(), n, p.transpose_a, p.transpose_b, c.mode == GradMode::add});
  });
  if (p.relu) bias_activation_dropout_impl(c.tensor, c.tensor, p.bias, Activation::relu, {});
  if (p.row_sums) column_sum_impl(p.row_sums, a);
}

}  // namespace bough
