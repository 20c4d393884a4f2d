// The quickstart's corpus: its German numbers are German, and its parts have no sentence in common.
#include <map>
#include <set>

#include "experiments/quickstart/corpus.h"
#include "experiments/quickstart/numbers.h"
#include "test/catch.h"

using namespace bough::example;

namespace {

/// Reads a German number below a million back, by rules of its own: longest known part first.
int read_german(std::string text) {
  static const std::map<std::string, int> parts = {
      {"null", 0},      {"ein", 1},       {"eins", 1},      {"zwei", 2},      {"drei", 3},      {"vier", 4},
      {"fünf", 5},      {"sechs", 6},     {"sieben", 7},    {"acht", 8},      {"neun", 9},      {"zehn", 10},
      {"elf", 11},      {"zwölf", 12},    {"dreizehn", 13}, {"vierzehn", 14}, {"fünfzehn", 15}, {"sechzehn", 16},
      {"siebzehn", 17}, {"achtzehn", 18}, {"neunzehn", 19}, {"zwanzig", 20},  {"dreißig", 30},  {"vierzig", 40},
      {"fünfzig", 50},  {"sechzig", 60},  {"siebzig", 70},  {"achtzig", 80},  {"neunzig", 90},  {"und", 0},
      {"hundert", 100}, {"tausend", 1000}};
  int total = 0, group = 0, last = 0;
  while (!text.empty()) {
    std::string best;
    for (const auto& [word, value] : parts)
      if (text.rfind(word, 0) == 0 && word.size() > best.size()) best = word;
    if (best.empty()) return -1;
    const int value = parts.at(best);
    if (value == 100)
      group += 99 * last;
    else if (value == 1000)
      total = 1000 * group, group = 0;
    else
      group += value;
    last = value;
    text.erase(0, best.size());
  }
  return total + group;
}

}  // namespace

TEST_CASE("quickstart: German numbers", "[quickstart]") {
  const std::map<int, std::string> cardinals = {{0, "null"},
                                                {1, "eins"},
                                                {2, "zwei"},
                                                {7, "sieben"},
                                                {11, "elf"},
                                                {12, "zwölf"},
                                                {16, "sechzehn"},
                                                {17, "siebzehn"},
                                                {20, "zwanzig"},
                                                {21, "einundzwanzig"},
                                                {30, "dreißig"},
                                                {35, "fünfunddreißig"},
                                                {61, "einundsechzig"},
                                                {66, "sechsundsechzig"},
                                                {70, "siebzig"},
                                                {77, "siebenundsiebzig"},
                                                {99, "neunundneunzig"},
                                                {100, "einhundert"},
                                                {101, "einhunderteins"},
                                                {112, "einhundertzwölf"},
                                                {121, "einhunderteinundzwanzig"},
                                                {200, "zweihundert"},
                                                {316, "dreihundertsechzehn"},
                                                {999, "neunhundertneunundneunzig"},
                                                {1000, "eintausend"},
                                                {1001, "eintausendeins"},
                                                {1011, "eintausendelf"},
                                                {2017, "zweitausendsiebzehn"},
                                                {10000, "zehntausend"},
                                                {21000, "einundzwanzigtausend"},
                                                {101000, "einhunderteintausend"},
                                                {100000, "einhunderttausend"},
                                                {345678, "dreihundertfünfundvierzigtausendsechshundertachtundsiebzig"},
                                                {999999, "neunhundertneunundneunzigtausendneunhundertneunundneunzig"},
                                                {1000000, "eine Million"}};
  for (const auto& [n, german] : cardinals) CHECK(german_cardinal(n) == german);

  const std::map<int, std::string> ordinals = {{1, "erste"},
                                               {2, "zweite"},
                                               {3, "dritte"},
                                               {4, "vierte"},
                                               {7, "siebte"},
                                               {8, "achte"},
                                               {11, "elfte"},
                                               {12, "zwölfte"},
                                               {16, "sechzehnte"},
                                               {17, "siebzehnte"},
                                               {19, "neunzehnte"},
                                               {20, "zwanzigste"},
                                               {21, "einundzwanzigste"},
                                               {30, "dreißigste"},
                                               {31, "einunddreißigste"},
                                               {100, "einhundertste"},
                                               {101, "einhunderterste"},
                                               {103, "einhundertdritte"},
                                               {108, "einhundertachte"},
                                               {119, "einhundertneunzehnte"},
                                               {120, "einhundertzwanzigste"},
                                               {888, "achthundertachtundachtzigste"},
                                               {1000, "eintausendste"}};
  for (const auto& [n, german] : ordinals) {
    CHECK(german_ordinal(n, Case::nominative) == german);
    CHECK(german_ordinal(n, Case::dative) == german + "n");
  }

  const std::map<int, std::string> years = {
      {1100, "elfhundert"},          {1492, "vierzehnhundertzweiundneunzig"},   {1901, "neunzehnhunderteins"},
      {1905, "neunzehnhundertfünf"}, {1987, "neunzehnhundertsiebenundachtzig"}, {2000, "zweitausend"},
      {2001, "zweitausendeins"},     {2024, "zweitausendvierundzwanzig"}};
  for (const auto& [n, german] : years) CHECK(german_year(n) == german);

  CHECK(german_count(1, Gender::masculine, Case::nominative) == "ein");
  CHECK(german_count(1, Gender::masculine, Case::accusative) == "einen");
  CHECK(german_count(1, Gender::masculine, Case::dative) == "einem");
  CHECK(german_count(1, Gender::feminine, Case::accusative) == "eine");
  CHECK(german_count(1, Gender::feminine, Case::dative) == "einer");
  CHECK(german_count(1, Gender::neuter, Case::accusative) == "ein");
  CHECK(german_count(21, Gender::feminine, Case::dative) == "einundzwanzig");
  CHECK(german_decimal(15) == "eins Komma fünf");
}

TEST_CASE("quickstart: every German number reads back as itself", "[quickstart]") {
  int wrong = 0;
  for (int n = 0; n < 1000000; n += n < 20000 ? 1 : 37) wrong += read_german(german_cardinal(n)) != n;
  CHECK(wrong == 0);
}

TEST_CASE("quickstart: English numbers", "[quickstart]") {
  CHECK(english_cardinal(21) == "twenty-one");
  CHECK(english_cardinal(105) == "one hundred and five");
  CHECK(english_cardinal(2005) == "two thousand and five");
  CHECK(english_cardinal(345678) == "three hundred and forty-five thousand six hundred and seventy-eight");
  CHECK(english_cardinal(1000000) == "one million");
  CHECK(english_ordinal(3) == "third");
  CHECK(english_ordinal(12) == "twelfth");
  CHECK(english_ordinal(20) == "twentieth");
  CHECK(english_ordinal(22) == "twenty-second");
  CHECK(english_ordinal(100) == "one hundredth");
  CHECK(english_ordinal(305) == "three hundred and fifth");
  CHECK(english_ordinal(340) == "three hundred and fortieth");
  CHECK(english_year(1987) == "nineteen eighty-seven");
  CHECK(english_year(1905) == "nineteen oh five");
  CHECK(english_year(1900) == "nineteen hundred");
  CHECK(english_year(2005) == "two thousand and five");
  CHECK(english_year(2024) == "twenty twenty-four");
  CHECK(english_decimal(35) == "three point five");
}

TEST_CASE("quickstart: times, English and German", "[quickstart]") {
  struct Row {
    int hour, minute;
    bool is_spoken;
    const char *english, *german;
  };
  const Row rows[] = {{1, 0, true, "one o'clock", "ein Uhr"},
                      {7, 5, true, "five past seven", "fünf nach sieben"},
                      {7, 15, true, "a quarter past seven", "Viertel nach sieben"},
                      {1, 20, true, "twenty past one", "zwanzig nach eins"},
                      {7, 25, true, "twenty-five past seven", "fünf vor halb acht"},
                      {7, 30, true, "half past seven", "halb acht"},
                      {12, 30, true, "half past twelve", "halb eins"},
                      {7, 35, true, "twenty-five to eight", "fünf nach halb acht"},
                      {7, 40, true, "twenty to eight", "zwanzig vor acht"},
                      {12, 45, true, "a quarter to one", "Viertel vor eins"},
                      {7, 55, true, "five to eight", "fünf vor acht"},
                      {7, 15, false, "seven fifteen", "sieben Uhr fünfzehn"},
                      {1, 1, false, "one oh one", "ein Uhr eins"},
                      {12, 23, true, "twelve twenty-three", "zwölf Uhr dreiundzwanzig"}};
  for (const auto& row : rows) {
    CHECK(english_time(row.hour, row.minute, row.is_spoken) == row.english);
    CHECK(german_time(row.hour, row.minute, row.is_spoken) == row.german);
  }
}

TEST_CASE("quickstart: the corpus is the same every time and never repeats a sentence", "[quickstart]") {
  const auto corpus = make_corpus(20000, 1);
  const auto again = make_corpus(20000, 1);
  std::set<std::string> english;
  bool is_same = true, is_whole = true;
  for (std::size_t i = 0; i < corpus.size(); ++i) {
    english.insert(corpus[i].english);
    is_same = is_same && corpus[i].english == again[i].english && corpus[i].german == again[i].german;
    for (const auto* text : {&corpus[i].english, &corpus[i].german})
      is_whole = is_whole && text->size() > 10 && text->back() == '.' &&
                 text->find_first_of("{}") == std::string::npos && text->find("  ") == std::string::npos &&
                 (*text)[0] >= 'A' && (*text)[0] <= 'Z';
  }
  CHECK(english.size() == corpus.size());
  CHECK(is_same);
  CHECK(is_whole);
  CHECK(make_corpus(100, 2)[0].english != corpus[0].english);
}
