// Work in the order of the input, on several threads: what ends it.
#include "apps/inference/ordered_work.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>

#include "core/base/io.h"
#include "core/cpu/factory.h"
#include "test/catch.h"
#include "test/scratch_folder.h"
#include "test/throws.h"

using namespace bough;
using namespace std::chrono_literals;

TEST_CASE("an error of one worker ends the work while another waits for input", "[translate]") {
  const ScratchFolder folder;
  const std::string path = folder / "pipe";
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  const int writer = open(path.c_str(), O_RDWR);
  REQUIRE(write(writer, "one\n", 4) == 4);
  std::jthread late([&](const std::stop_token& stop) {  // what would end the wait for a program that does not
    for (int i = 0; i < 500 && !stop.stop_requested(); ++i) std::this_thread::sleep_for(10ms);
    (void)!write(writer, "two\n", 4);
  });

  const auto backend = make_cpu_backend(1);
  WorkerBackends workers(*backend, 2);
  LineReader lines(path);
  const auto start = std::chrono::steady_clock::now();
  const OrderedWork<std::string, int> work{.read =
                                               [&] {
                                                 std::string line;
                                                 return lines.next(line) ? std::vector{line}
                                                                         : std::vector<std::string>();
                                               },
                                           .cut = [](const auto&) { return std::vector<std::vector<size_t>>{{0}}; },
                                           .compute = [](const Worker&, const auto&) -> std::vector<int> {
                                             std::this_thread::sleep_for(50ms);  // the other worker waits by now
                                             fail("no more memory");
                                           },
                                           .write = [](int&&) {},
                                           .stop = [&] { lines.stop(); }};
  CHECK(message_of([&] { run_in_order(workers, work); }) == "no more memory");
  CHECK(std::chrono::steady_clock::now() - start < 3s);
  late.request_stop();
  late.join();
  close(writer);
}

TEST_CASE("a job that is alone gets several threads, one of many does not", "[translate]") {
  const auto backend = make_cpu_backend(1);
  WorkerBackends workers(*backend, 3);
  const auto backends_of_jobs = [&](size_t jobs) {
    std::mutex mutex;
    std::vector<bool> have_threads;
    size_t windows = 0;
    const auto compute = [&](const Worker& worker, const Job<int>& job) {
      const std::lock_guard lock(mutex);
      have_threads.push_back(worker.backend == workers.with_threads(worker).backend);
      return job.items;
    };
    run_in_order<int, int>(workers, {.read = [&] { return std::vector<int>(windows++ == 0 ? jobs : 0); },
                                     .cut =
                                         [](const std::vector<int>& window) {
                                           std::vector<std::vector<size_t>> one_each;
                                           for (size_t i = 0; i < window.size(); ++i) one_each.push_back({i});
                                           return one_each;
                                         },
                                     .compute = compute,
                                     .write = [](int&&) {}});
    return have_threads;
  };
  CHECK(backends_of_jobs(1) == std::vector{true});
  const std::vector<bool> of_many = backends_of_jobs(20);
  REQUIRE(of_many.size() == 20);
  CHECK(std::count(of_many.begin(), of_many.end(), true) <= 1);  // the last, if the others are done by then
}
