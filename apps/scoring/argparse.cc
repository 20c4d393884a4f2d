#include "apps/scoring/argparse.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <regex>

namespace bough {
namespace {

/// An argument that names an option.
struct Match {
  std::string spelling;              ///< "--width", "-w"
  const Setting* row = nullptr;      ///< null: no such option
  std::optional<std::string> value;  ///< written into the argument
  bool has_separator = false;        ///< '=' before the value
};

bool is_negative_number(const std::string& argument) {
  static const std::regex number(R"(-\d+|-\d*\.\d+)");
  return std::regex_match(argument, number);
}

/// Python's int() and float() do so.
std::string without_space_around(const std::string& text) {
  const char* const space = " \t\n\v\f\r";
  const size_t begin = text.find_first_not_of(space);
  return begin == text.npos ? "" : text.substr(begin, text.find_last_not_of(space) + 1 - begin);
}

class ArgparseReader {
 public:
  ArgparseReader(const Settings& rows, std::span<const std::string> arguments, SettingsReader& reader)
      : rows_(rows), arguments_(arguments), reader_(reader) {
    options_end_ = size_t(std::ranges::find(arguments_, "--") - arguments_.begin());
  }

  void read() {
    while (at_ < arguments_.size() && !is_done_) {
      if (const auto option = option_at(at_)) {
        ++at_;
        read_option(*option);
      } else {
        read_words();
      }
    }
  }

 private:
  const Setting* find(const std::string& spelling) const {
    const bool is_long = spelling.starts_with("--");
    const Setting* row = is_long ? rows_.find(spelling.substr(2)) : rows_.find_short(spelling.substr(1));
    return row && !row->is_nameless ? row : nullptr;
  }

  /// Nothing where a value or a word stands.
  std::optional<Match> option_at(size_t at) const {
    if (at >= options_end_) return std::nullopt;
    const std::string& argument = arguments_[at];
    if (argument.size() < 2 || argument[0] != '-') return std::nullopt;
    if (const Setting* row = find(argument)) return Match{argument, row};
    if (const size_t equals = argument.find('='); equals != argument.npos)
      if (const Setting* row = find(argument.substr(0, equals)))
        return Match{argument.substr(0, equals), row, argument.substr(equals + 1), true};
    const std::vector<Match> found = abbreviated_by(argument);
    std::vector<std::string> names;
    for (const Match& match : found) names.push_back(match.spelling);
    check(found.size() <= 1, "{}: '{}' could be {}, must be one of them", command_line, argument,
          fmt::join(names, " or "));
    if (found.size() == 1) return found[0];
    if (is_negative_number(argument) || argument.find(' ') != argument.npos) return std::nullopt;
    return Match{argument};
  }

  /// The options whose spelling begins as the argument does, and ("-w2") the one-letter option with its value.
  std::vector<Match> abbreviated_by(const std::string& argument) const {
    const bool is_long = argument.starts_with("--");
    const size_t equals = is_long ? argument.find('=') : argument.npos;
    const std::string begin = argument.substr(0, equals);
    std::optional<std::string> value;
    if (equals != argument.npos) value = argument.substr(equals + 1);
    std::vector<Match> found;
    for (const Setting& row : rows_.rows()) {
      const std::string spelling = is_long ? "--" + row.name : "-" + row.short_name;
      if (row.is_nameless || (!is_long && row.short_name.empty())) continue;
      if (!is_long && spelling == argument.substr(0, 2))
        found.push_back({spelling, &row, argument.substr(2)});
      else if (spelling.starts_with(begin))
        found.push_back({spelling, &row, value, value.has_value()});
    }
    return found;
  }

  void read_option(const Match& option) {
    if (!option.row) return complain_of(option.spelling);
    const Setting& row = *option.row;
    if (row.is_flag) return read_flag(option);
    std::vector<std::string> values;
    if (option.value) values.push_back(*option.value);
    const size_t limit = row.is_list ? SIZE_MAX : 1;
    while (!option.value && values.size() < limit && at_ < options_end_ && !option_at(at_))
      values.push_back(arguments_[at_++]);
    check(!values.empty() || row.has_bare, "{}: {} has no value, must have {}", command_line, row.name, row.type);
    if (row.is_number) std::ranges::transform(values, values.begin(), without_space_around);
    reader_.give(row, std::move(values));
  }

  void read_flag(const Match& option) {
    if (!option.value) {
      reader_.give(*option.row, {"true"});
      is_done_ = option.row->is_command_line;
      return;
    }
    const bool may_go_on = !option.spelling.starts_with("--") && !option.has_separator && !option.value->empty();
    const std::string next = may_go_on ? "-" + option.value->substr(0, 1) : "";
    const Setting* row = may_go_on ? find(next) : nullptr;
    check(row, "{}: {} has the value '{}', must stand alone", command_line, option.row->name, *option.value);
    read_flag({option.spelling, option.row});
    const std::string rest = option.value->substr(1);
    if (!is_done_) read_option({next, row, rest.empty() ? std::nullopt : std::optional(rest)});
  }

  void complain_of(const std::string& spelling) {
    const std::string name = spelling.substr(spelling.starts_with("--") ? 2 : 1);
    has_unknown_ = true;
    reader_.complain(reader_.unknown(name.substr(0, name.find('=')), command_line));
  }

  void read_words() {
    std::vector<std::string> words;
    for (; at_ < arguments_.size() && !option_at(at_); ++at_)
      if (at_ != options_end_) words.push_back(arguments_[at_]);
    const Setting* list = rows_.find_word_list();
    if (words.empty()) return;
    if (has_unknown_) return;  // they are meant for that option
    if (reader_.find(list->name))
      reader_.complain(fmt::format("{}: '{}' stands apart from the other {}, must stand with them", command_line,
                                   words[0], list->name));
    else
      reader_.give(*list, std::move(words));
  }

  const Settings& rows_;
  std::span<const std::string> arguments_;
  SettingsReader& reader_;
  size_t at_ = 0, options_end_ = 0;
  bool is_done_ = false, has_unknown_ = false;
};

}  // namespace

void read_as_argparse(const Settings& rows, std::span<const std::string> arguments, SettingsReader& reader) {
  ArgparseReader(rows, arguments, reader).read();
}

}  // namespace bough
