// sum = residual_scale x [+ second] + branch_scale dropout(branch + bias);  y = (sum - mean) rstd
// gamma + beta (Ba et al. 2016 for the norm). Every residual kind of bough is this equation with
// some terms left out.
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/cpu/backend.h"
#include "core/cpu/dropout.h"
#include "core/cpu/lanes.h"
#include "core/cpu/rows.h"

namespace bough {
namespace {

/// A scale as one factor per column.
template <class T>
std::vector<T> per_column(const Scale& scale, int64_t columns) {
  std::vector<T> factors(size_t(columns), T(scale.constant));
  if (!scale.tensor) return factors;
  if (scale.word >= 0) {
    const float value = std::bit_cast<float>(scale.tensor.data<int32_t>()[scale.word]);
    std::fill(factors.begin(), factors.end(), T(scale.constant * double(value)));
    return factors;
  }
  const bool is_vector = scale.tensor.size() > 1;
  check(!is_vector || scale.tensor.size() == columns,
        "residual_dropout_norm: a scale has {} elements, must have 1 or {}", scale.tensor.size(), columns);
  for (int64_t c = 0; c < columns; ++c)
    factors[size_t(c)] = T(scale.constant) * scale.tensor.data<T>()[is_vector ? c : 0];
  return factors;
}

/// The arguments with neutral values in place of absent ones.
template <class T>
struct Terms {
  Terms(const ResidualInputs& in, const ResidualNorm& p, int64_t columns)
      : columns(columns),
        residual_scale(per_column<T>(p.residual_scale, columns)),
        branch_scale(per_column<T>(p.branch_scale, columns)),
        bias(size_t(columns)),
        dropout(p.dropout) {
    if (in.bias) std::copy_n(in.bias.data<T>(), columns, bias.begin());
  }
  int64_t columns;
  std::vector<T> residual_scale, branch_scale, bias;
  DropoutFactors<T> dropout;
};

/// What was rounded away from a term before: nothing where nothing is given.
template <class T>
void add_low(T* sum, int64_t row, const Tensor& low, const T* scale, int64_t C) {
  if (!low) return;
  const T* part = low.data<T>() + row * C;
  for (int64_t c = 0; c < C; ++c) sum[c] += (scale ? scale[c] : T(1)) * part[c];
}

/// What ResidualOutputs::row_sums has of one row. In T, which vectorises.
template <class T>
struct RowSums {
  T residual = 0, residual_squares = 0, branch = 0, branch_squares = 0;
};

/// term(c) of all columns, and if `measures`, their sum and that of their squares.
template <bool measures, class T, class Term>
void each_column(int64_t columns, T& sum, T& sum_of_squares, const Term& term) {
  T total = 0, squares = 0;
#pragma omp simd reduction(+ : total, squares)
  for (int64_t c = 0; c < columns; ++c) {
    const T value = term(c);
    if constexpr (measures) total += value, squares += value * value;
  }
  sum = total;
  sum_of_squares = squares;
}

/// One row of the sum, and if `measures`, the sums of its terms. `factor` is scratch.
template <bool measures, class T>
RowSums<T> sum_of_row(T* sum, int64_t row, const ResidualInputs& in, const Terms<T>& terms, T* factor) {
  const int64_t C = terms.columns;
  const T *const x = in.x.data<T>() + row * C, *const a = terms.residual_scale.data();
  RowSums<T> sums;
  if (in.second) {
    const T* const second = in.second.data<T>() + row * C;
    each_column<measures>(C, sums.residual, sums.residual_squares,
                          [=](int64_t c) { return sum[c] = a[c] * x[c] + second[c]; });
    add_low<T>(sum, row, in.second_low, nullptr, C);
  } else {
    each_column<measures>(C, sums.residual, sums.residual_squares, [=](int64_t c) { return sum[c] = a[c] * x[c]; });
  }
  add_low(sum, row, in.x_low, a, C);
  if (!in.branch) return sums;
  const T *const branch = in.branch.data<T>() + row * C, *const bias = terms.bias.data();
  const T* const scale = terms.branch_scale.data();
  terms.dropout.fill(factor, row, 0, C);
  each_column<measures>(C, sums.branch, sums.branch_squares, [=](int64_t c) {
    const T biased = branch[c] + bias[c];
    sum[c] += scale[c] * factor[c] * biased;
    return scale[c] * biased;
  });
  return sums;
}

/// y and the statistics of one row. Two passes: the variance of the centred values loses no digits.
template <class T>
void norm_of_row(const ResidualOutputs& out, int64_t row, const T* sum, const ResidualInputs& in, double epsilon) {
  const int64_t C = out.y.cols();
  const T mean = sum_of(sum, C) / T(C);
  const T squares = sum_of(sum, C, [=](const auto& x) { return (x - mean) * (x - mean); });
  const T rstd = T(1) / std::sqrt(squares / T(C) + T(epsilon));
  T* y = out.y.data<T>() + row * C;
  const T *gamma = in.gamma.data<T>(), *beta = in.beta.data<T>();
  for (int64_t c = 0; c < C; ++c) y[c] = (sum[c] - mean) * rstd * gamma[c] + beta[c];
  out.mean.data<T>()[row] = mean;
  out.rstd.data<T>()[row] = rstd;
}

template <class T>
void forward(ThreadPool& pool, const ResidualOutputs& out, const ResidualInputs& in, const ResidualNorm& p) {
  const int64_t C = in.x.cols();
  const Terms<T> terms(in, p, C);
  pool.parallel_for(in.x.rows(), row_grain(C), [&](int64_t begin, int64_t end) {
    std::vector<T> factor(size_t(C), T(0)), row_sum(size_t(C), T(0));
    for (int64_t row = begin; row < end; ++row) {
      T* sum = out.sum ? out.sum.data<T>() + row * C : row_sum.data();
      if (out.row_sums) {
        const bool counts = !in.segments || in.segments.data<int32_t>()[row] >= 0;
        RowSums<T> sums = sum_of_row<true>(sum, row, in, terms, factor.data());
        if (!counts) sums = {};
        std::memcpy(out.row_sums.data<T>() + row * 4, &sums, sizeof sums);
      } else {
        sum_of_row<false>(sum, row, in, terms, factor.data());
      }
      if (in.gamma) norm_of_row(out, row, sum, in, p.epsilon);
      for (const Tensor& low : {out.y_low, out.sum_low})  // the CPU rounds to no other type than it computes in
        if (low) std::fill_n(low.data<T>() + row * C, C, T(0));
    }
  });
}

/// The quantities that the backward pass sums over rows.
enum Quantity : int64_t { of_gamma, of_beta, of_bias, of_residual_scale, of_branch_scale, quantities };

template <class T>
struct Backward {
  Backward(const ResidualGrads& d, In dy, In dsum, const ResidualOutputs& out, const ResidualInputs& in,
           const ResidualNorm& p, int64_t columns)
      : d(d), dy(dy), dsum(dsum), out(out), in(in), terms(in, p, columns) {}

  /// The rows of one block; its contributions to vectors go to `sums`.
  void rows(int64_t begin, int64_t end, T* sums) const {
    std::vector<T> gradient(size_t(terms.columns)), scratch(size_t(terms.columns));
    for (int64_t row = begin; row < end; ++row) {
      sum_gradient(gradient.data(), row, scratch.data(), sums);
      spread(gradient.data(), row, scratch.data(), sums);
    }
  }

 private:
  /// xhat = (sum - mean) rstd, or what y tells of it.
  void normalised(T* xhat, int64_t row) const {
    const int64_t C = terms.columns;
    if (out.sum) {
      const T* sum = out.sum.data<T>() + row * C;
      const T mean = out.mean.data<T>()[row], rstd = out.rstd.data<T>()[row];
      for (int64_t c = 0; c < C; ++c) xhat[c] = (sum[c] - mean) * rstd;
      return;
    }
    const T *y = out.y.data<T>() + row * C, *gamma = in.gamma.data<T>(), *beta = in.beta.data<T>();
    const T smallest = T(1e-6);  // a channel with gamma = 0 has lost its xhat: keep the quotient finite
    for (int64_t c = 0; c < C; ++c)
      xhat[c] = (y[c] - beta[c]) / std::copysign(std::max(std::abs(gamma[c]), smallest), gamma[c]);
  }

  /// ds = d loss / d sum of one row:  rstd (g - mean(g) - xhat mean(g xhat)) + dsum,  g = dy gamma.
  void sum_gradient(T* ds, int64_t row, T* xhat, T* sums) const {
    const int64_t C = terms.columns;
    std::fill_n(ds, C, T(0));
    if (dy) {
      const T *gy = dy.data<T>() + row * C, *gamma = in.gamma.data<T>();
      T *dgamma = sums + of_gamma * C, *dbeta = sums + of_beta * C;
      normalised(xhat, row);
      for (int64_t c = 0; c < C; ++c) {
        ds[c] = gy[c] * gamma[c];
        dgamma[c] += gy[c] * xhat[c];
        dbeta[c] += gy[c];
      }
      const T rstd = out.rstd.data<T>()[row], mean = sum_of(ds, C) / T(C), slope = dot(ds, xhat, C) / T(C);
      for (int64_t c = 0; c < C; ++c) ds[c] = rstd * (ds[c] - mean - xhat[c] * slope);
    }
    if (dsum) {
      const T* more = dsum.data<T>() + row * C;
      for (int64_t c = 0; c < C; ++c) ds[c] += more[c];
    }
  }

  /// From the gradient of the sum to those of its terms. `factor` is scratch.
  void spread(const T* ds, int64_t row, T* factor, T* sums) const {
    const int64_t C = terms.columns, first = row * C;
    const T *residual = terms.residual_scale.data(), *scale = terms.branch_scale.data();
    deposit<T>(d.x, first, C, [&](int64_t c) { return residual[c] * ds[c]; });
    deposit<T>(d.second, first, C, [&](int64_t c) { return ds[c]; });
    if (d.residual_scale) {
      const T* x = in.x.data<T>() + first;
      T* sum = sums + of_residual_scale * C;
      for (int64_t c = 0; c < C; ++c) sum[c] += ds[c] * x[c];
    }
    if (!d.branch && !d.bias && !d.branch_scale) return;
    terms.dropout.fill(factor, row, 0, C);
    for (int64_t c = 0; c < C; ++c) factor[c] *= ds[c];
    deposit<T>(d.branch, first, C, [&](int64_t c) { return scale[c] * factor[c]; });
    if (d.bias) {
      T* sum = sums + of_bias * C;
      for (int64_t c = 0; c < C; ++c) sum[c] += scale[c] * factor[c];
    }
    if (d.branch_scale) {
      const T *branch = in.branch.data<T>() + first, *bias = terms.bias.data();
      T* sum = sums + of_branch_scale * C;
      for (int64_t c = 0; c < C; ++c) sum[c] += factor[c] * (branch[c] + bias[c]);
    }
  }

  const ResidualGrads& d;
  In dy, dsum;
  const ResidualOutputs& out;
  const ResidualInputs& in;
  const Terms<T> terms;
};

/// The gradient of a factor: of every column, or the total where the factor is one number.
template <class T>
void finish_scale(ThreadPool& pool, const ColumnSums<T>& sums, const Grad& gradient, Quantity q, const Scale& scale,
                  int64_t columns) {
  if (!gradient) return;
  if (gradient.tensor.size() == columns && columns > 1) {
    sums.finish(pool, gradient, q, T(scale.constant));
    return;
  }
  double total = 0;
  for (int64_t c = 0; c < columns; ++c) total += double(sums.total(q, c));
  deposit<T>(gradient, 0, 1, [&](int64_t) { return T(scale.constant * total); });
}

}  // namespace

void CpuBackend::residual_dropout_norm_impl(const ResidualOutputs& out, const ResidualInputs& in,
                                            const ResidualNorm& p) {
  check(in.branch || !in.bias, "residual_dropout_norm: a bias needs a branch to be added to");
  dispatch(in.x.dtype(), [&]<class T>() { forward<T>(pool_, out, in, p); });
}

void CpuBackend::total_row_sums_impl(const Grad& totals, In x) {
  const int64_t rows = x.shape()[1], quantities = x.shape()[2];
  dispatch(x.dtype(), [&]<class T>() {
    pool_.parallel_for(x.shape()[0], 1, [&](int64_t begin, int64_t end) {
      for (int64_t site = begin; site < end; ++site) {
        std::array<double, 4> total{};
        const T* row = x.data<T>() + site * rows * quantities;
        for (int64_t t = 0; t < rows; ++t, row += quantities)
          for (int64_t q = 0; q < quantities; ++q) total[size_t(q)] += double(row[q]);
        deposit<double>(totals, site * quantities, quantities, [&](int64_t q) { return total[size_t(q)]; });
      }
    });
  });
}

void CpuBackend::residual_dropout_norm_backward_impl(const ResidualGrads& d, In dy, In dsum, const ResidualOutputs& out,
                                                     const ResidualInputs& in, const ResidualNorm& p) {
  const Tensor& any = dy ? dy : dsum;
  const int64_t C = any.cols();
  dispatch(any.dtype(), [&]<class T>() {
    const Backward<T> backward(d, dy, dsum, out, in, p, C);
    ColumnSums<T> sums(any.rows(), C, quantities);
    sums.run(pool_, [&](int64_t begin, int64_t end, T* block) { backward.rows(begin, end, block); });
    sums.finish(pool_, d.bias, of_bias);
    sums.finish(pool_, d.gamma, of_gamma);
    sums.finish(pool_, d.beta, of_beta);
    finish_scale(pool_, sums, d.residual_scale, of_residual_scale, p.residual_scale, C);
    finish_scale(pool_, sums, d.branch_scale, of_branch_scale, p.branch_scale, C);
  });
}

}  // namespace bough
