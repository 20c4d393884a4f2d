#pragma once
#include <fcntl.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include "core/base/log.h"
#include "core/process_ranks.h"
#include "test/child_process.h"
#include "test/scratch_folder.h"

// Processes as the ranks of a run, below a parent that is a process, too: the test program looks at their end.

namespace bough {

inline std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// How the parent has ended: its exit code, or 1000 + the signal; and its log.
struct ProcessesEnd {
  int code = 0;
  std::string log;
};

/// Started processes, whose parent has the number `parent`.
class RunningProcesses {
 public:
  RunningProcesses(int size, const std::function<void(Communicator&)>& work, ProcessRanks options = {}) {
    for (int rank = 0; rank < size; ++rank) options.names.push_back("GPU " + std::to_string(rank));
    parent = start_child([&] {
      for (const int signal : {SIGTERM, SIGINT}) ::signal(signal, SIG_DFL);  // not the test program's
      dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);                      // the log has it
      log::configure({.file = folder_ / "log", .quiet = true});
      StartedProcess started = start_processes(options);
      if (!started.ranks) _exit(started.exit_code);
      try {
        work(*started.ranks);
      } catch (const std::exception& error) {
        started.ranks->abort(1, error.what());
      }
      started.ranks.reset();
    });
  }
  ProcessesEnd wait() {
    int status = 0;
    waitpid(parent, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status), text_of(folder_ / "log")};
  }
  pid_t parent;

 private:
  ScratchFolder folder_;
};

inline ProcessesEnd run_processes(int size, const std::function<void(Communicator&)>& work,
                                  const ProcessRanks& options = {}) {
  return RunningProcesses(size, work, options).wait();
}

}  // namespace bough
