// A manual page of section 1, in the macros of man(7).
#include <algorithm>

#include "core/base/manual.h"
#include "core/base/version.h"

namespace bough {
namespace {

/// Text as it stands, for roff, which takes these characters for typography, and a dot or quote that begins a line for
/// a request.
std::string escape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool begins_line = i == 0 || text[i - 1] == '\n';
    if (begins_line && text[i] == '.') out += "\\&";
    switch (text[i]) {
      case '\\':
        out += "\\e";
        break;
      case '-':
        out += "\\-";
        break;
      case '\'':
        out += "\\(aq";
        break;
      case '`':
        out += "\\(ga";
        break;
      case '^':
        out += "\\(ha";
        break;
      case '~':
        out += "\\(ti";
        break;
      default:
        out += text[i];
    }
  }
  return out;
}

std::string bold(const std::string& text) { return "\\fB" + escape(text) + "\\fR"; }
std::string italic(const std::string& text) { return "\\fI" + escape(text) + "\\fR"; }

std::string head_of(const OptionEntry& option) {
  std::string out;
  for (const std::string& spelling : option.spellings) out += (out.empty() ? "" : ", ") + bold(spelling);
  return option.value.empty() ? out : out + " " + italic(option.value);
}

std::string definitions(const char* title, const std::vector<std::pair<std::string, std::string>>& pairs) {
  if (pairs.empty()) return "";
  std::string out = fmt::format(".SH {}\n", title);
  for (const auto& [word, meaning] : pairs) out += fmt::format(".TP\n{}\n{}\n", bold(word), escape(meaning));
  return out;
}

std::string paragraphs(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find("\n\n", at), text.size());
    out += (out.empty() ? "" : ".PP\n") + escape(text.substr(at, end - at)) + "\n";
    at = end + 2;
  }
  return out;
}

}  // namespace

std::string format_man_page(const ProgramEntry& program, const std::vector<std::string>& others) {
  std::string title = program.name;
  std::transform(title.begin(), title.end(), title.begin(), [](char c) { return c >= 'a' && c <= 'z' ? c - 32 : c; });
  std::string out = fmt::format(".TH {} 1 \"\" \"bough {}\" \"bough\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n",
                                escape(title), version(), escape(program.name), escape(program.purpose));
  for (const std::string& usage : program.usages)
    out += fmt::format("{}{} {}\n", &usage == program.usages.data() ? "" : ".br\n", bold(program.name), escape(usage));
  out += ".SH DESCRIPTION\n" + paragraphs(program.description) + ".SH OPTIONS\n";
  std::string group;
  for (const OptionEntry& option : program.options) {
    if (option.group != group) out += fmt::format(".SS {}\n", escape(group = option.group));
    out += fmt::format(".TP\n{}\n{}\n", head_of(option), escape(option.meaning));
  }
  out += definitions("EXIT STATUS", program.exit_codes) + definitions("FILES", program.files) + ".SH SEE ALSO\n";
  std::string comma;
  for (const std::string& other : others) {
    if (other == program.name) continue;
    out += comma + bold(other) + "(1)";
    comma = ",\n";
  }
  return out + "\n";
}

}  // namespace bough
