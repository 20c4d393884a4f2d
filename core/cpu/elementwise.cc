// Bias, activation and dropout of the feed-forward layer; sums, casts, fills.
#include <cmath>

#include "core/cpu/backend.h"
#include "core/cpu/dropout.h"
#include "core/cpu/rows.h"
#include "core/math.h"

namespace bough {
namespace {

constexpr int64_t element_grain = 1 << 15;

struct Relu {
  template <class T>
  T operator()(T x) const {
    return x > 0 ? x : T(0);
  }
};
struct Gelu {
  template <class T>
  T operator()(T x) const {
    return math::gelu(x);
  }
  template <class T>
  T derivative(T x) const {
    return math::gelu_derivative(x);
  }
};
struct Swish {
  template <class T>
  T operator()(T x) const {
    return math::swish(x);
  }
  template <class T>
  T derivative(T x) const {
    return math::swish_derivative(x);
  }
};

/// Calls f with the activation as a type, so that the loops inside contain no branch.
template <class F>
void with_activation(Activation activation, F&& f) {
  switch (activation) {
    case Activation::relu:
      return f(Relu{});
    case Activation::gelu:
      return f(Gelu{});
    case Activation::swish:
      return f(Swish{});
  }
}

/// The bias, or zeros.
template <class T>
std::vector<T> bias_of(In bias, int64_t columns) {
  std::vector<T> values(size_t(columns), T(0));
  if (bias) std::copy_n(bias.data<T>(), columns, values.begin());
  return values;
}

template <class T, class F>
void forward(ThreadPool& pool, Out y, In x, In bias, F activation, const Dropout& dropout) {
  const int64_t columns = x.cols();
  const std::vector<T> offset = bias_of<T>(bias, columns);
  const DropoutFactors<T> factors(dropout);
  pool.parallel_for(x.rows(), row_grain(columns), [&](int64_t begin, int64_t end) {
    std::vector<T> factor(size_t(columns), T(1));
    const T *add = offset.data(), *keep = factor.data();
    for (int64_t row = begin; row < end; ++row) {
      const T* in = x.data<T>() + row * columns;
      T* out = y.data<T>() + row * columns;
      if (factors) factors.fill(factor.data(), row, 0, columns);
// y may be x: element by element, so the order does not matter.
#pragma omp simd
      for (int64_t c = 0; c < columns; ++c) out[c] = keep[c] * activation(in[c] + add[c]);
    }
  });
}

/// One row of d loss / d (x + bias), without what arrives from above: dropout factor times
/// derivative.
template <class T>
struct Slope {
  In x, y;
  const std::vector<T> bias;
  const DropoutFactors<T> factors;

  void fill(Relu, T* slope, int64_t row) const {
    const int64_t columns = y.cols();
    const T* out = y.data<T>() + row * columns;
    const T scale = factors.scale();  // what was dropped is not above 0: y tells it all
    for (int64_t c = 0; c < columns; ++c) slope[c] = out[c] > 0 ? scale : T(0);
  }
  template <class F>
  void fill(F activation, T* slope, int64_t row) const {
    const int64_t columns = x.cols();
    const T *in = x.data<T>() + row * columns, *add = bias.data();
    factors.fill(slope, row, 0, columns);
    for (int64_t c = 0; c < columns; ++c) slope[c] *= activation.derivative(in[c] + add[c]);
  }
};

template <class T, class F>
void backward(ThreadPool& pool, const Grad& dx, const Grad& dbias, In dy, const Slope<T>& slopes, F activation) {
  const int64_t columns = dy.cols();
  ColumnSums<T> sums(dy.rows(), columns, 1);
  sums.run(pool, [&](int64_t begin, int64_t end, T* sum) {
    std::vector<T> gradient(size_t(columns), T(0));
    T* const g = gradient.data();
    for (int64_t row = begin; row < end; ++row) {
      const T* above = dy.data<T>() + row * columns;
      slopes.fill(activation, g, row);
      for (int64_t c = 0; c < columns; ++c) g[c] *= above[c];
      for (int64_t c = 0; c < columns; ++c) sum[c] += g[c];
      deposit<T>(dx, row * columns, columns, [&](int64_t c) { return g[c]; });
    }
  });
  sums.finish(pool, dbias, 0);
}

template <class To, class From>
void convert(ThreadPool& pool, To* y, const From* x, int64_t count) {
  pool.parallel_for(count, element_grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i] = To(x[i]);
  });
}

}  // namespace

void CpuBackend::bias_activation_dropout_impl(Out y, In x, In bias, Activation activation, const Dropout& dropout) {
  dispatch(x.dtype(),
           [&]<class T>() { with_activation(activation, [&](auto f) { forward<T>(pool_, y, x, bias, f, dropout); }); });
}

void CpuBackend::bias_activation_dropout_backward_impl(const Grad& dx, const Grad& dbias, In dy, In x, In y, In bias,
                                                       Activation activation, const Dropout& dropout) {
  dispatch(dy.dtype(), [&]<class T>() {
    const Slope<T> slopes{x, y, bias_of<T>(bias, dy.cols()), DropoutFactors<T>(dropout)};
    with_activation(activation, [&](auto f) { backward<T>(pool_, dx, dbias, dy, slopes, f); });
  });
}

void CpuBackend::sum_impl(const Grad& total, In x) {
  const double sum = dispatch(x.dtype(), [&]<class T>() {
    const T* values = x.data<T>();
    double s = 0;
    for (int64_t i = 0; i < x.size(); ++i) s += double(values[i]);
    return s;
  });
  deposit<double>(total, 0, 1, [&](int64_t) { return sum; });
}

void CpuBackend::column_sum_impl(const Grad& total, In x) {
  const int64_t columns = x.cols();
  dispatch(x.dtype(), [&]<class T>() {
    ColumnSums<T> sums(x.rows(), columns, 1);
    sums.run(pool_, [&](int64_t begin, int64_t end, T* sum) {
      for (int64_t row = begin; row < end; ++row) {
        const T* values = x.data<T>() + row * columns;
        for (int64_t c = 0; c < columns; ++c) sum[c] += values[c];
      }
    });
    sums.finish(pool_, total, 0);
  });
}

void CpuBackend::cast_impl(Out y, In x) {
  dispatch(y.dtype(), [&]<class To>() {
    dispatch(x.dtype(), [&]<class From>() { convert(pool_, y.data<To>(), x.data<From>(), x.size()); });
  });
}

void CpuBackend::fill_impl(Out y, double value) {
  dispatch(y.dtype(), [&]<class T>() {
    pool_.parallel_for(y.size(), element_grain, [&](int64_t begin, int64_t end) {
      std::fill(y.data<T>() + begin, y.data<T>() + end, T(value));
    });
  });
}

void CpuBackend::accumulate_impl(const Grad& y, In x) {
  dispatch(x.dtype(), [&]<class T>() {
    const T* values = x.data<T>();
    pool_.parallel_for(x.size(), element_grain, [&](int64_t begin, int64_t end) {
      deposit<T>(y, begin, end - begin, [&](int64_t i) { return values[begin + i]; });
    });
  });
}

}  // namespace bough
