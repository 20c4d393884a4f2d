// The backward pass of attention over bins (the equations are in attention.cu), in one kernel without atomics. A block
// owns a head of a bin. For a pair of tiles each warp computes m p and ds of 16 queries, from which it adds up dq = ds
// k, and leaves them as (64, 64) bf16 in shared memory; then warps own 16 keys for dv = (m p)^T do and dk = ds^T q. A
// bin of one pair of tiles, as most are, needs five products. In longer ones p and ds are computed anew for every sum,
// so that one accumulator is enough.
#include "cuda/attention_tiles.h"

namespace bough::cuda {
namespace {

template <int D>
struct BackwardMemory {
  Tile<D> q, k, v, d_o;
  Tile<tile_rows> weights, score_gradients;  // p of what dropout keeps, 0 of the rest; ds: both without factors
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

/// One of the two query rows of a lane: what it sees of the tile of keys, what of that dropout keeps, log sum exp (of
/// base 2) and delta = do o.
struct GradientRow {
  uint64_t seen = 0, kept = 0;
  float log_sum_exp = 0, delta = 0;
};

/// A lane's quarter of a row of o: every fourth piece.
template <int D>
struct OutputRow {
  static constexpr int count = (Tile<D>::pieces + 3) / 4;
  Vector<uint32_t, 4> pieces[count];
  __device__ void load(const bf16* row) {
#pragma unroll
    for (int i = 0; i < count; ++i)
      if (is_there(i)) pieces[i] = load_vector<4>(reinterpret_cast<const uint32_t*>(row + 8 * piece(i)));
  }
  /// The quarter of o do.
  __device__ float times(const Tile<D>& d_o, int row) const {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < count; ++i) {
      if (!is_there(i)) continue;
      const auto d = load_vector<4>(reinterpret_cast<const uint32_t*>(d_o.piece(row, piece(i))));
#pragma unroll
      for (int j = 0; j < 4; ++j)
        sum += low_float(pieces[i][j]) * low_float(d[j]) + high_float(pieces[i][j]) * high_float(d[j]);
    }
    return sum;
  }

 private:
  __device__ static int piece(int i) { return 4 * i + lane_index() % 4; }
  __device__ static bool is_there(int i) { return Tile<D>::pieces % 4 == 0 || piece(i) < Tile<D>::pieces; }
};

/// Half a lane's elements of group g: scores s and do v products u -> the pairs of p and ds that the products take.
__device__ inline void weigh(uint32_t (&weights)[4], uint32_t (&gradients)[4], const float (&s)[2][4],
                             const float (&u)[2][4], int g, int half, const GradientRow& r, float scale) {
#pragma unroll
  for (int n = 0; n < 2; ++n) {
    float weight[2], gradient[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int column = group_columns * g + 8 * n + i;
      const float p = has_bit(r.seen, column) ? exp2(s[n][2 * half + i] * scale - r.log_sum_exp) : 0.0f;
      weight[i] = has_bit(r.kept, column) ? p : 0.0f;
      gradient[i] = weight[i] * u[n][2 * half + i] - p * r.delta;
    }
    weights[2 * n + half] = pack_bf16(weight[0], weight[1]);
    gradients[2 * n + half] = pack_bf16(gradient[0], gradient[1]);
  }
}

/// A fragment (16, 16) to the warp's rows and columns 16g .. 16g+15 of a tile.
__device__ inline void store_fragment(const Tile<tile_rows>& to, const uint32_t (&a)[4], int g) {
  const int offset = to.offset(QueryRow::of_lane(0), 0) + lane_column();
#pragma unroll
  for (int n = 0; n < 2; ++n) {
    bf16* const upper = to.data + (offset ^ (group_columns * g + 8 * n));
    store_pair(upper, a[2 * n]);
    store_pair(upper + 8 * tile_rows, a[2 * n + 1]);
  }
}

/// Everything that a pair of tiles needs into shared memory, p and ds of it, and if wanted dq += ds k. Returns what the
/// warp's 16 keys have to do with: bit g, a query of 16g .. 16g+15 sees one of them. p and ds of the rest are not
/// there.
template <int D>
__device__ inline uint32_t tile_pair(Accumulator<D>& dq, bool wants_dq, const BackwardMemory<D>& m,
                                     const AttentionArguments<bf16>& a, const AttentionGradients<bf16>& g,
                                     const Bin& bin, int head, int q0, int k0, const DropoutFactors& dropout) {
  __shared__ SharedArray<uint32_t, tile_warps> seen_of_warps;
  const int64_t first = bin.first_query + q0, first_key = bin.first_key + k0;
  const int queries = bin.queries - q0, keys = bin.keys - k0;
  sync_block("tiles that other warps still read would be overwritten");
  load_tile(m.q, a.q.head(head, D), first, queries);
  load_tile(m.k, a.k.head(head, D), first_key, keys);
  load_tile(m.v, a.v.head(head, D), first_key, keys);
  load_tile(m.d_o, g.d_o.head(head, D), first, queries);
  commit_copies();
  GradientRow rows[2];
  OutputRow<D> o[2] = {};
  SeenColumns seen[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const QueryRow query(a.queries, first, queries, half);
    if (query.is_inside) {
      o[half].load(g.o.head(head, D).row(first + query.row));
      rows[half].log_sum_exp = log2_e * g.log_sum_exp[(first + query.row) * a.heads + head];
    }
    seen[half] = query.seen(a.keys, first_key, a.is_causal);
    rows[half].seen = seen[half].bits();
    rows[half].kept = kept_columns(dropout, first + query.row, head, seen[half]);
  }
  const uint32_t groups = seen_groups(seen[0], seen[1]);
  if (lane_index() == 0) seen_of_warps[warp_index()] = groups;
  wait_copies<0>();
  sync_block("rows from other threads would be missing");
#pragma unroll
  for (int half = 0; half < 2; ++half)  // without the factor of what dropout keeps, as ds
    rows[half].delta = row_sum(o[half].times(m.d_o, QueryRow::of_lane(half))) / dropout.scale();
#pragma unroll
  for (int i = 0; i < tile_groups; ++i) {
    if (!(groups >> i & 1)) continue;
    float s[2][4], u[2][4];
    multiply_transposed(s, m.q, m.k, i);
    multiply_transposed(u, m.d_o, m.v, i);
    uint32_t weights[4], gradients[4];
#pragma unroll
    for (int half = 0; half < 2; ++half) weigh(weights, gradients, s, u, i, half, rows[half], a.scale * log2_e);
    store_fragment(m.weights, weights, i);
    store_fragment(m.score_gradients, gradients, i);
    if (wants_dq) dq.add(gradients, m.k, i);
  }
  sync_block("weights of other warps' queries would be missing");
  return ballot(lane_index() < tile_warps && (seen_of_warps[lane_index() % tile_warps] >> warp_index() & 1));
}

/// The warp's 16 rows of a product to a head's columns, rows first .. first + count - 1: written whole, through the
/// warp's rows of an unused tile.
template <int D>
__device__ inline void write_rows(const typename AttentionGradients<bf16>::Side& side, const Tile<D>& unused,
                                  const Accumulator<D>& sum, float factor, int64_t first, int count, int head) {
  const HeadRows<bf16> rows{static_cast<bf16*>(side.target.data) + side.at(0, head, D), side.stride};
  store_product(rows, first, count, unused, sum, factor, factor);
}
/// The same where the gradient is f32 or is added to.
template <int D>
__device__ inline void deposit_rows(const typename AttentionGradients<bf16>::Side& side, const Accumulator<D>& sum,
                                    float factor, int64_t first, int count, int head) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = QueryRow::of_lane(half);
    if (row >= count) continue;
    const int64_t index = side.at(first + row, head, D) + lane_column();
#pragma unroll
    for (int n = 0; n < D / 8; ++n)
#pragma unroll
      for (int i = 0; i < 2; ++i) deposit(side.target, index + 8 * n + i, factor * sum.v[n][2 * half + i]);
  }
}

/// Zeros in the rows of no sentence.
__device__ inline void clear_tail(const AttentionGradients<bf16>::Side& side, const Sentences& rows, int bins,
                                  int heads, int dim) {
  if (!side.target || side.target.adds) return;
  for_each_tail_row(rows, bins, heads, [&](int64_t row) {
    for (int d = lane_index(); d < heads * dim; d += warp_size) deposit(side.target, side.at(row, 0, dim) + d, 0.0f);
  });
}

/// dq, dv, dk.
__device__ inline AttentionGradients<bf16>::Side side_of(const AttentionGradients<bf16>& g, int which) {
  return which == 0 ? g.dq : which == 1 ? g.dv : g.dk;
}

template <int D>
__global__ void __launch_bounds__(tile_threads, min_blocks<D>)
    bins_backward_kernel(AttentionArguments<bf16> a, AttentionGradients<bf16> g, int bins) {
  if (int(blockIdx.x) >= bins) {
    clear_tail(g.dq, a.queries, bins, a.heads, D);
    clear_tail(g.dk, a.keys, bins, a.heads, D);
    clear_tail(g.dv, a.keys, bins, a.heads, D);
    return;
  }
  const int head = int(blockIdx.y);
  const Bin bin = Bin::load(a.bins, blockIdx.x);
  const BackwardMemory<D> m = BackwardMemory<D>::of_block();
  const DropoutFactors dropout(a.dropout);
  const bool is_single = bin.queries <= tile_rows && bin.keys <= tile_rows;
  bool is_there = false;
  uint32_t steps = 0;  // of the warp's keys: see tile_pair
  Accumulator<D> sum;
#pragma unroll 1  // one copy of tile_pair
  for (int which = 0; which < 3; ++which) {
    if (!side_of(g, which).target) continue;
    const bool is_query = which == 0;
    const int rows = is_query ? bin.queries : bin.keys, others = is_query ? bin.keys : bin.queries;
    const int64_t first = is_query ? bin.first_query : bin.first_key;
#pragma unroll 1
    for (int row = 0; row < rows; row += tile_rows) {
      sum.clear();
#pragma unroll 1
      for (int other = 0; other < others; other += tile_rows) {
        if (!is_single || !is_there)
          steps = tile_pair(sum, is_query, m, a, g, bin, head, is_query ? row : other, is_query ? other : row, dropout);
        is_there = true;
        if (!is_query) sum.add_columns(which == 1 ? m.weights : m.score_gradients, which == 1 ? m.d_o : m.q, steps);
      }
      const float factor = dropout.scale() * (which == 1 ? 1.0f : a.scale);
      const Target to = side_of(g, which).target;
      if (!to.is_bf16 || to.adds)
        deposit_rows(side_of(g, opaque(which)), sum, factor, first + row, rows - row, head);
      else if (is_query)  // each by name: of a pointer that it chose, the compiler does not know that it is global
        write_rows(g.dq, m.v, sum, factor, first + row, rows - row, head);
      else if (which == 1)
        write_rows(g.dv, m.v, sum, factor, first + row, rows - row, head);
      else
        write_rows(g.dk, m.v, sum, factor, first + row, rows - row, head);
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
  const AttentionGradients<bf16> g{
      Side(dq), Side(dk), Side(dv), columns_of<bf16>(d_o), columns_of<bf16>(o), log_sum_exp.data<float>()};
  const int bins = int(p.bins.rows());
  const unsigned tails = tail_blocks(std::max(p.queries.tokens, p.keys.tokens), int(p.heads));
  return dispatch_head_dim(a.dim, [&]<int D>() {
    launch(stream, "attention_bins_backward", bins_backward_kernel<D>,
           {dim3(unsigned(bins) + tails, unsigned(p.heads)), tile_threads, BackwardMemory<D>::bytes}, a, g, bins);
  });
}

}  // namespace bough::cuda
