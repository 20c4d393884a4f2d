// Attention of packed sentences, any head width D, f32 and bf16. With q, k, v of one sentence and head:
//   s_ij = q_i k_j / sqrt(D),  p_ij = exp(s_ij - lse_i),  o_i = sum_j m_ij p_ij v_j,  m = dropout's factor.
// Backwards, with delta_i = do_i o_i:
//   dv_j = sum_i m_ij p_ij do_i,   ds_ij = p_ij (m_ij (do_i v_j) - delta_i) / sqrt(D),
//   dq_i = sum_j ds_ij k_j,        dk_j = sum_i ds_ij q_i.
// A warp owns a query (o, dq) or a key (dk, dv) of a head: every sum has one owner and a fixed order.
#include "cuda/attention.h"
#include "cuda/cuda_backend.h"

namespace bough::cuda {
namespace {

constexpr int warps = 4;  // rows of a block

/// The keys that a query sees.
template <class T>
__device__ Range visible_keys(const AttentionArguments<T>& a, int64_t query, int32_t sentence) {
  Range r = rows_of_sentence(a.keys, sentence);
  const int64_t causal_end = r.begin + a.queries.positions[query] + 1;
  if (a.is_causal && causal_end < r.end) r.end = causal_end;
  return r;
}

template <class T>
__global__ void attention_kernel(AttentionArguments<T> a, T* o, float* log_sum_exp) {
  const int64_t query = int64_t(blockIdx.x) * warps + warp_id();
  const int head = int(blockIdx.y);
  if (query >= a.queries.tokens) return;
  T* const out = o + (query * a.heads + head) * a.dim;
  const int32_t sentence = a.queries.segments[query];
  if (sentence < 0) {  // a tail
    for (int d = lane_id(); d < a.dim; d += warp_size) out[d] = from_float<T>(0);
    if (lane_id() == 0) log_sum_exp[query * a.heads + head] = 0;
    return;
  }
  const Range seen = visible_keys(a, query, sentence);
  const HeadRows<const T> k = a.k.head(head, a.dim), v = a.v.head(head, a.dim);
  const DropoutFactors dropout(a.dropout);
  const float lse = attend_row(
      out, a.q.head(head, a.dim).row(query), seen.end - seen.begin, a.dim, a.scale, a.is_vector,
      [&](int64_t j) { return k.row(seen.begin + j); }, [&](int64_t j) { return v.row(seen.begin + j); },
      [&](int64_t j) { return dropout.of_element(query, head, j); });
  if (lane_id() == 0) log_sum_exp[query * a.heads + head] = lse;
}

/// The shared memory of a warp in the backward pass: the own row of two matrices, two sums, weights of 32 rows.
struct BackwardMemory {
  float *first, *second, *first_sum, *second_sum, *weights, *score_gradients;
  static size_t bytes(int64_t dim) { return size_t(4 * dim + 2 * warp_size) * sizeof(float); }
  __device__ static BackwardMemory of_warp(int dim) {
    float* const p = reinterpret_cast<float*>(dynamic_shared()) + size_t(warp_id()) * size_t(4 * dim + 2 * warp_size);
    return {p, p + dim, p + 2 * dim, p + 3 * dim, p + 4 * dim, p + 4 * dim + warp_size};
  }
  __device__ void clear_sums(int dim) const {
    for (int d = lane_id(); d < dim; d += warp_size) first_sum[d] = second_sum[d] = 0;
  }
};

/// m p and ds of one pair, from q k and do v.
struct PairWeights {
  float weight, score_gradient;
};
__device__ inline PairWeights pair_weights(float product, float upstream, float scale, float lse, float delta,
                                           float factor) {
  const float p = math::exp(product * scale - lse);
  return {p * factor, p * (factor * upstream - delta) * scale};
}

/// dq of a query, and delta (tokens, heads) for the keys' pass.
template <class T>
__global__ void query_gradient_kernel(AttentionArguments<T> a, AttentionGradients<T> g, float* deltas) {
  const int64_t query = int64_t(blockIdx.x) * warps + warp_id();
  const int head = int(blockIdx.y);
  if (query >= a.queries.tokens) return;
  const int32_t sentence = a.queries.segments[query];
  const int64_t first = g.dq.at(query, head, a.dim);
  if (sentence < 0) return deposit_row(g.dq.target, first, nullptr, a.dim, true);
  const BackwardMemory m = BackwardMemory::of_warp(a.dim);
  const T *const d_o = g.d_o.head(head, a.dim).row(query), *const o = g.o.head(head, a.dim).row(query);
  load_row(m.first, a.q.head(head, a.dim).row(query), a.dim);
  load_row(m.second, d_o, a.dim);
  m.clear_sums(a.dim);
  float delta = 0;
  for (int d = lane_id(); d < a.dim; d += warp_size) delta += to_float(d_o[d]) * to_float(o[d]);
  delta = warp_sum(delta);
  if (lane_id() == 0) deltas[query * a.heads + head] = delta;
  if (!g.dq.target) return;
  sync_warp("the rows of this query would not be there yet");
  const Range seen = visible_keys(a, query, sentence);
  const HeadRows<const T> k = a.k.head(head, a.dim), v = a.v.head(head, a.dim);
  const DropoutFactors dropout(a.dropout);
  const float lse = g.log_sum_exp[query * a.heads + head];
  for (int64_t base = seen.begin; base < seen.end; base += warp_size) {
    const int64_t key = base + lane_id();
    PairWeights w{};
    if (key < seen.end)
      w = pair_weights(dot(m.first, k.row(key), a.dim, a.is_vector), dot(m.second, v.row(key), a.dim, a.is_vector),
                       a.scale, lse, delta, dropout.of_element(query, head, key - seen.begin));
    m.score_gradients[lane_id()] = w.score_gradient;
    sync_warp("score gradients of other lanes would be missing");
    const int count = int(seen.end - base < warp_size ? seen.end - base : warp_size);
    add_weighted(m.first_sum, m.score_gradients, count, a.dim, [&](int i) { return k.row(base + i); });
    sync_warp("the next score gradients would overwrite those still to be read");
  }
  deposit_row(g.dq.target, first, m.first_sum, a.dim, false);
}

/// dk and dv of a key.
template <class T>
__global__ void key_gradient_kernel(AttentionArguments<T> a, AttentionGradients<T> g, const float* deltas) {
  const int64_t key = int64_t(blockIdx.x) * warps + warp_id();
  const int head = int(blockIdx.y);
  if (key >= a.keys.tokens) return;
  const int32_t sentence = a.keys.segments[key];
  const int64_t dk_first = g.dk.at(key, head, a.dim), dv_first = g.dv.at(key, head, a.dim);
  if (sentence < 0) {
    deposit_row(g.dk.target, dk_first, nullptr, a.dim, true);
    deposit_row(g.dv.target, dv_first, nullptr, a.dim, true);
    return;
  }
  const BackwardMemory m = BackwardMemory::of_warp(a.dim);
  load_row(m.first, a.k.head(head, a.dim).row(key), a.dim);
  load_row(m.second, a.v.head(head, a.dim).row(key), a.dim);
  m.clear_sums(a.dim);
  sync_warp("the rows of this key would not be there yet");
  const HeadRows<const T> q = a.q.head(head, a.dim), d_o = g.d_o.head(head, a.dim);
  const DropoutFactors dropout(a.dropout);
  const Range attending = rows_of_sentence(a.queries, sentence);
  const int64_t place = key - rows_of_sentence(a.keys, sentence).begin;
  // Queries before the key's place do not see it.
  const int64_t first = a.is_causal ? attending.begin + place : attending.begin;
  for (int64_t base = first; base < attending.end; base += warp_size) {
    const int64_t query = base + lane_id();
    PairWeights w{};
    if (query < attending.end) {
      const int64_t index = query * a.heads + head;
      w = pair_weights(dot(m.first, q.row(query), a.dim, a.is_vector),
                       dot(m.second, d_o.row(query), a.dim, a.is_vector), a.scale, g.log_sum_exp[index], deltas[index],
                       dropout.of_element(query, head, place));
    }
    m.weights[lane_id()] = w.weight;
    m.score_gradients[lane_id()] = w.score_gradient;
    sync_warp("weights of other lanes would be missing");
    const int count = int(attending.end - base < warp_size ? attending.end - base : warp_size);
    add_weighted(m.first_sum, m.score_gradients, count, a.dim, [&](int i) { return q.row(base + i); });
    add_weighted(m.second_sum, m.weights, count, a.dim, [&](int i) { return d_o.row(base + i); });
    sync_warp("the next weights would overwrite those still to be read");
  }
  deposit_row(g.dk.target, dk_first, m.first_sum, a.dim, false);
  deposit_row(g.dv.target, dv_first, m.second_sum, a.dim, false);
}

LaunchShape row_shape(int64_t tokens, int64_t heads, size_t warp_bytes) {
  return {dim3(blocks_for(tokens, warps), unsigned(heads)), unsigned(warps * warp_size), warps * warp_bytes};
}

}  // namespace
}  // namespace bough::cuda

namespace bough {

using namespace cuda;

void CudaBackend::attention_impl(Out o, Out log_sum_exp, const Columns& q, const Columns& k, const Columns& v,
                                 const Attention& p) {
  if (attend_bins(stream(), o, log_sum_exp, q, k, v, p)) return;
  dispatch_float(o.dtype(), [&]<class T>() {
    launch(stream(), "attention", attention_kernel<T>,
           row_shape(p.queries.tokens, p.heads, attend_row_bytes(q.count / p.heads)), AttentionArguments<T>(q, k, v, p),
           o.data<T>(), log_sum_exp.data<float>());
  });
}

void CudaBackend::attention_backward_impl(const GradColumns& dq, const GradColumns& dk, const GradColumns& dv, In d_o,
                                          In o, In log_sum_exp, const Columns& q, const Columns& k, const Columns& v,
                                          const Attention& p) {
  if (attend_bins_backward(stream(), dq, dk, dv, d_o, o, log_sum_exp, q, k, v, p)) return;
  float* const deltas = scratch<float>(p.queries.tokens * p.heads);
  dispatch_float(o.dtype(), [&]<class T>() {
    const AttentionArguments<T> a(q, k, v, p);
    using Side = typename AttentionGradients<T>::Side;
    const AttentionGradients<T> g{Side(dq),           Side(dk),         Side(dv),
                                  columns_of<T>(d_o), columns_of<T>(o), log_sum_exp.data<float>()};
    const size_t bytes = BackwardMemory::bytes(a.dim);
    launch(stream(), "attention_query_gradient", query_gradient_kernel<T>, row_shape(p.queries.tokens, p.heads, bytes),
           a, g, deltas);
    if (dk || dv)
      launch(stream(), "attention_key_gradient", key_gradient_kernel<T>, row_shape(p.keys.tokens, p.heads, bytes), a, g,
             static_cast<const float*>(deltas));
  });
}

}  // namespace bough
