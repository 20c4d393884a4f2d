#include "core/base/log.h"

#include <fcntl.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <mutex>
#include <utility>

#include "core/base/error.h"
#include "core/base/files.h"

namespace bough::log {
namespace {

constexpr auto pattern = "[%Y-%m-%d %H:%M:%S] %v";

/// Appends to a file. What cannot be written, on a full disk for instance, is lost: said once on stderr, as no run
/// should end for a log line.
class FileSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  FileSink(const char* option, const std::string& path) : option_(option), path_(path) {
    make_folder_of(path);
    file_ = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    check(file_ >= 0, "{}: '{}' cannot be opened for appending ({}); check the folder and its permissions", option,
          path, std::strerror(errno));
  }
  ~FileSink() override { close(file_); }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    errno = 0;
    const ssize_t written = ::write(file_, line.data(), line.size());
    if (written == ssize_t(line.size()) || std::exchange(has_failed_, true)) return;
    std::fprintf(stderr, "%s: '%s' cannot be written (%s); the run goes on, but lines are missing there\n", option_,
                 path_.c_str(), errno == 0 ? std::strerror(ENOSPC) : std::strerror(errno));
  }
  void flush_() override {}

  const char* option_;  // the one that names the file
  std::string path_;
  int file_ = -1;
  bool has_failed_ = false;
};

spdlog::sink_ptr open_file(const char* option, const std::string& path) {
  return std::make_shared<FileSink>(option, path);
}

std::shared_ptr<spdlog::logger> make_logger(std::vector<spdlog::sink_ptr> sinks) {
  auto logger = std::make_shared<spdlog::logger>("bough", sinks.begin(), sinks.end());
  logger->set_pattern(pattern);
  logger->flush_on(spdlog::level::debug);
  return logger;
}

struct State {
  std::shared_ptr<spdlog::logger> general = make_logger({std::make_shared<spdlog::sinks::stderr_sink_mt>()});
  std::shared_ptr<spdlog::logger> validation;
  bool has_terminal = isatty(STDERR_FILENO) == 1;
  bool is_muted = false;
  std::mutex mutex;  // of the terminal's last line
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
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warn:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
    case Level::critical:
      return spdlog::level::critical;
    case Level::off:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

}  // namespace

void mute() {
  state().is_muted = true;
  configure({});
}

void configure(const Options& given) {
  Options options = given;
  if (state().is_muted) {
    options.file.clear();
    options.quiet = true;
  }
  if (!options.time_zone.empty()) {
    setenv("TZ", options.time_zone.c_str(), 1);
    tzset();
  }
  std::vector<spdlog::sink_ptr> sinks{std::make_shared<spdlog::sinks::stderr_sink_mt>()};
  if (options.quiet) sinks[0]->set_level(spdlog::level::err);
  if (!options.file.empty()) sinks.push_back(open_file("log", options.file));
  state().general = make_logger(std::move(sinks));
  state().general->set_level(to_spdlog(options.level));
  state().has_terminal = !options.quiet && isatty(STDERR_FILENO) == 1;
}

void set_validation_file(const std::string& path) {
  const bool has_file = !path.empty() && !state().is_muted;
  state().validation = has_file ? make_logger({open_file("valid-log", path)}) : nullptr;
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
  if (s.validation && message.substr(0, 7) == "[valid]") s.validation->log(to_spdlog(level), "{}", message);
  if (!s.status.empty()) draw_status(s.status);
}

}  // namespace bough::log
