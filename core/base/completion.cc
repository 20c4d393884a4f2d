// What shells load to complete a command line of ours.
#include <set>

#include "core/base/manual.h"

namespace bough {
namespace {

/// Options of both modes of a program are written once, the first one counts.
std::vector<OptionEntry> without_repetitions(const std::vector<OptionEntry>& options) {
  std::set<std::string> seen;
  std::vector<OptionEntry> out;
  for (OptionEntry option : options) {
    std::erase_if(option.spellings, [&](const std::string& spelling) { return !seen.insert(spelling).second; });
    if (!option.spellings.empty()) out.push_back(option);
  }
  return out;
}

std::string identifier(std::string name) {
  for (char& c : name)
    if (c == '-') c = '_';
  return "_" + name;
}

/// In single quotes of fish.
std::string quote(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return out + "'";
}

}  // namespace

std::string format_bash_completion(const ProgramEntry& program) {
  std::string words, arms, others;
  for (const OptionEntry& option : without_repetitions(program.options)) {
    for (const std::string& spelling : option.spellings)
      if (spelling.starts_with("--")) words += (words.empty() ? "" : " ") + spelling;
    const std::string pattern = fmt::format("{}", fmt::join(option.spellings, " | "));
    if (!option.choices.empty())
      arms += fmt::format("    {})\n      mapfile -t COMPREPLY < <(compgen -W \"{}\" -- \"$word\") ;;\n", pattern,
                          fmt::join(option.choices, " "));
    else if (!option.value.empty() && !option.is_path)
      others += (others.empty() ? "" : " | ") + pattern;
  }
  if (!others.empty()) arms += "    " + others + ")\n      compopt +o default ;;\n";
  const std::string function = identifier(program.name);
  return fmt::format(R"(# bash completion of {0}, made from its tables of options
{1}() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} option="" i
  COMPREPLY=()
  if [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "{2}" -- "$word")
    return
  fi
  [[ $word != "=" ]] || word=""
  for ((i = COMP_CWORD - 1; i > 0; --i)); do
    [[ ${{COMP_WORDS[i]}} != -* ]] || {{ option=${{COMP_WORDS[i]}}; break; }}
  done
  case $option in
{3}  esac
}}
complete -o bashdefault -o default -F {1} {0}
)",
                     program.name, function, words, arms);
}

std::string format_fish_completion(const ProgramEntry& program) {
  std::string out = fmt::format("# fish completion of {}, made from its tables of options\n", program.name);
  for (const OptionEntry& option : without_repetitions(program.options)) {
    out += "complete -c " + program.name;
    for (const std::string& spelling : option.spellings)
      out += spelling.starts_with("--") ? " -l " + spelling.substr(2)
             : spelling.size() == 2     ? " -s " + spelling.substr(1)
                                        : " -o " + spelling.substr(1);
    if (!option.choices.empty())
      out += fmt::format(" -x -a {}", quote(fmt::format("{}", fmt::join(option.choices, " "))));
    else if (!option.value.empty())
      out += option.is_path ? " -r -F" : " -x";
    out += " -d " + quote(option.meaning) + "\n";
  }
  return out;
}

}  // namespace bough
