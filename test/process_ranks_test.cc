// Ranks that are processes: what they say to each other, and how all of them end when one does.
#include "core/process_ranks.h"

#include <csignal>
#include <thread>

#include "core/base/files.h"
#include "core/base/signals.h"
#include "test/catch.h"
#include "test/process_runs.h"
#include "test/rank_checks.h"
#include "test/throws.h"

using namespace bough;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

const ProcessRanks hasty = {.silence = 1000ms, .patience = 1000ms};

/// Lines of a log that are errors, without their time.
std::vector<std::string> errors_of(const std::string& log) {
  std::vector<std::string> errors;
  for (size_t at = 0; (at = log.find("Error: ", at)) != log.npos; at = log.find('\n', at))
    errors.push_back(log.substr(at, log.find('\n', at) - at));
  return errors;
}

/// The end of three ranks of which one behaves as given, while the others wait for it.
ProcessesEnd end_of(const std::function<void(Communicator&)>& misbehave, int who = 1) {
  return run_processes(
      3,
      [&](Communicator& ranks) {
        ranks.barrier();
        if (ranks.rank() == who) misbehave(ranks);
        ranks.barrier();
      },
      hasty);
}

void sleep_for_ever(Communicator&) {
  while (true) std::this_thread::sleep_for(1h);
}

/// Nobody may be there to take the end of an orphan.
bool has_ended(pid_t process) {
  const std::string state = text_of("/proc/" + std::to_string(process) + "/stat");
  return state.empty() || state.find(") Z ") != state.npos;
}

/// Two ranks that work until they have caught a signal, and write their numbers to `folder`, then what it was.
struct Workers {
  ScratchFolder folder;
  RunningProcesses processes{2,
                             [this](Communicator& ranks) {
                               catch_signals(false);
                               const std::string name = folder / std::to_string(ranks.rank());
                               write_file(name + ".pid", std::to_string(getpid()));
                               for (bool go_on = true; go_on;) {
                                 std::this_thread::sleep_for(1ms);
                                 for (const int signal : ranks.all_gather(caught_signal()))
                                   go_on = go_on && signal == 0;
                               }
                               write_file(name + ".caught", std::to_string(caught_signal()));
                               ranks.barrier();
                               ranks.abort(128 + SIGTERM, "");
                             },
                             hasty};

  pid_t process(int rank) const {
    const std::string name = folder / (std::to_string(rank) + ".pid");
    while (text_of(name).empty()) std::this_thread::sleep_for(1ms);
    return pid_t(std::stoi(text_of(name)));
  }
};

}  // namespace

TEST_CASE("processes say what ranks say to each other", "[ranks][processes]") {
  for (const int size : {1, 2, 3, 4}) {
    const ProcessesEnd end = run_processes(size, [](Communicator& ranks) {
      check_messages(ranks);
      const size_t much = size_t{3} << 20;  // more than a socket holds
      const std::vector<std::string> all = ranks.all_gather(std::string(much, char('a' + ranks.rank())));
      for (int r = 0; r < ranks.size(); ++r) check(all[size_t(r)] == std::string(much, char('a' + r)), "a long text");
    });
    CHECK(end.code == 0);
    CHECK(end.log == "");
  }
}

TEST_CASE("an error of one rank ends all, in one sentence that names it", "[ranks][processes]") {
  const auto start = Clock::now();
  const ProcessesEnd end = end_of([](Communicator&) { fail("disk: full"); });
  CHECK(end.code == 1);
  CHECK(errors_of(end.log) == std::vector<std::string>{"Error: rank 1 (GPU 1): disk: full"});
  CHECK(errors_of(end_of([](Communicator&) { fail("disk: full"); }, 0).log) ==
        std::vector<std::string>{"Error: disk: full"});
  CHECK(Clock::now() - start < 5s);
}

TEST_CASE("an error of all ranks is said once, with its exit code", "[ranks][processes]") {
  const ProcessesEnd end = run_processes(3, [](Communicator& ranks) {
    std::this_thread::sleep_for(20ms * ranks.rank());
    ranks.abort(3, "the run has diverged");
  });
  CHECK(end.code == 3);
  CHECK(errors_of(end.log) == std::vector<std::string>{"Error: the run has diverged"});
  const ProcessesEnd silent = run_processes(3, [](Communicator&) { _exit(3); });
  CHECK(silent.code == 3);
  CHECK(silent.log == "");
}

TEST_CASE("a rank that is killed, stopped or ends alone ends the others", "[ranks][processes]") {
  const auto start = Clock::now();
  const auto says = [](const ProcessesEnd& end, int code, const std::string& sentence) {
    CHECK(end.code == code);
    CHECK(errors_of(end.log) == std::vector<std::string>{"Error: rank 1 (GPU 1) " + sentence});
  };
  says(end_of([](Communicator&) { raise(SIGKILL); }), 1,
       "was killed by signal 9 (Killed); the system does that, too, where memory is short: see dmesg");
  says(end_of([](Communicator&) { raise(SIGSTOP); }), 1, "was stopped and has given no sign of life for 1 s");
  says(end_of([](Communicator&) { _exit(2); }), 2, "ended with exit code 2");
  says(end_of([](Communicator&) { _exit(0); }), 2, "has ended before the others: a defect of bough; please report");
  says(end_of([](Communicator& ranks) { ranks.all_gather(1); }), 2,
       "makes another call than rank 0: a defect of bough; please report");
  CHECK(Clock::now() - start < 10s);
}

TEST_CASE("ranks that do not hear are killed", "[ranks][processes]") {
  const ProcessesEnd end = run_processes(
      2,
      [](Communicator& ranks) {
        if (ranks.is_first()) fail("disk: full");
        raise(SIGSTOP);
      },
      hasty);
  CHECK(end.code == 1);
  CHECK(errors_of(end.log) == std::vector<std::string>{"Error: disk: full"});
}

TEST_CASE("a rank that is busy for long is no lost one", "[ranks][processes]") {
  const ProcessesEnd end = end_of([](Communicator&) { std::this_thread::sleep_for(2500ms); });
  CHECK(end.code == 0);
  CHECK(end.log == "");
}

TEST_CASE("a signal to any process is caught once by all ranks", "[ranks][processes]") {
  for (const int who : {-1, 0, 1}) {
    INFO(who);
    Workers workers;
    const pid_t first = workers.process(0), second = workers.process(1);
    kill(who < 0 ? workers.processes.parent : who == 0 ? first : second, SIGTERM);
    const ProcessesEnd end = workers.processes.wait();
    CHECK(end.code == 128 + SIGTERM);
    CHECK(end.log == "");
    // One may have learnt from the other before it was told.
    int caught = 0;
    for (const char* rank : {"0.caught", "1.caught"}) caught += text_of(workers.folder / rank) == "15";
    CHECK(caught >= 1);
  }
}

TEST_CASE("a signal that comes to all processes at once is one signal", "[ranks][processes]") {
  Workers workers;
  const pid_t first = workers.process(0), second = workers.process(1);
  for (const pid_t process : {workers.processes.parent, first, second}) kill(process, SIGTERM);
  CHECK(workers.processes.wait().code == 128 + SIGTERM);
  CHECK(text_of(workers.folder / "1.caught") != "");  // not ended by what the parent has passed on
}

TEST_CASE("what was stopped as a whole goes on as a whole", "[ranks][processes]") {
  Workers workers;
  const std::vector<pid_t> all = {workers.processes.parent, workers.process(0), workers.process(1)};
  for (const size_t stopped : {size_t{1}, all.size()}) {  // the parent alone, and all, as a terminal does it
    for (size_t i = 0; i < stopped; ++i) kill(all[i], SIGSTOP);
    std::this_thread::sleep_for(1500ms);
    for (size_t i = 0; i < stopped; ++i) kill(all[i], SIGCONT);
    std::this_thread::sleep_for(200ms);
  }
  kill(workers.processes.parent, SIGTERM);
  const ProcessesEnd end = workers.processes.wait();
  CHECK(end.code == 128 + SIGTERM);
  CHECK(end.log == "");
}

TEST_CASE("a signal before ranks catch any ends all", "[ranks][processes]") {
  catch_signals(false);  // what the test program does is not what its ranks do: they begin with the system's ways
  RunningProcesses processes(3, sleep_for_ever);
  for (const int signal : {SIGTERM, SIGINT}) std::signal(signal, SIG_DFL);
  std::this_thread::sleep_for(200ms);
  kill(processes.parent, SIGINT);
  const ProcessesEnd end = processes.wait();
  CHECK(end.code == 128 + SIGINT);
  CHECK(end.log == "");
}

TEST_CASE("ranks end with their parent", "[ranks][processes]") {
  Workers workers;
  const pid_t first = workers.process(0), second = workers.process(1);
  kill(workers.processes.parent, SIGKILL);
  const ProcessesEnd end = workers.processes.wait();
  CHECK(end.code == 1000 + SIGKILL);
  for (int i = 0; i < 500 && !(has_ended(first) && has_ended(second)); ++i) std::this_thread::sleep_for(10ms);
  CHECK(has_ended(first));
  CHECK(has_ended(second));
}

TEST_CASE("a process that is asked answers, or its error is thrown", "[ranks][processes]") {
  CHECK(ask_process([] { return std::string("four"); }) == "four");
  CHECK(message_of([] { ask_process([]() -> std::string { fail("no GPU is there"); }); }) == "no GPU is there");
  CHECK(message_of([] {
          ask_process([]() -> std::string {
            raise(SIGKILL);
            return "";
          });
        }) == "a process that was started to look at the machine has crashed");
}
