#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/settings.h"

namespace bough {

/// An option that exists in Marian and not in bough. At its resting value (Marian's default) it
/// asks for nothing, so a configuration dumped by Marian may contain it; any other value is an
/// error.
struct RefusedOption {
  std::string_view name;
  std::string_view resting;  ///< "" also stands for an empty list; several rows of one name: any of them
  std::string_view reason;   ///< completes "<name> …"
};

/// What an alias (`task: transformer-base`) stands for: name and YAML text of each setting.
struct AliasExpansion {
  std::string_view name;
  std::string_view value;
  std::vector<std::pair<std::string_view, std::string_view>> settings;
};

/// Of two settings that exclude each other the one from the later place wins: command line, later file, earlier file.
/// From one place both stay, and are the program's to judge. At its resting value a setting excludes nothing.
struct Rivals {
  std::string_view winner;
  std::string_view resting;  ///< "" = it has none
  std::string_view loser;
};

/// What surrounds the rows of a program: its name in errors and the tables beside the rows.
struct ReaderTables {
  std::string program;
  std::vector<AliasExpansion> aliases;  ///< a later one wins over an earlier one
  std::vector<RefusedOption> refused;
  std::vector<Rivals> rivals;
  std::vector<std::string_view> ignored;  ///< options without any effect, in Marian neither
  /// Names of the options of each other program, for "belongs to".
  std::vector<std::pair<std::string, std::vector<std::string>>> others;
};

/// Collects what the user gave, from command line and files, and applies it to rows.
/// Precedence, lowest first: default, files (later ones win), command line. An alias acts with the
/// precedence of the place where it stands and never overrides a setting given there or higher.
/// Lists given several times on the command line are joined; other options: the last one wins.
class SettingsReader {
 public:
  SettingsReader(Settings& rows, ReaderTables tables) : rows_(rows), tables_(std::move(tables)) {}

  /// Marian's grammar: `--key value`, `--key=value`, `-k value`, `-kvalue`, lists up to the next
  /// option, bare options, flags with or without true/false.
  void read_command_line(const std::vector<std::string>& arguments);

  /// For another grammar of command lines: what stands there for a row, in place of what stood there before, checked at
  /// once (Error), and a problem that apply() reports.
  void give(const Setting& row, std::vector<std::string> items);
  void complain(std::string problem) { problems_.push_back(std::move(problem)); }
  /// "command line: unknown option 'beem-size'; did you mean 'beam-size'?"
  std::string unknown(const std::string& name, const std::string& where) const;

  /// A YAML map of settings. With relative_paths (or its own `relative-paths: true`) its file names, once
  /// interpolate-env-vars has replaced variables in them, are relative to the folder of `source`.
  void read_yaml(const Yaml& file, const std::string& source, bool relative_paths);

  /// Call after everything was read: Error for unknown and refused options (all of them, a line
  /// each), settles rivals, expands aliases, replaces variables in file names, sets the members.
  void apply();

  /// The text given so far, null when the option was not (aliases do not count before apply()).
  const GivenValue* find(std::string_view name) const;
  /// Whether a flag was given as true.
  bool is_true(std::string_view name) const;

  /// After apply(): what the log should say about the values given, each once.
  std::vector<Remark> remarks() const;

  /// After apply(): given directly or through an alias.
  GivenNames given() const;
  /// Given directly, as it was given (aliases unexpanded); and the same with aliases expanded.
  Yaml minimal() const;
  Yaml expanded() const;

 private:
  enum class Place { file, command_line };
  struct Given {
    GivenValue value;
    Place place = Place::file;
    bool through_alias = false;
    int file = 0;             ///< of several the how manyth, from 1
    std::string relative_to;  ///< the file in whose folder its file names begin; "" = the current one
  };

  size_t read_option(const std::vector<std::string>& arguments, size_t at);
  size_t take_values(const Setting* row, const std::vector<std::string>& arguments, size_t at, GivenValue& value) const;
  bool is_known_option(const std::string& token) const;
  bool is_ignored(const std::string& name) const;
  void settle_rivals();
  bool asks_for_something(const Rivals& rivals) const;
  void settle_file_names();
  void settle_truth_values();
  void expand_aliases();
  void expand(const AliasExpansion& alias, Place place, const std::string& where);
  void refuse_or_complain(const std::string& name, const GivenValue& value);
  void store(const std::string& name, Given given, bool join);

  Settings& rows_;
  ReaderTables tables_;
  int files_ = 0;
  std::map<std::string, Given, std::less<>> given_;
  std::vector<std::string> problems_;
  std::vector<Remark> truth_values_;  ///< remarks on numbers given as such
};

/// Where a value of the command line stands, in errors.
inline constexpr const char* command_line = "command line";

/// Number of single-letter edits between two words.
size_t edit_distance(std::string_view a, std::string_view b);

/// The rows by groups for a terminal of 100 columns: name, meaning, type, default.
std::string format_help(const Settings& rows);
/// The same as Markdown tables.
std::string format_markdown(const Settings& rows);
/// Every row's value, except aliases and what is asked of one run only.
Yaml dump_settings(const Settings& rows);
/// The same of a struct that lists its rows in settings(). It reads back to the same struct.
template <class Options>
Yaml dump(Options options) {
  Settings rows;
  options.settings(rows);
  return dump_settings(rows);
}

/// Replaces ${VAR} in text. Error, naming the setting, for a variable that is not set.
std::string interpolate_environment(const std::string& name, std::string text);

}  // namespace bough
