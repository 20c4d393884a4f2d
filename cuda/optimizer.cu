// The end of an update: norm = |gradient| / tokens, multiplier = min(1, clip / norm) / tokens, and one update of the
// optimizer over flat arenas (Kingma 2015; Marian's form). Nothing returns to the host in between.
#include "cuda/cuda_backend.h"
#include "cuda/rows.h"

namespace bough::cuda {
namespace {

constexpr unsigned norm_threads = 256, finish_threads = 256, step_threads = 256;

__device__ float state_word(const int32_t* state, int64_t word) { return math::float_of(uint32_t(state[word])); }

/// sums[b] = the sum of squares of block b, in f64: an f32 sum of 10^9 squares would lose digits.
__global__ void block_square_sums_kernel(double* sums, const float* x, int64_t n, bool is_vector) {
  const int64_t begin = blockIdx.x * square_sum_block,
                end = begin + square_sum_block < n ? begin + square_sum_block : n;
  double sum = 0;
  for (int64_t i = begin + int64_t(threadIdx.x) * 4; i < end; i += int64_t(blockDim.x) * 4) {
    if (is_vector && i + 4 <= end) {
      const Vector<float, 4> four = load_vector<4>(x + i);
#pragma unroll
      for (int k = 0; k < 4; ++k) sum += double(four[k]) * double(four[k]);
    } else {
      for (int64_t k = i; k < i + 4 && k < end; ++k) sum += double(x[k]) * double(x[k]);
    }
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

/// A block sums one piece.
__global__ void square_sums_kernel(double* sums, const float* x, const float* y, const double* pieces) {
  const int64_t first = int64_t(pieces[2 * blockIdx.x]), n = int64_t(pieces[2 * blockIdx.x + 1]);
  double sum = 0;
  for (int64_t i = first + threadIdx.x; i < first + n; i += blockDim.x) {
    const double d = double(x[i]) - (y ? double(y[i]) : 0.0);
    sum += d * d;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

/// One block. The partial sums are added one after another, as the CPU adds them.
__global__ void statistics_kernel(double* statistics, const double* partial, int64_t blocks, const int32_t* state) {
  __shared__ SharedArray<double, int(finish_threads)> round;
  double total = 0;
  for (int64_t first = 0; first < blocks; first += finish_threads) {
    const int64_t i = first + threadIdx.x;
    round[int(threadIdx.x)] = i < blocks ? partial[i] : 0.0;
    sync_block("partial sums that others load would be missing");
    if (threadIdx.x == 0)
      for (int k = 0; k < int(finish_threads); ++k) total += round[k];
    sync_block("the next round would overwrite partial sums still to be added");
  }
  if (threadIdx.x < gradient_stat::count) statistics[threadIdx.x] = 0;
  sync_block("the zeros would overwrite the results");
  if (threadIdx.x != 0) return;
  const double per_token = double(state_word(state, UpdateState::inverse_tokens));
  const double clip = double(state_word(state, UpdateState::clip_norm));
  const double norm = sqrt(total) * per_token;
  const bool is_finite = norm - norm == 0;  // inf - inf and NaN are NaN
  statistics[gradient_stat::norm] = norm;
  statistics[gradient_stat::is_finite] = is_finite ? 1 : 0;
  if (is_finite) statistics[gradient_stat::multiplier] = (clip > 0 && norm > clip ? clip / norm : 1.0) * per_token;
}

/// One thread: a kernel of its own, so that all blocks of the update read the same new denominators.
__global__ void denominators_kernel(double* denominators, const double* statistics, double beta1, double beta2) {
  if (threadIdx.x != 0 || statistics[gradient_stat::is_finite] == 0) return;
  denominators[0] = beta1 * denominators[0] + (1 - beta1);
  denominators[1] = beta2 * denominators[1] + (1 - beta2);
}

struct Arenas {
  float *theta, *m, *v, *average;
  bf16* compute_copy;
  const double* denominators;
};
struct Constants {
  float decay, beta1, one_minus_beta1, beta2, one_minus_beta2, epsilon;
};
/// One update's numbers, rounded once.
struct Numbers {
  float multiplier, rate, average_rate;
  float inverse_d1 = 1, inverse_d2 = 1;  // Adam's bias corrections
};

__device__ Numbers load_numbers(OptimizerKind kind, const double* denominators, const double* statistics,
                                const int32_t* state) {
  Numbers s{float(statistics[gradient_stat::multiplier]), state_word(state, UpdateState::learning_rate),
            state_word(state, UpdateState::average_rate)};
  if (kind != OptimizerKind::adam) return s;
  s.inverse_d1 = float(1 / denominators[0]);
  s.inverse_d2 = float(1 / denominators[1]);
  return s;
}

/// The new value of one parameter; its moments change in place.
template <OptimizerKind kind>
__device__ float updated(const Numbers& s, const Constants& k, float theta, float& m, float& v, float gradient) {
  const float g = s.multiplier * gradient;
  if constexpr (kind == OptimizerKind::adam) {
    m = k.beta1 * m + k.one_minus_beta1 * g;
    v = k.beta2 * v + k.one_minus_beta2 * (g * g);
    const float direction = m * s.inverse_d1 / (sqrtf(v * s.inverse_d2) + k.epsilon);
    return theta - s.rate * (direction + k.decay * theta);
  } else if constexpr (kind == OptimizerKind::adagrad) {
    v += g * g;
    return theta - s.rate * g / (sqrtf(v) + k.epsilon);
  } else {
    return theta - s.rate * g;
  }
}

/// Four parameters a thread: 16 bytes of every arena.
template <OptimizerKind kind>
__global__ void update_kernel(Arenas a, const float* gradient, int64_t n, bool is_vector, Constants constants,
                              const double* statistics, const int32_t* state) {
  constexpr bool has_m = kind == OptimizerKind::adam, has_v = kind != OptimizerKind::sgd;
  constexpr int width = 4;
  using Four = Vector<float, width>;
  if (statistics[gradient_stat::is_finite] == 0) return;
  const Numbers numbers = load_numbers(kind, a.denominators, statistics, state);
  const bool averages = a.average != nullptr && numbers.average_rate != 0;
  const int64_t first = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * width;
  const int count = int(n - first < width ? n - first : width);
  if (count <= 0) return;
  const bool whole = is_vector && count == width;
  const auto load = [&](const float* p) {
    if (whole) return load_vector<width>(p + first);
    Four x;
    for (int i = 0; i < width; ++i) x[i] = i < count ? p[first + i] : 0.0f;
    return x;
  };
  const auto store = [&](float* p, const Four& x) {
    if (whole) return store_vector<width>(p + first, x);
    for (int i = 0; i < count; ++i) p[first + i] = x[i];
  };
  Four theta = load(a.theta), m{}, v{};
  const Four g = load(gradient);
  if (has_m) m = load(a.m);
  if (has_v) v = load(a.v);
#pragma unroll
  for (int i = 0; i < width; ++i) theta[i] = updated<kind>(numbers, constants, theta[i], m[i], v[i], g[i]);
  store(a.theta, theta);
  if (has_m) store(a.m, m);
  if (has_v) store(a.v, v);
  if (averages) {
    Four average = load(a.average);
#pragma unroll
    for (int i = 0; i < width; ++i) average[i] += numbers.average_rate * (theta[i] - average[i]);
    store(a.average, average);
  }
  if (!a.compute_copy) return;
  if (whole) return store_floats(a.compute_copy + first, theta);
  for (int i = 0; i < count; ++i) a.compute_copy[first + i] = to_bf16(theta[i]);
}

/// A thread for each site.
__global__ void branch_scales_kernel(int32_t* scales, const double* sums, const double* limits, int64_t sites,
                                     const double* statistics, const int32_t* state, double growth) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= sites || statistics[gradient_stat::is_finite] == 0) return;
  const double share = double(state_word(state, UpdateState::bound_share));
  const float scale =
      adapted_branch_scale(math::float_of(uint32_t(scales[i])), sums + 4 * i, limits + 3 * i, share, growth);
  scales[i] = int32_t(math::bits_of(scale));
}

}  // namespace
}  // namespace bough::cuda

namespace bough {

using namespace cuda;

void CudaBackend::block_square_sums_impl(Out sums, In x) {
  check(x.dtype() == DType::f32, "block_square_sums: values must be f32, not {}", name_of(x.dtype()));
  launch(stream(), "block_square_sums", block_square_sums_kernel, {unsigned(sums.size()), norm_threads},
         sums.data<double>(), x.data<float>(), x.size(), is_aligned(x));
}

void CudaBackend::gradient_statistics_impl(Out statistics, In square_sums, In state) {
  launch(stream(), "gradient_statistics", statistics_kernel, {1, finish_threads}, statistics.data<double>(),
         square_sums.data<double>(), square_sums.size(), state.data<int32_t>());
}

void CudaBackend::adapt_branch_scales_impl(Out scales, In sums, In limits, In statistics, In state, double growth) {
  launch(stream(), "adapt_branch_scales", branch_scales_kernel, {blocks_for(scales.size(), step_threads), step_threads},
         scales.data<int32_t>(), sums.data<double>(), limits.data<double>(), scales.size(), statistics.data<double>(),
         state.data<int32_t>(), growth);
}

void CudaBackend::square_sums_impl(Out sums, In x, In y, In pieces) {
  check(x.dtype() == DType::f32, "square_sums: values must be f32, not {}", name_of(x.dtype()));
  launch(stream(), "square_sums", square_sums_kernel, {unsigned(pieces.rows()), norm_threads}, sums.data<double>(),
         x.data<float>(), y.data<float>(), pieces.data<double>());
}

void CudaBackend::optimizer_update_impl(const OptimizerArenas& arenas, In gradient, In statistics, In state,
                                        const OptimizerConstants& k) {
  check(gradient.dtype() == DType::f32, "optimizer_update: gradients must be f32, not {}", name_of(gradient.dtype()));
  const Arenas a{arenas.parameters.data<float>(),    arenas.first_moment.data<float>(),
                 arenas.second_moment.data<float>(), arenas.average.data<float>(),
                 arenas.compute_copy.data<bf16>(),   arenas.denominators.data<double>()};
  const Constants constants{float(k.weight_decay), float(k.beta1),     1 - float(k.beta1),
                            float(k.beta2),        1 - float(k.beta2), float(k.epsilon)};
  const double* const stats = statistics.data<double>();
  if (k.kind == OptimizerKind::adam && arenas.steps_denominators)
    launch(stream(), "denominators", denominators_kernel, {1, unsigned(warp_size)}, arenas.denominators.data<double>(),
           stats, k.beta1, k.beta2);
  const bool is_vector = is_aligned(arenas.parameters) && is_aligned(arenas.first_moment) &&
                         is_aligned(arenas.second_moment) && is_aligned(arenas.average) && is_aligned(gradient) &&
                         is_aligned(arenas.compute_copy);
  const LaunchShape shape{blocks_for(gradient.size(), step_threads * 4), step_threads};
  const auto start = [&](auto kernel) {
    launch(stream(), "optimizer_update", kernel, shape, a, gradient.data<float>(), gradient.size(), is_vector,
           constants, stats, state.data<int32_t>());
  };
  switch (k.kind) {
    case OptimizerKind::adam:
      return start(update_kernel<OptimizerKind::adam>);
    case OptimizerKind::adagrad:
      return start(update_kernel<OptimizerKind::adagrad>);
    case OptimizerKind::sgd:
      return start(update_kernel<OptimizerKind::sgd>);
  }
}

}  // namespace bough
