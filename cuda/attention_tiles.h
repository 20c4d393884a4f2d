#pragma once
#include "cuda/attention.h"

// Tiles of 64 rows in shared memory and products of them on tensor cores (multiply_add, 16x8x16 bf16). A block has
// four warps; warp w owns rows 16w .. 16w+15 of a product, and of those a lane holds rows lane/4 and lane/4 + 8:
// element [n][i] of an accumulator is row lane/4 + 8 (i/2), column 8n + 2 (lane%4) + i%2.

namespace bough::cuda {

constexpr int tile_rows = 64, tile_warps = 4, warp_rows = 16;
constexpr int tile_threads = tile_warps * warp_size;

/// (64, D) bf16. The 16-byte pieces of a row are permuted so that the eight rows that ldmatrix reads at a time lie in
/// different banks.
template <int D>
struct Tile {
  static constexpr int pieces = D / 8, elements = tile_rows * D;
  bf16* data;
  __device__ bf16* piece(int row, int p) const {
    constexpr int period = pieces < 8 ? pieces : 8, shift = period == 8 ? 0 : period == 4 ? 1 : 2;
    return data + (row * pieces + (p ^ ((row >> shift) & (period - 1)))) * 8;
  }
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
#pragma unroll 1  // unrolled, its addresses would take the registers of the products
  for (int i = int(threadIdx.x); i < tile_rows * Tile<D>::pieces; i += tile_threads) {
    const int row = i / Tile<D>::pieces, p = i % Tile<D>::pieces;
    const bool is_inside = row < count;
    copy_async(tile.piece(row, p), from.row(first + (is_inside ? row : 0)) + 8 * p, is_inside);
  }
}

/// The first of the lane's columns in every eight; element i of accumulator n is column 8n + i%2 behind it. Kept
/// apart from n and i, so that those are constants of the unrolled loops.
__device__ inline int lane_column() { return 2 * (lane_id() % 4); }

/// The columns of a tile of 64 keys that a query sees, [begin, end), and the column of its sentence's first key, which
/// may lie before the tile.
struct SeenColumns {
  int begin = 0, end = 0, sentence_begin = 0;
  __device__ bool has(int n, int i) const {
    return 8 * n + i % 2 >= begin - lane_column() && 8 * n + i % 2 < end - lane_column();
  }
};

/// One of the two query rows of a lane.
struct QueryRow {
  int row;  ///< within the tile
  bool is_inside = false;
  int32_t sentence = 0, position = 0;
  __device__ QueryRow(const Sentences& queries, int64_t first, int count, int half)
      : row(warp_id() * warp_rows + lane_id() / 4 + 8 * half) {
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

/// Bit 8n + i%2: dropout keeps element i of accumulator n of this query. The four lanes of a row draw a block of eight keys at a
/// time, in turn, and share what they drew; every lane of the warp has to call.
__device__ inline uint64_t kept_columns(const DropoutFactors& dropout, int64_t row, int head, const SeenColumns& seen) {
  uint64_t kept = 0;
  int position = (seen.begin - seen.sentence_begin) / chunk_cols * chunk_cols + lane_id() % 4 * chunk_cols;
#pragma unroll 1
  for (; seen.sentence_begin + position < seen.end; position += 4 * chunk_cols) {
    const uint64_t keys = dropout.kept_of_chunk(row, head, position);
    const int column = seen.sentence_begin + position;
    kept |= column >= 0 ? keys << column : keys >> -column;
  }
  kept |= shuffle_xor(kept, 1);
  return (kept | shuffle_xor(kept, 2)) >> lane_column();
}
/// s (16, 8 N) = the warp's rows of a (64, D) times rows first_column .. first_column + 8 N - 1 of b (64, D) transposed.
template <int D, int N>
__device__ inline void multiply_transposed(float (&s)[N][4], const Tile<D>& a, const Tile<D>& b, int first_column) {
  const int lane = opaque(lane_id()), first = warp_id() * warp_rows;
#pragma unroll
  for (int n = 0; n < N; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) s[n][i] = 0;
#pragma unroll
  for (int k = 0; k < D / 16; ++k) {
    uint32_t x[4];
    load_matrices(x, a.piece(first + lane % 16, 2 * k + lane / 16));
#pragma unroll
    for (int n = 0; n < N / 2; ++n) {
      uint32_t y[4];
      load_matrices(y, b.piece(first_column + 16 * n + lane % 8 + 8 * (lane / 16), 2 * k + lane / 8 % 2));
      multiply_add(s[2 * n], x, y[0], y[1]);
      multiply_add(s[2 * n + 1], x, y[2], y[3]);
    }
  }
}

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
    const int lane = opaque(lane_id());
#pragma unroll
    for (int n = 0; n < D / 16; ++n) {
      uint32_t y[4];
      load_matrices_transposed(y, b.piece(16 * k + lane % 16, 2 * n + lane / 16));
      multiply_add(v[2 * n], a, y[0], y[1]);
      multiply_add(v[2 * n + 1], a, y[2], y[3]);
    }
  }
  /// += the warp's rows of m (64, 64) times b.
  __device__ void add_rows(const Tile<tile_rows>& m, const Tile<D>& b) {
    const int lane = lane_id(), first = warp_id() * warp_rows;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      uint32_t a[4];
      load_matrices(a, m.piece(first + lane % 16, 2 * k + lane / 16));
      add(a, b, k);
    }
  }
  /// += the warp's columns of m (64, 64), transposed, times b.
  __device__ void add_columns(const Tile<tile_rows>& m, const Tile<D>& b) {
    const int lane = lane_id(), first = warp_id() * warp_rows / 8;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      uint32_t a[4];
      load_matrices_transposed(a, m.piece(16 * k + lane % 8 + 8 * (lane / 16), first + lane / 8 % 2));
      add(a, b, k);
    }
  }
};

/// The sum or the maximum over the four lanes that share a row.
__device__ inline float row_sum(float v) {
  v += shuffle_xor(v, 1);
  return v + shuffle_xor(v, 2);
}
__device__ inline float row_max(float v) {
  float other = shuffle_xor(v, 1);
  v = other > v ? other : v;
  other = shuffle_xor(v, 2);
  return other > v ? other : v;
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
