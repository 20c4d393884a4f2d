// Threads that share work: every part once, errors and all.
#include "core/base/thread_pool.h"

#include <atomic>
#include <numeric>
#include <vector>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "test/catch.h"
#include "test/throws.h"

using namespace bough;

TEST_CASE("a pool runs every part once, job after job", "[threads]") {
  ThreadPool pool(4);
  std::vector<int64_t> sums(100);
  for (int64_t job = 0; job < 2000; ++job) {
    const int64_t parts = job % 7;
    pool.run(parts, [&](int64_t part) { sums[size_t(part)] += job; });
  }
  int64_t expected = 0;
  for (int64_t job = 0; job < 2000; ++job) expected += job * (job % 7);
  CHECK(std::accumulate(sums.begin(), sums.end(), int64_t{0}) == expected);
}

TEST_CASE("blocks of a pool do not depend on its threads, and cover all", "[threads]") {
  std::vector<int64_t> blocks_of_one;
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    std::vector<int64_t> block_of(1000, -1);
    pool.parallel_for(1000, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) block_of[size_t(i)] = begin;
    });
    if (threads == 1) blocks_of_one = block_of;
    CHECK(block_of == blocks_of_one);
  }
}

TEST_CASE("an error in a part comes to the caller, and the pool goes on", "[threads]") {
  ThreadPool pool(3);
  for (int i = 0; i < 50; ++i) {
    CHECK(message_of([&] { pool.run(20, [](int64_t part) { check(part != 13, "part {}", part); }); }) == "part 13");
    std::atomic<int> parts = 0;
    pool.run(20, [&](int64_t) { ++parts; });
    CHECK(parts == 20);
  }
}

TEST_CASE("parallel blocks cover a range once, each thread with a state of its own", "[threads]") {
  std::vector<int> seen(1000);
  std::atomic<int> states = 0;
  parallel_blocks(
      seen.size(), 7, 4, [&] { return ++states; },
      [&](int, size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) ++seen[i];
      });
  CHECK(std::ranges::count(seen, 1) == 1000);
  CHECK(states <= 4);
  CHECK(message_of([] {
          parallel_blocks(
              100, 1, 4, [] { return 0; }, [](int, size_t i, size_t) { check(i != 50, "block {}", i); });
        }) == "block 50");
}
