// The backward pass of attention over bins (the equations are in attention.cu), in one kernel without atomics. A block
// owns a head of a bin. For a pair of tiles it computes m p and ds as (64, 64) bf16 in shared memory; then warps own
// 16 queries for dq = ds k, and 16 keys for dv = (m p)^T do and dk = ds^T q. A bin of one pair of tiles, as most are,
// needs five products. In longer ones p and ds are computed anew for every sum, so that one accumulator is enough.
#include "cuda/attention_tiles.h"

namespace bough::cuda {
namespace {

constexpr float log2_e = 1.44269504f;

template <int D>
struct BackwardMemory {
  Tile<D> q, k, v, d_o;
  Tile<tile_rows> weights, score_gradients;  // m p; ds without the factor 1 / sqrt(D)
  static constexpr size_t bytes = (4 * Tile<D>::elements + 2 * Tile<tile_rows>::elements) * sizeof(bf16);
  __device__ static BackwardMemory of_block() {
    bf16* const p = reinterpret_cast<bf16*>(dynamic_shared());
    constexpr int n = Tile<D>::elements;
    return {{p}, {p + n}, {p + 2 * n}, {p + 3 * n}, {p + 4 * n}, {p + 4 * n + Tile<tile_rows>::elements}};
  }
};

/// Blocks that are to fit onto a multiprocessor; shared memory allows as many on sm_90.
template <int D>
constexpr int min_blocks = D == 128 ? 2 : 4;

/// A query row: what it sees of the tile of keys, log sum exp (of base 2) and delta = do o.
struct GradientRow {
  int row;
  SeenColumns seen;
  uint64_t kept = ~uint64_t{0};
  float log_sum_exp = 0, delta = 0;
};

template <int D>
__device__ inline float row_delta(const HeadRows<const bf16>& o, const Tile<D>& d_o, bool is_inside, int row,
                                  int64_t first) {
  float sum = 0;
  if (is_inside) {
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      const Vector<float, 2> x = load_floats<2>(o.row(first + row) + 8 * n + lane_column()),
                             y = load_floats<2>(d_o.piece(row, n) + lane_column());
      sum += x[0] * y[0] + x[1] * y[1];
    }
  }
  return row_sum(sum);
}

constexpr int strip = 4;  // accumulators, of 8 keys each, that are turned into weights at a time: half a tile

/// Half a lane's elements of a strip: scores s and do v products u -> m p and ds in shared memory.
template <int D>
__device__ inline void store_weights(const BackwardMemory<D>& m, const float (&s)[strip][4],
                                     const float (&u)[strip][4], int first, int half, const GradientRow& r,
                                     float scale, float factor_of_kept) {
#pragma unroll
  for (int n = 0; n < strip; ++n) {
    float weight[2], gradient[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const float p = r.seen.has(first + n, i) ? exp2(s[n][2 * half + i] * scale - r.log_sum_exp) : 0.0f;
      const float factor = r.kept >> (8 * (first + n) + i) & 1 ? factor_of_kept : 0.0f;
      weight[i] = p * factor;
      gradient[i] = p * (factor * u[n][2 * half + i] - r.delta);
    }
    store_floats(m.weights.piece(r.row, first + n) + lane_column(), Vector<float, 2>{weight[0], weight[1]});
    store_floats(m.score_gradients.piece(r.row, first + n) + lane_column(), Vector<float, 2>{gradient[0], gradient[1]});
  }
}

/// Everything that a pair of tiles needs into shared memory, and m p and ds of it.
template <int D>
__device__ void tile_pair(const BackwardMemory<D>& m, const AttentionArguments<bf16>& a,
                          const AttentionGradients<bf16>& g, const Bin& bin, int head, int q0, int k0,
                          const DropoutFactors& dropout) {
  const int64_t first = bin.first_query + q0, first_key = bin.first_key + k0;
  const int queries = bin.queries - q0, keys = bin.keys - k0;
  sync_block("tiles that other warps still read would be overwritten");
  load_tile(m.q, a.q.head(head, D), first, queries);
  load_tile(m.k, a.k.head(head, D), first_key, keys);
  load_tile(m.v, a.v.head(head, D), first_key, keys);
  load_tile(m.d_o, g.d_o.head(head, D), first, queries);
  commit_copies();
  GradientRow rows[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const QueryRow query(a.queries, first, queries, half);
    GradientRow& r = rows[half];
    r.row = opaque(query.row);
    r.seen = query.seen(a.keys, first_key, a.is_causal);
    if (dropout.is_on()) r.kept = kept_columns(dropout, first + query.row, head, r.seen);
    if (query.is_inside) r.log_sum_exp = log2_e * g.log_sum_exp[(first + query.row) * a.heads + head];
  }
  wait_copies<0>();
  sync_block("rows from other threads would be missing");
#pragma unroll
  for (int half = 0; half < 2; ++half)
    rows[half].delta = row_delta(g.o.head(head, D), m.d_o, rows[half].row < queries, rows[half].row, first);
#pragma unroll
  for (int n = 0; n < tile_rows / 8; n += strip) {
    float s[strip][4], u[strip][4];
    multiply_transposed(s, m.q, m.k, 8 * n);
    multiply_transposed(u, m.d_o, m.v, 8 * n);
#pragma unroll
    for (int half = 0; half < 2; ++half)
      store_weights(m, s, u, n, half, rows[half], a.scale * log2_e, dropout.scale());
  }
  sync_block("weights of other warps' queries would be missing");
}

/// gradient[index .. index+1] = or += a pair.
__device__ inline void deposit_pair(const Target& to, int64_t index, float x, float y) {
  if (to.is_bf16 && !to.adds) return store_floats(static_cast<bf16*>(to.data) + index, Vector<float, 2>{x, y});
  deposit(to, index, x);
  deposit(to, index + 1, y);
}
/// The warp's 16 rows of a product to a head's columns, rows first .. first + count - 1.
template <int D>
__device__ inline void store_rows(const typename AttentionGradients<bf16>::Side& side, const Accumulator<D>& sum,
                                  float scale, int64_t first, int count, int head) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = warp_id() * warp_rows + lane_id() / 4 + 8 * half;
    if (row >= count) continue;
    const int64_t index = side.at(first + row, head, D) + lane_column();
#pragma unroll
    for (int n = 0; n < D / 8; ++n)
      deposit_pair(side.target, index + 8 * n, scale * sum.v[n][2 * half], scale * sum.v[n][2 * half + 1]);
  }
}

/// Zeros in those of 64 rows that belong to no sentence.
__device__ inline void clear_tail(const AttentionGradients<bf16>::Side& side, const Sentences& rows, int64_t first,
                                  int head, int dim) {
  if (!side.target || side.target.adds) return;
  for (int64_t row = first + warp_id(); row < first + tile_rows && row < rows.tokens; row += tile_warps)
    if (rows.segments[row] < 0)
      for (int d = lane_id(); d < dim; d += warp_size) deposit(side.target, side.at(row, head, dim) + d, 0.0f);
}

/// dq, dv, dk.
__device__ inline AttentionGradients<bf16>::Side side_of(const AttentionGradients<bf16>& g, int which) {
  return which == 0 ? g.dq : which == 1 ? g.dv : g.dk;
}

template <int D>
__global__ void __launch_bounds__(tile_threads, min_blocks<D>)
    bins_backward_kernel(AttentionArguments<bf16> a, AttentionGradients<bf16> g, int bins) {
  const int head = int(blockIdx.y);
  if (int(blockIdx.x) >= bins) {
    const int64_t first = (int64_t(blockIdx.x) - bins) * tile_rows;
    clear_tail(g.dq, a.queries, first, head, D);
    clear_tail(g.dk, a.keys, first, head, D);
    clear_tail(g.dv, a.keys, first, head, D);
    return;
  }
  const Bin bin = Bin::load(a.bins, blockIdx.x);
  const BackwardMemory<D> m = BackwardMemory<D>::of_block();
  const DropoutFactors dropout(a.dropout);
  const bool is_single = bin.queries <= tile_rows && bin.keys <= tile_rows;
  bool is_there = false;
  Accumulator<D> sum;
#pragma unroll 1  // one copy of tile_pair
  for (int which = 0; which < 3; ++which) {
    if (!side_of(g, which).target) continue;
    const bool is_query = which == 0;
    const int rows = is_query ? bin.queries : bin.keys, others = is_query ? bin.keys : bin.queries;
    for (int row = 0; row < rows; row += tile_rows) {
      sum.clear();
      for (int other = 0; other < others; other += tile_rows) {
        if (!is_single || !is_there)
          tile_pair(m, a, g, bin, head, is_query ? row : other, is_query ? other : row, dropout);
        is_there = true;
        if (is_query)
          sum.add_rows(m.score_gradients, m.k);
        else
          sum.add_columns(which == 1 ? m.weights : m.score_gradients, which == 1 ? m.d_o : m.q);
      }
      store_rows(side_of(g, opaque(which)), sum, which == 1 ? 1.0f : a.scale, (is_query ? bin.first_query : bin.first_key) + row, rows - row,
                 head);
    }
  }
}

bool is_vector(const GradColumns& g, int64_t dim) {
  return !g || heads_are_vectors(Columns{g.tensor, g.first, g.count}, dim);
}

}  // namespace

bool attend_bins_backward(const Stream& stream, const GradColumns& dq, const GradColumns& dk, const GradColumns& dv,
                          In d_o, In o, In log_sum_exp, const Columns& q, const Columns& k, const Columns& v,
                          const Attention& p) {
  if (o.dtype() != DType::bf16 || !p.bins || !is_aligned(o) || !is_aligned(d_o)) return false;
  const AttentionArguments<bf16> a(q, k, v, p);
  if (!a.is_vector || !is_vector(dq, a.dim) || !is_vector(dk, a.dim) || !is_vector(dv, a.dim)) return false;
  using Side = AttentionGradients<bf16>::Side;
  const AttentionGradients<bf16> g{Side(dq),             Side(dk),           Side(dv),
                                   columns_of<bf16>(d_o), columns_of<bf16>(o), log_sum_exp.data<float>()};
  const int bins = int(p.bins.rows());
  const unsigned tails = blocks_for(std::max(p.queries.tokens, p.keys.tokens), tile_rows);
  return dispatch_head_dim(a.dim, [&]<int D>() {
    launch(stream, "attention_bins_backward", bins_backward_kernel<D>,
           {dim3(unsigned(bins) + tails, unsigned(p.heads)), tile_threads, BackwardMemory<D>::bytes}, a, g, bins);
  });
}

}  // namespace bough::cuda
