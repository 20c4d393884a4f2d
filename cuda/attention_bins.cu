// Attention of packed short sentences on tensor cores (the equations are in attention.cu). A block owns a head of a
// bin: whole sentences, as a rule at most 64 queries and 64 keys, so that scores are one tile with a block-diagonal
// mask. In longer bins it goes through tiles of queries, for each through tiles of keys (online softmax, Milakov &
// Gimelshein 2018). Blocks behind the bins zero the rows of no sentence.
#include "cuda/attention_tiles.h"

namespace bough::cuda {
namespace {

constexpr float log2_e = 1.44269504f;
constexpr float masked = -1.0e30f;  // not -inf: the difference of two would be NaN

template <int D>
struct ForwardMemory {
  Tile<D> q, k, v;
  static constexpr size_t bytes = 3 * Tile<D>::elements * sizeof(bf16);
  __device__ static ForwardMemory of_block() {
    bf16* const p = reinterpret_cast<bf16*>(dynamic_shared());
    return {{p}, {p + Tile<D>::elements}, {p + 2 * Tile<D>::elements}};
  }
};

/// Blocks that are to fit onto a multiprocessor, which bounds the registers of a thread.
template <int D>
constexpr int min_blocks = D == 128 ? 2 : 4;

/// Softmax of one query row as far as its keys are known: base-2 exponents, relative to the largest.
struct RunningRow {
  float maximum = masked, total = 0;
};

/// Scores of half a lane's elements -> weights; returns what earlier sums are to be multiplied by.
__device__ inline float online_softmax(float (&s)[8][4], int half, RunningRow& r, const SeenColumns& seen,
                                       float scale) {
  float highest = r.maximum;
#pragma unroll
  for (int n = 0; n < 8; ++n)
#pragma unroll
    for (int i = 2 * half; i < 2 * half + 2; ++i) {
      s[n][i] = seen.has(n, i) ? s[n][i] * scale : masked;
      highest = s[n][i] > highest ? s[n][i] : highest;
    }
  highest = row_max(highest);
  float total = 0;
#pragma unroll
  for (int n = 0; n < 8; ++n)
#pragma unroll
    for (int i = 2 * half; i < 2 * half + 2; ++i) {
      // A row that sees no key of this tile has highest = masked: exp2 would give 1.
      s[n][i] = s[n][i] > masked ? exp2(s[n][i] - highest) : 0.0f;
      total += s[n][i];
    }
  const float correction = exp2(r.maximum - highest);
  r = {highest, r.total * correction + row_sum(total)};
  return correction;
}

__device__ inline void drop(float (&s)[8][4], int half, uint64_t kept, float factor) {
#pragma unroll
  for (int n = 0; n < 8; ++n)
#pragma unroll
    for (int i = 2 * half; i < 2 * half + 2; ++i) s[n][i] = kept >> (8 * n + i % 2) & 1 ? s[n][i] * factor : 0.0f;
}

/// o += p v: the accumulators of the scores are the fragments of the next product.
template <int D>
__device__ inline void add_values(Accumulator<D>& o, const float (&p)[8][4], const Tile<D>& v) {
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const uint32_t a[4] = {pack_bf16(p[2 * k][0], p[2 * k][1]), pack_bf16(p[2 * k][2], p[2 * k][3]),
                           pack_bf16(p[2 * k + 1][0], p[2 * k + 1][1]), pack_bf16(p[2 * k + 1][2], p[2 * k + 1][3])};
    o.add(a, v, k);
  }
}

template <int D>
__device__ inline void store_row(bf16* o, float* log_sum_exp, const Accumulator<D>& sum, int half, const RunningRow& r,
                                 const QueryRow& query, int64_t first, int head, int heads) {
  if (!query.is_inside) return;
  const int64_t index = (first + query.row) * heads + head;
  const float inverse = r.total > 0 ? 1.0f / r.total : 0.0f;
#pragma unroll
  for (int n = 0; n < D / 8; ++n) {
    const Vector<float, 2> pair{sum.v[n][2 * half] * inverse, sum.v[n][2 * half + 1] * inverse};
    store_floats(o + index * D + 8 * n + lane_column(), pair);
  }
  if (lane_id() % 4 == 0) log_sum_exp[index] = r.total > 0 ? (r.maximum + log2(r.total)) / log2_e : 0.0f;
}

/// Zeros in the rows of 64 that belong to no sentence.
__device__ inline void clear_tail(bf16* o, float* log_sum_exp, const Sentences& queries, int64_t first, int head,
                                  int heads, int dim) {
  for (int row = warp_id(); row < tile_rows; row += tile_warps) {
    const int64_t query = first + row;
    if (query >= queries.tokens || queries.segments[query] >= 0) continue;
    for (int d = lane_id(); d < dim; d += warp_size) o[(query * heads + head) * dim + d] = to_bf16(0);
    if (lane_id() == 0) log_sum_exp[query * heads + head] = 0;
  }
}

template <int D>
__global__ void __launch_bounds__(tile_threads, min_blocks<D>)
    bins_kernel(AttentionArguments<bf16> a, bf16* o, float* log_sum_exp, int bins) {
  const int head = int(blockIdx.y);
  if (int(blockIdx.x) >= bins)
    return clear_tail(o, log_sum_exp, a.queries, (int64_t(blockIdx.x) - bins) * tile_rows, head, a.heads, D);
  const Bin bin = Bin::load(a.bins, blockIdx.x);
  const ForwardMemory<D> m = ForwardMemory<D>::of_block();
  const DropoutFactors dropout(a.dropout);
  const float scale = a.scale * log2_e;
  for (int q0 = 0; q0 < bin.queries; q0 += tile_rows) {
    const int64_t first = bin.first_query + q0;
    const QueryRow upper(a.queries, first, bin.queries - q0, 0), lower(a.queries, first, bin.queries - q0, 1);
    RunningRow upper_sum, lower_sum;
    Accumulator<D> sum;
    sum.clear();
    for (int k0 = 0; k0 < bin.keys; k0 += tile_rows) {
      sync_block("tiles that other warps still read would be overwritten");
      if (k0 == 0) load_tile(m.q, a.q.head(head, D), first, bin.queries - q0);
      load_tile(m.k, a.k.head(head, D), bin.first_key + k0, bin.keys - k0);
      commit_copies();
      load_tile(m.v, a.v.head(head, D), bin.first_key + k0, bin.keys - k0);
      commit_copies();
      const SeenColumns upper_seen = upper.seen(a.keys, bin.first_key + k0, a.is_causal),
                        lower_seen = lower.seen(a.keys, bin.first_key + k0, a.is_causal);
      wait_copies<1>();
      sync_block("queries and keys from other threads would be missing");
      float s[8][4];
      multiply_transposed(s, m.q, m.k, 0);
      const float upper_correction = online_softmax(s, 0, upper_sum, upper_seen, scale);
      const float lower_correction = online_softmax(s, 1, lower_sum, lower_seen, scale);
      if (dropout.is_on()) {
        drop(s, 0, kept_columns(dropout, first + upper.row, head, upper_seen), dropout.scale());
        drop(s, 1, kept_columns(dropout, first + lower.row, head, lower_seen), dropout.scale());
      }
#pragma unroll
      for (int n = 0; n < D / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) sum.v[n][i] *= i < 2 ? upper_correction : lower_correction;
      wait_copies<0>();
      sync_block("values from other threads would be missing");
      add_values(sum, s, m.v);
    }
    store_row(o, log_sum_exp, sum, 0, upper_sum, upper, first, head, a.heads);
    store_row(o, log_sum_exp, sum, 1, lower_sum, lower, first, head, a.heads);
  }
}

}  // namespace

bool attend_bins(const Stream& stream, Out o, Out log_sum_exp, const Columns& q, const Columns& k, const Columns& v,
                 const Attention& p) {
  if (o.dtype() != DType::bf16 || !p.bins || !is_aligned(o)) return false;
  const AttentionArguments<bf16> a(q, k, v, p);
  if (!a.is_vector) return false;
  const int bins = int(p.bins.rows());
  return dispatch_head_dim(a.dim, [&]<int D>() {
    launch(stream, "attention_bins", bins_kernel<D>,
           {dim3(unsigned(bins) + blocks_for(p.queries.tokens, tile_rows), unsigned(p.heads)), tile_threads,
            ForwardMemory<D>::bytes},
           a, o.data<bf16>(), log_sum_exp.data<float>(), bins);
  });
}

}  // namespace bough::cuda
