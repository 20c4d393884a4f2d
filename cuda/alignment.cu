// A head that learns word alignments, any head width, f32 and bf16. With s_j = q k_j / sqrt(D), p_j = exp(s_j - lse) of
// a query, and its n points j:
//   loss = -w/n sum log(p_j + e),  g_j = dloss w/n p_j / (p_j + e) for each point, 0 elsewhere,
//   ds_j = p_j sum(g) - g_j,       dq = sum_j ds_j k_j / sqrt(D),  dk_j = sum over queries of ds_j q / sqrt(D).
// A warp owns a query (loss, dq) or a key (dk): every sum has one owner and a fixed order.
#include "cuda/attention.h"
#include "cuda/cuda_backend.h"

namespace bough::cuda {
namespace {

constexpr int warps = 4;  // rows of a block
constexpr float epsilon = float(alignment_epsilon);

/// A head's queries and keys.
template <class T>
struct HeadScores {
  HeadRows<const T> q, k;
  int dim;
  float scale;  ///< 1 / sqrt(D)
  bool is_vector;
  HeadScores(const Columns& queries, const Columns& keys)
      : q{queries.tensor.data<T>() + queries.first, queries.tensor.cols()},
        k{keys.tensor.data<T>() + keys.first, keys.tensor.cols()},
        dim(int(queries.count)),
        scale(float(1.0 / std::sqrt(double(queries.count)))),
        is_vector(heads_are_vectors(queries, queries.count) && heads_are_vectors(keys, queries.count)) {}

  /// Of a query in shared memory with a key, and of a key there with a query: a lane's own.
  __device__ float of_key(const float* query, int64_t key) const {
    return scale * dot(query, k.row(key), dim, is_vector);
  }
  __device__ float of_query(const float* key, int64_t query) const {
    return scale * dot(key, q.row(query), dim, is_vector);
  }
};

/// What every kernel of alignment_loss gets.
template <class T>
struct AlignmentArguments {
  HeadScores<T> head;
  Sentences queries, keys;
  const int32_t *offsets, *points;
  float weight;
  AlignmentArguments(const Columns& q, const Columns& k, const AlignmentLoss& p)
      : head(q, k),
        queries(p.queries),
        keys(p.keys),
        offsets(p.points.offsets.data<int32_t>()),
        points(p.points.keys.data<int32_t>()),
        weight(float(p.weight)) {}

  __device__ Range points_of(int64_t query) const { return {offsets[query], offsets[query + 1]}; }
  __device__ float share(const Range& of_query) const { return weight / float(of_query.end - of_query.begin); }
};

/// The gradients of a query's probabilities times these, without sum(g).
__device__ inline float point_gradient(float p, float share, float upstream) {
  return upstream * share * p / (p + epsilon);
}
/// g of the key at `place` of its sentence: of each point that names it.
template <class T>
__device__ float gradient_at(const AlignmentArguments<T>& a, int64_t query, int64_t place, float p, float upstream) {
  const Range points = a.points_of(query);
  float sum = 0;
  for (int64_t i = points.begin; i < points.end; ++i)
    if (a.points[i] == place) sum += point_gradient(p, a.share(points), upstream);
  return sum;
}

/// sum += weight(i) row(i) over the rows of the other side; each lane weighs one row of 32.
template <class Weight, class Row>
__device__ void add_rows(const AttendMemory& m, const Range& range, int dim, const Weight& weight, const Row& row) {
  for (int64_t base = range.begin; base < range.end; base += warp_size) {
    const int64_t mine = base + lane_id();
    if (mine < range.end) m.weights[lane_id()] = weight(mine);
    sync_warp("weights of other lanes would be missing");
    const int count = int(range.end - base < warp_size ? range.end - base : warp_size);
    add_weighted(m.o, m.weights, count, dim, [&](int i) { return row(base + i); });
    sync_warp("the next weights would overwrite those still to be read");
  }
}

/// log sum exp of a query's scores with keys [begin, end), in every lane.
template <class T>
__device__ float log_sum_of_scores(const HeadScores<T>& head, const float* query, const Range& keys) {
  float maximum = -INFINITY, total = 0;
  for (int64_t base = keys.begin; base < keys.end; base += warp_size) {
    const int64_t key = base + lane_id();
    const float score = key < keys.end ? head.of_key(query, key) : -INFINITY;
    const float highest = warp_max(score > maximum ? score : maximum);
    total = total * math::exp(maximum - highest) + warp_sum(key < keys.end ? math::exp(score - highest) : 0.0f);
    maximum = highest;
  }
  return maximum + logf(total);
}

template <class T>
__global__ void alignment_loss_kernel(AlignmentArguments<T> a, float* loss, float* log_sum_exp) {
  const int64_t query = int64_t(blockIdx.x) * warps + warp_id();
  if (query >= a.queries.tokens) return;
  const int32_t sentence = a.queries.segments[query];
  float sum = 0, lse = 0;
  if (sentence >= 0) {
    const AttendMemory m = AttendMemory::with_row(a.head.q.row(query), a.head.dim);
    const Range keys = rows_of_sentence(a.keys, sentence), points = a.points_of(query);
    lse = log_sum_of_scores(a.head, m.q, keys);
    for (int64_t i = points.begin + lane_id(); i < points.end; i += warp_size)
      sum -= a.share(points) * logf(math::exp(a.head.of_key(m.q, keys.begin + a.points[i]) - lse) + epsilon);
    sum = warp_sum(sum);
  }
  if (lane_id() != 0) return;
  loss[query] = sum;
  log_sum_exp[query] = lse;
}

/// Gradients of a head's rows, and what the backward pass reads beside the inputs.
struct AlignmentGradients {
  Target dq, dk;
  int64_t dq_first, dq_stride, dk_first, dk_stride;
  const float *dloss, *log_sum_exp;
};

/// dq of a query, and its sum(g) for the keys' pass.
template <class T>
__global__ void query_gradient_kernel(AlignmentArguments<T> a, AlignmentGradients g, float* totals) {
  const int64_t query = int64_t(blockIdx.x) * warps + warp_id();
  if (query >= a.queries.tokens) return;
  const int32_t sentence = a.queries.segments[query];
  const int64_t first = g.dq_first + query * g.dq_stride;
  if (sentence < 0) return deposit_row(g.dq, first, nullptr, a.head.dim, true);
  const AttendMemory m = AttendMemory::with_row(a.head.q.row(query), a.head.dim);
  const Range keys = rows_of_sentence(a.keys, sentence), points = a.points_of(query);
  const float lse = g.log_sum_exp[query], upstream = g.dloss[query];
  float total = 0;
  for (int64_t i = points.begin + lane_id(); i < points.end; i += warp_size)
    total += point_gradient(math::exp(a.head.of_key(m.q, keys.begin + a.points[i]) - lse), a.share(points), upstream);
  total = warp_sum(total);
  if (lane_id() == 0) totals[query] = total;
  if (!g.dq) return;
  const auto weight = [&](int64_t key) {
    const float p = math::exp(a.head.of_key(m.q, key) - lse);
    return a.head.scale * (p * total - gradient_at(a, query, key - keys.begin, p, upstream));
  };
  add_rows(m, keys, a.head.dim, weight, [&](int64_t key) { return a.head.k.row(key); });
  deposit_row(g.dq, first, m.o, a.head.dim, false);
}

/// dk of a key.
template <class T>
__global__ void key_gradient_kernel(AlignmentArguments<T> a, AlignmentGradients g, const float* totals) {
  const int64_t key = int64_t(blockIdx.x) * warps + warp_id();
  if (key >= a.keys.tokens) return;
  const int32_t sentence = a.keys.segments[key];
  const int64_t first = g.dk_first + key * g.dk_stride;
  if (sentence < 0) return deposit_row(g.dk, first, nullptr, a.head.dim, true);
  const AttendMemory m = AttendMemory::with_row(a.head.k.row(key), a.head.dim);
  const Range queries = rows_of_sentence(a.queries, sentence);
  const int64_t place = key - rows_of_sentence(a.keys, sentence).begin;
  const auto weight = [&](int64_t query) {
    const float p = math::exp(a.head.of_query(m.q, query) - g.log_sum_exp[query]);
    return a.head.scale * (p * totals[query] - gradient_at(a, query, place, p, g.dloss[query]));
  };
  add_rows(m, queries, a.head.dim, weight, [&](int64_t query) { return a.head.q.row(query); });
  deposit_row(g.dk, first, m.o, a.head.dim, false);
}

template <class T>
__global__ void attention_weights_kernel(HeadScores<T> head, float* weights, int64_t rows, int64_t length,
                                         const int32_t* offsets, const int32_t* sentences) {
  const int64_t row = int64_t(blockIdx.x) * warps + warp_id();
  if (row >= rows) return;
  const int32_t sentence = sentences[row];
  const Range keys = sentence < 0 ? Range{0, 0} : Range{offsets[sentence], offsets[sentence + 1]};
  float* const out = weights + row * length;
  const int64_t count = keys.end - keys.begin;
  for (int64_t j = count + lane_id(); j < length; j += warp_size) out[j] = 0;
  if (sentence < 0) return;
  const AttendMemory m = AttendMemory::with_row(head.q.row(row), head.dim);
  const float lse = log_sum_of_scores(head, m.q, keys);
  for (int64_t j = lane_id(); j < count; j += warp_size) out[j] = math::exp(head.of_key(m.q, keys.begin + j) - lse);
}

LaunchShape row_shape(int64_t rows, int64_t dim) {
  return {dim3(blocks_for(rows, warps)), unsigned(warps * warp_size), warps * attend_row_bytes(dim)};
}

}  // namespace
}  // namespace bough::cuda

namespace bough {

using namespace cuda;

void CudaBackend::alignment_loss_impl(Out loss, Out log_sum_exp, const Columns& q, const Columns& k,
                                      const AlignmentLoss& p) {
  dispatch_float(q.tensor.dtype(), [&]<class T>() {
    launch(stream(), "alignment_loss", alignment_loss_kernel<T>, row_shape(p.queries.tokens, q.count),
           AlignmentArguments<T>(q, k, p), loss.data<float>(), log_sum_exp.data<float>());
  });
}

void CudaBackend::alignment_loss_backward_impl(const GradColumns& dq, const GradColumns& dk, In dloss, In log_sum_exp,
                                               const Columns& q, const Columns& k, const AlignmentLoss& p) {
  float* const totals = scratch<float>(p.queries.tokens);
  const auto stride = [](const GradColumns& gradient) { return gradient ? gradient.tensor.cols() : 0; };
  const AlignmentGradients g{target_of(dq),
                             target_of(dk),
                             dq.first,
                             stride(dq),
                             dk.first,
                             stride(dk),
                             dloss.data<float>(),
                             log_sum_exp.data<float>()};
  dispatch_float(q.tensor.dtype(), [&]<class T>() {
    const AlignmentArguments<T> a(q, k, p);
    launch(stream(), "alignment_query_gradient", query_gradient_kernel<T>, row_shape(p.queries.tokens, q.count), a, g,
           totals);
    if (dk)
      launch(stream(), "alignment_key_gradient", key_gradient_kernel<T>, row_shape(p.keys.tokens, q.count), a, g,
             static_cast<const float*>(totals));
  });
}

void CudaBackend::attention_weights_impl(Out weights, const Columns& q, const Columns& k, In offsets, In sentences) {
  dispatch_float(q.tensor.dtype(), [&]<class T>() {
    launch(stream(), "attention_weights", attention_weights_kernel<T>, row_shape(weights.rows(), q.count),
           HeadScores<T>(q, k), weights.data<float>(), weights.rows(), weights.cols(), offsets.data<int32_t>(),
           sentences.data<int32_t>());
  });
}

}  // namespace bough
