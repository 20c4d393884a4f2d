#pragma once
#include <string>
#include <vector>

namespace bough {

/// A table: the first column is set to the right, the others are centered. Cells may have several
/// lines, separated by '\n'. Widths are counted in code points.
struct TextTable {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};

/// With lines drawn around the cells.
std::string draw_box(const TextTable& table);

/// As a LaTeX tabular with booktabs rules; one line a cell.
std::string to_latex(const TextTable& table);

/// Code points in UTF-8.
size_t display_width(const std::string& text);

}  // namespace bough
