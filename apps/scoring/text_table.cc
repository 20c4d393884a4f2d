#include "apps/scoring/text_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace bough {
namespace {

std::vector<std::string> lines_of(const std::string& cell) {
  std::vector<std::string> lines;
  size_t begin = 0;
  for (size_t end; (end = cell.find('\n', begin)) != cell.npos; begin = end + 1)
    lines.push_back(cell.substr(begin, end - begin));
  lines.push_back(cell.substr(begin));
  return lines;
}

std::vector<size_t> column_widths(const TextTable& table) {
  constexpr size_t header_margin = 2;
  std::vector<size_t> widths;
  for (const std::string& title : table.header) widths.push_back(display_width(title) + header_margin);
  for (const auto& row : table.rows)
    for (size_t i = 0; i < row.size(); ++i)
      for (const std::string& line : lines_of(row[i])) widths[i] = std::max(widths[i], display_width(line));
  return widths;
}

std::string align_right(const std::string& text, size_t width) {
  const size_t used = display_width(text);
  return std::string(width > used ? width - used : 0, ' ') + text;
}

/// `text` between blanks, `width` code points wide; an odd blank goes to the right.
std::string center(const std::string& text, size_t width) {
  const size_t used = display_width(text), blanks = width > used ? width - used : 0;
  return std::string(blanks / 2, ' ') + text + std::string(blanks - blanks / 2, ' ');
}

std::string align(const std::string& text, size_t column, size_t width) {
  return column == 0 ? align_right(text, width) : center(text, width);
}

/// The row's lines, each with its cells aligned and joined between `left`, `middle` and `right`.
std::string draw_row(const std::vector<std::string>& row, const std::vector<size_t>& widths) {
  std::vector<std::vector<std::string>> cells;
  size_t height = 1;
  for (const std::string& cell : row) {
    cells.push_back(lines_of(cell));
    height = std::max(height, cells.back().size());
  }
  std::string text;
  for (size_t line = 0; line < height; ++line) {
    for (size_t i = 0; i < cells.size(); ++i)
      text += fmt::format("│ {} ", align(line < cells[i].size() ? cells[i][line] : "", i, widths[i]));
    text += "│\n";
  }
  return text;
}

std::string draw_rule(const std::vector<size_t>& widths, const char* left, const char* fill, const char* middle,
                      const char* right) {
  std::string text = left;
  for (size_t i = 0; i < widths.size(); ++i) {
    if (i > 0) text += middle;
    for (size_t k = 0; k < widths[i] + 2; ++k) text += fill;
  }
  return text + right + "\n";
}

std::string escape_latex(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
      case '%':
      case '$':
      case '#':
      case '_':
      case '{':
      case '}':
        escaped += '\\';
        escaped += c;
        break;
      case '^':
        escaped += "\\^{}";
        break;
      case '~':
        escaped += "\\textasciitilde{}";
        break;
      case '\\':
        escaped += "\\textbackslash{}";
        break;
      case '<':
        escaped += "\\ensuremath{<}";
        break;
      case '>':
        escaped += "\\ensuremath{>}";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

}  // namespace

size_t display_width(const std::string& text) {
  return size_t(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string draw_box(const TextTable& table) {
  const auto widths = column_widths(table);
  std::string text = draw_rule(widths, "╒", "═", "╤", "╕") + draw_row(table.header, widths);
  for (size_t i = 0; i < table.rows.size(); ++i) {
    text += i == 0 ? draw_rule(widths, "╞", "═", "╪", "╡") : draw_rule(widths, "├", "─", "┼", "┤");
    text += draw_row(table.rows[i], widths);
  }
  return text + draw_rule(widths, "╘", "═", "╧", "╛");
}

std::string to_latex(const TextTable& table) {
  const auto widths = column_widths(table);
  const auto row_text = [&](const std::vector<std::string>& row) {
    std::string text;
    for (size_t i = 0; i < row.size(); ++i)
      text += fmt::format("{} {} ", i == 0 ? "" : "&", escape_latex(align(row[i], i, widths[i])));
    return text + "\\\\\n";
  };
  std::string text = fmt::format("\\begin{{tabular}}{{r{}}}\n\\toprule\n", std::string(table.header.size() - 1, 'c'));
  text += row_text(table.header) + "\\midrule\n";
  for (const auto& row : table.rows) text += row_text(row);
  return text + "\\bottomrule\n\\end{tabular}\n";
}

}  // namespace bough
