#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace bough {

/// What a period is counted in: optimizer updates (`u`), target tokens including end of sentence
/// (`t`, Marian's "labels"), or passes over the corpus (`e`).
enum class ScheduleUnit { updates, labels, epochs };

/// A whole number with a unit, Marian's grammar: `4000u`, `10e`, `2Gt`, `2ku`, `100,000u`. Without
/// a unit it counts updates; suffixes k|K, M, G, T multiply by 1e3, 1e6, 1e9, 1e12. 0 = never/off.
struct SchedulePeriod {
  int64_t count = 0;
  ScheduleUnit unit = ScheduleUnit::updates;

  /// True when a multiple of count lies in (previous, now]; both are counted in `unit`.
  /// False when count is 0.
  bool crossed(int64_t previous, int64_t now) const;
  explicit operator bool() const { return count != 0; }
  bool operator==(const SchedulePeriod&) const = default;
};

/// When training ends: whichever comes first; 0 = never. Written as a list of periods with commas
/// between them: `10e,300Ku,20Gt`; with a plus sign counted from where a run starts, or goes on: `+10e`.
struct StopCriteria {
  int64_t updates = 0;
  int64_t labels = 0;
  int64_t epochs = 0;
  bool more_updates = false, more_labels = false, more_epochs = false;  ///< with a plus sign
  bool operator==(const StopCriteria&) const = default;
};

/// Returns false, leaving the value alone, when the text does not follow the grammar.
bool parse_value(std::string_view text, SchedulePeriod& value);
bool parse_value(std::string_view text, StopCriteria& value);

/// The shortest spelling that parses to the same value: `4000u`, `2Gt`, `10e,300000u`.
std::string format_value(const SchedulePeriod& value);
std::string format_value(const StopCriteria& value);

}  // namespace bough
