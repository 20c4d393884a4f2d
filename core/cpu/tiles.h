#pragma once
#include "core/cpu/panels.h"
#include "core/cpu/vectors.h"

// How a product by panels is cut into tiles that fill the registers. A Kernel is
//   Product                     with m, n, c, ldc, bias (see PanelProduct)
//   most_rows, most_sums, most_panels   the largest tile: rows, sums in registers, panels
//   tile<R, P>(product, i, j, ahead)   R rows and P whole panels from element (i, j) of c on
//   from(product, i, j)         the product that begins there
//   adds(product)               whether c is added to
//   are_far(product)            whether its panels are in memory, not in a cache
//   panel(product, j)           the first element of the panel of column j; panels lie one behind the other
//   lines(product)              cache lines of a panel
//   row(product, i)             the first element of row i of the other operand

namespace bough::BOUGH_LEVEL {
namespace {

constexpr int panel_vectors = int(panel_columns) / lanes;
constexpr int64_t line_bytes = 64;

/// What a tile fetches into the caches while it is computed: its part of the panels that come next, or the next rows.
/// Weights come from memory at every step of decoding, and the machine's own prefetchers stop at every page.
struct Ahead {
  const char* from;
  int64_t step;  ///< bytes for each line of the tile's own panels
  /// Into the second cache: tiles of few rows ask for lines faster than memory gives them, and the first waits for few.
  bool into_second;
};

/// one_line() for all lines of a tile's panels, fetching ahead.
template <class OneLine>
[[gnu::always_inline]] inline void fetch_and_run(int64_t lines, const Ahead& ahead, const OneLine& one_line) {
  const char* next = ahead.from;
  const int64_t step = ahead.step;
  if (ahead.into_second)
    for (int64_t l = 0; l < lines; ++l, next += step) {
      __builtin_prefetch(next, 0, 1);
      one_line();
    }
  else
    for (int64_t l = 0; l < lines; ++l, next += step) {
      __builtin_prefetch(next, 0, 3);
      one_line();
    }
}

/// The columns from j on, a part of a panel, in a copy of c.
template <class Kernel, int R>
void edge(const typename Kernel::Product& p, int64_t i, int64_t j, const Ahead& ahead) {
  float c[R * panel_columns] = {}, bias[panel_columns] = {};
  typename Kernel::Product whole = Kernel::from(p, i, j);
  float* const to = whole.c;
  const int64_t count = p.n - j;
  for (int64_t x = 0; x < count; ++x) {
    if (p.bias) bias[x] = p.bias[j + x];
    for (int r = 0; r < R && Kernel::adds(p); ++r) c[r * panel_columns + x] = to[r * p.ldc + x];
  }
  whole.c = c;
  whole.ldc = panel_columns;
  if (p.bias) whole.bias = bias;
  Kernel::template tile<R, 1>(whole, 0, 0, ahead);
  for (int r = 0; r < R; ++r)
    for (int64_t x = 0; x < count; ++x) to[r * p.ldc + x] = c[r * panel_columns + x];
}

/// R rows from i on, columns [j, end), P panels at a time, then half as many.
template <class Kernel, int R, int P>
void tiles(const typename Kernel::Product& p, int64_t i, int64_t j, int64_t end, const Ahead& ahead) {
  for (; end - j >= P * panel_columns; j += P * panel_columns) Kernel::template tile<R, P>(p, i, j, ahead);
  if constexpr (P > 1)
    tiles<Kernel, R, P / 2>(p, i, j, end, ahead);
  else if (j < end)
    edge<Kernel, R>(p, i, j, ahead);
}

/// Panels at a time for R rows: few rows need many sums at once, or each waits for the one before.
template <class Kernel>
constexpr int panels_for(int rows) {
  int panels = 1;
  while (2 * panels <= Kernel::most_panels && 2 * panels * rows * panel_vectors <= Kernel::most_sums) panels *= 2;
  return panels;
}

/// A function for every height of a tile.
template <class Kernel>
struct TileTable {
  void (*of_rows[Kernel::most_rows + 1])(const typename Kernel::Product&, int64_t i, int64_t j, int64_t end,
                                         const Ahead&);
};
template <class Kernel, int R>
constexpr void fill(TileTable<Kernel>& table) {
  table.of_rows[R] = tiles<Kernel, R, panels_for<Kernel>(R)>;
  if constexpr (R > 1) fill<Kernel, R - 1>(table);
}
template <class Kernel>
constexpr TileTable<Kernel> make_table() {
  TileTable<Kernel> table{};
  fill<Kernel, Kernel::most_rows>(table);
  return table;
}

template <class T>
const char* bytes(const T* p) {
  return reinterpret_cast<const char*>(p);
}

/// What the first of `count` tiles above each other fetches, which share the columns before `begin`: its part of the
/// panels of columns [begin, end). Nothing where each would have to fetch faster than it reads.
template <class Kernel>
Ahead next_panels(const typename Kernel::Product& p, int64_t count, int64_t begin, int64_t end) {
  const int64_t panels = (end - begin + panel_columns - 1) / panel_columns;
  const int64_t step = (panels * line_bytes + count - 1) / count;
  if (panels == 0 || step > line_bytes) return {bytes(Kernel::panel(p, 0)), 0, false};
  return {bytes(Kernel::panel(p, begin)), step, count <= 2};
}

/// The rows from i on, as many as a tile has. Nothing where they lie far apart.
template <class Kernel>
Ahead next_rows(const typename Kernel::Product& p, int64_t i) {
  const char* const next = bytes(Kernel::row(p, i));
  const int64_t size = bytes(Kernel::row(p, i + Kernel::most_rows)) - next, lines = Kernel::lines(p);
  return {next, size <= lines * line_bytes && lines > 0 ? size / lines : 0, false};
}

/// The whole product.
template <class Kernel>
void multiply_in_tiles(const typename Kernel::Product& p) {
  static constexpr TileTable<Kernel> table = make_table<Kernel>();
  if (p.m <= 0 || p.n <= 0) return;
  // Tiles of equal heights, one apart at most. A few panels stay in the caches while the rows go by.
  constexpr int64_t most = Kernel::most_rows;
  const int64_t count = (p.m + most - 1) / most, rows = p.m / count, taller = p.m % count;
  const bool are_far = Kernel::are_far(p);
  // Two tiles wait for memory, not for their sums: a panel at a time then, and the next one comes meanwhile.
  const int64_t panels = are_far && count == 2 ? 1 : panels_for<Kernel>(int(rows));
  const int64_t step = panels * panel_columns;
  for (int64_t j = 0; j < p.n; j += step) {
    const int64_t end = p.n - j < step ? p.n : j + step;
    Ahead ahead = next_panels<Kernel>(p, count, end, p.n - end < step ? p.n : end + step);
    for (int64_t t = 0, i = 0; t < count; ++t) {
      const int64_t height = rows + (t < taller);
      table.of_rows[height](p, i, j, end, are_far ? ahead : next_rows<Kernel>(p, i + height));
      i += height;
      ahead.from += ahead.step * Kernel::lines(p);
    }
  }
}

}  // namespace
}  // namespace bough::BOUGH_LEVEL
