// --help, manual pages, docs/options.md and the dumped configuration: loops over the rows.
#include <algorithm>

#include "core/base/manual.h"
#include "core/base/settings_reader.h"

namespace bough {
namespace {

constexpr size_t page_width = 100, help_column = 34;

std::string one_line(const Yaml& value) {
  if (!value.is_list()) return value.text;
  std::string text;
  for (const Yaml& item : value.items) text += (text.empty() ? "" : " ") + item.text;
  return text;
}

std::string placeholder(const Setting& row) {
  const std::string word = row.word + (row.is_list ? " ..." : "");
  return row.has_bare ? "[" + word + "]" : word;
}

/// "in [0, 1); default 0; bare 1e-4": what the meaning leaves open.
std::string fine_print(const Setting& row) {
  std::string text = row.limits;
  auto append = [&text](const std::string& part) { text += (text.empty() ? "" : "; ") + part; };
  if (row.is_alias || row.is_transient) return text;
  const std::string value = one_line(row.get());
  if (!row.is_flag) append("default " + (value.empty() ? "none" : value));
  if (row.is_flag && value == "true") append("default true");
  if (row.has_bare && !row.bare.empty()) append("bare " + row.bare);
  return text;
}

/// Appends words of text, breaking lines at page_width and indenting what follows.
void wrap(std::string& out, const std::string& text, size_t column, size_t indent) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const size_t length = end - at;
    if (column > indent && column + 1 + length > page_width) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out.append(text, at, length);
    column += length;
    at = end + 1;
  }
  out += '\n';
}

std::string escape_cell(const std::string& text) {
  std::string out;
  for (char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

/// Group headings in order of first appearance: structs may return to a group.
std::vector<std::string> groups_of(const Settings& rows) {
  std::vector<std::string> groups;
  for (const Setting& row : rows.rows())
    if (std::find(groups.begin(), groups.end(), row.group) == groups.end()) groups.push_back(row.group);
  return groups;
}

}  // namespace

std::vector<OptionEntry> option_entries(const Settings& rows) {
  std::vector<OptionEntry> entries;
  for (const std::string& group : groups_of(rows))
    for (const Setting& row : rows.rows()) {
      if (row.group != group) continue;
      const std::string print = fine_print(row);
      OptionEntry entry{.group = group,
                        .spellings = {(row.is_nameless ? "" : "--") + row.name},
                        .value = placeholder(row),
                        .meaning = row.help + (print.empty() ? "" : " (" + print + ")"),
                        .choices = row.choices,
                        .is_path = row.is_path};
      if (!row.short_name.empty()) entry.spellings.insert(entry.spellings.begin(), "-" + row.short_name);
      entries.push_back(std::move(entry));
    }
  return entries;
}

std::string format_help(const Settings& rows) {
  std::string out, group;
  for (const OptionEntry& entry : option_entries(rows)) {
    if (entry.group != group) out += (out.empty() ? "" : "\n") + (group = entry.group) + ":\n";
    std::string head =
        fmt::format("{}{}", entry.spellings.size() == 1 ? "      " : "  ", fmt::join(entry.spellings, ", "));
    if (!entry.value.empty()) head += " " + entry.value;
    out += head;
    if (head.size() + 2 > help_column)
      out += "\n" + std::string(help_column, ' ');
    else
      out += std::string(help_column - head.size(), ' ');
    wrap(out, entry.meaning, help_column, help_column);
  }
  return out;
}

std::string format_markdown(const Settings& rows) {
  std::string out;
  for (const std::string& group : groups_of(rows)) {
    out += fmt::format("\n### {}\n\n| option | value | default | meaning |\n|---|---|---|---|\n", group);
    for (const Setting& row : rows.rows()) {
      if (row.group != group) continue;
      const std::string short_name = row.short_name.empty() ? "" : fmt::format(", `-{}`", row.short_name);
      const std::string value = row.is_alias || row.is_transient ? "" : one_line(row.get());
      std::string type = row.is_flag ? "true or false" : row.type;
      if (row.is_list) type = "list: " + type;
      if (row.has_bare && !row.bare.empty()) type += fmt::format("; bare: {}", row.bare);
      out += fmt::format("| `{}`{} | {} | {} | {} |\n", row.name, short_name, escape_cell(type),
                         value.empty() ? "" : "`" + value + "`", escape_cell(row.help));
    }
  }
  return out;
}

Yaml dump_settings(const Settings& rows) {
  Yaml out = Yaml::map();
  for (const Setting& row : rows.rows())
    if (!row.is_alias && !row.is_transient) out.set(row.name, row.get());
  return out;
}

}  // namespace bough
