#include "experiments/quickstart/corpus.h"

#include <map>
#include <random>
#include <span>
#include <unordered_set>

#include "core/base/error.h"
#include "experiments/quickstart/numbers.h"
#include "experiments/quickstart/words.h"

namespace bough::example {
namespace {

/// Random choices that are the same with every standard library (its distributions are not).
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  int between(int low, int high) {  // both included
    return low + int(engine_() % std::uint64_t(high - low + 1));
  }
  bool chance(int percent) { return between(1, 100) <= percent; }
  template <class T>
  const T& one_of(std::span<const T> rows) {
    return rows[std::size_t(between(0, int(rows.size()) - 1))];
  }

 private:
  std::mt19937_64 engine_;
};

/// A filled slot: the English words and the German ones in each case, with_to and with_in being the
/// words for "to" and "in" joined with the article.
struct Phrase {
  std::string english, nominative, accusative, dative, with_to = {}, with_in = {};
  const std::string& german(char form) const {
    switch (form) {
      case 'n':
        return nominative;
      case 'a':
        return accusative;
      case 'd':
        return dative;
      case 'z':
        return with_to;
      default:
        return with_in;
    }
  }
};

Phrase same_in_all_cases(std::string english, const std::string& german) {
  return {std::move(english), german, german, german, german};
}

/// Mostly small: what a speaker says most. Never one, and never ...01, which German counts in more
/// than one way before a noun.
int some_number(Dice& dice) {
  const int size = dice.between(1, 100);
  const int n = size <= 65 ? dice.between(2, 99) : size <= 88 ? dice.between(100, 999) : dice.between(1000, 9999);
  return n % 100 == 1 && n > 100 ? n + 1 : n;
}

int some_large_number(Dice& dice, int highest) {
  const int size = dice.between(1, 100);
  if (size <= 40) return dice.between(2, 99) * 1000;
  if (size <= 60) return dice.between(1, highest / 100000) * 100000;
  const int n = size <= 80 ? dice.between(1000, 99999) : dice.between(100000, 999999);
  return n % 100 == 1 ? n + 1 : n;
}

Phrase article_phrase(const NounRow& noun) {
  struct Articles {
    const char *nominative, *accusative, *dative, *with_to, *with_in;
  };
  static constexpr Articles masculine = {"der ", "den ", "dem ", "zum ", "im "},
                            feminine = {"die ", "die ", "der ", "zur ", "in der "},
                            neuter = {"das ", "das ", "dem ", "zum ", "im "};
  const Articles& article = noun.gender == Gender::masculine  ? masculine
                            : noun.gender == Gender::feminine ? feminine
                                                              : neuter;
  const std::string german = noun.german;
  return {std::string("the ") + noun.english, article.nominative + german,
          article.accusative + german,        article.dative + german,
          article.with_to + german,           article.with_in + german};
}

Phrase count_phrase(int n, const UnitRow& unit) {
  const std::string german = n == 1 ? unit.german : unit.german_plural;
  const std::string dative = n == 1 ? unit.german : unit.german_dative_plural;
  const auto counted = [&](Case c) { return german_count(n, unit.gender, c) + " "; };
  return {english_cardinal(n) + " " + (n == 1 ? unit.english : unit.english_plural), counted(Case::nominative) + german,
          counted(Case::accusative) + german, counted(Case::dative) + dative};
}

Phrase joined(const Phrase& a, const std::string& english, const std::string& german, const Phrase& b) {
  return {a.english + english + b.english, a.nominative + german + b.nominative, a.accusative + german + b.accusative,
          a.dative + german + b.dative};
}

Phrase price(Dice& dice) {
  const int whole = dice.chance(6) ? 1 : some_number(dice);
  if (dice.chance(30)) return count_phrase(whole, dice.one_of(currencies));
  const Phrase euros = count_phrase(whole, euro);
  if (whole >= 1000 || dice.chance(40)) return euros;
  return joined(euros, " and ", " und ", count_phrase(dice.between(1, 99), cent));
}

Phrase date(Dice& dice, bool has_year) {
  const MonthRow& month = dice.one_of(months);
  const int day = dice.between(1, month.days);
  const std::string ordinal = english_ordinal(day);
  Phrase phrase;
  phrase.english = dice.chance(70) ? "the " + ordinal + " of " + month.english : month.english + (" the " + ordinal);
  phrase.nominative = german_ordinal(day, Case::nominative) + " " + month.german;
  phrase.dative = german_ordinal(day, Case::dative) + " " + month.german;
  phrase.accusative = phrase.dative;
  if (!has_year) return phrase;
  const int year = dice.chance(85) ? dice.between(1900, 2039) : dice.between(1500, 1899);
  return joined(phrase, ", ", " ", same_in_all_cases(english_year(year), german_year(year)));
}

Phrase time_of_day(Dice& dice) {
  const int hour = dice.between(1, 12);
  const bool is_spoken = dice.chance(75);
  const int minute = is_spoken ? 5 * dice.between(0, 11) : dice.between(1, 59);
  std::string english = english_time(hour, minute, is_spoken);
  std::string german = german_time(hour, minute, is_spoken);
  if (dice.chance(20)) {
    const bool is_morning = hour >= 6 && hour <= 10 && dice.chance(50);
    const WordRow part = is_morning   ? WordRow{" in the morning", " morgens"}
                         : hour <= 5  ? WordRow{" in the afternoon", " nachmittags"}
                         : hour <= 10 ? WordRow{" in the evening", " abends"}
                                      : WordRow{"", ""};
    english += part.english;
    german += part.german;
  }
  return same_in_all_cases(english, german);
}

Phrase duration(Dice& dice) {
  if (dice.chance(10)) {
    static const Phrase special[] = {
        {"half an hour", "eine halbe Stunde", "eine halbe Stunde", "einer halben Stunde"},
        {"a quarter of an hour", "eine Viertelstunde", "eine Viertelstunde", "einer Viertelstunde"},
        {"an hour and a half", "anderthalb Stunden", "anderthalb Stunden", "anderthalb Stunden"}};
    return dice.one_of(std::span<const Phrase>(special));
  }
  const UnitRow& unit = dice.one_of(durations);
  const Phrase phrase = count_phrase(dice.chance(10) ? 1 : dice.between(2, 60), unit);
  if (&unit != &durations[hour_row] || dice.chance(60)) return phrase;
  return joined(phrase, " and ", " und ", count_phrase(dice.between(1, 59), durations[minute_row]));
}

Phrase person(Dice& dice) {
  if (dice.chance(65)) {
    const char* name = dice.one_of(first_names);
    return same_in_all_cases(name, name);
  }
  const std::string name = dice.one_of(surnames);
  if (dice.chance(50)) return same_in_all_cases("Mrs. " + name, "Frau " + name);
  return {"Mr. " + name, "Herr " + name, "Herrn " + name, "Herrn " + name};
}

Phrase rank(Dice& dice, int highest) {
  const int n = dice.chance(70) ? dice.between(1, std::min(highest, 31)) : dice.between(1, highest);
  return {english_ordinal(n), german_ordinal(n, Case::nominative), german_ordinal(n, Case::accusative),
          german_ordinal(n, Case::dative)};
}

Phrase digits(Dice& dice) {
  std::string english, german;
  for (int i = dice.between(4, 7); i > 0; --i) {
    const int digit = dice.between(0, 9);
    english += english_cardinal(digit) + (i > 1 ? " " : "");
    german += german_cardinal(digit) + (i > 1 ? " " : "");
  }
  return same_in_all_cases(english, german);
}

Phrase percent(Dice& dice) {
  if (dice.chance(50)) {
    const int tenths = dice.between(1, 299);
    return same_in_all_cases(english_decimal(tenths) + " percent", german_decimal(tenths) + " Prozent");
  }
  return count_phrase(dice.chance(5) ? 1 : dice.between(2, 100),
                      {"percent", "percent", "Prozent", "Prozent", "Prozent", Gender::neuter});
}

Phrase temperature(Dice& dice) {
  const int degrees = dice.between(2, 40);
  const bool is_minus = degrees <= 25 && dice.chance(40);
  return same_in_all_cases((is_minus ? "minus " : "") + english_cardinal(degrees) + " degrees",
                           (is_minus ? "minus " : "") + german_cardinal(degrees) + " Grad");
}

Phrase number(int n) { return same_in_all_cases(english_cardinal(n), german_cardinal(n)); }

Phrase translated(const WordRow& word) { return same_in_all_cases(word.english, word.german); }

Phrase year(Dice& dice) {
  const int n = dice.chance(80) ? dice.between(1900, 2039) : dice.between(1100, 1899);
  return same_in_all_cases(english_year(n), german_year(n));
}

using Maker = Phrase (*)(Dice&);
const std::map<std::string, Maker> makers = {
    {"age", [](Dice& d) { return number(d.between(2, 99)); }},
    {"big", [](Dice& d) { return number(some_large_number(d, 1000000)); }},
    {"city", [](Dice& d) { return translated(d.one_of(cities)); }},
    {"count", [](Dice& d) { return count_phrase(d.chance(15) ? 1 : d.between(2, 99), d.one_of(items)); }},
    {"crowd", [](Dice& d) { return number(some_large_number(d, 900000)); }},
    {"date", [](Dice& d) { return date(d, false); }},
    {"dateyear", [](Dice& d) { return date(d, true); }},
    {"delay", [](Dice& d) { return count_phrase(d.between(1, 59), durations[d.chance(80) ? minute_row : hour_row]); }},
    {"digits", digits},
    {"distance", [](Dice& d) { return count_phrase(some_number(d), d.one_of(lengths)); }},
    {"duration", duration},
    {"event", [](Dice& d) { return article_phrase(d.one_of(events)); }},
    {"floor", [](Dice& d) { return rank(d, 40); }},
    {"food", [](Dice& d) { return translated(d.one_of(foods)); }},
    {"items", [](Dice& d) { return count_phrase(some_number(d), d.one_of(items)); }},
    {"number", [](Dice& d) { return number(d.chance(10) ? d.between(0, 9) : some_number(d)); }},
    {"percent", percent},
    {"person", person},
    {"place", [](Dice& d) { return article_phrase(d.one_of(places)); }},
    {"price", price},
    {"rank", [](Dice& d) { return rank(d, 1000); }},
    {"temperature", temperature},
    {"thing", [](Dice& d) { return article_phrase(d.one_of(things)); }},
    {"time", time_of_day},
    {"weekday", [](Dice& d) { return translated(d.one_of(weekdays)); }},
    {"weight", [](Dice& d) { return count_phrase(d.chance(10) ? 1 : some_number(d), d.one_of(weights)); }},
    {"year", year},
};

/// Replaces {slot} (English) or {slot.case} (German); slots that differ in a final digit are drawn
/// separately from the same kind.
std::string fill(const std::string& text, std::map<std::string, Phrase>& slots, Dice& dice, bool is_german) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '{') {
      out += text[i];
      continue;
    }
    const auto end = text.find('}', i);
    const std::string inside = text.substr(i + 1, end - i - 1);
    const std::string slot = inside.substr(0, inside.find('.'));
    const char form = inside.size() > slot.size() ? inside.back() : 'n';
    auto found = slots.find(slot);
    if (found == slots.end()) {
      const std::string kind = slot.back() == '2' ? slot.substr(0, slot.size() - 1) : slot;
      found = slots.emplace(slot, makers.at(kind)(dice)).first;
    }
    out += is_german ? found->second.german(form) : found->second.english;
    i = end;
  }
  out[0] = out[0] >= 'a' && out[0] <= 'z' ? char(out[0] - 'a' + 'A') : out[0];
  return out;
}

}  // namespace

std::vector<SentencePair> make_corpus(std::size_t sentences, std::uint64_t seed) {
  Dice dice(seed);
  std::vector<SentencePair> corpus;
  std::unordered_set<std::string> seen;
  for (std::size_t tries = 0; corpus.size() < sentences; ++tries) {
    check(tries < 20 * sentences + 1000,
          "example corpus: {} different sentences do not exist; ask "
          "for fewer",
          sentences);
    const SentenceRow& row = dice.one_of(sentence_rows);
    std::map<std::string, Phrase> slots;
    SentencePair pair;
    pair.english = fill(row.english, slots, dice, false);
    pair.german = fill(row.german, slots, dice, true);
    if (seen.insert(pair.english).second) corpus.push_back(std::move(pair));
  }
  return corpus;
}

}  // namespace bough::example
