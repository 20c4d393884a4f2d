#pragma once
#include "core/cpu/panels.h"
#include "core/cpu/vectors.h"

// How a product by panels is cut into tiles that fill the registers. A Kernel is
//   Product                     with m, n, c, ldc, bias (see PanelProduct)
//   most_rows, most_sums, most_panels   the largest tile: rows, sums in registers, panels
//   tile<R, P>(product, i, j)   R rows and P whole panels from element (i, j) of c on
//   from(product, i, j)         the product that begins there
//   adds(product)               whether c is added to

namespace bough::BOUGH_LEVEL {
namespace {

constexpr int panel_vectors = int(panel_columns) / lanes;

/// The columns from j on, a part of a panel, in a copy of c.
template <class Kernel, int R>
void edge(const typename Kernel::Product& p, int64_t i, int64_t j) {
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
  Kernel::template tile<R, 1>(whole, 0, 0);
  for (int r = 0; r < R; ++r)
    for (int64_t x = 0; x < count; ++x) to[r * p.ldc + x] = c[r * panel_columns + x];
}

/// R rows from i on, columns [j, end), P panels at a time, then half as many.
template <class Kernel, int R, int P>
void tiles(const typename Kernel::Product& p, int64_t i, int64_t j, int64_t end) {
  for (; end - j >= P * panel_columns; j += P * panel_columns) Kernel::template tile<R, P>(p, i, j);
  if constexpr (P > 1)
    tiles<Kernel, R, P / 2>(p, i, j, end);
  else if (j < end)
    edge<Kernel, R>(p, i, j);
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
  void (*of_rows[Kernel::most_rows + 1])(const typename Kernel::Product&, int64_t i, int64_t j, int64_t end);
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

/// The whole product.
template <class Kernel>
void multiply_in_tiles(const typename Kernel::Product& p) {
  static constexpr TileTable<Kernel> table = make_table<Kernel>();
  if (p.m <= 0 || p.n <= 0) return;
  // Tiles of equal heights, one apart at most. A few panels stay in the caches while the rows go by.
  constexpr int64_t most = Kernel::most_rows;
  const int64_t count = (p.m + most - 1) / most, rows = p.m / count, taller = p.m % count;
  const int64_t step = panels_for<Kernel>(int(rows)) * panel_columns;
  for (int64_t j = 0; j < p.n; j += count == 1 ? p.n : step) {
    const int64_t end = count == 1 || p.n - j < step ? p.n : j + step;
    for (int64_t t = 0, i = 0; t < count; ++t) {
      const int64_t height = rows + (t < taller);
      table.of_rows[height](p, i, j, end);
      i += height;
    }
  }
}

}  // namespace
}  // namespace bough::BOUGH_LEVEL
