#pragma once
#include <string>
#include <utility>
#include <vector>

#include "core/base/settings.h"

namespace bough {

/// An option, as manual pages and shells have it.
struct OptionEntry {
  std::string group;
  std::vector<std::string> spellings;  ///< "-b", "--beam-size"
  std::string value;                   ///< stands for its value: "N ..."; "" = it takes none
  std::string meaning;
  std::vector<std::string> choices;  ///< the words that its value may be; none = other values
  bool is_path = false;
};

/// A program. Pairs are of a word and what it means.
struct ProgramEntry {
  std::string name;
  std::string purpose;              ///< completes "NAME - "
  std::vector<std::string> usages;  ///< what may follow the name
  std::string description;          ///< paragraphs, with empty lines between them
  std::vector<OptionEntry> options;
  std::vector<std::pair<std::string, std::string>> exit_codes, files;
};

/// The rows of a settings table.
std::vector<OptionEntry> option_entries(const Settings& rows);

/// A page of section 1 for `man`. others: names of the programs that it points to.
std::string format_man_page(const ProgramEntry& program, const std::vector<std::string>& others);

/// What bash and fish load to complete the options of a program, words that are values, and names of files.
std::string format_bash_completion(const ProgramEntry& program);
std::string format_fish_completion(const ProgramEntry& program);

}  // namespace bough
