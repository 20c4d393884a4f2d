#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/communicator.h"

namespace bough {

/// The ranks of a run as processes of this machine that one parent starts and looks after.
struct ProcessRanks {
  std::vector<std::string> names;             ///< of every rank, for messages: "GPU 0"
  std::chrono::milliseconds silence{20'000};  ///< a rank that gives no sign of life for so long is lost
  std::chrono::milliseconds patience{5'000};  ///< for ranks to say the same as one that has failed, or to end
};

/// What the calling process is once it has started ranks.
struct StartedProcess {
  std::unique_ptr<Communicator> ranks;  ///< one of them; null: their parent, after all have ended
  int exit_code = 0;                    ///< the parent's: 0, 128 + a signal, or that of what has gone wrong
};

/// Forks a process for every rank; returns in each of them at once, and in the parent when they have ended. Call it
/// while the program has one thread and before it uses a GPU.
///
/// The parent carries their host memory from rank to rank (all_gather, broadcast); tensors go another way: all_to_all
/// throws. It passes on SIGTERM, SIGINT and SIGHUP. When a rank fails, is killed or stopped, it says so in the log in
/// one sentence and ends the others; ranks whose parent has gone end, too.
StartedProcess start_processes(const ProcessRanks& options);

/// Runs work() in a process of its own, for what this one must not do itself, such as looking for GPUs; returns its
/// text. An Error that it throws is thrown here.
std::string ask_process(const std::function<std::string()>& work);

}  // namespace bough
