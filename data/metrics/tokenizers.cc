#include "data/metrics/tokenizers.h"

#include <array>
#include <span>
#include <utility>

#include "core/base/unicode.h"

namespace bough {
namespace {

using unicode::is_ascii_digit;

constexpr std::array<std::pair<Tokenizer, std::string_view>, 5> names = {{
    {Tokenizer::none, "none"},
    {Tokenizer::v13a, "13a"},
    {Tokenizer::intl, "intl"},
    {Tokenizer::zh, "zh"},
    {Tokenizer::character, "char"},
}};

struct Range {
  char32_t first, last;
};

bool within(std::span<const Range> ranges, char32_t c) {
  for (const Range& range : ranges)
    if (c >= range.first && c <= range.last) return true;
  return false;
}

// mteval's Chinese character blocks. The last two are sacreBLEU's reading of five-digit bounds as
// four digits and a letter; they split typographic quotes, dashes, arrows and much else.
constexpr Range chinese[] = {
    {0x3400, 0x4DB5}, {0x4E00, 0x9FBB}, {0xF900, 0xFA2D}, {0xFA30, 0xFA6A}, {0xFA70, 0xFAD9},
    {0xFF00, 0xFFEF}, {0x2E80, 0x2EFF}, {0x3000, 0x303F}, {0x31C0, 0x31EF}, {0x2F00, 0x2FDF},
    {0x2FF0, 0x2FFF}, {0x3100, 0x312F}, {0x31A0, 0x31BF}, {0xFE10, 0xFE1F}, {0xFE30, 0xFE4F},
    {0x2600, 0x27BF}, {0x3200, 0x33FF}, {0x2001, 0x2A6D}, {0x2F81, 0x2FA1},
};
// Tercom's Asian characters (3F22 is its typing error for 32FF) and punctuation.
constexpr Range asian_characters[] = {
    {0x4E00, 0x9FFF}, {0x3400, 0x4DBF}, {0x31C0, 0x31EF}, {0x2E80, 0x2EFF},
    {0x3300, 0x33FF}, {0xF900, 0xFAFF}, {0xFE30, 0xFE4F}, {0x3200, 0x3F22},
};
constexpr Range asian_punctuation[] = {
    {0x3001, 0x3002}, {0x3008, 0x3011}, {0x3014, 0x301F}, {0xFF61, 0xFF65}, {0x30FB, 0x30FB}, {0xFF0E, 0xFF0E},
    {0xFF0C, 0xFF0C}, {0xFF1F, 0xFF1F}, {0xFF1A, 0xFF1B}, {0xFF01, 0xFF02}, {0xFF08, 0xFF09},
};
constexpr std::u32string_view western_punctuation = U".,?:;!\"()";

bool is_period_or_comma(char32_t c) { return c == U'.' || c == U','; }

void append_surrounded(std::u32string& out, char32_t c) {
  out += U' ';
  out += c;
  out += U' ';
}

/// Writes "X p " for each X p with left(X) and right(p), and steps over both.
template <class Left, class Right>
auto space_around_second(Left left, Right right) {
  return [=](std::u32string_view in, std::u32string& out) {
    for (size_t i = 0; i < in.size(); ++i) {
      out += in[i];
      if (i + 1 == in.size() || !left(in[i]) || !right(in[i + 1])) continue;
      append_surrounded(out, in[++i]);
    }
  };
}

/// Writes " p Y" for each p Y with left(p) and right(Y), and steps over both.
template <class Left, class Right>
auto space_around_first(Left left, Right right) {
  return [=](std::u32string_view in, std::u32string& out) {
    for (size_t i = 0; i < in.size(); ++i) {
      if (i + 1 == in.size() || !left(in[i]) || !right(in[i + 1])) {
        out += in[i];
        continue;
      }
      append_surrounded(out, in[i]);
      out += in[++i];
    }
  };
}

template <class Predicate>
auto surround(Predicate predicate) {
  return [=](std::u32string_view in, std::u32string& out) {
    for (const char32_t c : in) {
      if (predicate(c)) {
        append_surrounded(out, c);
      } else {
        out += c;
      }
    }
  };
}

/// Writes `to` for each `from`.
auto replace(std::u32string_view from, std::u32string_view to) {
  return [=](std::u32string_view in, std::u32string& out) {
    size_t done = 0;
    for (size_t at = 0; (at = in.find(from, done)) != in.npos; done = at + from.size()) {
      out += in.substr(done, at - done);
      out += to;
    }
    out += in.substr(done);
  };
}

template <class Predicate>
auto drop(Predicate predicate) {
  return [=](std::u32string_view in, std::u32string& out) {
    for (const char32_t c : in)
      if (!predicate(c)) out += c;
  };
}

}  // namespace

std::string_view to_string(Tokenizer tokenizer) {
  for (const auto& [value, name] : names)
    if (value == tokenizer) return name;
  return "";
}

std::optional<Tokenizer> tokenizer_named(std::string_view name) {
  for (const auto& [value, known] : names)
    if (known == name) return value;
  return std::nullopt;
}

template <class Rewrite>
void WordSplitter::pass(Rewrite rewrite) {
  scratch_.clear();
  rewrite(std::u32string_view(text_), scratch_);
  text_.swap(scratch_);
}

void WordSplitter::surround_ascii_punctuation() {
  // The blank is in the range too (mteval writes " -&"); it only becomes wider.
  pass(surround([](char32_t c) {
    return c == U' ' || (unicode::is_ascii_punctuation(c) && c != U'\'' && c != U',' && c != U'-' && c != U'.');
  }));
}

void WordSplitter::split_periods_and_commas() {
  const auto not_digit = [](char32_t c) { return !is_ascii_digit(c); };
  pass(space_around_second(not_digit, is_period_or_comma));
  pass(space_around_first(is_period_or_comma, not_digit));
  pass(space_around_second(is_ascii_digit, [](char32_t c) { return c == U'-'; }));
}

void WordSplitter::replace_entities() {
  if (text_.find(U'&') == text_.npos) return;
  // In this order, so "&amp;lt;" becomes "<" and "&amp;quot;" stays "&quot;".
  pass(replace(U"&quot;", U"\""));
  pass(replace(U"&amp;", U"&"));
  pass(replace(U"&lt;", U"<"));
  pass(replace(U"&gt;", U">"));
}

void WordSplitter::tokenize_13a() {
  if (text_.find(U'<') != text_.npos) pass(replace(U"<skipped>", U""));
  if (text_.find(U'\n') != text_.npos) {
    pass(replace(U"-\n", U""));
    pass(replace(U"\n", U" "));
  }
  replace_entities();
  text_.insert(text_.begin(), U' ');
  text_ += U' ';
  surround_ascii_punctuation();
  split_periods_and_commas();
}

void WordSplitter::tokenize_intl() {
  const auto not_number = [](char32_t c) { return !unicode::is_number(c); };
  pass(space_around_second(not_number, unicode::is_punctuation));
  pass(space_around_first(unicode::is_punctuation, not_number));
  pass(surround(unicode::is_symbol));
}

void WordSplitter::tokenize_zh() {
  text_ = std::u32string(unicode::strip(text_));
  pass(surround([](char32_t c) { return within(chinese, c); }));
  surround_ascii_punctuation();
  split_periods_and_commas();
}

void WordSplitter::tokenize_char() {
  pass(surround([](char32_t) { return true; }));
}

void WordSplitter::normalize_tercom() {
  pass(replace(U"\n-", U""));
  pass(replace(U"\n", U" "));
  replace_entities();
  text_.insert(text_.begin(), U' ');
  text_ += U' ';
  surround_ascii_punctuation();
  pass(replace(U"'s ", U" 's "));
  split_periods_and_commas();
}

const WordSplitter::Words& WordSplitter::split(Tokenizer tokenizer, std::string_view line, bool lowercase) {
  unicode::decode_utf8(line, text_);
  if (lowercase) unicode::lower(text_);
  text_.resize(unicode::rstrip(text_).size());
  switch (tokenizer) {
    case Tokenizer::none:
      break;
    case Tokenizer::v13a:
      tokenize_13a();
      break;
    case Tokenizer::intl:
      tokenize_intl();
      break;
    case Tokenizer::zh:
      tokenize_zh();
      break;
    case Tokenizer::character:
      tokenize_char();
      break;
  }
  unicode::split(text_, words_);
  return words_;
}

const WordSplitter::Words& WordSplitter::split(const TercomTokenization& options, std::string_view line) {
  unicode::decode_utf8(line, text_);
  text_.resize(unicode::rstrip(text_).size());
  if (!options.case_sensitive) unicode::lower(text_);
  tokenize_tercom(options);
  return words_;
}

const WordSplitter::Words& WordSplitter::split_again(const TercomTokenization& options) {
  if (!options.normalized) return words_;  // the other steps change nothing the second time
  std::u32string joined;
  for (const auto word : words_) {
    joined += word;
    joined += U' ';
  }
  text_.assign(unicode::rstrip(joined));
  tokenize_tercom(options);
  return words_;
}

void WordSplitter::tokenize_tercom(const TercomTokenization& options) {
  if (options.normalized && !text_.empty()) {
    normalize_tercom();
    if (options.asian_support)
      pass(surround([](char32_t c) { return within(asian_characters, c) || within(asian_punctuation, c); }));
  }
  if (options.no_punctuation)
    pass(drop([asian = options.asian_support](char32_t c) {
      return western_punctuation.find(c) != western_punctuation.npos || (asian && within(asian_punctuation, c));
    }));
  unicode::split(text_, words_);
}

}  // namespace bough
