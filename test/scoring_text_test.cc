// Unicode properties and tokenizers against Python's and sacreBLEU's: test/scoring_cases.
#include <map>
#include <set>
#include <sstream>

#include "core/base/error.h"
#include "core/base/unicode.h"
#include "data/metrics/tokenizers.h"
#include "test/catch.h"
#include "test/scoring_files.h"

using namespace scoring;

namespace {

constexpr char32_t last_code_point = 0x10FFFF;

template <class Line>
void for_each_line(const fs::path& path, Line line) {
  LineReader reader(path.string());
  for (std::string text; reader.next(text);) line(text);
}

std::set<char32_t> read_ranges(const std::string& name) {
  std::set<char32_t> members;
  for_each_line(cases() / "unicode" / name, [&](const std::string& line) {
    const size_t dash = line.find('-');
    const auto first = std::stoul(line.substr(0, dash), nullptr, 16);
    const auto last = std::stoul(line.substr(dash + 1), nullptr, 16);
    for (auto c = first; c <= last; ++c) members.insert(char32_t(c));
  });
  return members;
}

bool is_surrogate(char32_t c) { return c >= 0xD800 && c <= 0xDFFF; }

template <class Property>
void check_property(const std::string& name, Property property) {
  const std::set<char32_t> members = read_ranges(name);
  size_t different = 0;
  for (char32_t c = 0; c <= last_code_point; ++c)
    if (!is_surrogate(c) && property(c) != (members.count(c) == 1)) {
      ++different;
      UNSCOPED_INFO(name << ": U+" << std::hex << uint32_t(c));
    }
  CHECK(different == 0);
}

std::vector<std::string> encoded(const WordSplitter::Words& words) {
  std::vector<std::string> texts;
  for (const auto word : words) texts.push_back(unicode::encode_utf8(word));
  return texts;
}

}  // namespace

TEST_CASE("categories are Unicode 15.0's, white space is Python's", "[scoring]") {
  check_property("P.ranges", unicode::is_punctuation);
  check_property("S.ranges", unicode::is_symbol);
  check_property("N.ranges", unicode::is_number);
  check_property("space.ranges", unicode::is_space);
}

TEST_CASE("lower case of each code point is Python's", "[scoring]") {
  std::map<char32_t, std::u32string> expected;
  for_each_line(cases() / "unicode" / "lower.map", [&](const std::string& line) {
    std::istringstream in(line);
    std::vector<char32_t> points;
    for (std::string hex; in >> hex;) points.push_back(char32_t(std::stoul(hex, nullptr, 16)));
    expected[points[0]] = {points.begin() + 1, points.end()};
  });
  CHECK(expected.size() > 1000);
  size_t different = 0;
  for (char32_t c = 0; c <= last_code_point; ++c) {
    if (is_surrogate(c)) continue;
    std::u32string text(1, c);
    unicode::lower(text);
    const auto found = expected.find(c);
    const std::u32string wanted = found == expected.end() ? std::u32string(1, c) : found->second;
    if (text == wanted) continue;
    ++different;
    UNSCOPED_INFO("U+" << std::hex << uint32_t(c));
  }
  CHECK(different == 0);
}

TEST_CASE("lower, rstrip and split of lines are Python's", "[scoring]") {
  for_each_line(cases() / "tokenizers" / "lower_split.jsonl", [&](const std::string& line) {
    const json vector = json::parse(line);
    std::u32string text = unicode::decode_utf8(vector["input"].get<std::string>());
    INFO(line);
    CHECK(unicode::encode_utf8(unicode::rstrip(text)) == vector["rstrip"].get<std::string>());
    WordSplitter::Words words;
    unicode::split(text, words);
    CHECK(encoded(words) == vector["split"].get<std::vector<std::string>>());
    unicode::lower(text);
    CHECK(unicode::encode_utf8(text) == vector["lower"].get<std::string>());
  });
}

TEST_CASE("tokenizers split as sacreBLEU's", "[scoring]") {
  const std::map<std::string, TercomTokenization> tercom = {
      {"tercom", {}},
      {"tercom-norm", {.normalized = true}},
      {"tercom-nopunct", {.no_punctuation = true}},
      {"tercom-norm-asian", {.normalized = true, .asian_support = true}},
      {"tercom-nopunct-asian", {.no_punctuation = true, .asian_support = true}},
      {"tercom-all-cs", {true, true, true, true}},
  };
  WordSplitter splitter;
  int vectors = 0;
  for_each_line(cases() / "tokenizers" / "vectors.jsonl", [&](const std::string& line) {
    const json vector = json::parse(line);
    const std::string name = vector["tok"], input = vector["input"];
    const auto& words = tercom.count(name) == 1 ? splitter.split(tercom.at(name), input)
                                                : splitter.split(*tokenizer_named(name), input);
    INFO(line);
    CHECK(encoded(words) == vector["split"].get<std::vector<std::string>>());
    ++vectors;
  });
  CHECK(vectors == 3000);
}

TEST_CASE("UTF-8 is checked as Python checks it", "[scoring]") {
  const auto bad = [](std::string_view text) { return unicode::find_invalid_utf8(text); };
  CHECK(!bad("plain, \xc3\xa9, \xe2\x82\xac, \xf0\x9f\x98\x80, \xf4\x8f\xbf\xbf"));
  CHECK(bad("ab\xff") == 2u);
  CHECK(bad("a\xc3") == 1u);
  CHECK(bad("\xc0\x80") == 0u);
  CHECK(bad("\xe0\x80\x80") == 0u);
  CHECK(bad("\xed\xa0\x80") == 0u);
  CHECK(bad("\xf4\x90\x80\x80") == 0u);
  CHECK(bad("x\xe2\x82") == 1u);
  CHECK(unicode::decode_utf8("a\xff\xc3\xa9\xe2\x82") == U"a\uFFFD\u00E9\uFFFD\uFFFD");
  const std::u32string all = U"a\u00E9\u20AC\U0001F600";
  CHECK(unicode::decode_utf8(unicode::encode_utf8(all)) == all);
}

TEST_CASE("other encodings", "[scoring]") {
  CHECK(unicode::to_utf8("caf\xe9", "latin-1") == "caf\xc3\xa9");
  CHECK(!unicode::to_utf8("caf\xe9", "ascii"));
  CHECK_THROWS_AS(unicode::to_utf8("x", "no-such-encoding"), Error);
  CHECK_THROWS_AS(unicode::to_utf8("x", "utf-16"), Error);
}
