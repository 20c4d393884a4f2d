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

/// `text` between blanks, `width` code points wide; an odd blank goes to the right.
std::string center(const std::string& text, size_t width);
std::string align_right(const std::string& text, size_t width);
size_t display_width(const std::string& text);

}  // namespace bough
