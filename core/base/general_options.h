#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/log.h"
#include "core/base/settings.h"

namespace bough {

/// Log, seed, and options about options. Every program has them.
struct GeneralOptions {
  std::vector<std::string> config;  ///< the files given with -c
  std::string log_file;
  log::Level log_level = log::Level::info;
  std::string log_time_zone;
  bool quiet = false;
  uint64_t seed = 0;  ///< 0 = from the clock; resolved to the seed in use
  bool relative_paths = false;
  bool is_seed_from_clock = false;  ///< not an option: a resumed run then keeps the seed it had
  std::string dump_config;
  std::string build_info;
  bool version = false;
  bool help = false;

  void settings(Settings& v);       ///< all programs
  void seed_settings(Settings& v);  ///< training
  /// Of the others: what only training needs, and Marian's other programs have, too.
  void accepted_settings(Settings& v);
  void accepted_thread_settings(Settings& v);  ///< of that, data-threads
  void resolve_seed();                         ///< 0: from the clock
  void information_settings(Settings& v);      ///< version, build-info, help: programs that need nothing else
  log::Options log_options() const;

 private:
  void exit_settings(Settings& v);
};

}  // namespace bough
