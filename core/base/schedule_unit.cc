#include "core/base/schedule_unit.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

namespace bough {
namespace {

constexpr int64_t kilo = 1'000, mega = 1'000'000, giga = 1'000'000'000, tera = 1'000'000'000'000;

/// Removes a unit letter from the end of text; false when the letter there is not one.
bool take_unit(std::string_view& text, ScheduleUnit& unit) {
  unit = ScheduleUnit::updates;
  if (text.empty()) return false;
  switch (text.back()) {
    case 'u':
      unit = ScheduleUnit::updates;
      break;
    case 't':
      unit = ScheduleUnit::labels;
      break;
    case 'e':
      unit = ScheduleUnit::epochs;
      break;
    default:
      return true;  // no unit: the number may still end in a multiplier or a digit
  }
  text.remove_suffix(1);
  return !text.empty();
}

int64_t take_multiplier(std::string_view& text) {
  int64_t factor = 1;
  switch (text.back()) {
    case 'k':
    case 'K':
      factor = kilo;
      break;
    case 'M':
      factor = mega;
      break;
    case 'G':
      factor = giga;
      break;
    case 'T':
      factor = tera;
      break;
    default:
      return 1;
  }
  text.remove_suffix(1);
  return factor;
}

/// `1.5` with factor 1000 is 1500; the product must be whole and fit.
bool whole_product(std::string_view text, int64_t factor, int64_t& product) {
  std::string digits;
  for (char c : text)
    if (c != ',') digits += c;
  const char* end = digits.data() + digits.size();
  int64_t count = 0;
  if (auto [stop, error] = std::from_chars(digits.data(), end, count); error == std::errc() && stop == end) {
    if (count < 0 || count > std::numeric_limits<int64_t>::max() / factor) return false;
    product = count * factor;
    return true;
  }
  double value = 0;
  const auto [stop, error] = std::from_chars(digits.data(), end, value, std::chars_format::fixed);
  if (error != std::errc() || stop != end || !(value >= 0)) return false;
  value *= double(factor);
  if (!(value < 9e15)) return false;  // beyond the whole numbers of a double
  product = int64_t(value);
  return double(product) == value;
}

std::string format_count(int64_t count, char unit) {
  for (auto [factor, letter] : {std::pair{tera, "T"}, {giga, "G"}, {mega, "M"}})
    if (count != 0 && count % factor == 0) return fmt::format("{}{}{}", count / factor, letter, unit);
  return fmt::format("{}{}", count, unit);
}

}  // namespace

bool SchedulePeriod::crossed(int64_t previous, int64_t now) const {
  return count > 0 && previous / count != now / count;
}

bool parse_value(std::string_view text, SchedulePeriod& value) {
  SchedulePeriod parsed;
  if (!take_unit(text, parsed.unit)) return false;
  const int64_t factor = take_multiplier(text);
  if (text.empty() || !whole_product(text, factor, parsed.count)) return false;
  value = parsed;
  return true;
}

bool parse_value(std::string_view text, StopCriteria& value) {
  StopCriteria parsed;
  int64_t* const counts[] = {&parsed.updates, &parsed.labels, &parsed.epochs};  // by ScheduleUnit
  bool* const pluses[] = {&parsed.more_updates, &parsed.more_labels, &parsed.more_epochs};
  while (true) {
    const size_t comma = text.find(',');
    const bool is_more = text.starts_with('+');
    SchedulePeriod period;
    if (!parse_value(text.substr(is_more ? 1 : 0, comma - (is_more ? 1 : 0)), period)) return false;
    int64_t& count = *counts[int(period.unit)];
    bool& has_plus = *pluses[int(period.unit)];
    // Of two of a unit the sooner counts; with a plus sign before one of them nobody knows yet which that is.
    if (count != 0 && period.count != 0 && has_plus != is_more) return false;
    if (count == 0 || (period.count != 0 && period.count < count)) count = period.count, has_plus = is_more;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  value = parsed;
  return true;
}

std::string format_value(const SchedulePeriod& value) {
  constexpr char letters[] = {'u', 't', 'e'};
  return format_count(value.count, letters[int(value.unit)]);
}

std::string format_value(const StopCriteria& value) {
  std::string text;
  const auto append = [&text](int64_t count, bool is_more, char unit) {
    if (count != 0)
      text += fmt::format("{}{}{}", text.empty() ? "" : ",", is_more ? "+" : "", format_count(count, unit));
  };
  append(value.epochs, value.more_epochs, 'e');
  append(value.updates, value.more_updates, 'u');
  append(value.labels, value.more_labels, 't');
  return text.empty() ? "0e" : text;
}

}  // namespace bough
