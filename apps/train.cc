// bough-train: trains a translation model.
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "apps/inference/device.h"
#include "apps/option_parser.h"
#include "apps/training/describe.h"
#include "apps/training/trainer.h"
#include "core/base/log.h"
#include "core/base/program.h"
#include "core/base/settings_reader.h"
#include "core/base/signals.h"
#include "core/base/text_output.h"
#include "core/base/version.h"
#include "core/communicator.h"
#include "core/process_ranks.h"

namespace {

void log_settings(const bough::TrainOptions& options) {
  bough::log::info("[train] bough {}", bough::version());
  const std::string text = bough::format_yaml(bough::dump(options));
  for (size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
    bough::log::info("[config] {}", std::string_view(text).substr(at, end - at));
  for (const std::string& name : options.model.idle_branchnorm_options(options.optimizer.warmup))
    bough::log::warn("[config] {} is given, but nothing follows it: it needs transformer-residual branchnorm", name);
}

/// Becomes one of the ranks that a launcher has started, or that this process starts for the GPUs that it was given;
/// their parent gets its exit code.
std::optional<int> join_ranks(const bough::MachineOptions& machine, bough::LaunchedRank& launched,
                              std::unique_ptr<bough::Communicator>& ranks) {
  if (launched.size > 1) {
    ranks = bough::connect_ranks(launched);
    return {};
  }
  bough::ProcessRanks processes;
  for (const int gpu : bough::choose_gpus(machine)) processes.names.push_back(fmt::format("GPU {}", gpu));
  if (processes.names.empty()) return {};
  bough::StartedProcess started = bough::start_processes(processes);
  if (!started.ranks) return started.exit_code;
  ranks = std::move(started.ranks);
  launched = {.rank = ranks->rank(), .size = ranks->size()};
  if (launched.rank > 0) bough::log::mute();
  return {};
}

int train(int argc, char** argv, bough::LaunchedRank& launched, std::unique_ptr<bough::Communicator>& ranks) {
  const auto options = bough::parse_train_options(argc, argv);
  if (!options) return 0;
  if (options->run.describe) {
    const int size = launched.size > 1 ? launched.size : bough::count_asked_gpus(options->machine);
    if (launched.rank > 0) return 0;
    bough::TextOutput output("stdout");
    output.write(bough::describe_model(*options, size));
    output.close();
    return 0;
  }
  if (const auto code = join_ranks(options->machine, launched, ranks)) return *code;
  if (!options->validation.log_file.empty()) bough::log::set_validation_file(options->validation.log_file);
  log_settings(*options);
  return bough::Trainer(*options, ranks ? *ranks : bough::one_process()).run();
}

}  // namespace

int main(int argc, char** argv) {
  constexpr int diverged = 3;
  bough::survive_file_limits();
  bough::survive_closed_pipes();  // a log that nobody reads ends no training
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
    if (ranks) ranks->abort(code, message);
    if (!message.empty()) bough::say_why_rank_ends(launched.rank, message);
    return code;
  }
}
