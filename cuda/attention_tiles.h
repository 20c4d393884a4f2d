#pragma once
#include "cuda/attention.h"

// Tiles of 64 rows in shared memory and products of them on tensor cores (multiply_add, 16x8x16 bf16). A block has
// four warps; warp w owns rows 16w .. 16w+15 of a product, and of those a lane holds rows lane/4 and lane/4 + 8:
// element [n][i] of an accumulator is row lane/4 + 8 (i/2), column 8n + 2 (lane%4) + i%2.
// Most of a tile of scores is masked, for sentences are short: what no row of the warp sees is left out by groups of
// 16 columns (seen_groups). It would only add zeros, so results do not depend on it.

namespace bough::cuda {

constexpr int tile_rows = 64, tile_warps = 4, warp_rows = 16;
constexpr int tile_threads = tile_warps * warp_size;
constexpr int group_columns = 16, tile_groups = tile_rows / group_columns;

/// lane_id and warp_id, known not to be negative: what is divided by a power of two is then one shift.
__device__ inline int lane_index() { return int(threadIdx.x % unsigned(warp_size)); }
__device__ inline int warp_index() { return int(threadIdx.x / unsigned(warp_size)); }

/// (64, D) bf16. The 16-byte pieces of a row are permuted so that the eight rows that ldmatrix reads at a time lie in
/// different banks; rows r and r + 8 are permuted alike.
template <int D>
struct Tile {
  static constexpr int pieces = D / 8, elements = tile_rows * D;
  bf16* data;
  /// Of piece p of a row, in elements. offset(row, p) ^ 8q is that of piece p ^ q, and one instruction.
  __device__ static int offset(int row, int p) {
    constexpr int period = pieces < 8 ? pieces : 8, shift = period == 8 ? 0 : period == 4 ? 1 : 2;
    return (row * pieces + (p ^ ((row >> shift) & (period - 1)))) * 8;
  }
  __device__ bf16* piece(int row, int p) const { return data + offset(row, p); }
};

/// One bin: whole sentences whose queries and keys are ranges of rows.
struct Bin {
  int first_query, queries, first_key, keys;
  __device__ static Bin load(const int32_t* bins, int64_t b) {
    return {bins[4 * b], bins[4 * b + 1], bins[4 * b + 2], bins[4 * b + 3]};
  }
};

/// Starts copying `count` rows (at most 64) into a tile; zeros below them.
template <int D>
__device__ inline void load_tile(const Tile<D>& tile, const HeadRows<const bf16>& from, int64_t first, int count) {
  constexpr int rows = tile_threads / Tile<D>::pieces;  // a multiple of 8: permuted alike in every round
  const int row = int(threadIdx.x / unsigned(Tile<D>::pieces)), p = int(threadIdx.x % unsigned(Tile<D>::pieces));
  bf16* const to = tile.piece(row, p);
  const bf16* const source = from.row(first + row) + 8 * p;
#pragma unroll
  for (int done = 0; done < tile_rows; done += rows) {
    const bool is_inside = row + done < count;
    copy_async(to + done * D, source + done * from.stride, is_inside);
  }
}

/// The first of the lane's columns in every eight; element i of accumulator n is column 8n + i%2 behind it. Kept
/// apart from n and i, so that those are constants of the unrolled loops.
__device__ inline int lane_column() { return 2 * (lane_index() % 4); }

/// The columns of a tile of 64 keys that a query sees, [begin, end), and the column of its sentence's first key, which
/// may lie before the tile.
struct SeenColumns {
  int begin = 0, end = 0, sentence_begin = 0;
  __device__ bool has_any_of_group(int g) const { return begin < group_columns * (g + 1) && end > group_columns * g; }
  /// Bit 8n + i%2: element i of accumulator n.
  __device__ uint64_t bits() const {
    return begin < end && begin < tile_rows ? ~uint64_t{0} >> (tile_rows - (end - begin)) << begin >> lane_column() : 0;
  }
};

/// Bit i, which the compiler knows: of one word, for it would compare two.
__device__ inline bool has_bit(uint64_t bits, int i) { return uint32_t(bits >> (i / 32 * 32)) >> (i % 32) & 1; }

/// One of the two query rows of a lane.
struct QueryRow {
  int row;  ///< within the tile
  bool is_inside = false;
  int32_t sentence = 0, position = 0;
  __device__ static int of_lane(int half) { return warp_index() * warp_rows + lane_index() / 4 + 8 * half; }
  __device__ QueryRow(const Sentences& queries, int64_t first, int count, int half) : row(of_lane(half)) {
    if (row >= count) return;
    is_inside = true;
    sentence = queries.segments[first + row];
    position = queries.positions[first + row];
  }
  /// Of the tile whose row 0 is key `first`.
  __device__ SeenColumns seen(const Sentences& keys, int64_t first, bool is_causal) const {
    if (!is_inside) return {};
    const int begin = int(keys.offsets[sentence] - first), end = int(keys.offsets[sentence + 1] - first);
    const int stop = is_causal && begin + position + 1 < end ? begin + position + 1 : end;
    return {begin > 0 ? begin : 0, stop < tile_rows ? stop : tile_rows, begin};
  }
};

/// Bit g: a query of the warp sees one of keys 16g .. 16g+15. The same in all lanes.
__device__ inline uint32_t seen_groups(const SeenColumns& upper, const SeenColumns& lower) {
  uint32_t groups = 0;
#pragma unroll
  for (int g = 0; g < tile_groups; ++g)
    groups |= uint32_t(ballot(upper.has_any_of_group(g) || lower.has_any_of_group(g)) != 0) << g;
  return groups;
}

/// Bit 8n + i%2: dropout keeps element i of accumulator n of this query. The four lanes of a row draw a block of eight
/// keys at a time, in turn, and share what they drew; every lane of the warp has to call.
__device__ inline uint64_t kept_columns(const DropoutFactors& dropout, int64_t row, int head, const SeenColumns& seen) {
  if (!dropout.is_on()) return ~uint64_t{0};
  uint64_t kept = 0;
  int position = (seen.begin - seen.sentence_begin) / chunk_cols * chunk_cols + lane_index() % 4 * chunk_cols;
#pragma unroll 1
  for (; seen.sentence_begin + position < seen.end; position += 4 * chunk_cols) {
    const uint64_t keys = dropout.kept_of_chunk(row, head, position);
    const int column = seen.sentence_begin + position;
    kept |= column >= 0 ? keys << column : keys >> -column;
  }
  kept |= shuffle_xor(kept, 1);
  return (kept | shuffle_xor(kept, 2)) >> lane_column();
}

/// s (16, 16) = the warp's rows of a times rows 16g .. 16g+15 of b transposed.
template <int D>
__device__ inline void multiply_transposed(float (&s)[2][4], const Tile<D>& a, const Tile<D>& b, int g) {
  const int lane = lane_index(), row = warp_index() * warp_rows + lane % 16;
  const int of_a = a.offset(row, lane / 16), of_b = b.offset(lane % 8 + 8 * (lane / 16), lane / 8 % 2);
#pragma unroll
  for (int n = 0; n < 2; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) s[n][i] = 0;
#pragma unroll
  for (int k = 0; k < D / 16; ++k) {
    uint32_t x[4], y[4];
    load_matrices(x, a.data + (of_a ^ (16 * k)));
    load_matrices(y, b.data + (of_b ^ (16 * k)) + group_columns * g * D);
    multiply_add(s[0], x, y[0], y[1]);
    multiply_add(s[1], x, y[2], y[3]);
  }
}

/// (16, D) f32 sums of a warp, as the tensor cores' products leave them spread over its lanes.
template <int D>
struct Accumulator {
  float v[D / 8][4];
  __device__ void clear() {
#pragma unroll
    for (int n = 0; n < D / 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) v[n][i] = 0;
  }
  /// += a (16, 16), a fragment, times rows 16k .. 16k+15 of b.
  __device__ void add(const uint32_t (&a)[4], const Tile<D>& b, int k) {
    const int offset = b.offset(lane_index() % 16, lane_index() / 16);
#pragma unroll
    for (int n = 0; n < D / 16; ++n) {
      uint32_t y[4];
      load_matrices_transposed(y, b.data + (offset ^ (16 * n)) + warp_rows * k * D);
      multiply_add(v[2 * n], a, y[0], y[1]);
      multiply_add(v[2 * n + 1], a, y[2], y[3]);
    }
  }
  /// += the warp's columns of m (64, 64), transposed, times b. Without bit k of `steps`, rows 16k .. 16k+15 of m count
  /// as zeros and are not read.
  __device__ void add_columns(const Tile<tile_rows>& m, const Tile<D>& b, uint32_t steps) {
    const int lane = lane_index(), column = warp_index() * warp_rows / 8;
    const bf16* const rows = m.piece(lane % 8 + 8 * (lane / 16), column + lane / 8 % 2);
#pragma unroll
    for (int k = 0; k < tile_groups; ++k) {
      if (!(steps >> k & 1)) continue;
      uint32_t a[4];
      load_matrices_transposed(a, rows + warp_rows * k * tile_rows);
      add(a, b, k);
    }
  }
};

/// Rounds a pair into a tile.
__device__ inline void store_pair(bf16* to, uint32_t pair) {
  store_vector(reinterpret_cast<uint32_t*>(to), Vector<uint32_t, 1>{pair});
}

/// The warp's 16 rows of a product, times a factor a half, to rows 0 .. count-1 of `to` (row 0 is the tile's); through
/// the warp's rows of a tile that no other warp uses, so that memory is written by whole rows.
template <int D>
__device__ inline void store_product(const HeadRows<bf16>& to, int64_t first, int count, const Tile<D>& tile,
                                     const Accumulator<D>& sum, float upper_factor, float lower_factor) {
  const int lane = lane_index(), first_row = warp_index() * warp_rows;
  sync_warp("what other lanes still read would be overwritten");
  const int offset = tile.offset(first_row + lane / 4, 0) + lane_column();
#pragma unroll
  for (int n = 0; n < D / 8; ++n) {
    bf16* const upper = tile.data + (offset ^ (8 * n));
    store_pair(upper, pack_bf16(upper_factor * sum.v[n][0], upper_factor * sum.v[n][1]));
    store_pair(upper + 8 * D, pack_bf16(lower_factor * sum.v[n][2], lower_factor * sum.v[n][3]));
  }
  sync_warp("other lanes' elements would be missing");
  // Four elements a lane, whole rows a warp: nvcc would cut 16 bytes a lane into words that lie 16 bytes apart.
  constexpr int words = D / 4, rows = warp_size / words;
  const int row = first_row + lane / words, word = lane % words;
  bf16* const out = to.row(first + row) + 4 * word;
#pragma unroll
  for (int done = 0; done < warp_rows; done += rows) {
    const int permuted = tile.offset(row, word / 2) ^ tile.offset(done, 0) % D;  // as row + done is
    const bf16* const in = tile.data + permuted + done * D + word % 2 * 4;
    if (row + done < count)
      store_vector(reinterpret_cast<uint64_t*>(out + done * to.stride),
                   load_vector<1>(reinterpret_cast<const uint64_t*>(in)));
  }
}

/// The sum or the maximum over the four lanes that share a row.
__device__ inline float row_sum(float v) {
  v += shuffle_xor(v, 1);
  return v + shuffle_xor(v, 2);
}
__device__ inline float row_max(float v) {
  v = fmaxf(v, shuffle_xor(v, 1));
  return fmaxf(v, shuffle_xor(v, 2));
}

/// Blocks a head, behind those of the bins, that look for rows of no sentence: a thread a row.
inline unsigned tail_blocks(int64_t tokens, int heads) { return blocks_for(tokens, int64_t(tile_threads) * heads); }

/// Calls clear(row), by every thread of a warp, for the rows of no sentence that this warp of such a block looks after.
template <class F>
__device__ inline void for_each_tail_row(const Sentences& rows, int bins, int heads, F&& clear) {
  const int64_t block = (int64_t(blockIdx.x) - bins) * heads + int(blockIdx.y);
  const int64_t first = block * tile_threads + warp_index() * warp_size, row = first + lane_index();
  uint32_t tail = ballot(row < rows.tokens && rows.segments[row] < 0);
  for (int i = 0; tail != 0; ++i, tail >>= 1)
    if (tail & 1) clear(first + i);
}

/// Calls f.operator()<D>() where there is a kernel for heads of `dim` columns; whether there is.
template <class F>
bool dispatch_head_dim(int64_t dim, F&& f) {
  switch (dim) {
    case 16:
      f.template operator()<16>();
      return true;
    case 32:
      f.template operator()<32>();
      return true;
    case 64:
      f.template operator()<64>();
      return true;
    case 128:
      f.template operator()<128>();
      return true;
    default:
      return false;
  }
}

}  // namespace bough::cuda
