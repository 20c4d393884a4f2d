#include "core/base/general_options.h"

#include <chrono>

namespace bough {
namespace {

const EnumNames<log::Level> level_names = {{"debug", log::Level::debug},       {"trace", log::Level::debug},
                                           {"info", log::Level::info},         {"warn", log::Level::warn},
                                           {"error", log::Level::error},       {"err", log::Level::error},
                                           {"critical", log::Level::critical}, {"off", log::Level::off}};

}  // namespace

void GeneralOptions::settings(Settings& v) {
  v.group("General");
  v(config, {"config", 'c'}, "YAML file with options; of several the later one wins, and the command line over all",
    Path{});
  v.command_line();
  v(log_file, "log", "append the log to this file, too", Path{Path::log});
  v(log_level, "log-level", "least important kind of line that is logged; trace is debug", level_names);
  v(log_time_zone, "log-time-zone", "time zone of the log's time stamps, e.g. UTC; none = the machine's");
  v(quiet, "quiet", "errors alone on stderr; the log file still gets the whole log");
  v(relative_paths, "relative-paths", "file names in a configuration file are relative to its folder");
  v.transient();
  v.alias("interpolate-env-vars", "replace ${VAR} in file names by the environment variable", false, {});
  v.transient();
  exit_settings(v);
}

void GeneralOptions::seed_settings(Settings& v) {
  v.group("General");
  v(seed, "seed",
    "seed of every random decision: with the same seed, options and machine a run gives the same "
    "bits. 0 = from the clock");
}

void GeneralOptions::accepted_settings(Settings& v) {
  v.accepted<uint64_t>("seed", "nothing is random here, the same input gives the same output");
  accepted_thread_settings(v);
}

void GeneralOptions::accepted_thread_settings(Settings& v) {
  v.accepted<int>("data-threads", "lines are encoded as they are read");
}

void GeneralOptions::exit_settings(Settings& v) {
  v(dump_config, {"dump-config", 0, "full"},
    "print the configuration and exit: full = every option as it takes effect, minimal = what was "
    "given, expand = that, with presets written out",
    Words{{"full", "minimal", "expand"}});
  v.transient();
  information_settings(v);
}

void GeneralOptions::information_settings(Settings& v) {
  v(version, "version", "print the version and exit");
  v.command_line();
  v(build_info, {"build-info", 0, "basic"}, "print how bough was built and exit", Words{{"basic", "all"}});
  v.command_line();
  v(help, {"help", 'h'}, "print this and exit");
  v.command_line();
}

void GeneralOptions::resolve_seed() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  is_seed_from_clock = seed == 0;
  if (seed == 0) seed = uint64_t(now.count());
}

log::Options GeneralOptions::log_options() const { return {log_file, log_level, quiet, log_time_zone}; }

}  // namespace bough
