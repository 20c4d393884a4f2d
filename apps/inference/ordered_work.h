#pragma once
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "apps/inference/worker_backends.h"

namespace bough {

/// Items that are computed together, and their numbers in the input.
template <class Item>
struct Job {
  std::vector<Item> items;
  std::vector<int64_t> numbers;
  bool is_alone = false;  ///< all that there is to do when it begins
};

/// The steps of run_in_order. read and write are never called twice at a time, but from any thread.
template <class Item, class Result>
struct OrderedWork {
  std::function<std::vector<Item>()> read;  ///< the next window of the input; empty: it has ended
  std::function<std::vector<std::vector<size_t>>(const std::vector<Item>& window)> cut;  ///< into jobs
  std::function<std::vector<Result>(const Worker&, const Job<Item>&)> compute;           ///< one result an item
  std::function<void(Result&&)> write;                                                   ///< in the order of the input
  std::function<void()> stop = {};  ///< ends a wait of read, now or later, from any thread; empty: read does not wait
};

/// Hands out jobs; reads a window when there are none left.
template <class Item, class Result>
class JobQueue {
 public:
  /// `work` must outlive the queue.
  explicit JobQueue(const OrderedWork<Item, Result>& work) : work_(work) {}

  /// False when the input has ended. Every job that is taken is to be finished.
  bool take(Job<Item>& job) {
    const std::lock_guard lock(mutex_);
    while (jobs_.empty() && !has_ended_) refill();
    if (jobs_.empty()) return false;
    job = std::move(jobs_.front());
    jobs_.pop_front();
    job.is_alone = unfinished_.fetch_add(1) == 0 && jobs_.empty();
    return true;
  }
  /// Does not wait, as take does for input.
  void finish() { --unfinished_; }

 private:
  void refill() {
    std::vector<Item> window = work_.read();
    has_ended_ = window.empty();
    for (const std::vector<size_t>& members : work_.cut(window)) {
      Job<Item> job;
      for (size_t i : members) {
        job.numbers.push_back(count_ + int64_t(i));
        job.items.push_back(std::move(window[i]));
      }
      jobs_.push_back(std::move(job));
    }
    count_ += int64_t(window.size());
  }

  const OrderedWork<Item, Result>& work_;
  std::mutex mutex_;
  std::deque<Job<Item>> jobs_;
  std::atomic<int> unfinished_ = 0;
  int64_t count_ = 0;
  bool has_ended_ = false;
};

/// Computes on all workers until the input has ended, a job that is alone on several threads; every result is
/// written as soon as it and all before it are there. Throws what a step throws, also while another worker waits for
/// input.
template <class Item, class Result>
void run_in_order(WorkerBackends& workers, const OrderedWork<Item, Result>& work) {
  JobQueue<Item, Result> queue(work);
  std::mutex mutex;
  std::map<int64_t, Result> waiting;
  int64_t next = 0;
  const auto body = [&](const Worker& worker) {
    for (Job<Item> job; !workers.has_failed() && queue.take(job);) {
      std::vector<Result> results = work.compute(job.is_alone ? workers.with_threads(worker) : worker, job);
      queue.finish();
      const std::lock_guard lock(mutex);
      for (size_t i = 0; i < results.size(); ++i) waiting.emplace(job.numbers[i], std::move(results[i]));
      for (; !waiting.empty() && waiting.begin()->first == next; ++next)
        work.write(std::move(waiting.extract(waiting.begin()).mapped()));
    }
  };
  workers.run(body, work.stop);
}

}  // namespace bough
