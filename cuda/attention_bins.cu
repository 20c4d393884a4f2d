// Attention of packed short sentences on tensor cores (the equations are in attention.cu). A block owns a head of a
// bin: whole sentences, as a rule at most 64 queries and 64 keys, so that scores are one tile with a block-diagonal
// mask. In longer bins it goes through tiles of queries, for each through tiles of keys (online softmax, Milakov &
// Gimelshein 2018). Blocks behind the bins zero the rows of no sentence.
#include "cuda/attention_tiles.h"

namespace bough::cuda {
namespace {

constexpr float ln_2 = 0.693147181f;
constexpr float masked = -INFINITY;

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
constexpr int min_blocks = D == 128 ? 2 : 5;

/// One of the two query rows of a lane: what it sees of this tile of keys, what of that dropout keeps, and its softmax
/// as far as the keys are known: base-2 exponents, relative to the largest.
struct RunningRow {
  uint64_t seen = 0, kept = 0;
  float maximum = masked, total = 0;
};

/// Masks half a lane's scores of group g; returns the largest of them and `highest`.
__device__ inline float mask(float (&s)[2][4], int half, int g, const RunningRow& r, float highest) {
#pragma unroll
  for (int n = 0; n < 2; ++n)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float& score = s[n][2 * half + i];
      score = has_bit(r.seen, group_columns * g + 8 * n + i) ? score : masked;
      highest = fmaxf(highest, score);
    }
  return highest;
}

/// Masked scores -> weights, dropped ones 0, of which the fragment a of the next product is made. Adds what they were
/// before dropout to r.total. `shift`: of the exponents.
__device__ inline void weigh(uint32_t (&a)[4], const float (&s)[2][4], int half, int g, RunningRow& r, float scale,
                             float shift) {
#pragma unroll
  for (int n = 0; n < 2; ++n) {
    float kept[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const float weight = exp2(s[n][2 * half + i] * scale - shift);
      r.total += weight;
      kept[i] = has_bit(r.kept, group_columns * g + 8 * n + i) ? weight : 0.0f;
    }
    a[2 * n + half] = pack_bf16(kept[0], kept[1]);
  }
}

/// Earlier sums, relative to a new maximum.
template <int D>
__device__ inline void correct(Accumulator<D>& o, RunningRow& r, int half, float correction) {
  r.total *= correction;
#pragma unroll
  for (int n = 0; n < D / 8; ++n)
#pragma unroll
    for (int i = 0; i < 2; ++i) o.v[n][2 * half + i] *= correction;
}

/// Starts loading keys and values (queries before the first), finds out what rows see of them, and waits for them;
/// returns what the warp sees.
template <int D>
__device__ inline uint32_t load_keys(RunningRow (&rows)[2], const ForwardMemory<D>& m,
                                     const AttentionArguments<bf16>& a, const Bin& bin, int head, int q0, int k0,
                                     const DropoutFactors& dropout) {
  const int64_t first = bin.first_query + q0, first_key = bin.first_key + k0;
  const QueryRow queries[2] = {QueryRow(a.queries, first, bin.queries - q0, 0),
                               QueryRow(a.queries, first, bin.queries - q0, 1)};
  sync_block("tiles that other warps still read would be overwritten");
  if (k0 == 0) load_tile(m.q, a.q.head(head, D), first, bin.queries - q0);
  load_tile(m.k, a.k.head(head, D), first_key, bin.keys - k0);
  load_tile(m.v, a.v.head(head, D), first_key, bin.keys - k0);
  commit_copies();
  SeenColumns seen[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    seen[half] = queries[half].seen(a.keys, first_key, a.is_causal);
    rows[half].seen = seen[half].bits();
    rows[half].kept = kept_columns(dropout, first + queries[half].row, head, seen[half]);
  }
  const uint32_t groups = seen_groups(seen[0], seen[1]);
  wait_copies<0>();
  sync_block("rows from other threads would be missing");
  return groups;
}

/// Online softmax of one tile of keys, and o += its weights times v, without the factor of dropout. The first tile
/// finds no sums to correct, which saves registers where it matters: few bins have another.
template <bool is_first, int D>
__device__ inline void attend_tile(Accumulator<D>& o, RunningRow (&rows)[2], const ForwardMemory<D>& m, uint32_t groups,
                                   float scale) {
  float s[tile_groups][2][4], highest[2] = {masked, masked}, shift[2];
#pragma unroll
  for (int g = 0; g < tile_groups; ++g) {
    if (!(groups >> g & 1)) continue;
    multiply_transposed(s[g], m.q, m.k, g);
#pragma unroll
    for (int half = 0; half < 2; ++half) highest[half] = mask(s[g], half, g, rows[half], highest[half]);
  }
  if (is_first) o.clear();
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    RunningRow& r = rows[half];
    const float before = r.maximum;
    r.maximum = fmaxf(before, row_max(highest[half]) * scale);
    shift[half] = r.maximum == masked ? 0.0f : r.maximum;  // of a row that saw no key yet: masked - masked is NaN
    if (!is_first) correct(o, r, half, exp2(before - shift[half]));
  }
#pragma unroll
  for (int g = 0; g < tile_groups; ++g) {
    if (!(groups >> g & 1)) continue;
    uint32_t a[4];
#pragma unroll
    for (int half = 0; half < 2; ++half) weigh(a, s[g], half, g, rows[half], scale, shift[half]);
    o.add(a, m.v, g);
  }
}

/// log sum exp of one of the lane's rows, of which there are `count` in the tile; returns the factor that its sum of
/// values lacks.
__device__ inline float finish_row(RunningRow r, int half, int count, float* log_sum_exp, int heads,
                                   float factor_of_kept) {
  r.total = row_sum(r.total);
  const int row = QueryRow::of_lane(half);
  if (row < count && lane_index() % 4 == 0)
    log_sum_exp[row * heads] = r.total > 0 ? (r.maximum + log2(r.total)) * ln_2 : 0.0f;
  return r.total > 0 ? factor_of_kept / r.total : 0.0f;
}

/// Zeros in the rows of no sentence.
__device__ inline void clear_tail(bf16* o, float* log_sum_exp, const Sentences& queries, int bins, int heads, int dim) {
  for_each_tail_row(queries, bins, heads, [&](int64_t row) {
    for (int d = lane_index(); d < heads * dim; d += warp_size) o[row * heads * dim + d] = to_bf16(0);
    for (int head = lane_index(); head < heads; head += warp_size) log_sum_exp[row * heads + head] = 0;
  });
}

template <int D>
__global__ void __launch_bounds__(tile_threads, min_blocks<D>)
    bins_kernel(AttentionArguments<bf16> a, bf16* o, float* log_sum_exp, int bins) {
  if (int(blockIdx.x) >= bins) return clear_tail(o, log_sum_exp, a.queries, bins, a.heads, D);
  const int head = int(blockIdx.y);
  const Bin bin = Bin::load(a.bins, blockIdx.x);
  const ForwardMemory<D> m = ForwardMemory<D>::of_block();
  const DropoutFactors dropout(a.dropout);
  const float scale = a.scale * log2_e;
  for (int q0 = 0; q0 < bin.queries; q0 += tile_rows) {
    const int64_t first = bin.first_query + q0;
    RunningRow rows[2];
    Accumulator<D> sum;
    const auto load = [&](int k0) { return load_keys(rows, m, a, bin, head, q0, k0, dropout); };
    attend_tile<true>(sum, rows, m, load(0), scale);
    for (int k0 = tile_rows; k0 < bin.keys; k0 += tile_rows) attend_tile<false>(sum, rows, m, load(k0), scale);
    float factors[2];
    float* const out = log_sum_exp + first * a.heads + head;
#pragma unroll
    for (int half = 0; half < 2; ++half)
      factors[half] = finish_row(rows[half], half, bin.queries - q0, out, a.heads, dropout.scale());
    store_product({o + head * D, int64_t(a.heads) * D}, first, bin.queries - q0, m.q, sum, factors[0], factors[1]);
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
           {dim3(unsigned(bins) + tail_blocks(p.queries.tokens, int(p.heads)), unsigned(p.heads)), tile_threads,
            ForwardMemory<D>::bytes},
           a, o.data<bf16>(), log_sum_exp.data<float>(), bins);
  });
}

}  // namespace bough::cuda
