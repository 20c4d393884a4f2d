#include "apps/inference/worker_backends.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "core/base/error.h"
#include "core/base/thread_pool.h"

namespace bough {

namespace {

constexpr int most_threads = 4;  // of a decoding step: its products are small, and waking a thread takes microseconds

}  // namespace

struct WorkerBackends::Failure {
  std::mutex mutex;
  std::exception_ptr first;
  std::atomic<bool> happened = false;

  void keep(std::exception_ptr e) {
    const std::lock_guard lock(mutex);
    if (!first) first = std::move(e);
    happened = true;
  }
};

WorkerBackends::WorkerBackends(const std::vector<Backend*>& devices, int threads)
    : devices_(devices.size()), failure_(std::make_shared<Failure>()) {
  for (size_t device = 0; device < devices.size(); ++device) {
    const size_t before = workers_.size();
    const auto add = [&](std::vector<Worker>& to, int worker_threads) {
      auto worker = devices[device]->make_worker(worker_threads);
      if (!worker) return;
      to.push_back({worker.get(), device});
      owned_.push_back(std::move(worker));
    };
    for (int i = 0; i < threads; ++i) add(workers_, 1);
    if (workers_.size() == before) workers_.push_back({devices[device], device});
    try {
      if (threads > 1) add(threaded_, std::min(threads, most_threads));
    } catch (const Error&) {  // the system gives no more threads: nobody has several
      threaded_.clear();
    }
  }
}

bool WorkerBackends::has_failed() const { return failure_->happened; }

void WorkerBackends::run(const std::function<void(const Worker&)>& body, const std::function<void()>& on_failure) {
  const auto guarded = [&](const Worker& worker) {
    try {
      worker.backend->use_on_this_thread();
      body(worker);
    } catch (...) {
      failure_->keep(std::current_exception());
      if (on_failure) on_failure();
    }
  };
  {
    std::vector<std::jthread> threads;  // joined at the end of this block
    try {
      for (size_t i = 1; i < workers_.size(); ++i)
        threads.emplace_back([&, i] {
          block_signals();
          guarded(workers_[i]);
        });
    } catch (const std::system_error&) {  // the system gives no more threads: the others do the work
    }
    guarded(workers_[0]);
  }
  failure_->happened = false;
  if (auto e = std::exchange(failure_->first, nullptr)) std::rethrow_exception(e);
}

}  // namespace bough
