#pragma once
#include "core/cpu/panels.h"
#include "core/cpu/vectors.h"

// How a product by panels is cut into tiles that fill the registers. A Kernel is
//   Product                     with m, n, c, ldc, bias (see PanelProduct)
//   most_rows, most_sums, most_panels   the largest tile: rows, sums in registers, panels
//   tile<R, P>(product)         the first R rows and P whole panels
//   columns_from(product, first), rows_from(product, first)
//   adds(product)               whether c is added to

namespace bough::BOUGH_LEVEL {
namespace {

constexpr int panel_vectors = int(panel_columns) / lanes;

/// A part of a panel, in a copy of c.
template <class Kernel, int R>
void edge(const typename Kernel::Product& p) {
  float c[R * panel_columns] = {}, bias[panel_columns] = {};
  typename Kernel::Product whole = p;
  whole.c = c;
  whole.ldc = panel_columns;
  if (p.bias) whole.bias = bias;
  for (int64_t j = 0; j < p.n; ++j) {
    if (p.bias) bias[j] = p.bias[j];
    for (int r = 0; r < R && Kernel::adds(p); ++r) c[r * panel_columns + j] = p.c[r * p.ldc + j];
  }
  Kernel::template tile<R, 1>(whole);
  for (int r = 0; r < R; ++r)
    for (int64_t j = 0; j < p.n; ++j) p.c[r * p.ldc + j] = c[r * panel_columns + j];
}

/// R rows, P panels at a time, then half as many.
template <class Kernel, int R, int P>
void tiles(typename Kernel::Product p) {
  for (; p.n >= P * panel_columns; p = Kernel::columns_from(p, P * panel_columns)) Kernel::template tile<R, P>(p);
  if constexpr (P > 1)
    tiles<Kernel, R, P / 2>(p);
  else if (p.n > 0)
    edge<Kernel, R>(p);
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
  void (*of_rows[Kernel::most_rows + 1])(typename Kernel::Product);
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
    typename Kernel::Product part = Kernel::columns_from(p, j);
    if (count > 1 && part.n > step) part.n = step;
    for (int64_t t = 0; t < count; ++t) {
      part.m = rows + (t < taller);
      table.of_rows[part.m](part);
      part = Kernel::rows_from(part, part.m);
    }
  }
}

}  // namespace
}  // namespace bough::BOUGH_LEVEL
