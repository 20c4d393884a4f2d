#include "data/dictionary.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/io.h"
#include "core/base/settings.h"
#include "core/base/special_ids.h"
#include "core/base/yaml.h"

namespace bough {
namespace {

/// Larger ids can only be a mistake, and would cost memory for each: a token takes more than a byte of the file. Files
/// that were thinned out may have some, up to a number that costs little.
int64_t most_ids(std::string_view text) { return std::max(int64_t(text.size()), int64_t{1} << 20); }

void append_utf8(std::string& text, uint32_t c) {
  const auto put = [&](uint32_t byte) { text += char(byte); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xC0 | (c >> 6));
  } else {
    if (c < 0x10000) {
      put(0xE0 | (c >> 12));
    } else {
      put(0xF0 | (c >> 18));
      put(0x80 | ((c >> 12) & 0x3F));
    }
    put(0x80 | ((c >> 6) & 0x3F));
  }
  put(0x80 | (c & 0x3F));
}

/// Reads one line `key: id`, the part of YAML that dictionaries of Marian, Nematus and PyYAML use.
class Entry {
 public:
  Entry(std::string_view line, const std::string& path, int64_t number) : rest_(line), path_(path), number_(number) {
    if (take('"'))
      double_quoted();
    else if (take('\''))
      single_quoted();
    else
      plain();
    read_id();
  }
  std::string token;
  int64_t id = 0;

 private:
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  char next() {
    if (rest_.empty()) fail_here();
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  [[noreturn]] void fail_here() const {
    fail("vocabulary '{}': line {} must be 'token: id'. Correct it.", path_, number_);
  }

  void plain() {
    // The id holds no colon, so the last one ends the token, whatever the token is.
    const size_t colon = rest_.rfind(": ");
    if (colon == std::string_view::npos) fail_here();
    token = rest_.substr(0, colon);
    rest_.remove_prefix(colon);
    while (!token.empty() && token.back() == ' ') token.pop_back();
  }
  void single_quoted() {
    for (char c = next();; c = next()) {
      if (c == '\'' && !take('\'')) return;
      token += c;
    }
  }
  void double_quoted() {
    for (char c = next(); c != '"'; c = next()) {
      if (c == '\\')
        escape();
      else
        token += c;
    }
  }
  void escape() {
    constexpr std::string_view letters = "0abtnvfre_NLP", width_letters = "xuU";
    constexpr uint32_t meanings[] = {0, 7, 8, 9, 10, 11, 12, 13, 27, 0xA0, 0x85, 0x2028, 0x2029};
    const char c = next();
    if (const size_t at = letters.find(c); at != std::string_view::npos)
      append_utf8(token, meanings[at]);
    else if (const size_t width = width_letters.find(c); width != std::string_view::npos)
      append_utf8(token, code_point(size_t{2} << width));
    else
      token += c;
  }
  uint32_t hex(size_t digits) {
    uint32_t c = 0;
    if (rest_.size() < digits) fail_here();
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + digits, c, 16);
    if (error != std::errc() || end != rest_.data() + digits || c > 0x10FFFF) fail_here();
    rest_.remove_prefix(digits);
    return c;
  }
  uint32_t code_point(size_t digits) {
    const uint32_t c = hex(digits);
    // JSON writes characters above U+FFFF as two escapes.
    if (digits != 4 || c < 0xD800 || c >= 0xDC00 || rest_.substr(0, 2) != "\\u") return c;
    rest_.remove_prefix(2);
    return 0x10000 + ((c - 0xD800) << 10) + ((hex(4) - 0xDC00) & 0x3FF);
  }
  void read_id() {
    while (take(' ')) continue;
    if (!take(':')) fail_here();
    while (take(' ')) continue;
    while (!rest_.empty() && (rest_.back() == ' ' || rest_.back() == '\r')) rest_.remove_suffix(1);
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), id);
    if (error != std::errc() || end != rest_.data() + rest_.size()) fail_here();
  }

  std::string_view rest_;
  const std::string& path_;
  int64_t number_;
};

/// Tokens by id, as they are found.
struct TokensById {
  std::vector<std::string> tokens;
  int64_t most_ids;
  const std::string& path;

  void insert(const std::string& token, int64_t id) {
    check(id >= 0 && id < most_ids, "vocabulary '{}': '{}' has id {}, must be from 0 to {}. Correct it.", path, token,
          id, most_ids - 1);
    const auto at = size_t(id);
    if (at >= tokens.size()) tokens.resize(at + 1);
    check(tokens[at].empty(), "vocabulary '{}': '{}' and '{}' both have id {}. Correct one.", path, tokens[at], token,
          id);
    tokens[at] = token;
  }
};

void read_json(std::string_view text, const std::string& path, TokensById& found) {
  using Event = nlohmann::json::parse_event_t;
  std::string token;
  // As they come: of two entries of one token an object would keep the last alone.
  const auto take = [&](int depth, Event event, const nlohmann::json& parsed) {
    if (depth != 1 || event == Event::object_end || event == Event::array_end) return true;
    if (event == Event::key) {
      token = parsed.get<std::string>();
      return true;
    }
    check(event == Event::value && parsed.is_number_integer(),
          "vocabulary '{}': the id of '{}' must be a whole number. Correct it.", path, token);
    found.insert(token, parsed.get<int64_t>());
    return false;
  };
  const auto root = nlohmann::json::parse(text, take, false);
  check(root.is_object(), "vocabulary '{}': must be one JSON object of token: id. Correct it.", path);
}

std::string_view without_byte_order_mark(std::string_view text) {
  constexpr std::string_view mark = "\xEF\xBB\xBF";
  return text.starts_with(mark) ? text.substr(mark.size()) : text;
}

/// Writers that follow YAML 1.1 indent after its line breaks beyond ASCII (NEL, U+2028, U+2029), which are characters
/// as others to the parser: the indentation is no part of the token.
std::string without_indentation(std::string_view text) {
  std::string kept;
  while (!text.empty()) {
    const size_t length = text.starts_with("\xC2\x85")                                           ? 2
                          : text.starts_with("\xE2\x80\xA8") || text.starts_with("\xE2\x80\xA9") ? 3
                                                                                                 : 0;
    kept += text.substr(0, std::max<size_t>(length, 1));
    text.remove_prefix(std::max<size_t>(length, 1));
    if (length > 0) text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  }
  return kept;
}

/// `? token` and, some lines further down, `: id`: what YAML writers do with long tokens and with those that hold line
/// breaks. Returns how many bytes that took.
size_t read_explicit_key(std::string_view text, const std::string& path, int64_t number, TokensById& found) {
  const size_t colon = text.find("\n:");
  check(colon != std::string_view::npos, "vocabulary '{}': line {} has a key without ': id' below. Correct it.", path,
        number);
  const size_t end = std::min(text.find('\n', colon + 1), text.size() - 1) + 1;
  const std::string source = fmt::format("vocabulary '{}' from line {}:", path, number);
  const Yaml map = parse_yaml(without_indentation(text.substr(0, end)), source);
  int64_t id = -1;
  check(map.entries.size() == 1 && map.entries[0].second.is_scalar() && parse_value(map.entries[0].second.text, id),
        "vocabulary '{}': line {} must begin '? token' and ': id'. Correct it.", path, number);
  found.insert(map.entries[0].first, id);
  return end;
}

bool holds_no_entry(std::string_view line) {
  const size_t first = line.find_first_not_of(" \t\r");
  return first == std::string_view::npos || line[first] == '#' || line == "---" || line == "...";
}

}  // namespace

std::vector<std::string> read_dictionary(const std::string& path) {
  const std::string content = read_whole_file(path);
  const std::string_view text = without_byte_order_mark(content);
  const size_t first = text.find_first_not_of(" \t\r\n");
  check(first != std::string::npos, "vocabulary '{}': is empty. Remove it to make a new one.", path);
  TokensById found{{}, most_ids(text), path};
  if (text[first] == '{') {
    read_json(text, path, found);
    return found.tokens;
  }
  int64_t number = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++number;
    if (holds_no_entry(line)) continue;
    if (line.starts_with("? ")) {
      const auto begin = size_t(line.data() - text.data());
      const size_t used = read_explicit_key(text.substr(begin), path, number, found);
      rest = text.substr(begin + used);
      number += std::ranges::count(text.substr(begin, used), '\n') - 1;
      continue;
    }
    const Entry entry(line, path, number);
    found.insert(entry.token, entry.id);
  }
  return found.tokens;
}

std::vector<std::string> read_token_list(const std::string& path) {
  std::vector<std::string> tokens;
  LineReader reader(path);
  for (std::string line; reader.next(line);) {
    if (reader.line_number() == 1) line = without_byte_order_mark(line);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    check(!line.empty(), "vocabulary '{}': line {} is empty, must be one token. Remove it.", path,
          reader.line_number());
    tokens.push_back(line);
  }
  check(!tokens.empty(), "vocabulary '{}': is empty. Remove it to make a new one.", path);
  return tokens;
}

void count_tokens(std::string_view line, TokenCounts& counts) {
  for_each_token(line, [&](std::string_view token) { ++counts[std::string(token)]; });
}

std::vector<std::string> tokens_by_frequency(const TokenCounts& counts, int64_t max_size) {
  std::vector<std::pair<int64_t, std::string>> ranked;
  for (const auto& [token, count] : counts)
    if (token != end_token && token != unknown_token) ranked.emplace_back(-count, token);
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::string> tokens = {std::string(end_token), std::string(unknown_token)};
  for (auto& [count, token] : ranked) {
    if (max_size > 0 && int64_t(tokens.size()) >= max_size) break;
    tokens.push_back(std::move(token));
  }
  return tokens;
}

/// Of control characters and line breaks beyond ASCII, raw ones are no YAML to some readers and a space to others.
static bool needs_escapes(std::string_view token) {
  for (size_t i = 0; i + 1 < token.size(); ++i) {
    if (token[i] == '\xC2' && static_cast<unsigned char>(token[i + 1]) < 0xA0) return true;
    const std::string_view three = token.substr(i, 3);
    if (three == "\u2028" || three == "\u2029" || three == "\uFEFF" || three == "\uFFFE" || three == "\uFFFF")
      return true;
  }
  return token.find('\x7F') != std::string_view::npos;
}

std::string format_dictionary(const std::vector<std::string>& tokens) {
  constexpr size_t most_key_bytes = 1000;
  std::string text;
  for (size_t id = 0; id < tokens.size(); ++id) {
    // Quoted as JSON, which is YAML too: no token can be mistaken for a number, a comment or a
    // list.
    const std::string token = id < 2 ? tokens[id] : nlohmann::json(tokens[id]).dump(-1, ' ', needs_escapes(tokens[id]));
    // YAML's readers, Marian's among them, look for the colon of a key on the line of its beginning, and within 1024
    // characters alone.
    text += token.size() < most_key_bytes ? fmt::format("{}: {}\n", token, id) : fmt::format("? {}\n: {}\n", token, id);
  }
  return text;
}

}  // namespace bough
