#pragma once
#include <cstddef>
#include <span>

#include "experiments/quickstart/numbers.h"

namespace bough::example {

/// The same in every case.
struct WordRow {
  const char *english, *german;
};
/// A noun that is used with its definite article, in the singular.
struct NounRow {
  const char *english, *german;
  Gender gender;
};
/// A noun that is counted.
struct UnitRow {
  const char *english, *english_plural, *german, *german_plural, *german_dative_plural;
  Gender gender;
};
struct MonthRow {
  const char *english, *german;
  int days;
};
/// A sentence with slots: {kind} in English, {kind.case} in German with case n, a, d, or z and i:
/// "zu" and "in" joined with the article. A slot is drawn once a sentence; {kind2} separately.
struct SentenceRow {
  const char *english, *german;
};

extern const std::span<const WordRow> cities, foods, weekdays;
extern const std::span<const NounRow> events, places, things;
extern const std::span<const UnitRow> currencies, durations, items, lengths, weights;
inline constexpr std::size_t minute_row = 0, hour_row = 1;  ///< in durations
extern const std::span<const MonthRow> months;
extern const std::span<const char *const> first_names, surnames;
extern const std::span<const SentenceRow> sentence_rows;
extern const UnitRow euro, cent;

}  // namespace bough::example
