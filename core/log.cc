#include "core/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <mutex>

#include "core/error.h"

namespace bough::log {
namespace {

constexpr auto pattern = "[%Y-%m-%d %H:%M:%S] %v";

spdlog::sink_ptr open_file(const std::string& path) {
  try {
    return std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
  } catch (const spdlog::spdlog_ex&) {
    fail("log: cannot open '{}' for appending; check the folder and its permissions", path);
  }
}

std::shared_ptr<spdlog::logger> make_logger(std::vector<spdlog::sink_ptr> sinks) {
  auto logger = std::make_shared<spdlog::logger>("bough", sinks.begin(), sinks.end());
  logger->set_pattern(pattern);
  logger->flush_on(spdlog::level::debug);
  return logger;
}

struct State {
  std::shared_ptr<spdlog::logger> general =
      make_logger({std::make_shared<spdlog::sinks::stderr_sink_mt>()});
  std::shared_ptr<spdlog::logger> validation;
  bool has_terminal = isatty(STDERR_FILENO) == 1;
  std::mutex mutex;     // of the terminal's last line
  std::string status;
};

constexpr auto erase_line = "\r\x1b[K";

void draw_status(const std::string& line) {
  std::fprintf(stderr, "%s%s", erase_line, line.c_str());
  std::fflush(stderr);
}

State& state() {
  static State s;
  return s;
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warn: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
    case Level::critical: return spdlog::level::critical;
    case Level::off: return spdlog::level::off;
  }
  return spdlog::level::info;
}

}  // namespace

void configure(const Options& options) {
  if (!options.time_zone.empty()) {
    setenv("TZ", options.time_zone.c_str(), 1);
    tzset();
  }
  std::vector<spdlog::sink_ptr> sinks;
  if (!options.quiet) sinks.push_back(std::make_shared<spdlog::sinks::stderr_sink_mt>());
  if (!options.file.empty()) sinks.push_back(open_file(options.file));
  state().general = make_logger(std::move(sinks));
  state().general->set_level(to_spdlog(options.level));
  state().has_terminal = !options.quiet && isatty(STDERR_FILENO) == 1;
}

void set_validation_file(const std::string& path) {
  state().validation = path.empty() ? nullptr : make_logger({open_file(path)});
}

bool has_terminal() { return state().has_terminal; }

void status(std::string_view line) {
  State& s = state();
  if (!s.has_terminal) return;
  const std::lock_guard lock(s.mutex);
  if (s.status.empty() && line.empty()) return;
  s.status = line;
  draw_status(s.status);
}

void write(Level level, std::string_view message) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (!s.status.empty()) draw_status("");
  s.general->log(to_spdlog(level), "{}", message);
  if (s.validation && message.substr(0, 7) == "[valid]")
    s.validation->log(to_spdlog(level), "{}", message);
  if (!s.status.empty()) draw_status(s.status);
}

}  // namespace bough::log
