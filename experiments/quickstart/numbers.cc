#include "experiments/quickstart/numbers.h"

#include "core/base/error.h"

namespace bough::example {
namespace {

const char* const english_small[] = {"zero",     "one",     "two",     "three",     "four",     "five",    "six",
                                     "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",  "thirteen",
                                     "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
const char* const english_tens[] = {"",      "",      "twenty",  "thirty", "forty",
                                    "fifty", "sixty", "seventy", "eighty", "ninety"};
const char* const english_small_ordinals[] = {"",          "first",     "second",      "third",      "fourth",
                                              "fifth",     "sixth",     "seventh",     "eighth",     "ninth",
                                              "tenth",     "eleventh",  "twelfth",     "thirteenth", "fourteenth",
                                              "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth"};

const char* const german_small[] = {"null",     "ein",      "zwei",     "drei",     "vier",     "fünf",    "sechs",
                                    "sieben",   "acht",     "neun",     "zehn",     "elf",      "zwölf",   "dreizehn",
                                    "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn"};
const char* const german_tens[] = {"",        "",        "zwanzig", "dreißig", "vierzig",
                                   "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"};
/// Ordinals whose stem is not the cardinal.
const char* const german_ordinal_stems[] = {"", "erst", "", "dritt", "", "", "", "siebt", "acht"};

void check_range(int n, int low, int high) {
  check(low <= n && n <= high, "numbers: {} is outside [{}, {}]", n, low, high);
}

std::string english_below_100(int n) {
  if (n < 20) return english_small[n];
  const std::string tens = english_tens[n / 10];
  return n % 10 == 0 ? tens : tens + "-" + english_small[n % 10];
}

std::string english_below_1000(int n) {
  if (n < 100) return english_below_100(n);
  const std::string hundreds = english_below_100(n / 100) + " hundred";
  return n % 100 == 0 ? hundreds : hundreds + " and " + english_below_100(n % 100);
}

/// As the front part of a longer number: one is "ein" here.
std::string german_below_100(int n) {
  if (n < 20) return german_small[n];
  const std::string tens = german_tens[n / 10];
  return n % 10 == 0 ? tens : german_small[n % 10] + ("und" + tens);
}

std::string german_below_1000(int n) {
  if (n < 100) return german_below_100(n);
  const std::string hundreds = german_small[n / 100] + std::string("hundert");
  return n % 100 == 0 ? hundreds : hundreds + german_below_100(n % 100);
}

std::string german_below_million(int n) {
  if (n < 1000) return german_below_1000(n);
  const std::string thousands = german_below_1000(n / 1000) + "tausend";
  return n % 1000 == 0 ? thousands : thousands + german_below_1000(n % 1000);
}

/// Only a one at the very end of a number gets the s of "eins".
std::string with_final_one(const std::string& number, int n) { return n % 100 == 1 ? number + "s" : number; }

}  // namespace

std::string english_cardinal(int n) {
  check_range(n, 0, 1000000);
  if (n == 1000000) return "one million";
  if (n < 1000) return english_below_1000(n);
  const std::string thousands = english_below_1000(n / 1000) + " thousand";
  if (n % 1000 == 0) return thousands;
  return thousands + (n % 1000 < 100 ? " and " : " ") + english_below_1000(n % 1000);
}

std::string german_cardinal(int n) {
  check_range(n, 0, 1000000);
  if (n == 1000000) return "eine Million";
  return with_final_one(german_below_million(n), n);
}

std::string german_count(int n, Gender gender, Case grammatical_case) {
  if (n != 1) return german_cardinal(n);
  if (gender == Gender::feminine) return grammatical_case == Case::dative ? "einer" : "eine";
  if (grammatical_case == Case::dative) return "einem";
  return gender == Gender::masculine && grammatical_case == Case::accusative ? "einen" : "ein";
}

std::string english_ordinal(int n) {
  check_range(n, 1, 1000);
  if (n == 1000) return "one thousandth";
  const int rest = n % 100;
  const std::string front = n < 100 ? "" : english_below_100(n / 100) + " hundred";
  if (rest == 0) return front + "th";
  const std::string joined = front.empty() ? "" : front + " and ";
  if (rest < 20) return joined + english_small_ordinals[rest];
  if (rest % 10 != 0) return joined + english_tens[rest / 10] + "-" + english_small_ordinals[rest % 10];
  std::string tens = english_tens[rest / 10];
  tens.pop_back();  // twenty, twentieth
  return joined + tens + "ieth";
}

std::string german_ordinal(int n, Case grammatical_case) {
  check_range(n, 1, 1000);
  const std::string ending = grammatical_case == Case::nominative ? "e" : "en";
  const int rest = n % 100;
  if (rest == 0 || rest >= 20) return german_below_million(n) + "st" + ending;
  const std::string front = german_below_million(n - rest);
  const std::string stem =
      rest < 9 && *german_ordinal_stems[rest] != 0 ? german_ordinal_stems[rest] : german_small[rest] + std::string("t");
  return (n < 100 ? "" : front) + stem + ending;
}

std::string english_year(int n) {
  check_range(n, 1100, 2099);
  if (n >= 2000 && n < 2010) return english_cardinal(n);
  const std::string century = english_below_100(n / 100);
  const int rest = n % 100;
  if (rest == 0) return century + " hundred";
  return century + (rest < 10 ? " oh " : " ") + english_below_100(rest);
}

std::string german_year(int n) {
  check_range(n, 1100, 2099);
  if (n >= 2000) return german_cardinal(n);
  const std::string century = german_small[n / 100] + std::string("hundert");
  return n % 100 == 0 ? century : with_final_one(century + german_below_100(n % 100), n);
}

std::string english_time(int hour, int minute, bool is_spoken) {
  check_range(hour, 1, 12);
  check_range(minute, 0, 59);
  const std::string now = english_small[hour], next = english_small[hour % 12 + 1];
  if (minute == 0) return now + " o'clock";
  if (!is_spoken || minute % 5 != 0) return now + (minute < 10 ? " oh " : " ") + english_below_100(minute);
  if (minute == 15) return "a quarter past " + now;
  if (minute == 30) return "half past " + now;
  if (minute == 45) return "a quarter to " + next;
  return minute < 30 ? english_below_100(minute) + " past " + now : english_below_100(60 - minute) + " to " + next;
}

std::string german_time(int hour, int minute, bool is_spoken) {
  check_range(hour, 1, 12);
  check_range(minute, 0, 59);
  const std::string now = german_cardinal(hour), next = german_cardinal(hour % 12 + 1);
  const std::string oclock = german_small[hour] + std::string(" Uhr");
  if (minute == 0) return oclock;
  if (!is_spoken || minute % 5 != 0) return oclock + " " + german_cardinal(minute);
  switch (minute) {
    case 15:
      return "Viertel nach " + now;
    case 25:
      return "fünf vor halb " + next;
    case 30:
      return "halb " + next;
    case 35:
      return "fünf nach halb " + next;
    case 45:
      return "Viertel vor " + next;
    default:
      return minute < 30 ? german_cardinal(minute) + " nach " + now : german_cardinal(60 - minute) + " vor " + next;
  }
}

std::string english_decimal(int tenths) {
  return english_cardinal(tenths / 10) + " point " + english_small[tenths % 10];
}

std::string german_decimal(int tenths) {
  return german_cardinal(tenths / 10) + " Komma " + german_cardinal(tenths % 10);
}

}  // namespace bough::example
