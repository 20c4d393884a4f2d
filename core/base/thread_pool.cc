#include "core/base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/error.h"

namespace bough {
namespace {

/// About 20 microseconds: longer than the serial code between two kernels, short beside a time
/// slice.
constexpr int spins = 600;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Returns once `word` is something else than `old`: a short spin, then a futex sleep.
void wait_for_change(const std::atomic<int32_t>& word, int32_t old, int spin) {
  for (int i = 0; i < spin; ++i) {
    if (word.load(std::memory_order_acquire) != old) return;
    pause();
  }
  word.wait(old, std::memory_order_acquire);
}

}  // namespace

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

/// One job at a time. A part is claimed by lowering `unclaimed`; the body is read after a claim
/// only, and it stays in place until every claimed part has lowered `unfinished`: a late worker
/// finds either nothing to claim or a part of the present job.
struct ThreadPool::Shared {
  std::atomic<int32_t> job{0};  ///< number of the present job; workers sleep on it
  std::atomic<int64_t> unclaimed{0};
  std::atomic<int32_t> unfinished{0};  ///< the caller sleeps on it
  std::atomic<const std::function<void(int64_t)>*> body{nullptr};
  std::atomic<bool> is_ending{false};
  std::mutex error_mutex;
  std::exception_ptr error;
  int spin = spins;
  std::vector<std::thread> workers;

  void work() {
    int64_t left = unclaimed.load(std::memory_order_acquire);
    while (left > 0) {
      if (!unclaimed.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel)) continue;
      try {
        (*body.load(std::memory_order_relaxed))(left - 1);
      } catch (...) {
        const std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
      }
      if (unfinished.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished.notify_one();
      left = unclaimed.load(std::memory_order_acquire);
    }
  }

  void end() {
    is_ending = true;
    ++job;
    job.notify_all();
    for (auto& worker : workers) worker.join();
  }

  void worker() {
    for (int32_t seen = 0; !is_ending.load(std::memory_order_relaxed);) {
      wait_for_change(job, seen, spin);
      seen = job.load(std::memory_order_acquire);
      work();
    }
  }
};

ThreadPool::ThreadPool(int threads) : threads_(threads), shared_(std::make_unique<Shared>()) {
  check(threads >= 1, "threads: {}, must be at least 1", threads);
  // More threads than processors: whoever spins takes the processor from somebody who works.
  if (unsigned(threads) > std::thread::hardware_concurrency()) shared_->spin = 0;
  try {
    for (int i = 1; i < threads; ++i)
      shared_->workers.emplace_back([shared = shared_.get()] {
        block_signals();
        shared->worker();
      });
  } catch (const std::system_error& error) {
    const size_t started = shared_->workers.size() + 1;
    shared_->end();
    fail("threads: the system gives {} of {} ({}). Use fewer, or raise its limit (ulimit -u)", started, threads,
         error.code().message());
  }
}

ThreadPool::~ThreadPool() { shared_->end(); }

void ThreadPool::run(int64_t parts, const std::function<void(int64_t part)>& body) {
  if (threads_ == 1 || parts <= 1) {
    for (int64_t part = 0; part < parts; ++part) body(part);
    return;
  }
  Shared& s = *shared_;
  s.body.store(&body, std::memory_order_relaxed);
  s.unfinished.store(int32_t(parts), std::memory_order_relaxed);
  s.unclaimed.store(parts, std::memory_order_release);
  s.job.fetch_add(1, std::memory_order_release);
  s.job.notify_all();
  s.work();
  for (int32_t left; (left = s.unfinished.load(std::memory_order_acquire)) != 0;)
    wait_for_change(s.unfinished, left, s.spin);
  if (s.error) std::rethrow_exception(std::exchange(s.error, nullptr));
}

void ThreadPool::parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  run((n + grain - 1) / grain, [&](int64_t part) { body(part * grain, std::min(n, (part + 1) * grain)); });
}

}  // namespace bough
