#include "apps/inference/nbest_list.h"

#include <charconv>
#include <string_view>
#include <vector>

#include "core/base/error.h"

namespace bough {
namespace {

constexpr std::string_view separator = "|||";

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  for (size_t at = 0; (at = line.find(separator)) != std::string_view::npos;) {
    fields.push_back(line.substr(0, at));
    line.remove_prefix(at + separator.size());
  }
  fields.push_back(line);
  return fields;
}

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

/// The field of "NAME= value ...": behind the text, and behind the alignment where there is one.
size_t features_at(const std::vector<std::string_view>& fields) {
  for (size_t i = 2; i < fields.size(); ++i) {
    const std::string_view name = trim(fields[i]).substr(0, trim(fields[i]).find(' '));
    if (name.ends_with('=') && name != "WordScores=") return i;
  }
  return 2;
}

}  // namespace

NBestLine parse_nbest_line(const std::string& line, const std::string& path, int64_t line_number) {
  const auto fields = fields_of(line);
  check(fields.size() >= 3,
        "'{}' line {}: {} fields, must be at least 3: number ||| text ||| features. Is this an n-best list?", path,
        line_number, fields.size());
  const std::string_view number = trim(fields[0]);
  NBestLine parsed;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), parsed.number);
  check(error == std::errc() && end == number.data() + number.size() && parsed.number >= 0,
        "'{}' line {}: begins with '{}', must begin with the number of a sentence. Is this an n-best list?", path,
        line_number, number);
  parsed.text = trim(fields[1]);
  return parsed;
}

std::string with_feature(const std::string& line, const std::string& feature, double score,
                         const std::string& alignment) {
  const auto fields = fields_of(line);
  const size_t features = features_at(fields);
  std::string result;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) result += separator;
    if (i == features && !alignment.empty()) result += fmt::format(" {} {}", alignment, separator);
    result += fields[i];
    if (i != features) continue;
    if (!result.ends_with(' ')) result += ' ';
    result += fmt::format("{}= {:.6g} ", feature, score);
  }
  return result;
}

}  // namespace bough
