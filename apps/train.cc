// bough-train: trains a translation model.
#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <thread>

#include "apps/option_parser.h"
#include "apps/training/describe.h"
#include "apps/training/trainer.h"
#include "core/base/log.h"
#include "core/base/program.h"
#include "core/base/settings_reader.h"
#include "core/base/signals.h"
#include "core/base/version.h"
#include "core/communicator.h"

namespace {

void log_settings(const bough::TrainOptions& options) {
  bough::log::info("[train] bough {}", bough::version());
  const std::string text = bough::format_yaml(bough::dump(options));
  for (size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
    bough::log::info("[config] {}", std::string_view(text).substr(at, end - at));
}

int train(int argc, char** argv, const bough::LaunchedRank& launched, std::unique_ptr<bough::Communicator>& ranks) {
  const auto options = bough::parse_train_options(argc, argv);
  if (!options) return 0;
  if (options->run.describe) {
    if (launched.rank == 0) std::fputs(bough::describe_model(*options, launched.size).c_str(), stdout);
    return 0;
  }
  if (!options->validation.log_file.empty()) bough::log::set_validation_file(options->validation.log_file);
  log_settings(*options);
  options->machine.check_one_device("bough-train");
  ranks = bough::connect_ranks(launched);
  return bough::Trainer(*options, ranks ? *ranks : bough::one_process()).run();
}

/// What is wrong on all ranks, the first one says for them, and ends them while they wait here. What is wrong on one
/// alone, that one says.
void let_first_rank_speak(const bough::LaunchedRank& launched) {
  if (launched.rank > 0) std::this_thread::sleep_for(std::chrono::seconds(2));
}

}  // namespace

int main(int argc, char** argv) {
  constexpr int diverged = 3;
  bough::survive_file_limits();
  bough::reopen_closed_streams();
  bough::LaunchedRank launched;
  std::unique_ptr<bough::Communicator> ranks;  // outlives an error: leaving them in order is for those that all do
  try {
    launched = bough::launched_rank();
    if (launched.rank > 0) bough::log::mute();
    return train(argc, argv, launched, ranks);
  } catch (const bough::Diverged& error) {  // as it has on all ranks
    if (launched.rank == 0) bough::log::error("Error: {}", error.what());
    return diverged;
  } catch (const std::exception& error) {
    const auto [code, message] = bough::end_of(error);
    let_first_rank_speak(launched);
    bough::log::error("Error: {}{}", launched.rank > 0 ? fmt::format("rank {}: ", launched.rank) : "", message);
    if (ranks) ranks->abort(code);
    return code;
  }
}
