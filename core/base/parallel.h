#pragma once
#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace bough {

/// The number of threads that compute: `asked`, or as many as this process has cores if that is 0 or more than those.
inline int thread_count(int asked) {
  const int cores = std::max(1, int(std::thread::hardware_concurrency()));
  return asked > 0 ? std::min(asked, cores) : cores;
}

/// Runs work() on `threads` threads (this one included), or on as many as the system gives, until all return. The first
/// exception is thrown again here.
template <class Work>
void run_on_threads(int threads, Work work) {
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto guarded = [&] {
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(failure_mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  std::vector<std::jthread> others;
  try {
    for (int i = 1; i < threads; ++i) others.emplace_back(guarded);
  } catch (const std::system_error&) {  // the others do the work
  }
  guarded();
  others.clear();  // joins
  if (failure) std::rethrow_exception(failure);
}

/// Calls body(state, begin, end) for blocks that cover [0, count); make_state() once per thread.
template <class MakeState, class Body>
void parallel_blocks(size_t count, size_t block, int threads, MakeState make_state, Body body) {
  const size_t blocks = (count + block - 1) / block;
  const int used = int(std::min<size_t>(blocks, size_t(threads)));
  std::atomic<size_t> next = 0;
  run_on_threads(used, [&] {
    auto state = make_state();
    for (size_t i; (i = next++) < blocks;) body(state, i * block, std::min(count, (i + 1) * block));
  });
}

}  // namespace bough
