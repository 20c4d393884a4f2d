#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>

namespace bough::log {

/// How important a line is, in rising order; off: no line has it.
enum class Level { debug, info, warn, error, critical, off };

/// Where the lines of a program go.
struct Options {
  std::string file;  ///< also append to this file; "" = none
  Level level = Level::info;
  bool quiet = false;     ///< errors alone on stderr (the file still gets everything)
  std::string time_zone;  ///< TZ for time stamps; "" = the machine's
};

/// Sets where lines go. Without it: info and above to stderr.
void configure(const Options& options);

/// From now on errors alone, on stderr, whatever configure() says: for one of several processes whose lines another
/// writes.
void mute();

/// Opens (appends to) the file that lines tagged [valid] go to as well (Marian's valid-log). Throws Error, as configure
/// does, if the file cannot be opened; a missing folder is made.
void set_validation_file(const std::string& path);

/// True when people watch: stderr is a terminal and log lines go there.
bool has_terminal();
/// The transient last line of the terminal (a progress bar); log lines appear above it. "" removes it.
/// Nothing without has_terminal().
void status(std::string_view line);

/// One event, one line: `[YYYY-MM-DD HH:MM:SS] message`, Marian's format. Thread-safe.
void write(Level level, std::string_view message);

/// One line each, formatted as fmt does.
template <class... Args>
void info(fmt::format_string<Args...> f, Args&&... args) {
  write(Level::info, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void warn(fmt::format_string<Args...> f, Args&&... args) {
  write(Level::warn, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void debug(fmt::format_string<Args...> f, Args&&... args) {
  write(Level::debug, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> f, Args&&... args) {
  write(Level::error, fmt::format(f, std::forward<Args>(args)...));
}

}  // namespace bough::log
