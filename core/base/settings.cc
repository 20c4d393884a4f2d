#include "core/base/settings.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <sstream>

namespace bough {
namespace {

template <class T>
bool parse_number(std::string_view text, T& value) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  T parsed{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, parsed);
  if (error != std::errc() || stop != end) return false;
  value = parsed;
  return true;
}

/// YAML 1.1 has each word in three spellings: true, True, TRUE. Any other is "".
std::string spelled_in_lower_case(std::string_view text) {
  std::string lower, upper;
  for (const unsigned char c : text) {
    lower += char(std::tolower(c));
    upper += char(std::toupper(c));
  }
  if (text == lower || text == upper || text == upper.substr(0, 1) + lower.substr(lower.empty() ? 0 : 1)) return lower;
  return "";
}

std::vector<std::string> words_of(const std::vector<std::string>& items) {
  std::vector<std::string> words;
  for (const std::string& item : items) {
    std::istringstream in(item);
    for (std::string word; in >> word;) words.push_back(word);
  }
  return words;
}

bool says_the_same(const std::string& a, const std::string& b) {
  bool flag_a = false, flag_b = false;
  double number_a = 0, number_b = 0;
  if (parse_value(a, number_a) && parse_value(b, number_b)) return number_a == number_b;
  if (parse_value(a, flag_a) && parse_value(b, flag_b)) return flag_a == flag_b;
  return a == b;
}

}  // namespace

bool parse_value(std::string_view text, bool& value) {
  const std::string word = spelled_in_lower_case(text);
  for (const char* name : {"true", "yes", "y", "on", "1"})
    if (word == name) return value = true;
  for (const char* name : {"false", "no", "n", "off", "0"})
    if (word == name) return !(value = false);
  return false;
}
bool parse_value(std::string_view text, int& value) { return parse_number(text, value); }
bool parse_value(std::string_view text, int64_t& value) { return parse_number(text, value); }
bool parse_value(std::string_view text, uint64_t& value) { return parse_number(text, value); }
bool parse_value(std::string_view text, double& value) { return parse_number(text, value); }
bool parse_value(std::string_view text, std::string& value) {
  value = text;
  return true;
}

bool says(const std::vector<std::string>& items, std::string_view resting) {
  const std::vector<std::string> given = words_of(items), rest = words_of({std::string(resting)});
  if (rest.empty() && given.size() == 1) return spelled_in_lower_case(given[0]) == "false";
  return std::equal(given.begin(), given.end(), rest.begin(), rest.end(), says_the_same);
}

std::string format_value(bool value) { return value ? "true" : "false"; }
std::string format_value(int value) { return fmt::format("{}", value); }
std::string format_value(int64_t value) { return fmt::format("{}", value); }
std::string format_value(uint64_t value) { return fmt::format("{}", value); }
std::string format_value(double value) {
  const std::string text = fmt::format("{}", value);
  return text.ends_with(".0") ? text.substr(0, text.size() - 2) : text;
}
std::string format_value(const std::string& value) { return value; }

const char* type_phrase(const bool&) { return "true or false"; }
const char* type_phrase(const int&) { return "a whole number"; }
const char* type_phrase(const int64_t&) { return "a whole number"; }
const char* type_phrase(const uint64_t&) { return "a whole number"; }
const char* type_phrase(const double&) { return "a number"; }
const char* type_phrase(const std::string&) { return "text"; }
const char* type_phrase(const SchedulePeriod&) { return "a period such as 4000u or 2Gt"; }
const char* type_phrase(const StopCriteria&) { return "periods such as 10e,300Ku,20Gt"; }

const Setting* Settings::find(std::string_view name) const {
  for (const Setting& row : rows_)
    if (row.name == name) return &row;
  return nullptr;
}

const Setting* Settings::find_short(std::string_view short_name) const {
  for (const Setting& row : rows_)
    if (!short_name.empty() && row.short_name == short_name) return &row;
  return nullptr;
}

const Setting* Settings::find_word_list() const {
  for (const Setting& row : rows_)
    if (row.takes_words) return &row;
  return nullptr;
}

std::string Settings::units_phrase(const std::string& letters) {
  if (letters == "ut") return "in u or t";
  if (letters == "u") return "in u";
  return "";
}

std::string Settings::upper_limit(const Setting& row, const std::string& text, uint64_t most) {
  double number = 0;
  const bool is_open = row.limits.empty() || row.limits.starts_with("at least");
  return is_open && parse_value(text, number) && number >= double(most) ? fmt::format(", at most {}", most) : "";
}

void Settings::operator()(std::string& value, Key key, const char* help, Words words) {
  Setting& row = start_choice(key, help, words.allowed);
  row.set = [&value, words, row](const GivenValue& given) {
    require_scalar(row.name, given);
    value.clear();
    if (says(given.items, "")) return;
    value = parse_item<std::string>(row, given.items[0], given.where, [&](const std::string& v) {
      return std::find(words.allowed.begin(), words.allowed.end(), v) != words.allowed.end();
    });
  };
  row.get = [&value] { return Yaml(value); };
}

void Settings::accepted_list(Key key, const std::string& why) {
  Setting& row = start(key, ("accepted: " + why).c_str(), "any values", "TEXT", "");
  row.is_alias = true;
  row.is_list = true;
  row.set = [](const GivenValue&) {};
  row.get = [] { return Yaml(); };
}

void Settings::refused_list(Key key, const std::string& why) {
  accepted_list(key, why);
  mark_refused(why);
}

void Settings::mark_refused(const std::string& why) {
  rows_.back().refusal = why;
  rows_.back().help = "not available: " + why;
}

void Settings::remark(std::string text, std::string resting, Remark::Kind kind) {
  const auto applies = [resting](const std::vector<std::string>& items) { return !says(items, resting); };
  rows_.back().remarks.push_back({kind, std::move(text), applies});
}

void Settings::warn_of(std::string item, std::string text) {
  const auto applies = [item](const std::vector<std::string>& items) {
    return std::find(items.begin(), items.end(), item) != items.end();
  };
  rows_.back().remarks.push_back({Remark::warning, std::move(text), applies});
}

void Settings::require_scalar(const std::string& name, const GivenValue& given) {
  check(!given.is_list && given.items.size() == 1, "{}: {} is a list of {}, must be one value", given.where, name,
        given.items.size());
}

Setting& Settings::start(const Key& key, const char* help, std::string type, const char* word, std::string limits) {
  Setting row;
  row.name = key.name;
  row.short_name = key.short_name;
  row.has_bare = key.bare != nullptr;
  if (key.bare) row.bare = key.bare;
  row.help = help;
  row.group = group_;
  row.type = std::move(type);
  row.word = word;
  row.limits = std::move(limits);
  rows_.push_back(std::move(row));
  return rows_.back();
}

Setting& Settings::start_choice(const Key& key, const char* help, std::vector<std::string> choices) {
  const std::string type = fmt::format("one of: {}", fmt::join(choices, ", "));
  Setting& row = start(key, help, type, "NAME", type);
  row.choices = std::move(choices);
  return row;
}

void Settings::alias(Key key, const char* help, bool is_list, std::vector<std::string> choices) {
  Setting& row = choices.empty() ? start(key, help, type_phrase(bool{}), "", "") : start_choice(key, help, choices);
  row.is_alias = true;
  row.is_list = is_list;
  row.is_flag = choices.empty();
  row.set = [row, choices](const GivenValue& given) {
    if (!row.is_list) require_scalar(row.name, given);
    for (const auto& item : given.items) {
      bool flag = false;
      const bool known =
          choices.empty() ? parse_value(item, flag) : std::find(choices.begin(), choices.end(), item) != choices.end();
      check(known, "{}: {} is '{}', must be {}", given.where, row.name, item, row.type);
    }
  };
  row.get = [] { return Yaml(); };
}

}  // namespace bough
