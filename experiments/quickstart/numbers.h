#pragma once
#include <string>

namespace bough::example {

/// What an ending of a German word depends on here.
enum class Gender { masculine, feminine, neuter };
enum class Case { nominative, accusative, dative };

/// Numbers in words, 0 <= n <= 1,000,000: "twenty-one", "three hundred and five".
std::string english_cardinal(int n);
/// Standing alone: "eins", "einundzwanzig", "dreihundertfünf", "eine Million".
std::string german_cardinal(int n);
/// Before a noun: 1 becomes ein, eine, einen, einem, einer; others as german_cardinal.
std::string german_count(int n, Gender gender, Case grammatical_case);

/// "first", "twenty-first", "three hundred and fifth"; 1 <= n <= 1000.
std::string english_ordinal(int n);
/// After a definite article, with its ending: "dritte" (nominative), "dritten" (dative).
std::string german_ordinal(int n, Case grammatical_case);

/// Years, 1100 <= n <= 2099: "nineteen oh five", "two thousand and five", "twenty twenty-four".
std::string english_year(int n);
/// "neunzehnhundertfünf", "zweitausendvierundzwanzig".
std::string german_year(int n);

/// A time of the twelve-hour clock, 1 <= hour <= 12. Where minute is a multiple of five, is_spoken
/// asks for "a quarter past seven" instead of "seven fifteen".
std::string english_time(int hour, int minute, bool is_spoken);
/// What follows "um": "Viertel nach sieben", "halb acht", "fünf vor halb acht", "sieben Uhr zwölf".
std::string german_time(int hour, int minute, bool is_spoken);

/// A decimal number with one digit after the point, in tenths: "three point five".
std::string english_decimal(int tenths);
/// "drei Komma fünf".
std::string german_decimal(int tenths);

}  // namespace bough::example
