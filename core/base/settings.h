#pragma once
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/schedule_unit.h"
#include "core/base/yaml.h"

namespace bough {

/// One row of a settings table is everything bough knows about a setting, in one place: a struct
/// lists its rows in `void settings(Settings& v)`, e.g.
///   v(beam_size, {"beam-size", 'b'}, "hypotheses kept per sentence", Range<int>{1});
/// The member's initialiser is the default. Reading YAML and command lines, --help, the dumped
/// configuration and docs/options.md are loops over the rows (core/base/settings.cc); this header is the
/// only place where the members' types matter.

/// Name, short form (Marian's are one letter, sacreBLEU's up to four; 0 = none), and the value that giving the option
/// bare stands for (null = a value is required, "" of a list = an empty one; flags need none: bare is true).
struct Key {
  Key(const char* name, char letter = 0, const char* bare = nullptr)
      : Key(name, std::string_view(&letter, letter != 0), bare) {}
  Key(const char* name, std::string_view short_name, const char* bare = nullptr)
      : name(name), short_name(short_name), bare(bare) {}
  const char* name;
  std::string short_name;
  const char* bare;
};

/// low <= value <= high, or < high when half_open.
template <class T>
struct Range {
  T low;
  T high = std::numeric_limits<T>::max();
  bool half_open = false;
};
using Probability = Range<double>;
inline const Probability probability{0, 1, true};
inline constexpr int most_threads = 4096;  ///< of an option that counts threads

/// What each value is called; of several names the first is printed.
template <class E>
using EnumNames = std::vector<std::pair<std::string_view, E>>;

/// Marks file names: `relative-paths` and `interpolate-env-vars` apply to them, and what a program writes must be no
/// file that it reads.
struct Path {
  /// A log is appended to, and several may share one; an argument is another program's, which reads or writes it.
  enum Use { input, output, log, argument } use = input;
  bool or_field = false;  ///< none, and a number (of a field in each line), are no names of files
  bool or_words = false;  ///< nor is text, as a shell command, where relative-paths finds no file of that name
};

/// Text that must be one of these.
struct Words {
  std::vector<std::string> allowed;
};

/// The units a period may have, some of "ute".
struct Units {
  const char* letters;
};
inline const Units updates_or_labels{"ut"};
inline const Units any_unit{"ute"};

/// Scalars: false when text is no value of that type. Truth values are YAML 1.1's. More types (periods, a project's
/// own) are found by argument-dependent lookup.
bool parse_value(std::string_view text, bool& value);
bool parse_value(std::string_view text, int& value);
bool parse_value(std::string_view text, int64_t& value);
bool parse_value(std::string_view text, uint64_t& value);
bool parse_value(std::string_view text, double& value);
bool parse_value(std::string_view text, std::string& value);
std::string format_value(bool value);
std::string format_value(int value);
std::string format_value(int64_t value);
std::string format_value(uint64_t value);
std::string format_value(double value);
std::string format_value(const std::string& value);

/// "a whole number": completes "must be …".
const char* type_phrase(const bool&);
const char* type_phrase(const int&);
const char* type_phrase(const int64_t&);
const char* type_phrase(const uint64_t&);
const char* type_phrase(const double&);
const char* type_phrase(const std::string&);
const char* type_phrase(const SchedulePeriod&);
const char* type_phrase(const StopCriteria&);

/// "N": stands for a value in --help.
template <class T>
const char* type_word(const T&) {
  if (std::is_same_v<T, bool>) return "";
  return std::is_arithmetic_v<T> ? "N" : std::is_same_v<T, std::string> ? "TEXT" : "PERIOD";
}

/// A value on its way into a member, and where it stood ("config.yml line 3", "command line").
struct GivenValue {
  std::vector<std::string> items;  ///< one for a scalar
  bool is_list = false;
  std::string where;
};

/// Names of the settings that the user gave, in a file, on the command line or through an alias.
using GivenNames = std::set<std::string, std::less<>>;

/// Whether the items say what `resting` says, word by word: equal text, numbers or truth values. `false` and nothing at
/// all say "".
bool says(const std::vector<std::string>& items, std::string_view resting);

/// A line of the log about a value that was given: what it means here, where that is not what it says.
struct Remark {
  enum Kind { info, warning } kind = info;
  std::string text;
  std::function<bool(const std::vector<std::string>& items)> applies;
};

/// A row, its type erased.
struct Setting {
  std::string name;
  std::string short_name;  ///< "" = none
  std::string bare;        ///< value of the bare option; "" with has_bare false = a value is required
  bool has_bare = false;
  std::string help;
  std::string group;
  std::string type;                  ///< completes "must be …": "a whole number, at least 1", "one of: a, b"
  std::string word;                  ///< stands for a value in --help: N, PERIOD, NAME, PATH, TEXT
  std::string limits;                ///< what `word` leaves open: "at least 1", "one of: a, b"
  std::vector<std::string> choices;  ///< the names that a value may be; none = other values
  bool is_flag = false;
  bool is_number = false;  ///< or a list of them
  bool is_list = false;
  bool is_path = false;
  Path::Use path_use = Path::input;
  bool is_path_or_field = false;
  bool is_path_or_words = false;
  bool is_path_first = false;    ///< the first item of a list is a path, unless it says false
  bool is_alias = false;         ///< stands for other settings; no member, not dumped
  bool is_transient = false;     ///< asked of this run only (dump-config): not dumped
  bool is_command_line = false;  ///< transient, and without meaning in a file (help)
  bool takes_words = false;      ///< a list: words that belong to no option are its values
  bool is_nameless = false;      ///< takes words, and no option has its name
  std::string refusal;           ///< not "": the program does not have this, and why
  std::vector<Remark> remarks;
  std::function<void(const GivenValue&)> set;  ///< Error "<where>: <name> is …, must be …"
  std::function<Yaml()> get;
};

/// The visitor that collects rows. The rows point into the structs they were collected from.
class Settings {
 public:
  /// Heading of the rows that follow, in --help and docs/options.md.
  void group(std::string heading) { group_ = std::move(heading); }

  /// A row for `value`, of any type that has parse_value; vectors are lists.
  template <class T>
  void operator()(T& value, Key key, const char* help) {
    add(
        value, key, help, [](const auto&) { return true; }, "");
  }
  /// The same, and each number must be in the range.
  template <class T, class N>
  void operator()(T& value, Key key, const char* help, Range<N> range) {
    auto inside = [range](const N& v) {
      return range.low <= v && (range.half_open ? v < range.high : v <= range.high);
    };
    add(value, key, help, inside, range_phrase(range));
  }
  /// A number or text that may be missing.
  template <class T>
  void operator()(std::optional<T>& value, Key key, const char* help) {
    Setting& row = start<T>(key, help, "");
    row.set = [&value, row](const GivenValue& given) {
      require_scalar(row.name, given);
      value = parse_item<T>(row, given.items[0], given.where, [](const T&) { return true; });
    };
    row.get = [&value] { return Yaml(value ? format_value(*value) : ""); };
  }
  /// A file name.
  template <class T>
  void operator()(T& value, Key key, const char* help, Path path) {
    (*this)(value, key, help);
    rows_.back().is_path = true;
    rows_.back().path_use = path.use;
    rows_.back().is_path_or_field = path.or_field;
    rows_.back().is_path_or_words = path.or_words;
    rows_.back().word = "PATH";
  }
  /// A period in one of the units.
  template <class T>
  void operator()(T& value, Key key, const char* help, Units units) {
    const std::string letters = units.letters;
    auto allowed = [letters](const SchedulePeriod& p) { return letters.find("ute"[int(p.unit)]) != std::string::npos; };
    add(value, key, help, allowed, units_phrase(letters));
  }
  /// One of some words, or none: `false` is none, too.
  void operator()(std::string& value, Key key, const char* help, Words words);
  /// One of the names, or (below) a list of them.
  template <class E>
  void operator()(E& value, Key key, const char* help, const EnumNames<E>& names) {
    Setting& row = start_choice(key, help, names_of(names));
    row.set = [&value, name = row.name, phrase = row.type, names](const GivenValue& given) {
      require_scalar(name, given);
      value = choose(name, phrase, given.items[0], given.where, names);
    };
    row.get = [&value, names] { return Yaml(name_of(value, names)); };
  }
  template <class E>
  void operator()(std::vector<E>& value, Key key, const char* help, const EnumNames<E>& names) {
    Setting& row = start_choice(key, help, names_of(names));
    row.is_list = true;
    row.set = [&value, name = row.name, phrase = row.type, names](const GivenValue& given) {
      std::vector<E> parsed;
      for (const auto& item : given.items) parsed.push_back(choose(name, phrase, item, given.where, names));
      value = parsed;
    };
    row.get = [&value, names] {
      Yaml list = Yaml::list();
      for (E e : value) list.items.emplace_back(name_of(e, names));
      return list;
    };
  }

  /// A list that a type of its own reads as a whole: parse_items and format_items are found by
  /// argument-dependent lookup; `type` completes "must be …".
  template <class T>
  void items(T& value, Key key, const char* help, const char* type) {
    Setting& row = start(key, help, type, "N", type);
    row.is_list = true;
    row.set = [&value, name = row.name, phrase = row.type](const GivenValue& given) {
      check(parse_items(given.items, value), "{}: {} is '{}', must be {}", given.where, name,
            fmt::join(given.items, " "), phrase);
    };
    row.get = [&value] {
      Yaml list = Yaml::list();
      for (const std::string& item : format_items(value)) list.items.emplace_back(item);
      return list;
    };
  }
  /// The same where the first item is the name of a file, unless it says false.
  template <class T>
  void file_and_items(T& value, Key key, const char* help, const char* type) {
    items(value, key, help, type);
    rows_.back().is_path = rows_.back().is_path_first = true;
    rows_.back().word = "PATH";
  }

  /// A row without a member: `task`, `fp16`, `no-shuffle`. What it stands for is the parser's.
  void alias(Key key, const char* help, bool is_list, std::vector<std::string> choices);

  /// A row without a member whose value is checked and asks for nothing, for the reason that `why` says.
  template <class T>
  void accepted(Key key, const std::string& why) {
    Setting& row = start<T>(key, ("accepted: " + why).c_str(), "");
    row.is_alias = true;
    row.set = [row](const GivenValue& given) {
      require_scalar(row.name, given);
      parse_item<T>(row, given.items[0], given.where, [](const T&) { return true; });
    };
    row.get = [] { return Yaml(); };
  }

  /// The same of a list of any values.
  void accepted_list(Key key, const std::string& why);

  /// A row without a member of what the program does not have: read as such an option is, for the caller to refuse.
  template <class T>
  void refused(Key key, const std::string& why) {
    accepted<T>(key, why);
    mark_refused(why);
  }
  void refused_list(Key key, const std::string& why);

  /// Of the row added last: a value that does not say `resting` is worth a line of the log.
  void remark(std::string text, std::string resting, Remark::Kind kind = Remark::info);
  /// The same of the value, or one of the values, `item`; a warning.
  void warn_of(std::string item, std::string text);

  /// Marks the list added last: words that belong to no option are its values, too; or they alone, and no option has
  /// its name.
  void takes_words() { rows_.back().takes_words = true; }
  void takes_words_only() { rows_.back().takes_words = rows_.back().is_nameless = true; }

  /// Marks the row added last as asked of this run only.
  void transient() { rows_.back().is_transient = true; }

  /// The same, and that it can stand on the command line only.
  void command_line() {
    transient();
    rows_.back().is_command_line = true;
  }

  const std::vector<Setting>& rows() const { return rows_; }
  /// The row of that name, or of that short form, or that takes words; null if there is none.
  const Setting* find(std::string_view name) const;
  const Setting* find_short(std::string_view short_name) const;
  const Setting* find_word_list() const;

 private:
  template <class N>
  static std::string range_phrase(const Range<N>& range) {
    if (range.high == std::numeric_limits<N>::max()) return fmt::format("at least {}", format_value(range.low));
    return fmt::format("in [{}, {}{}", format_value(range.low), format_value(range.high), range.half_open ? ')' : ']');
  }
  static std::string units_phrase(const std::string& letters);

  template <class E>
  static std::vector<std::string> names_of(const EnumNames<E>& names) {
    std::vector<std::string> all;
    for (const auto& [name, e] : names)
      if (!name.empty()) all.emplace_back(name);
    return all;
  }
  template <class E>
  static E choose(const std::string& name, const std::string& phrase, const std::string& text, const std::string& where,
                  const EnumNames<E>& names) {
    bool flag = false;
    const std::string other = parse_value(text, flag) ? format_value(flag) : text;  // YAML's yes, on, 1 for true
    for (const std::string& word : {text, other})
      for (const auto& [known, e] : names)
        if (known == word) return e;
    fail("{}: {} is '{}', must be {}", where, name, text, phrase);
  }
  template <class E>
  static std::string name_of(E value, const EnumNames<E>& names) {
    for (const auto& [name, e] : names)
      if (e == value) return std::string(name);
    return "";
  }

  void mark_refused(const std::string& why);
  static void require_scalar(const std::string& name, const GivenValue& given);
  Setting& start(const Key& key, const char* help, std::string type, const char* word, std::string limits);
  /// Whose value is one of some names.
  Setting& start_choice(const Key& key, const char* help, std::vector<std::string> choices);
  /// "a whole number" + "at least 1".
  template <class T>
  Setting& start(const Key& key, const char* help, const std::string& limits) {
    const std::string type = type_phrase(T{});
    const bool joined = limits.starts_with("in ");
    Setting& row =
        start(key, help, limits.empty() ? type : type + (joined ? " " : ", ") + limits, type_word(T{}), limits);
    row.is_flag = std::is_same_v<T, bool>;
    row.is_number = std::is_arithmetic_v<T> && !row.is_flag;
    return row;
  }

  /// What a sentence about `text` adds where it is a number above the largest of the type, and the row names no limit.
  static std::string upper_limit(const Setting& row, const std::string& text, uint64_t most);
  /// NaN and infinity are values of a saved state, not of an option.
  template <class T>
  static bool is_finite(const T& value) {
    if constexpr (std::is_floating_point_v<T>) return std::isfinite(value);
    return true;
  }
  template <class T, class Ok>
  static T parse_item(const Setting& row, const std::string& text, const std::string& where, Ok ok) {
    T parsed{};
    if (parse_value(text, parsed) && is_finite(parsed) && ok(parsed)) return parsed;
    std::string most;
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
      most = upper_limit(row, text, uint64_t(std::numeric_limits<T>::max()));
    fail("{}: {} is '{}', must be {}{}", where, row.name, text, row.type, most);
  }
  template <class T, class Ok>
  void add(T& value, const Key& key, const char* help, Ok ok, const std::string& limits) {
    Setting& row = start<T>(key, help, limits);
    row.set = [&value, ok, row](const GivenValue& given) {
      require_scalar(row.name, given);
      value = parse_item<T>(row, given.items[0], given.where, ok);
    };
    row.get = [&value] { return Yaml(format_value(value)); };
  }
  template <class T, class Ok>
  void add(std::vector<T>& value, const Key& key, const char* help, Ok ok, const std::string& limits) {
    Setting& row = start<T>(key, help, limits);
    row.is_list = true;
    row.set = [&value, ok, row](const GivenValue& given) {
      std::vector<T> parsed;
      for (const auto& item : given.items) parsed.push_back(parse_item<T>(row, item, given.where, ok));
      value = parsed;
    };
    row.get = [&value] {
      Yaml list = Yaml::list();
      for (const T& item : value) list.items.emplace_back(format_value(item));
      return list;
    };
  }

  std::string group_;
  std::vector<Setting> rows_;
};

}  // namespace bough
