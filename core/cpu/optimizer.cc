// The end of an update: the gradient's norm, and one update of the optimizer over flat arenas.
#include <bit>
#include <cmath>

#include "core/cpu/backend.h"
#include "core/cpu/rows.h"
#include "core/math.h"

namespace bough {
namespace {

constexpr int64_t update_grain = 1 << 14;

double state_word(In state, UpdateState::Word word) {
  return double(std::bit_cast<float>(state.data<int32_t>()[word]));
}

template <class T>
double square_sum(const T* g, int64_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += double(g[i]) * double(g[i]);
  return sum;
}

template <class T>
double square_sum_of_difference(const T* x, const T* y, int64_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    const double d = double(x[i]) - double(y[i]);
    sum += d * d;
  }
  return sum;
}

/// One update's numbers, rounded once to the type of the parameters.
template <class T>
struct Numbers {
  T multiplier, rate, decay, beta1, beta2, epsilon;
  T inverse_d1 = 1, inverse_d2 = 1;  // Adam's bias corrections
};

template <class T>
void adam(const Numbers<T>& s, T* theta, T* m, T* v, const T* gradient, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const T g = s.multiplier * gradient[i];
    m[i] = s.beta1 * m[i] + (1 - s.beta1) * g;
    v[i] = s.beta2 * v[i] + (1 - s.beta2) * (g * g);
    const T direction = m[i] * s.inverse_d1 / (std::sqrt(v[i] * s.inverse_d2) + s.epsilon);
    theta[i] -= s.rate * (direction + s.decay * theta[i]);
  }
}

template <class T>
void adagrad(const Numbers<T>& s, T* theta, T* v, const T* gradient, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const T g = s.multiplier * gradient[i];
    v[i] += g * g;
    theta[i] -= s.rate * g / (std::sqrt(v[i]) + s.epsilon);
  }
}

template <class T>
void sgd(const Numbers<T>& s, T* theta, const T* gradient, int64_t n) {
  for (int64_t i = 0; i < n; ++i) theta[i] -= s.rate * (s.multiplier * gradient[i]);
}

template <class T>
void update(ThreadPool& pool, const OptimizerArenas& a, In gradient, const Numbers<T>& numbers, OptimizerKind kind,
            T average_rate) {
  pool.parallel_for(gradient.size(), update_grain, [&](int64_t begin, int64_t end) {
    const auto at = [begin](In arena) { return arena ? arena.data<T>() + begin : nullptr; };
    const int64_t n = end - begin;
    T* const theta = at(a.parameters);
    const T* const g = at(gradient);
    switch (kind) {
      case OptimizerKind::adam:
        adam(numbers, theta, at(a.first_moment), at(a.second_moment), g, n);
        break;
      case OptimizerKind::adagrad:
        adagrad(numbers, theta, at(a.second_moment), g, n);
        break;
      case OptimizerKind::sgd:
        sgd(numbers, theta, g, n);
        break;
    }
    if (!a.average || average_rate == 0) return;
    T* const average = at(a.average);
    for (int64_t i = 0; i < n; ++i) average[i] += average_rate * (theta[i] - average[i]);
  });
}

}  // namespace

void CpuBackend::block_square_sums_impl(Out sums, In x) {
  dispatch(x.dtype(), [&]<class T>() {
    pool_.parallel_for(x.size(), square_sum_block, [&](int64_t begin, int64_t end) {
      sums.data<double>()[begin / square_sum_block] = square_sum(x.data<T>() + begin, end - begin);
    });
  });
}

void CpuBackend::gradient_statistics_impl(Out statistics, In square_sums, In state) {
  double sum = 0;
  for (int64_t b = 0; b < square_sums.size(); ++b) sum += square_sums.data<double>()[b];
  const double per_token = state_word(state, UpdateState::inverse_tokens);
  const double clip = state_word(state, UpdateState::clip_norm);
  const double norm = std::sqrt(sum) * per_token;
  const bool is_finite = std::isfinite(norm);
  double* out = statistics.data<double>();
  std::fill_n(out, gradient_stat::count, 0.0);
  out[gradient_stat::norm] = norm;
  out[gradient_stat::is_finite] = is_finite;
  if (is_finite) out[gradient_stat::multiplier] = (clip > 0 && norm > clip ? clip / norm : 1) * per_token;
}

void CpuBackend::adapt_branch_scales_impl(Out scales, In sums, In limits, In statistics, In state, double growth) {
  if (statistics.data<double>()[gradient_stat::is_finite] == 0) return;
  const double share = state_word(state, UpdateState::bound_share);
  for (int64_t i = 0; i < scales.size(); ++i) {
    int32_t& word = scales.data<int32_t>()[i];
    const float scale = adapted_branch_scale(std::bit_cast<float>(word), sums.data<double>() + 4 * i,
                                             limits.data<double>() + 3 * i, share, growth);
    word = std::bit_cast<int32_t>(scale);
  }
}

void CpuBackend::square_sums_impl(Out sums, In x, In y, In pieces) {
  dispatch(x.dtype(), [&]<class T>() {
    const T *const a = x.data<T>(), *const b = y ? y.data<T>() : nullptr;
    pool_.parallel_for(pieces.rows(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const double* const piece = pieces.data<double>() + 2 * i;
        const int64_t first = int64_t(piece[0]), n = int64_t(piece[1]);
        sums.data<double>()[i] = b ? square_sum_of_difference(a + first, b + first, n) : square_sum(a + first, n);
      }
    });
  });
}

void CpuBackend::optimizer_update_impl(const OptimizerArenas& arenas, In gradient, In statistics, In state,
                                       const OptimizerConstants& constants) {
  check(!arenas.compute_copy, "optimizer_update: the CPU computes with the parameters themselves");
  if (statistics.data<double>()[gradient_stat::is_finite] == 0) return;
  double d1 = 1, d2 = 1;
  if (constants.kind == OptimizerKind::adam) {
    double* denominators = arenas.denominators.data<double>();
    if (arenas.steps_denominators) {
      denominators[0] = constants.beta1 * denominators[0] + (1 - constants.beta1);
      denominators[1] = constants.beta2 * denominators[1] + (1 - constants.beta2);
    }
    d1 = denominators[0];
    d2 = denominators[1];
  }
  dispatch(gradient.dtype(), [&]<class T>() {
    const Numbers<T> numbers{T(statistics.data<double>()[gradient_stat::multiplier]),
                             T(state_word(state, UpdateState::learning_rate)),
                             T(constants.weight_decay),
                             T(constants.beta1),
                             T(constants.beta2),
                             T(constants.epsilon),
                             T(1 / d1),
                             T(1 / d2)};
    update<T>(pool_, arenas, gradient, numbers, constants.kind, T(state_word(state, UpdateState::average_rate)));
  });
}

}  // namespace bough
